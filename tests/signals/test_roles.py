"""What a signal says of its workload, by its name, unit and kind."""

import pytest

from pipeline.records import Kind, Signal
from pipeline.signals.roles import SignalRole, felt_by_callers, felt_in_calls, is_share_of_limit, role_of


@pytest.mark.parametrize(
    ("name", "unit", "kind", "role"),
    [
        ("http.server.request.duration", "s", Kind.HISTOGRAM, SignalRole.LATENCY),
        ("http_request_duration_seconds", "s", Kind.HISTOGRAM, SignalRole.LATENCY),
        ("latency", "ms", Kind.GAUGE, SignalRole.LATENCY),
        ("queue.wait", "s", Kind.GAUGE, SignalRole.LATENCY),
        ("traces.operation.duration", "s", Kind.HISTOGRAM_DELTA, SignalRole.LATENCY),
        ("traces.operation.self_time", "s", Kind.HISTOGRAM_DELTA, SignalRole.LATENCY),
        ("traces.operation.failed", "1", Kind.SHARE, SignalRole.ERRORS),
        ("http_requests_errors_total", "{request}/s", Kind.COUNTER, SignalRole.ERRORS),
        ("payment.failures", "", Kind.COUNT, SignalRole.ERRORS),
        ("nginx_http_5xx", "1/s", Kind.COUNTER, SignalRole.ERRORS),
        ("system.cpu.utilization", "1", Kind.GAUGE, SignalRole.SATURATION),
        ("process.cpu.time", "s/s", Kind.COUNTER, SignalRole.SATURATION),
        ("container.memory.usage", "By", Kind.GAUGE, SignalRole.SATURATION),
        ("queue.depth", "", Kind.GAUGE, SignalRole.SATURATION),
        ("kafka.consumer.lag", "{message}", Kind.GAUGE, SignalRole.SATURATION),
        ("http.server.requests", "{request}/s", Kind.COUNTER, SignalRole.TRAFFIC),
        ("throughput", "", Kind.GAUGE, SignalRole.TRAFFIC),
        ("log.lines", "{line}", Kind.COUNT, SignalRole.LOG),
        ("events", "{event}", Kind.COUNT, SignalRole.OTHER),
        ("temperature", "Cel", Kind.GAUGE, SignalRole.OTHER),
        ("uptime", "s", Kind.GAUGE, SignalRole.OTHER),
    ],
)
def test_the_role_is_what_the_conventions_call_it(name: str, unit: str, kind: Kind, role: SignalRole) -> None:
    assert role_of(Signal(1, name, unit, kind, "prod", "service:pay", "", ())) is role


@pytest.mark.parametrize(
    ("name", "unit", "attributes", "role"),
    [
        ("traces.operation.duration.p95", "s", (("span.kind", "server"),), SignalRole.LATENCY),
        ("traces.operation.duration.p99", "s", (("span.kind", "server"),), None),
        ("traces.operation.duration.p95", "s", (("span.kind", "client"),), None),
        ("traces.operation.duration.rate", "1/s", (("span.kind", "server"),), None),
        ("traces.operation.self_time.mean", "s", (("span.kind", "server"),), None),
        ("traces.operation.failed.share", "1", (("span.kind", "consumer"),), SignalRole.ERRORS),
        ("traces.call.failed.share", "1", (), None),
        ("http.server.request.duration.mean", "s", (("http.route", "/"),), SignalRole.LATENCY),
        ("http.server.request.duration.mean", "s", (("error.type", "500"),), None),
        ("http.client.request.duration.mean", "s", (), None),
        ("http_request_duration_seconds.p50", "s", (), SignalRole.LATENCY),
        ("db.client.operation.duration.p50", "s", (), None),
        ("system.cpu.utilization", "1", (), None),
    ],
)
def test_what_callers_feel(
    name: str, unit: str, attributes: tuple[tuple[str, str], ...], role: SignalRole | None
) -> None:
    assert felt_by_callers(Signal(1, name, unit, Kind.GAUGE, "", "service:a", "", attributes)) is role


def test_what_a_workload_feels_of_those_that_it_calls_and_what_fills_up() -> None:
    def of(name: str, unit: str) -> Signal:
        return Signal(1, name, unit, Kind.GAUGE, "", "service:a", "", (("peer", "service:b"),))

    assert felt_in_calls(of("traces.call.failed.share", "1")) is SignalRole.ERRORS
    assert felt_in_calls(of("traces.call.duration.p95", "s")) is SignalRole.LATENCY
    assert felt_in_calls(of("traces.operation.duration.p95", "s")) is None
    assert is_share_of_limit(of("k8s.pod.memory_limit_utilization", "1"))
    assert not is_share_of_limit(of("k8s.pod.memory.usage", "By"))
