"""CloudWatch Metric Streams in OpenTelemetry 1.0: framed summaries give what the JSON of the same stream gives."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from pipeline.codecs.cloudwatch_otlp import CloudwatchOtlp
from pipeline.codecs.otlp_encode import gauge, key_values, metrics_request, resource_metrics
from pipeline.codecs.series_table import Limits
from pipeline.records import Kind
from tests.codecs.decoding import decoded, refusals
from tests.codecs.golden import CLOUDWATCH, CLOUDWATCH_OTLP

START = 1_767_225_600_000_000
END = START + 60_000_000
RESOURCE = {"cloud.provider": "aws", "cloud.account.id": "123456789012", "cloud.region": "eu-west-1"}


def summary_request(
    namespace: str,
    name: str,
    dimensions: Mapping[str, str],
    *,
    unit: str = "ms",
    count: int = 2,
    total: float = 10.0,
    quantiles: Mapping[float, float] | None = None,
) -> bytes:
    """A request with one summary of one minute."""
    metric = Metric(name=f"amazonaws.com/{namespace}/{name}", unit=unit)
    point = metric.summary.data_points.add(
        start_time_unix_nano=START * 1000, time_unix_nano=END * 1000, count=count, sum=total
    )
    point.attributes.extend(key_values({"Namespace": namespace, "MetricName": name}))
    named = KeyValue(key="Dimensions")
    named.value.kvlist_value.values.extend(key_values(dimensions))
    point.attributes.append(named)
    for quantile, value in (quantiles or {}).items():
        point.quantile_values.add(quantile=quantile, value=value)
    return metrics_request(resource_metrics(RESOURCE, [metric]))


def framed(request: bytes) -> bytes:
    """With its length before it, as a varint."""
    length, prefix = len(request), b""
    while length > 0x7F:
        prefix += bytes([length & 0x7F | 0x80])
        length >>= 7
    return prefix + bytes([length]) + request


def test_errors_of_a_function_are_a_delta_over_their_minute() -> None:
    columns, rows = decoded("cloudwatch_otlp", CLOUDWATCH_OTLP)
    _, (expected, *_) = decoded("cloudwatch_json", CLOUDWATCH)
    assert rows == [expected, expected]
    assert (columns.rejections, columns.dropped) == ([], {})


def test_the_golden_request_is_what_the_official_classes_write() -> None:
    size = len(CLOUDWATCH_OTLP) // 2
    request = ExportMetricsServiceRequest.FromString(CLOUDWATCH_OTLP[2:size])
    (point,) = request.resource_metrics[0].scope_metrics[0].metrics[0].summary.data_points
    assert (point.count, point.sum) == (120, 3.0)
    assert [(one.quantile, one.value) for one in point.quantile_values] == [(0.0, 0.0), (1.0, 1.0)]
    assert (point.start_time_unix_nano, point.time_unix_nano) == (START * 1000, END * 1000)


NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5)
FLOATS = st.floats(-1e100, 1e100)
RECORDS = st.tuples(
    st.sampled_from(
        [("AWS/Lambda", "Errors"), ("AWS/Lambda", "Duration"), ("Shop", "Orders"), ("AWS/Kinesis", "PutRecord.Bytes")]
    ),
    st.sampled_from([("Count", "{Count}"), ("Milliseconds", "ms"), ("None", "1")]),
    st.dictionaries(NAMES | st.sampled_from(["FunctionName", "QueueName"]), NAMES, max_size=3),
    st.tuples(FLOATS, FLOATS, FLOATS, FLOATS, st.integers(0, 5)),
)


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=3), min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_both_formats_of_a_stream_give_the_same_points(messages: list[list[tuple]]) -> None:  # type: ignore[type-arg]
    texts, requests = [], []
    for message in messages:
        lines, frames = [], []
        for (namespace, name), (unit, ucum), dimensions, (low, high, p99, total, count) in message:
            value = {"min": low, "max": high, "p99": p99, "sum": total, "count": count}
            lines.append(
                {
                    **{
                        "account_id": "123456789012",
                        "region": "eu-west-1",
                        "namespace": namespace,
                        "metric_name": name,
                    },
                    **{"dimensions": dimensions, "timestamp": START // 1000, "value": value, "unit": unit},
                }
            )
            quantiles = {0.0: low, 0.99: p99, 1.0: high}
            frames.append(
                framed(
                    summary_request(
                        namespace, name, dimensions, unit=ucum, count=count, total=total, quantiles=quantiles
                    )
                )
            )
        texts.append("\n".join(map(json.dumps, lines)))
        requests.append(b"".join(frames))
    codec = CloudwatchOtlp(Limits())
    for _ in range(2):  # at first sight and from memory
        columns, rows = decoded(codec, *requests)
        assert columns.rejections == []
        assert sorted(rows, key=repr) == sorted(decoded("cloudwatch_json", *texts)[1], key=repr)


def test_a_request_without_a_length_before_it_is_read_too() -> None:
    request = summary_request("AWS/Lambda", "Errors", {"FunctionName": "pay"})
    assert decoded("cloudwatch_otlp", request)[1] == decoded("cloudwatch_otlp", framed(request))[1]


def test_a_duration_has_no_delta_and_no_rate_of_samples() -> None:
    value = framed(summary_request("AWS/Lambda", "Duration", {"FunctionName": "pay"}, quantiles={0.999: 7.0}))
    _, rows = decoded("cloudwatch_otlp", value)
    assert {row.series.name: (row.series.kind, row.value) for row in rows} == {
        "AWS/Lambda/Duration.mean": (Kind.GAUGE, 5.0),
        "AWS/Lambda/Duration.p99_9": (Kind.GAUGE, 7.0),
    }


@pytest.mark.parametrize("cut", [1, 2, 3, 50])
def test_a_message_that_was_cut_off_is_refused_whole(cut: int) -> None:
    value = framed(summary_request("AWS/Lambda", "Errors", {}))
    columns, rows = decoded("cloudwatch_otlp", value + value[:-cut], value)
    assert {row.message for row in rows} == {1}
    assert refusals(columns) == [(0, "undecodable", True)]


def test_a_cut_message_that_protobuf_takes_for_a_request_is_refused() -> None:
    columns, _ = decoded("cloudwatch_otlp", b"\xbd\x02\x0a\xba\x02\x0a\x0a\x00")
    assert refusals(columns) == [(0, "undecodable", True)]


def test_a_damaged_resource_is_refused_each_time_also_where_it_has_no_points() -> None:
    empty = metrics_request(resource_metrics({"a": "bad!"}, []))
    bad = framed(empty.replace(b"bad!", b"\xff\xff\xff\xff"))
    good = framed(summary_request("AWS/Lambda", "Errors", {}))
    columns, rows = decoded("cloudwatch_otlp", bad, framed(empty), good, bad, bad + good)
    assert {row.message for row in rows} == {2, 4}
    assert refusals(columns) == [
        (0, "bad_attributes", True),
        (3, "bad_attributes", True),
        (4, "bad_attributes", False),
    ]


def test_metrics_of_others_are_refused_and_those_of_cloudwatch_read() -> None:
    other = metrics_request(resource_metrics({}, [gauge("http.server.active_requests", [(END, 1, {})])]))
    value = framed(other) + framed(summary_request("AWS/Lambda", "Errors", {}))
    columns, rows = decoded("cloudwatch_otlp", value)
    assert [row.series.name for row in rows] == ["AWS/Lambda/Errors"]
    assert refusals(columns) == [(0, "bad_name", False)]
    assert "otlp_metrics" in columns.rejections[0].detail


def test_a_gauge_that_is_called_like_a_metric_of_cloudwatch_is_refused() -> None:
    point = gauge("amazonaws.com/AWS/Lambda/Errors", [(END, 1, {"Namespace": "AWS/Lambda", "MetricName": "Errors"})])
    columns, rows = decoded("cloudwatch_otlp", framed(metrics_request(resource_metrics({}, [point]))))
    assert (rows, refusals(columns)) == ([], [(0, "bad_name", True)])


def test_points_without_a_time_or_with_impossible_quantiles_are_refused_and_the_others_read() -> None:
    request = ExportMetricsServiceRequest.FromString(summary_request("AWS/Lambda", "Duration", {}))
    points = request.resource_metrics[0].scope_metrics[0].metrics[0].summary.data_points
    for change in ({"time_unix_nano": 0}, {"flags": 1}, {"sum": float("nan")}):
        point = points.add()
        point.CopyFrom(points[0])
        for name, value in change.items():
            setattr(point, name, value)
    points.add().CopyFrom(points[0])
    points[-1].quantile_values.add(quantile=1.5)
    points.add().CopyFrom(points[0])
    points[-1].quantile_values.extend([points[-2].quantile_values[0]] * 33)
    columns, rows = decoded("cloudwatch_otlp", framed(request.SerializeToString()))
    assert [row.value for row in rows] == [5.0]
    assert refusals(columns) == [(0, "bad_quantile", False), (0, "no_time", False)]
    assert columns.dropped == {"no_recorded_value": 1, "not_finite": 1}


def test_dimensions_that_are_no_texts_by_name_are_refused() -> None:
    metric = Metric(name="amazonaws.com/A/B")
    point = metric.summary.data_points.add(time_unix_nano=END * 1000, count=1, sum=1)
    point.attributes.extend(key_values({"Namespace": "A", "MetricName": "B", "Dimensions": "x"}))
    columns, rows = decoded("cloudwatch_otlp", framed(metrics_request(resource_metrics({}, [metric]))))
    assert (rows, refusals(columns)) == ([], [(0, "bad_attributes", True)])
