"""The worker's own endpoints: /live (the loop turns), /ready (assigned and restored), /metrics (Prometheus), /config.

Guarantee: nothing else is answered, and nothing can be changed. Where credentials are configured, /metrics and /config
are for those who have them; /live and /ready are open to probes, and say then no more than yes or no. They answer from
the start of the process to its end; when they cannot, the worker ends and says so.
"""

import asyncio
import ipaddress
import json
import logging
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from aiohttp import web
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from pipeline.settings import ConfigurationError, Settings
from pipeline.settings.shown import shown
from pipeline.streams.endpoints.access import Access, tls
from pipeline.streams.endpoints.connections import HEADERS, Listener, refusal
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.shard import ShardService
from pipeline.telemetry import Telemetry

log = logging.getLogger(__name__)

#: All there are, and those that credentials are for.
PATHS = ("/live", "/ready", "/metrics", "/config")
_FOR_THOSE_WHO_MAY = frozenset({"/metrics", "/config"})


class Endpoints(Service):
    """Serves them. ``failure`` is why it ended, if by itself."""

    mundane_level: ClassVar[str] = "debug"

    def __init__(self, settings: Settings, shards: Sequence[ShardService], telemetry: Telemetry) -> None:
        super().__init__()
        self._settings = settings
        self._shards = shards
        self._telemetry = telemetry
        self._pages: dict[str, Callable[[], web.Response]] = dict(
            zip(PATHS, (self._live, self._ready, self._metrics, self._config), strict=True)
        )
        self._access: Access
        self._listener: Listener
        self.failure: WorkerExit | None = None

    async def on_start(self) -> None:
        """Take the port. Raises WorkerExit."""
        http = self._settings.http
        try:
            self._access = Access(http)
            self._listener = Listener(http, tls(http), self._answer, self._count)
            self._listener.open()
        except ConfigurationError as error:
            raise WorkerExit(Exit.CONFIGURATION, str(error)) from None

    async def on_stop(self) -> None:
        if hasattr(self, "_listener"):
            await self._listener.close()

    @property
    def where(self) -> str:
        """Their address, once started."""
        scheme = "https" if self._settings.http.tls_certificate_file else "http"
        host, port = self._settings.http.host, self._listener.addresses[0][1]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @Service.task
    async def _serve(self) -> None:
        try:
            await self._listener.serve()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.failure = WorkerExit(Exit.FAILED, f"the endpoints can no longer be served: {error!r}")
            await self.crash(self.failure)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        path = request.path
        if path not in self._pages:
            return refusal(HTTPStatus.NOT_FOUND)
        if path in _FOR_THOSE_WHO_MAY and (refused := self._refused(request, path)) is not None:
            return refused
        return self._pages[path]()

    def _refused(self, request: web.BaseRequest, path: str) -> web.Response | None:
        verdict = self._access.judge(request.headers.get("Authorization"))
        if verdict:
            self._count(verdict)
            if verdict == "wrong_credentials":
                extra = {"peer": request.remote, "reason": verdict}
                log.warning("wrong credentials for %s from %s", path, request.remote, extra=extra)
            answer = refusal(HTTPStatus.UNAUTHORIZED)
            for challenge in self._access.challenges:
                answer.headers.add("WWW-Authenticate", challenge)
            return answer
        if not self._access.asked and _by_a_name_of_others(request):
            self._count("foreign_host")
            return refusal(HTTPStatus.MISDIRECTED_REQUEST)
        return None

    def _count(self, reason: str) -> None:
        self._telemetry.http_refused.labels(reason).inc()

    # -- what they say -------------------------------------------------------------------------------------------------

    def _live(self) -> web.Response:
        return _json({"live": True})

    def _ready(self) -> web.Response:
        roles = {shard.stage.role: shard.ready.is_set() for shard in self._shards}
        ready = all(roles.values())
        body: dict[str, Any] = {"ready": ready}
        behind = [shard.stage.role for shard in self._shards if shard.catching_up]
        more = {} if self._access.asked else {"roles": roles, "catching_up": behind}
        return _json(body | more, 200 if ready else 503)

    def _metrics(self) -> web.Response:
        headers = HEADERS | {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(self._telemetry.registry), headers=headers)

    def _config(self) -> web.Response:
        return _json(shown(self._settings))


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(text=f"{json.dumps(body)}\n", status=status, content_type="application/json", headers=HEADERS)


def _by_a_name_of_others(request: web.BaseRequest) -> bool:
    """Is it a name that somebody may have registered, and had point to this machine's loopback address? A page in a
    browser here reads what answers to its own name; an address, ``localhost`` or a bare name never is its own."""
    transport, named = request.transport, request.headers.get("Host", "")
    to = transport.get_extra_info("sockname")[0] if transport is not None else ""
    if not _is_loopback(to):
        return False
    name = re.sub(r":\d*$", "", named).rstrip(".")
    return "." in name and not name.endswith(".localhost") and not _is_address(name.removeprefix("[").removesuffix("]"))


def _is_loopback(address: str) -> bool:
    return _is_address(address) and ipaddress.ip_address(address).is_loopback


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
