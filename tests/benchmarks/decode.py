"""How fast OTLP becomes columns, on one core, beside the official classes alone and with a plain walk in Python.

Guarantee: all read the same messages in turns, in one process; a rate is the median over repeats of processor time. The
codecs have seen every series and shape before, as in a process that runs for a while; ``cold`` is the rate at first
sight. Everything is made up with a fixed seed.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from pipeline.codecs.otlp_encode import cumulative_sum, metrics_request, resource_metrics
from pipeline.codecs.otlp_metrics import OtlpMetrics
from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.codecs.otlp_spans import OtlpSpans
from pipeline.codecs.series_table import Limits
from pipeline.records import SpanKind
from tests.benchmarks.run import Run

SPANS, POINTS = "decode.otlp_spans_per_second", "decode.otlp_metrics_points_per_second"
FIGURES = (SPANS, POINTS)
PARSED, WALKED = "official_classes_parse_only", "official_classes_and_walk"

_T = 1_700_000_000_000_000
_SPANS_A_MESSAGE, _SPAN_MESSAGES = 500, 40
_POINT_MESSAGES = 40
#: Metrics in a message, and points of each: always 1,000 points of 3 attributes.
LAYOUTS = ((1, 1000), (100, 10), (1000, 1))
_SERVICES, _ROUTES = 20, 30


@dataclass(frozen=True, slots=True)
class Record:
    """What a codec reads of a Kafka record."""

    value: bytes
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def figures(run: Run, wanted: set[str]) -> None:
    if SPANS in wanted:
        _spans(run)
    if POINTS in wanted:
        _points(run)


def _spans(run: Run) -> None:
    messages = [Record(value) for value in span_messages(_SPAN_MESSAGES)]
    rates, cold = _measured(OtlpSpans, messages, _SPANS_A_MESSAGE, TracesData.FromString, walk_spans, run.repeats)
    never = [Record(value) for value in span_messages(_SPAN_MESSAGES // 4, names_have_ids=True)]
    _, names = _measured(OtlpSpans, never, _SPANS_A_MESSAGE, TracesData.FromString, walk_spans, 0)
    size = sum(len(message.value) for message in messages) / len(messages) / _SPANS_A_MESSAGE
    more = {"cold": cold, "names_that_never_repeat": names, "bytes_per_span": round(size)}
    run.emit(SPANS, rates["ours"], "spans/s", {name: rates[name] for name in (PARSED, WALKED)}, **more)


def _points(run: Run) -> None:
    """The figure is the slowest layout's; the others stand beside it."""
    found = {}
    for metrics, points in LAYOUTS:
        messages = [Record(value) for value in point_messages(_POINT_MESSAGES, metrics, points)]
        rates, cold = _measured(
            OtlpMetrics, messages, metrics * points, MetricsData.FromString, walk_points, run.repeats
        )
        found[f"{metrics}x{points}"] = rates | {"cold": cold}
    slowest = min(found.values(), key=lambda rates: rates["ours"])
    peers = {name: slowest[name] for name in (PARSED, WALKED)}
    run.emit(POINTS, slowest["ours"], "points/s", peers, layouts=found)


