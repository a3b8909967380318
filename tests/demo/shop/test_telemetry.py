"""One service's telemetry, to bytes and back."""

import logging

from pipeline.codecs.otlp_logs import OtlpLogs
from pipeline.codecs.series_table import Limits
from pipeline.demo.shop.exporting import LOGS, METRICS
from pipeline.demo.shop.telemetry import Identity, Telemetry
from tests.codecs.otlp_sent import Sent, decode
from tests.demo.shop.sent import Kept

IDENTITY = Identity("cart", "2.0.3", "cart-0", "demo")


def test_a_duration_becomes_a_histogram_with_the_advised_buckets() -> None:
    kept = Kept()
    telemetry = Telemetry(IDENTITY, kept.send)
    telemetry.served.record(0.02, {"http.route": "/carts"})
    telemetry.served.record(3.0, {"http.route": "/carts"})
    telemetry.shutdown()
    columns, (series,) = decode(kept.messages[METRICS][-1])
    (point,) = columns.histograms.values()
    assert (series.name, series.unit) == ("http.server.request.duration", "s")
    assert dict(series.attributes)["http.route"] == "/carts"
    assert (point.count, point.sum) == (2, 3.02)
    assert point.bounds[:-1].tolist() == [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
    assert [bound for bound, count in zip(point.bounds, point.counts, strict=True) if count] == [0.025, 5.0]


def test_a_line_keeps_its_severity_and_the_span_that_it_was_written_in() -> None:
    kept = Kept()
    telemetry = Telemetry(IDENTITY, kept.send)
    log = logging.Logger("shop")
    log.addHandler(telemetry.handler)
    with telemetry.tracer.start_as_current_span("work") as span:
        log.warning("%d items left", 3)
    log.info("outside of it")
    telemetry.shutdown()
    codec = OtlpLogs(Limits())
    lines = codec.decode([Sent(value) for value in kept.messages[LOGS]])
    assert lines.rejections == []
    records = {record.body.string_value: record for _, record in kept.logs()}
    assert records.keys() == {"3 items left", "outside of it"}
    warned = records["3 items left"]
    assert int.from_bytes(warned.trace_id, "big") == span.get_span_context().trace_id
    assert (warned.severity_text, warned.severity_number) == ("WARN", 13)
    assert records["outside of it"].trace_id == b""
    assert dict(codec.resources[0]) == IDENTITY.attributes()


def test_the_last_spans_are_sent_when_it_ends() -> None:
    kept = Kept()
    telemetry = Telemetry(IDENTITY, kept.send)
    telemetry.tracer.start_span("work").end()
    telemetry.shutdown()
    assert [sent.span.name for sent in kept.spans()] == ["work"]


def test_a_broker_that_takes_nothing_does_not_end_the_service() -> None:
    telemetry = Telemetry(IDENTITY, lambda topic, value: False)
    telemetry.tracer.start_span("work").end()
    telemetry.served.record(1.0)
    telemetry.shutdown()


def test_the_resource_says_who_sends() -> None:
    kept = Kept()
    telemetry = Telemetry(IDENTITY, kept.send)
    telemetry.served.record(1.0)
    telemetry.shutdown()
    _, (series,) = decode(kept.messages[METRICS][-1])
    assert IDENTITY.attributes().items() <= dict(series.attributes).items()
