"""What a signal says of its workload, by its name, unit and kind."""

import pytest

from pipeline.records import Kind, Signal
from pipeline.signals.roles import SignalRole, role_of


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
