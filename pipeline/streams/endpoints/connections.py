"""Connections of the worker's own endpoints: each brings one request, and there are bounds on what it may cost.

Guarantee: whatever is sent, or is not sent, a connection is over after twice ``http.request_timeout_seconds``, holds no
more than ``http.max_request_bytes``, and there are never more than ``http.max_connections`` at once, those in a TLS
handshake included. What is refused is counted by its reason. Answers to what is refused say nothing of the inside.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from pipeline.settings import ConfigurationError, HttpSettings

log = logging.getLogger(__name__)

#: Of every answer. There is nothing in them that a browser would have to load, store, show in a frame or guess at.
HEADERS = {
    "Server": "calmstream",
    "Connection": "close",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_END_OF_HEADERS = b"\r\n\r\n"
#: For what was refused to be read by the other side, and for its last words in TLS.
_FAREWELL_SECONDS = 1.0
_MOST_SWALLOWED_BYTES = 2**20
#: The machine is short of something; there is nothing to do but to wait.
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: The other side went away before it was welcomed.
_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH})

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def refusal(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """A short answer that says what HTTP has to say."""
    answer = web.Response(status=status, text=f"{HTTPStatus(status).phrase}\n", headers=HEADERS | (headers or {}))
    answer.force_close()
    return answer


class Connection(web.RequestHandler):
    """One connection. ``late_at``: loop time until which its request must have come whole."""

    def __init__(
        self, manager: web.Server, settings: HttpSettings, count: Callable[[str], None], late_at: float
    ) -> None:
        self._settings = settings
        self._count = count
        self._late_at = late_at
        self._head: bytes | None = b""  # until it is whole
        self._came = 0
        self._answering = False
        self._given_up = False
        self._timer: asyncio.TimerHandle | None = None
        self.over = asyncio.Event()
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=0,  # the deadline below is stricter
            tcp_keepalive=False,
            max_line_size=settings.max_header_bytes,
            max_field_size=settings.max_header_bytes,
            lingering_time=min(settings.request_timeout_seconds, 2 * _FAREWELL_SECONDS),
            auto_decompress=False,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._timer = self._loop.call_at(self._late_at, self._late)

    def data_received(self, data: bytes) -> None:
        self._came += len(data)
        if self._given_up:
            if self._came > _MOST_SWALLOWED_BYTES:
                self.abort()
            return
        if self._head is not None:
            self._head += data
            end = self._head.find(_END_OF_HEADERS)
            size = len(self._head) if end < 0 else end + len(_END_OF_HEADERS)
            if size > self._settings.max_header_bytes:
                self._give_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers")
                return
            if end >= 0:
                self._head = None
        if self._came > self._settings.max_request_bytes:
            self._give_up(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request")
            return
        super().data_received(data)

    def begin_answer(self) -> None:
        """The request is there; from now on the time for its answer counts."""
        self._answering = True
        self._wake(self._settings.request_timeout_seconds)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """For what is no request, and for a fault of ours; with none of their words."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("a request to our endpoints failed by a fault of ours", exc_info=exc)
        else:
            self._count("malformed")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        return refusal(status)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)
        self.over.set()

    def abort(self) -> None:
        """End it now."""
        if self.transport is not None:
            self.transport.abort()

    def _wake(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._late)

    def _late(self) -> None:
        if self._given_up or self.transport is None:
            self.abort()
        elif self._answering or not self._came:
            self._count("time")
            self.abort()
        else:
            self._give_up(HTTPStatus.REQUEST_TIMEOUT, "time")

    def _give_up(self, status: HTTPStatus, reason: str) -> None:
        """Say why, and end it; what still comes is not looked at."""
        self._count(reason)
        self._given_up = True
        transport = self.transport
        if transport is None:
            return
        if self._answering:
            transport.close()
            return
        transport.write(_written(status))
        if transport.can_write_eof():  # without TLS. A close would tell the other side to throw our words away
            transport.write_eof()
        else:
            transport.close()
        self._wake(_FAREWELL_SECONDS)


