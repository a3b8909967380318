"""A ``calmstream worker`` as a child process, for tests that start, stop, kill and pause workers.

Guarantee: what is waited for comes within its deadline or ``WorkerFailed`` is raised with the end of the worker's log,
also when the worker ends by itself; no worker outlives its ``with`` block, and a block that fails prints the log's end.

    with WorkerProcess({"CALMSTREAM_BROKER__BOOTSTRAP": broker.bootstrap}, directory=tmp_path) as worker:
        worker.wait_until(lambda: worker.metrics()["calmstream_points_total"] == 100, "done with the points")

Entering the block starts the worker and waits until it is ready. Every method blocks; from a coroutine call them with
``asyncio.to_thread``.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from pipeline.streams.broker_process import LOOPBACK, free_port
from tests.forked_process import Forked

READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_CALMSTREAM = Path(sys.executable).parent / "calmstream"


class WorkerFailed(AssertionError):
    """The worker did not do what was waited for; the message shows the end of its log."""


class WorkerProcess:
    """One worker, which may be started again after it was stopped or killed; port and log stay the same.

    environment: the settings (``CALMSTREAM_…``); those of the caller are not passed on. Host and port are loopback and
    a free one unless given. arguments: what follows ``calmstream``. directory: where it runs and its log stands.
    command: run the installed command; else, where that can be, a fork of a process that has imported it already.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        directory: Path,
        arguments: Sequence[str] = ("worker",),
        name: str = "worker",
        command: bool = False,
    ) -> None:
        defaults = {"CALMSTREAM_HTTP__HOST": LOOPBACK, "CALMSTREAM_HTTP__PORT": str(free_port())}
        self._settings = defaults | dict(environment)
        self._arguments = list(arguments)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._forks = sys.platform == "linux" and not command
        self.name = name
        self.port = int(self._settings["CALMSTREAM_HTTP__PORT"])
        self.log_path = directory / f"{name}.log"

    @property
    def pid(self) -> int | None:
        """The process id while the worker runs or is paused."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> Self:
        """Start it, without waiting for anything."""
        if self._process is not None:
            raise WorkerFailed(f"{self.name} was started before and has not been stopped")
        environment = _environment() | self._settings
        self._process = self._forked(environment) if self._forks else self._spawned(environment)
        return self

    def _forked(self, environment: Mapping[str, str]) -> Forked:
        return Forked(self._arguments, environment, self._directory, self.log_path)

    def _spawned(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [str(_CALMSTREAM), *self._arguments],
                env=environment,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests: they stop the worker
            )

    def stop(self, *, within_seconds: float = _STOP_SECONDS) -> int:
        """SIGTERM, and wait for the end; returns the exit code."""
        process = self._started()
        process.send_signal(signal.SIGCONT)  # a paused process could not end itself
        process.terminate()
        return self.wait_end(within_seconds=within_seconds)

    def kill(self) -> None:
        """SIGKILL: it ends at once, as in a crash; does nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP, and wait until it stands still."""
        process = self._started()
        process.send_signal(signal.SIGSTOP)
        if isinstance(process, Forked):
            process.wait_stopped()
        else:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT: it goes on after ``pause``."""
        self._started().send_signal(signal.SIGCONT)

    def wait_ready(self, within_seconds: float = READY_SECONDS) -> Self:
        """Wait until ``/ready`` answers 200."""
        self.wait_until(lambda: self.status("/ready") == 200, "ready", within_seconds=within_seconds)
        return self

    def wait_until(self, reached: Callable[[], bool], what: str, *, within_seconds: float = READY_SECONDS) -> None:
        """Ask ``reached`` again and again until it says yes; ``what`` completes "the worker was not …".

        A worker that is too busy to answer in time closes the connection: that is a "not yet".
        """
        process = self._started()
        deadline = time.monotonic() + within_seconds
        while not _answered_yes(reached):
            if time.monotonic() > deadline:
                raise WorkerFailed(f"{self.name} was not {what} within {within_seconds:g} s; {self._log_end()}")
            try:
                code = process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            raise WorkerFailed(f"{self.name} ended with code {code} before it was {what}; {self._log_end()}")

    def wait_end(self, *, within_seconds: float = _STOP_SECONDS) -> int:
        """Wait until it has ended; returns the exit code, negative for a signal."""
        try:
            code = self._started().wait(within_seconds)
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"{self.name} did not end within {within_seconds:g} s; {self._log_end()}") from None
        self._process = None
        return code

    def status(self, path: str) -> int:
        """The HTTP status of one of its endpoints; 0 where nothing answers."""
        try:
            with urllib.request.urlopen(self._url(path), timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0

    def exposition(self) -> str:
        """``/metrics`` as it stands."""
        with urllib.request.urlopen(self._url("/metrics"), timeout=10) as answer:
            return str(answer.read().decode())

    def metrics(self) -> dict[str, float]:
        """Every sample as Prometheus writes it, labels sorted, and under its bare name the sum over all labels.

        ``calmstream_drops_total{reason="nan",role="ingest"}`` and ``calmstream_drops_total``. A metric that has no
        sample yet is not there.
        """
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(self.exposition()):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
                if sample.labels:
                    labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
                    found[f"{sample.name}{{{labels}}}"] = sample.value
        return found

    def log(self) -> str:
        """Everything that it has written, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def __enter__(self) -> Self:
        self.start()
        try:
            return self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print(f"{self.name}: {self._log_end()}")
            self.kill()
        elif self._process is not None:
            self._stop_cleanly()

    def _stop_cleanly(self) -> None:
        try:
            if code := self.stop():
                raise WorkerFailed(f"{self.name} ended with code {code}; {self._log_end()}")
        finally:
            self.kill()

    def _started(self) -> subprocess.Popen[bytes] | Forked:
        if self._process is None:
            raise WorkerFailed(f"{self.name} does not run: it was not started, or was stopped")
        return self._process

    def _url(self, path: str) -> str:
        return f"http://{LOOPBACK}:{self.port}{path}"

    def _log_end(self, lines: int = 60) -> str:
        return "\n".join(["the end of its log:", *self.log().splitlines()[-lines:]])


def _answered_yes(reached: Callable[[], bool]) -> bool:
    try:
        return reached()
    except (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException):
        return False


def _environment() -> dict[str, str]:
    """Ours without our own settings, so that the worker has the shipped ones and those given."""
    return {key: value for key, value in os.environ.items() if not key.upper().startswith("CALMSTREAM_")}
