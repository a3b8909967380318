"""What a producer is told of single messages is what ingest does with them."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.codecs.registry import input_codec
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.flow.input_report import Fate, InputInspector, InputReport, Thing
from pipeline.records import US, RefusedValue
from tests.codecs.decoding import WRITTEN_MS
from tests.codecs.golden import GOLDEN

NOW = 1_700_000_000
CONFIG = FlowConfig(sources=("points/0", "points/1"), signal_partitions=4, anomaly_partitions=1, window_us=10 * US)


@dataclass(frozen=True)
class Sent:
    value: bytes
    offset: int = 0
    partition: int = 0
    timestamp: int = NOW * 1000
    topic: str = "points"
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def point(ts: float = NOW, name: str = "a", value: Any = 1, **more: Any) -> dict[str, Any]:
    return {"ts": ts, "name": name, "value": value, "attributes": {"service.name": "shop"}} | more


def prometheus(name: str, value: str = "1", **labels: str) -> bytes:
    named = {"__name__": name, "job": "kubelet", **labels}
    return json.dumps({"labels": named, "name": name, "timestamp": "2023-11-14T22:13:20Z", "value": value}).encode()


def inspect(*values: Any) -> list[Fate]:
    inspector = InputInspector("json_points", CONFIG)
    return [inspector.inspect(Sent(json.dumps(value).encode(), offset)) for offset, value in enumerate(values)]


def test_an_accepted_message_names_its_signals() -> None:
    [fate] = inspect([point(), point(ts=NOW + 1), point(name="b")])
    assert {(s.workload, s.name): points for s, points in fate.accepted.items()} == {
        ("service:shop", "a"): 2,
        ("service:shop", "b"): 1,
    }
    assert fate.rejected == {}
    assert str(fate.place) == "points/0 offset 0"


@pytest.mark.parametrize(
    ("format_name", "things"),
    [
        ("otlp_logs", {Thing("log line", "service:cart", "", "lines"): 1}),
        ("plain_text", {Thing("log line", "unknown", "", "lines"): 2}),
        ("otlp_spans", {Thing("span", "service:cart", "", "GET /cart"): 1}),
        ("jaeger_spans", {Thing("span", "service:cart", "node-1", "GET /cart"): 1}),
        ("events", {Thing("event", "service:db", "", "backup.failed"): 1}),
        ("changes", {Thing("change", "service:cart", "", "deployment finished"): 1}),
    ],
)
def test_what_is_no_metric_is_named_too(format_name: str, things: dict[Thing, int]) -> None:
    fate = InputInspector(format_name, CONFIG).inspect(Sent(GOLDEN[format_name], timestamp=WRITTEN_MS))
    assert (dict(fate.accepted), fate.rejected) == (things, {})


def test_a_line_that_is_too_late_or_says_nothing_is_rejected_with_its_reason() -> None:
    inspector = InputInspector("plain_text", CONFIG)
    lines = [b"2026-01-01 00:00:00,250 INFO a", b"2025-12-31 23:58:00,250 INFO b", b"  "]
    fates = [inspector.inspect(Sent(line, number, timestamp=WRITTEN_MS)) for number, line in enumerate(lines)]
    assert [list(fate.rejected) for fate in fates] == [[], ["late"], ["empty"]]


def test_a_message_that_is_refused_before_it_is_read_says_why() -> None:
    value = RefusedValue.of(json.dumps(point()).encode(), "bad_header", "the name of a header must be UTF-8")
    fate = InputInspector("json_points", CONFIG).inspect(Sent(value))
    assert fate.accepted.total() == 0
    assert fate.rejected == {"bad_header": "the name of a header must be UTF-8"}


def test_a_rejected_message_says_why() -> None:
    [fate] = inspect({"no": "point"})
    assert fate.accepted.total() == 0
    assert list(fate.rejected) == ["undecodable"]
    assert fate.rejected["undecodable"].startswith("not a JSON point, an array of points or NDJSON")


@pytest.mark.parametrize(
    ("format_name", "value", "reason"),
    [
        ("influx_line", b'cpu,host=web-1 usage=1,mode="rw"', "text_field"),
        (
            "telegraf_json",
            b'{"fields":{"a":1,"mode":"rw"},"name":"disk","tags":{},"timestamp":1700000000}',
            "text_field",
        ),
        ("prometheus_json", prometheus("http_seconds_bucket", le="0.5"), "histogram_bucket"),
        ("prometheus_json", prometheus("container_cpu_usage_seconds_total", namespace="shop", pod="a"), "no_container"),
        ("prometheus_json", prometheus("up", value="NaN"), "not_finite"),
    ],
)
def test_what_has_no_dead_letter_is_explained_too(format_name: str, value: bytes, reason: str) -> None:
    fate = InputInspector(format_name, CONFIG).inspect(Sent(value))
    assert list(fate.rejected) == [reason]
    assert len(fate.rejected[reason]) > 20


def test_a_message_may_be_rejected_in_part() -> None:
    [fate] = inspect([point(), point(kind="thermometer"), point(ts=NOW + 3600), point(ts=NOW - 100_000)])
    assert fate.accepted.total() == 1
    assert set(fate.rejected) == {"bad_kind", "far_future", "far_past"}


def test_a_point_that_comes_after_its_window_is_rejected_as_late() -> None:
    first, late, in_time = inspect(point(), point(ts=NOW - 60), point(ts=NOW - 5))
    assert (first.accepted.total(), late.accepted.total(), in_time.accepted.total()) == (1, 0, 1)
    assert list(late.rejected) == ["late"]


def test_lateness_is_judged_in_each_partition_for_itself() -> None:
    inspector = InputInspector("json_points", CONFIG)
    inspector.inspect(Sent(json.dumps(point()).encode(), partition=0))
    assert inspector.inspect(Sent(json.dumps(point(ts=NOW - 60)).encode(), partition=1)).rejected == {}


def test_the_report_adds_up_to_what_ingest_counts() -> None:
    values: list[Any] = [point(ts=NOW + second, name=f"m{second % 3}") for second in range(60)]
    values += [[point(), point(name="")], point(ts=NOW - 60), {"bad": 1}, point(kind="x"), [], point(ts=1)]
    sent = [Sent(json.dumps(value).encode(), offset) for offset, value in enumerate(values)]
    report = InputReport()
    for fate in inspect(*values):
        report.add(fate)
    chain = IngestChain("points/0", input_codec("json_points", CONFIG.limits), CONFIG)
    counts = chain.apply(sent).counts
    dropped = Counter({reason: number for (what, reason), number in counts.items() if what == "drop"})
    late = report.rejected["late"].messages
    assert report.accepted.total() == counts["points", ""] - late
    assert {reason: found.messages for reason, found in report.rejected.items() if reason != "late"} == dropped
    assert (report.messages, report.messages_rejected) == (len(values), 5)


def test_an_example_is_of_a_message_with_that_reason_alone_where_there_is_one() -> None:
    report = InputReport()
    for fate in inspect([point(name=""), point(kind="x")], point(kind="y")):
        report.add(fate)
    found = report.rejected["bad_kind"]
    assert (found.messages, found.detail, found.place.offset) == (2, "kind is 'y'; use gauge, counter or delta", 1)
