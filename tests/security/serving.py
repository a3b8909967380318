"""The endpoints of a worker that does nothing else, in a thread of this process, and requests to them byte by byte."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvloop

from pipeline import app
from pipeline.settings import Settings, load
from pipeline.streams.broker_process import LOOPBACK, free_port

#: After which a test gives up; what is waited for comes much sooner.
PATIENCE_SECONDS = 60.0


@dataclass
class Serving:
    """Endpoints that answer. ``worker`` is all that a worker is made of, of which only they run."""

    worker: app.Worker
    settings: Settings
    loop: asyncio.AbstractEventLoop

    @property
    def port(self) -> int:
        return self.settings.http.port

    def connect(self, context: ssl.SSLContext | None = None) -> socket.socket:
        plain = socket.create_connection((LOOPBACK, self.port), timeout=PATIENCE_SECONDS)
        return plain if context is None else context.wrap_socket(plain, server_hostname="localhost")

    def get(self, path: str, *headers: str, method: str = "GET", context: ssl.SSLContext | None = None) -> "Answer":
        lines = [f"{method} {path} HTTP/1.1", f"Host: {LOOPBACK}", *headers, "", ""]
        return self.send("\r\n".join(lines).encode(), context)

    def send(self, request: bytes, context: ssl.SSLContext | None = None) -> "Answer":
        """Send this, and read until the other side has ended the connection."""
        with self.connect(context) as connection:
            with contextlib.suppress(ConnectionError):  # it may have answered and gone before it has all
                connection.sendall(request)
            return Answer(everything(connection))

    def refused(self, reason: str) -> float:
        value = self.worker.telemetry.registry.get_sample_value("calmstream_http_refused_total", {"reason": reason})
        return value or 0.0


class Answer:
    """An answer as it came."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1]) if first else 0
        self.headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key == name.lower())


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection, in order or by force."""
    came = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while more := connection.recv(65536):
            came += more
    return came


def seconds_until_over(connection: socket.socket) -> float:
    began = time.monotonic()
    everything(connection)
    return time.monotonic() - began


@contextlib.contextmanager
def serving(**http: Any) -> Iterator[Serving]:
    """Endpoints with these settings, on a free port."""
    settings = load(overrides={"http": {"host": LOOPBACK, "port": free_port(), **http}})
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        worker = app.create(settings)
        on(loop, worker.endpoints.start())
        yield Serving(worker, settings, loop)
        on(loop, worker.endpoints.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_SECONDS)
        loop.close()


def on(loop: asyncio.AbstractEventLoop, what: Any) -> Any:
    """The result of a coroutine on the loop of another thread."""
    return asyncio.run_coroutine_threadsafe(what, loop).result(PATIENCE_SECONDS)
