"""Telegraf's JSON: metrics, batches, kinds, units and whom they belong to."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs.telegraf_names import kind_of, measurement_of, series_of, unit_of
from pipeline.records import Kind, Signal
from pipeline.signals.identity import signal_of
from tests.codecs.decoding import attributes, decoded, refusals
from tests.codecs.golden import INFLUX, TELEGRAF

T = 1_767_225_600


def metric(**parts: Any) -> dict[str, Any]:
    whole = {"fields": {"a": 1.5}, "name": "m", "tags": {"host": "h"}, "timestamp": T, **parts}
    return {name: value for name, value in whole.items() if value is not ...}


def signal(measurement: str, field: str, **tags: str) -> Signal:
    return signal_of(series_of(measurement_of(measurement, tags), field), ())


def test_each_number_of_a_batch_is_a_point_of_its_host() -> None:
    columns, rows = decoded("telegraf_json", TELEGRAF)
    assert [(row.series.name, row.series.unit, row.series.kind, row.value) for row in rows] == [
        ("net.bytes_recv", "By", Kind.COUNTER, 20480.0),
        ("net.packets_recv", "", Kind.COUNTER, 12.0),
        ("disk.used_percent", "%", Kind.GAUGE, 41.5),
    ]
    assert {row.time_us for row in rows} == {T * 1_000_000}
    assert attributes(rows[2].series) == {"host.name": "web-1", "path": "/"}
    assert columns.dropped == {"text_field": 1}


def test_both_formats_of_telegraf_give_the_same_series() -> None:
    fields = {"usage_idle": 97.5, "usage_user": 1.25, "time_idle": 812}
    sent = metric(name="cpu", tags={"cpu": "cpu0", "host": "web-1"}, fields=fields)
    lines = [row for row in decoded("influx_line", INFLUX)[1] if row.series.name.startswith("cpu")]
    assert decoded("telegraf_json", json.dumps(sent))[1] == lines


def test_booleans_are_numbers_and_texts_and_nulls_are_not() -> None:
    columns, rows = decoded("telegraf_json", json.dumps(metric(fields={"t": True, "f": False, "s": "x", "n": None})))
    assert [row.value for row in rows] == [1.0, 0.0]
    assert columns.dropped == {"text_field": 2}


def test_one_metric_an_array_ndjson_and_a_batch_give_the_same_points() -> None:
    both = [metric(fields={"a": 1}), metric(fields={"a": 2}, timestamp=T + 0.5)]
    texts = [json.dumps(one) for one in both]
    expected = [(T * 1_000_000, 1.0), (T * 1_000_000 + 500_000, 2.0)]
    for text in (f"[{','.join(texts)}]", "\n".join(texts), json.dumps({"metrics": both})):
        columns, rows = decoded("telegraf_json", text)
        assert [(row.time_us, row.value) for row in rows] == expected
        assert columns.rejections == []


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"timestamp": ...}, "undecodable"),
        ({"fields": ...}, "undecodable"),
        ({"timestamp": "2026-01-01T00:00:00Z"}, "undecodable"),
        ({"fields": {"a": [1]}}, "undecodable"),
        ({"fields": {"": 1}}, "bad_name"),
        ({"name": ""}, "bad_name"),
        ({"name": ...}, "bad_name"),
        ({"tags": {"a": 1}}, "bad_attributes"),
        ({"tags": []}, "bad_attributes"),
        ({"timestamp": T * 1000}, "bad_time"),
        ({"timestamp": T * 10**9}, "bad_time"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused_with_its_reason(parts: dict[str, Any], reason: str) -> None:
    columns, rows = decoded("telegraf_json", json.dumps(metric(**parts)), json.dumps(metric()))
    assert [row.message for row in rows] == [1]
    assert refusals(columns) == [(0, reason, True)]


def test_a_bad_time_in_a_batch_leaves_the_others() -> None:
    columns, rows = decoded("telegraf_json", json.dumps({"metrics": [metric(timestamp=T * 1000), metric()]}))
    assert [row.time_us for row in rows] == [T * 1_000_000]
    assert refusals(columns) == [(0, "bad_time", False)]


def test_a_batch_without_metrics_is_no_fault() -> None:
    columns, rows = decoded("telegraf_json", '{"metrics":[]}')
    assert (rows, columns.rejections) == ([], [])


@pytest.mark.parametrize(
    ("measurement", "field", "kind", "unit"),
    [
        ("cpu", "usage_idle", Kind.GAUGE, "%"),
        ("cpu", "time_user", Kind.COUNTER, "s"),
        ("mem", "used", Kind.GAUGE, "By"),
        ("mem", "used_percent", Kind.GAUGE, "%"),
        ("diskio", "read_bytes", Kind.COUNTER, "By"),
        ("diskio", "io_time", Kind.COUNTER, "ms"),
        ("diskio", "iops_in_progress", Kind.GAUGE, ""),
        ("net", "bytes_sent", Kind.COUNTER, "By"),
        ("system", "uptime", Kind.GAUGE, "s"),
        ("system", "load1", Kind.GAUGE, ""),
        ("swap", "in", Kind.COUNTER, "By"),
        ("docker_container_cpu", "usage_percent", Kind.GAUGE, "%"),
        ("prometheus", "process_cpu_seconds_total", Kind.COUNTER, "s"),
        ("go_gc", "counter", Kind.COUNTER, ""),
        ("ping", "average_response_ms", Kind.GAUGE, "ms"),
        ("anything", "requests_total", Kind.COUNTER, ""),
        ("anything", "value", Kind.GAUGE, ""),
    ],
)
def test_kind_and_unit_follow_from_the_names(measurement: str, field: str, kind: Kind, unit: str) -> None:
    assert (kind_of(measurement, field), unit_of(measurement, field)) == (kind, unit)


def test_a_measurement_belongs_to_its_host_container_or_pod() -> None:
    host = signal("mem", "used", host="web-1")
    assert (host.workload, host.instance) == ("host:web-1", "")
    container = signal("docker_container_mem", "usage", host="web-1", container_name="cart", container_image="cart")
    assert (container.workload, container.instance) == ("container:cart", "web-1")
    pod = signal(
        "kubernetes_pod_container",
        "cpu_usage_nanocores",
        host="web-1",
        namespace="shop",
        pod_name="cart-7d4b9c5f6-x2x9z",
        container_name="cart",
        node_name="n1",
    )
    assert (pod.workload, pod.instance) == ("deployment:shop/cart", "cart-7d4b9c5f6-x2x9z")
    assert pod.attributes == (("k8s.container.name", "cart"),)


NAMES = st.text(min_size=1, max_size=5)
METRICS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "tags": st.dictionaries(NAMES, NAMES, max_size=3),
        "timestamp": st.integers(0, 4 * 10**9),
        "fields": st.dictionaries(
            NAMES,
            st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans(),
            min_size=1,
            max_size=4,
        ),
    }
)


@given(st.lists(METRICS, max_size=4), st.booleans())
def test_every_number_that_is_written_is_read(metrics: list[dict[str, Any]], batch: bool) -> None:
    texts = [json.dumps({"metrics": metrics})] if batch else [json.dumps(one) for one in metrics]
    columns, rows = decoded("telegraf_json", *texts)
    expected = [
        (f"{one['name']}.{name}", one["timestamp"] * 1_000_000, float(value))
        for one in metrics
        for name, value in one["fields"].items()
    ]
    assert columns.rejections == []
    assert [(row.series.name, row.time_us, row.value) for row in rows] == expected
    for row, tags in zip(rows, [one["tags"] for one in metrics for _ in one["fields"]], strict=True):
        assert set(tags.values()) <= {value for _, value in row.series.attributes}