def _written(status: HTTPStatus) -> bytes:
    """The same as ``refusal``, where there is no request to answer."""
    body = f"{status.phrase}\n".encode()
    headers = HEADERS | {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {int(status)} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Listener:
    """Listens at ``http.host`` and ``http.port``, and hands requests to ``handler``."""

    def __init__(
        self,
        settings: HttpSettings,
        context: ssl.SSLContext | None,
        handler: Handler,
        count: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._context = context
        self._handler = handler
        self._count = count
        self._listening: list[socket.socket] = []
        self._serving: dict[asyncio.Task[None], Connection] = {}
        self._manager: web.Server

    def open(self) -> None:
        """Take the port. Raises ConfigurationError."""
        self._manager = web.Server(self._answer)
        self._listening = _listening(self._settings)

    @property
    def addresses(self) -> list[tuple[Any, ...]]:
        """Where it listens."""
        return [listening.getsockname() for listening in self._listening]

    async def serve(self) -> None:
        """Accept connections, until cancelled."""
        await asyncio.gather(*(self._accept(listening) for listening in self._listening))

    async def close(self) -> None:
        for listening in self._listening:
            listening.close()
        for connection in self._serving.values():
            connection.abort()
        if self._serving:
            _, shaking_hands = await asyncio.wait(list(self._serving), timeout=_FAREWELL_SECONDS)
            for task in shaking_hands:
                task.cancel()
        await asyncio.sleep(0)  # for aiohttp's own tasks to see that it is over

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _SCARCE:
                    log.warning("no connection to our endpoints can be accepted: %s", error)
                    await asyncio.sleep(_FAREWELL_SECONDS)
                elif error.errno not in _GONE:
                    raise
                continue
            if len(self._serving) >= self._settings.max_connections:
                self._count("connections")
                accepted.close()
                continue
            late_at = loop.time() + self._settings.request_timeout_seconds
            connection = Connection(self._manager, self._settings, self._count, late_at)
            task = loop.create_task(self._serve(accepted, connection, late_at))
            self._serving[task] = connection
            task.add_done_callback(self._serving.pop)

    async def _serve(self, accepted: socket.socket, connection: Connection, late_at: float) -> None:
        secured: dict[str, Any] = {}
        if self._context is not None:
            limits = (self._settings.request_timeout_seconds, _FAREWELL_SECONDS)
            secured = {"ssl": self._context, "ssl_handshake_timeout": limits[0], "ssl_shutdown_timeout": limits[1]}
        try:
            async with asyncio.timeout_at(late_at):
                await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted, **secured)
        except (OSError, TimeoutError):
            self._count("tls" if self._context is not None else "time")
            accepted.close()
            return
        await connection.over.wait()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.protocol, Connection)
        request.protocol.begin_answer()
        if (request.content_length or 0) > self._settings.max_request_bytes:
            self._count("request")
            return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        answer = await self._handler(request)
        answer.force_close()
        return answer


def _listening(settings: HttpSettings) -> list[socket.socket]:
    """Sockets for every address that the host's name has. Raises ConfigurationError."""
    where = f"http.host {settings.host} and http.port {settings.port}"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError(f"{where}: the host is not known: {error.strerror}") from None
    opened: list[socket.socket] = []
    failures: list[OSError] = []
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            opened.append(_bound(family, address))
        except OSError as error:
            failures.append(error)
    taken = [error for error in failures if error.errno != errno.EADDRNOTAVAIL]
    if opened and not taken:  # localhost may be two addresses, of which this machine may have one
        return opened
    for each in opened:
        each.close()
    raise ConfigurationError(f"{where}: {_why((taken or failures)[0])}")


def _bound(family: int, address: Any) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(128)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; stop what uses it, or give this worker another one (CALMSTREAM_HTTP__PORT)"
    if error.errno == errno.EACCES:
        return "this user may not listen there; ports below 1024 are for the administrator, give another one"
    return f"it is not possible to listen there: {error.strerror}"
