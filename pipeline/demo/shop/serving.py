"""HTTP as the services speak it: requests that come in and calls that go out, as spans and as durations.

Guarantee: a call carries its trace on (W3C Trace Context); a request that fails is answered, never dropped, and its
span, its duration and the log say the same status.
"""

import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from aiohttp.abc import AbstractResolver, ResolveResult
from opentelemetry.context import attach, detach
from opentelemetry.metrics import Histogram
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pipeline.demo.shop.telemetry import Telemetry
from pipeline.demo.shop.town import LOOPBACK

_CALL_SECONDS = 5.0
_propagator = TraceContextTextMapPropagator()

log = logging.getLogger("shop")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Failed(Exception):
    """A request cannot be answered as it should; ``status`` is what the caller gets, the message why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@contextmanager
def measured(
    tracer: Tracer, duration: Histogram, name: str, kind: SpanKind, told: dict[str, Any], of_span: Mapping[str, Any]
) -> Iterator[Span]:
    """A span and a duration in seconds; ``told`` are the attributes of both, and may grow meanwhile, ``of_span`` are
    more of the span. With an ``error.type`` the span has failed."""
    with tracer.start_as_current_span(
        name, kind=kind, attributes={**told, **of_span}, record_exception=False, set_status_on_exception=False
    ) as span:
        began = time.perf_counter()
        try:
            yield span
        finally:
            if "error.type" in told:
                span.set_status(StatusCode.ERROR)
            span.set_attributes(told)
            duration.record(time.perf_counter() - began, told)


def measuring(telemetry: Telemetry) -> Any:
    """The middleware that measures each request, and answers those that failed."""

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else ""
        told: dict[str, Any] = {"http.request.method": request.method, "url.scheme": request.scheme}
        told |= {"http.route": route} if route else {}
        of_span = {"url.path": request.path, "server.address": request.url.host or "", "client.address": LOOPBACK}
        token = attach(_propagator.extract(request.headers))
        try:
            with measured(
                telemetry.tracer, telemetry.served, f"{request.method} {route}", SpanKind.SERVER, told, of_span
            ):
                answer = await _answer(request, handler)
                told["http.response.status_code"] = answer.status
                if answer.status >= 500:
                    told["error.type"] = str(answer.status)
                return answer
        finally:
            detach(token)

    return measure


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Failed as failed:
        if failed.status >= 500:
            log.error("%s %s failed with %d: %s", request.method, request.path, failed.status, failed)
        return web.json_response({"error": str(failed)}, status=failed.status)
    except web.HTTPException as refused:
        return web.json_response({"error": refused.reason}, status=refused.status)
    except Exception:
        log.exception("%s %s ended in an error that nobody expected", request.method, request.path)
        return web.json_response({"error": "internal error"}, status=500)


class Caller:
    """Calls other services by their names. Needs a running loop; ``close`` it."""

    def __init__(self, telemetry: Telemetry, ports: Mapping[str, int]) -> None:
        self._telemetry = telemetry
        # One connection a call: a service that is replaced never has old connections.
        connector = TCPConnector(resolver=_Names(ports), force_close=True, use_dns_cache=False)
        self._session = ClientSession(connector=connector, timeout=ClientTimeout(total=_CALL_SECONDS), trust_env=False)

    async def call(self, peer: str, method: str, route: str, body: object = None, **parts: object) -> Any:
        """The answer's JSON. Raises Failed (502, or 504 where no answer came in time)."""
        telemetry, path = self._telemetry, route.format(**parts)
        told: dict[str, Any] = {"http.request.method": method, "server.address": peer, "server.port": 80}
        of_span = {"url.full": f"http://{peer}{path}", "url.template": route}
        with measured(telemetry.tracer, telemetry.called, f"{method} {route}", SpanKind.CLIENT, told, of_span):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            try:
                async with self._session.request(method, f"http://{peer}{path}", json=body, headers=carrier) as answer:
                    told["http.response.status_code"] = answer.status
                    found = await answer.json()
            except (ClientError, TimeoutError, OSError) as error:
                told["error.type"] = type(error).__name__
                status = 504 if isinstance(error, TimeoutError) else 502
                raise Failed(status, f"{peer} did not answer: {type(error).__name__}") from error
            if answer.status >= 400:
                told["error.type"] = str(answer.status)
                raise Failed(502, f"{peer} answered {answer.status}")
            return found

    async def close(self) -> None:
        await self._session.close()


class _Names(AbstractResolver):
    """Names of services to ports on loopback, as a cluster's DNS would have them."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in self._ports:
            raise OSError(f"there is no service named {host}")
        return [
            ResolveResult(hostname=host, host=LOOPBACK, port=self._ports[host], family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Nothing is open."""
