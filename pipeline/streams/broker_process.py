"""Run a server that speaks Kafka's protocol as a child of this process, on loopback.

Guarantee: ``start`` returns after the server has answered a Kafka metadata request, or raises ``BrokerError`` with the
end of the server's log. The server does not outlive this process: on Linux the kernel ends it however this process
ends, elsewhere it is ended at a normal exit. ``restart`` comes back on the same port and directory.

Every method blocks; from a coroutine call them with ``asyncio.to_thread``.
"""

import abc
import asyncio
import atexit
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

LOOPBACK = "127.0.0.1"

# Below the range from which kernels take the local ports of outgoing connections (32768 and up on Linux): such a
# connection, even a client's attempt to reach a server that is down, could otherwise hold the port when it comes back.
_SERVER_PORTS = range(20_000, 32_000)

# Asks the kernel to end the child with its parent (prctl 1 is PR_SET_PDEATHSIG), leaves if the parent is gone already,
# and becomes the server. Code between fork and exec here would not be safe with threads; a fresh interpreter is.
_DIE_WITH_PARENT = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit('the parent is gone')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)

# The kernel's signal comes when the *thread* that started the child ends, so one thread that lives as long as this
# process starts them all.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="broker-starter")


class BrokerError(RuntimeError):
    """A broker could not be started; the message says why and shows the end of its log."""


class BrokerProcess(abc.ABC):
    """A broker as a child process.

    directory: where the log file and the data go; by default a temporary one that is removed with this object.
    port: where it listens; by default a free one. A restart uses the same.
    """

    name = "broker"

    def __init__(self, *, directory: Path | None = None, port: int | None = None, start_seconds: float = 60.0) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix=f"calmstream-{self.name}-", ignore_cleanup_errors=True)
            directory = Path(self._temporary.name)
        self.directory = directory
        self.port = port or free_port()
        self.start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> Sequence[str]:
        """The command line; the first word is an absolute path."""

    def environment(self) -> Mapping[str, str]:
        """The environment of the server."""
        return os.environ

    def prepare(self) -> None:  # noqa: B027 (most need none)
        """Called before every start, with ``directory`` there."""

    @property
    def bootstrap(self) -> str:
        """What a Kafka client connects to."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """The process id while the server runs or is paused."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> Self:
        """Start, and return when a Kafka metadata request was answered."""
        if self.pid is not None:
            raise BrokerError(f"the {self.name} runs already, on {self.bootstrap}")
        if not _is_free(self.port):
            raise BrokerError(f"port {self.port} on {LOOPBACK} is taken: free it, or choose another port")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self._process = _STARTER.submit(self._spawn).result()
        atexit.register(self.kill)
        try:
            self._await_answer()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self, *, within_seconds: float = 20.0) -> None:
        """End it in an orderly way; by force where that takes longer than ``within_seconds``."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)  # a paused process could not end itself
            self._process.terminate()
            try:
                self._process.wait(within_seconds)
            except subprocess.TimeoutExpired:
                pass  # kill is the answer
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL)."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None
        atexit.unregister(self.kill)

    def restart(self) -> None:
        """Stop in an orderly way and start again on the same port and directory."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing is answered, as when a virtual machine is paused."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on after ``pause``; does nothing to a server that is not paused."""
        self._running().send_signal(signal.SIGCONT)

    def memory_bytes(self) -> int | None:
        """Resident memory, or None where the system does not tell (only Linux does)."""
        try:
            pages = Path(f"/proc/{self._running().pid}/statm").read_text().split()[1]
        except FileNotFoundError:
            return None
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            raise BrokerError(f"the {self.name} is not running")
        return self._process

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = list(self.command())
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                env=dict(self.environment()),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: we stop the server last
            )

    def _await_answer(self) -> None:
        process = self._running()
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            try:
                code = process.wait(0.02)
            except subprocess.TimeoutExpired:
                if answers(self.bootstrap, within_seconds=max(0.1, deadline - time.monotonic())):
                    return
                continue
            raise BrokerError(f"the {self.name} ended with code {code} while starting; {self._log_end()}")
        raise BrokerError(f"the {self.name} did not answer within {self.start_seconds:g} s; {self._log_end()}")

    def _log_end(self, lines: int = 40) -> str:
        text = self.log_path.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"the end of its log, {self.log_path}:", *text])


def free_port() -> int:
    """A port that nothing listens on now, from a range in which nothing connects from.

    ``port 0`` will not do: a broker must tell clients its port before it has one, and have the same after a restart.
    """
    for port in random.sample(_SERVER_PORTS, 200):
        if _is_free(port):
            return port
    raise BrokerError(f"no free port found between {_SERVER_PORTS.start} and {_SERVER_PORTS.stop} on {LOOPBACK}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closed connections do not matter
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def answers(bootstrap: str, *, within_seconds: float) -> bool:
    """Whether a broker (host:port) answers a Kafka metadata request and names at least one broker."""
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=within_seconds).close()
    except OSError:
        return False
    with ThreadPoolExecutor(max_workers=1) as own_loop:  # the caller may be inside a running event loop
        return own_loop.submit(asyncio.run, _answers(bootstrap, within_seconds)).result()


async def _answers(bootstrap: str, within_seconds: float) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=max(1, int(within_seconds * 1000)))
    try:
        async with asyncio.timeout(within_seconds):
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()
