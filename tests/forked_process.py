"""``calmstream`` in a fork of a process that has imported it already, so that a start costs no four seconds of CPU.

What runs in the fork is the command line as it is, from reading its environment on; it has a log, a session and signal
handlers of its own and ends as a process does. Shared with its siblings is what importing leaves in memory: compiled
kernels, and the seed of ``hash`` (a result that hangs on it would be the same in all forks; but the undisturbed runs
that they are compared with are ``calmstream`` commands with seeds of their own). The fork server is
``multiprocessing``'s; Linux only. Children end with it, and it ends with the tests.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from pipeline.cli.root import main

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])
#: Starting one looks at all others, and that must not be done by two threads.
_LOCK = threading.Lock()
_STOP_SECONDS = 10.0


class Forked:
    """As much of ``subprocess.Popen`` as workers need."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path) -> None:
        what = (list(arguments), dict(environment), str(directory), str(log))
        with _LOCK:
            self._process = _CONTEXT.Process(target=_become, args=what)
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        with _LOCK:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("calmstream", timeout or 0.0)
        return code

    def wait_stopped(self) -> None:
        """Until it stands still after SIGSTOP. It is a child of the fork server, which alone can be told. One that has
        ended does not go on either."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZ":
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.wait(0.01)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _become(arguments: list[str], environment: dict[str, str], directory: str, log: str) -> None:
    """Run the command line; its exit code becomes the process's."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.setsid()
    os.chdir(directory)
    words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(words, 1)
    os.dup2(words, 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["calmstream", *arguments]
    main()