def _measured(
    codec: Callable[[Limits], Any],
    messages: Sequence[Record],
    rows: int,
    parse: Callable[[bytes], Any],
    walk: Callable[[Any], Iterable[Any]],
    repeats: int,
) -> tuple[dict[str, float], float]:
    """Rows a second of our codec and of the peers, and of our codec at first sight of everything."""
    codec(Limits()).decode(messages[:1])  # compile
    total, ours = rows * len(messages), codec(Limits())
    cold = total / _seconds(lambda: ours.decode(messages))
    ours.decode(messages)  # what is seen a second time is found by the scanner
    ways = {
        "ours": lambda: ours.decode(messages),
        PARSED: lambda: [parse(message.value) for message in messages],
        WALKED: lambda: [list(walk(parse(message.value))) for message in messages],
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            taken[name].append(_seconds(way))
    return {name: round(total / statistics.median(times)) for name, times in taken.items() if times}, round(cold)


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def walk_spans(request: TracesData) -> Iterable[tuple[Any, ...]]:
    """What anybody would write first: all of a span that a shape, RED figures and edges need."""
    for resource in request.resource_spans:
        told = _texts(resource.resource.attributes)
        for scope in resource.scope_spans:
            for made in scope.spans:
                found = _texts(made.attributes)
                times = made.start_time_unix_nano // 1000, made.end_time_unix_nano // 1000
                ids = made.trace_id, made.span_id, made.parent_span_id
                yield *ids, *times, told, made.kind, _operation(made, found), _peer(found), _failed(made, found)


def _operation(made: Span, found: dict[str, Any]) -> str:
    if made.kind == SpanKind.SERVER and "http.route" in found:
        return f"{found.get('http.request.method')} {found['http.route']}"
    return made.name


def _peer(found: dict[str, Any]) -> str:
    return found.get("service.peer.name") or found.get("db.system.name") or found.get("messaging.system") or ""


def _failed(made: Span, found: dict[str, Any]) -> bool:
    return made.status.code == 2 or "error.type" in found or found.get("http.response.status_code", 0) >= 500


def walk_points(request: MetricsData) -> Iterable[tuple[Any, ...]]:
    """What anybody would write first: a row for each point, with its series."""
    for resource in request.resource_metrics:
        told = _texts(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.sum.data_points:
                    series = told, metric.name, metric.unit, _texts(point.attributes)
                    value = point.as_double if point.WhichOneof("value") == "as_double" else point.as_int
                    yield series, point.time_unix_nano // 1000, point.start_time_unix_nano // 1000, float(value)


def _texts(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    found = {}
    for pair in attributes:
        value = pair.value
        found[pair.key] = value.string_value or value.int_value  # all that these messages have
    return found


def span_messages(number: int, *, names_have_ids: bool = False) -> list[bytes]:
    """Messages of spans of 20 services: 12 attributes, one in four with an event. Internal ones, if names have ids."""
    rng = random.Random(1)
    return [
        traces_request(
            *(
                resource_spans(
                    _resource(service),
                    [_span(rng, place, names_have_ids) for place in range(service, _SPANS_A_MESSAGE, _SERVICES)],
                    "instrumentation",
                )
                for service in range(_SERVICES)
            )
        )
        for _ in range(number)
    ]


def _resource(service: int) -> dict[str, Any]:
    return {
        "service.name": f"service-{service}",
        "service.instance.id": f"{service}-5f7d",
        "k8s.pod.name": f"service-{service}-5f7d-abc",
        "telemetry.sdk.language": "python",
    }


def _span(rng: random.Random, place: int, name_has_id: bool) -> Span:
    route, kind = f"/api/v1/things/{rng.randrange(_ROUTES)}", (SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL)
    attributes = {
        "http.request.method": "GET",
        "http.route": route,
        "http.response.status_code": 200,
        "url.scheme": "https",
        "url.path": f"/api/v1/things/{rng.randrange(10**6)}",
        "server.address": "shop.example.com",
        "server.port": 443,
        "network.protocol.version": "1.1",
        "user_agent.original": "Mozilla/5.0 (X11; Linux)",
        "client.address": "10.0.0.7",
        "thread.id": rng.randrange(99),
        "thread.name": "worker-7",
    }
    return span(
        f"job {rng.randrange(10**12)}" if name_has_id else f"GET {route}",
        rng.randbytes(16),
        rng.randbytes(8),
        _T + place,
        _T + place + 500,
        parent=rng.randbytes(8),
        kind=SpanKind.INTERNAL if name_has_id else kind[place % 3],
        attributes=attributes,
        events=[(_T, "message", {"id": place})] if place % 4 == 0 else [],
    )


def point_messages(number: int, metrics: int, points: int) -> list[bytes]:
    """Messages of counters, the same series in each."""
    return [metrics_request(resource_metrics(_resource(0), _metrics(at, metrics, points))) for at in range(number)]


def _metrics(at: int, metrics: int, points: int) -> Iterable[Any]:
    for metric in range(metrics):
        found = [
            (_T + at, at + 0.5, {"http.request.method": "GET", "http.route": f"/things/{place}", "cpu": place % 8})
            for place in range(points)
        ]
        yield cumulative_sum(f"app.metric.{metric}", found, _T - 1, "1")
