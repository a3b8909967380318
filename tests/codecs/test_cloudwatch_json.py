"""CloudWatch Metric Streams in JSON: what counts is a delta, what measures is gauges, and whose it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs.cloudwatch_names import metric_of, unit_of
from pipeline.records import Kind, Signal
from pipeline.signals.identity import signal_of
from tests.codecs.decoding import attributes, decoded, refusals
from tests.codecs.golden import CLOUDWATCH

START = 1_767_225_600_000_000
END = START + 60_000_000
VALUE = {"max": 9.0, "min": 1.0, "sum": 10.0, "count": 2.0}


def record(namespace: str = "AWS/Lambda", name: str = "Duration", unit: str = "Milliseconds", **parts: Any) -> str:
    whole = {
        "metric_stream_name": "all",
        "account_id": "123456789012",
        "region": "eu-west-1",
        "namespace": namespace,
        "metric_name": name,
        "dimensions": {"FunctionName": "pay"},
        "timestamp": START // 1000,
        "value": VALUE,
        "unit": unit,
        **parts,
    }
    return json.dumps({name: value for name, value in whole.items() if value is not ...})


def taken(*args: str, **parts: Any) -> dict[str, tuple[Kind, str, float]]:
    _, rows = decoded("cloudwatch_json", record(*args, **parts))
    return {row.series.name: (row.series.kind, row.series.unit, row.value) for row in rows}


def signal(namespace: str = "AWS/Lambda", account: str = "1", region: str = "eu", **dimensions: str) -> Signal:
    return signal_of(metric_of(namespace, "M", "1", dimensions, account, region).statistic("mean"), ())


def test_errors_of_a_function_are_a_delta_over_their_minute_and_its_duration_gauges() -> None:
    columns, rows = decoded("cloudwatch_json", CLOUDWATCH)
    assert [(row.series.name, row.series.unit, row.series.kind, row.value, row.start_us) for row in rows] == [
        ("AWS/Lambda/Errors", "{Count}", Kind.SPARSE_DELTA, 3.0, START),
        ("AWS/Lambda/Duration.mean", "ms", Kind.GAUGE, 10.0, 0),
        ("AWS/Lambda/Duration.max", "ms", Kind.GAUGE, 80.5, 0),
        ("AWS/Lambda/Duration.min", "ms", Kind.GAUGE, 2.25, 0),
        ("AWS/Lambda/Duration.p99", "ms", Kind.GAUGE, 75.0, 0),
        ("AWS/Lambda/Duration.p99_9", "ms", Kind.GAUGE, 80.0, 0),
    ]
    assert {row.time_us for row in rows} == {END}
    assert attributes(rows[0].series) == {
        "cloud.account.id": "123456789012",
        "cloud.provider": "aws",
        "cloud.region": "eu-west-1",
        "faas.name": "pay",
        "service.instance.id": "123456789012/eu-west-1",
    }
    assert (columns.rejections, columns.dropped) == ([], {})


@pytest.mark.parametrize(
    ("namespace", "name", "unit", "expected"),
    [
        ("AWS/Lambda", "Invocations", "Count", {""}),
        ("AWS/Lambda", "Throttles", "Count", {""}),
        ("AWS/Lambda", "ConcurrentExecutions", "Count", {".mean", ".max", ".min"}),
        ("AWS/Lambda", "IteratorAge", "Milliseconds", {".mean", ".max", ".min"}),
        ("AWS/EC2", "CPUUtilization", "Percent", {".mean", ".max", ".min"}),
        ("AWS/EC2", "StatusCheckFailed_System", "Count", {".mean", ".max", ".min"}),
        ("AWS/EC2", "NetworkIn", "Bytes", {""}),
        ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Count", {""}),
        ("AWS/ApplicationELB", "HealthyHostCount", "Count", {".mean", ".max", ".min"}),
        ("AWS/RDS", "DatabaseConnections", "Count", {".mean", ".max", ".min"}),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Count", {".mean", ".max", ".min"}),
        ("Shop", "OrdersPlaced", "Count", {"", ".mean", ".max", ".min"}),
        ("Shop", "BasketSize", "None", {".mean", ".max", ".min"}),
    ],
)
def test_what_counts_gives_its_sum_and_what_measures_the_others(
    namespace: str, name: str, unit: str, expected: set[str]
) -> None:
    found = taken(namespace, name, unit)
    assert {key.removeprefix(f"{namespace}/{name}") for key in found} == expected
    assert all((kind is Kind.GAUGE) == ("." in key) for key, (kind, _, _) in found.items())


@pytest.mark.parametrize(
    ("namespace", "name", "dimensions", "sparse"),
    [
        ("AWS/Lambda", "Invocations", {"FunctionName": "pay"}, True),
        ("AWS/Lambda", "Throttles", {}, True),
        ("AWS/Lambda", "Errors", {"FunctionName": "pay", "Resource": "pay:live"}, True),
        ("AWS/Lambda", "Errors", {"FunctionName": "pay", "Resource": "pay:7"}, False),
        ("AWS/Lambda", "Errors", {"FunctionName": "pay", "Resource": "pay:live", "ExecutedVersion": "7"}, False),
        ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", {"LoadBalancer": "app/x/1"}, True),
        ("AWS/ELB", "RequestCount", {"LoadBalancerName": "x"}, True),
        ("AWS/EC2", "NetworkIn", {"InstanceId": "i-1"}, False),
        ("Shop", "OrdersPlaced", {}, False),
    ],
)
def test_where_nothing_is_sent_for_a_minute_without_events_the_count_is_sparse(
    namespace: str, name: str, dimensions: dict[str, str], sparse: bool
) -> None:
    found = taken(namespace, name, "Count", dimensions=dimensions)
    assert found[f"{namespace}/{name}"][0] is (Kind.SPARSE_DELTA if sparse else Kind.DELTA)


def test_a_trimmed_mean_keeps_its_name() -> None:
    assert "AWS/Lambda/Duration.TM(25%:75%)" in taken(value={**VALUE, "TM(25%:75%)": 4.5})


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"sum": 0.0, "count": 0.0}, []),
        ({"count": 2.0}, []),
        ({"max": 1.0}, ["max"]),
        ({"sum": 4.0, "count": 2.0, "max": None}, ["mean"]),
    ],
)
def test_a_statistic_that_is_missing_is_no_fault(value: dict[str, Any], names: list[str]) -> None:
    columns, rows = decoded("cloudwatch_json", record(value=value))
    assert [row.series.name for row in rows] == [f"AWS/Lambda/Duration.{name}" for name in names]
    assert columns.rejections == []


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("Count", "{Count}"),
        ("None", "1"),
        ("Percent", "%"),
        ("Seconds", "s"),
        ("Microseconds", "us"),
        ("Bytes/Second", "By/s"),
        ("Count/Second", "{Count}/s"),
        ("Furlongs", "Furlongs"),
    ],
)
def test_units_are_ucum(unit: str, expected: str) -> None:
    assert unit_of(unit) == expected


@pytest.mark.parametrize(
    ("namespace", "dimensions", "workload"),
    [
        ("AWS/Lambda", {"FunctionName": "pay"}, "function:pay"),
        ("AWS/Lambda", {}, "service:AWS/Lambda"),
        ("AWS/EC2", {"InstanceId": "i-1"}, "host:i-1"),
        ("AWS/EC2", {"AutoScalingGroupName": "web"}, "service:AWS/EC2/web"),
        ("AWS/SQS", {"QueueName": "orders"}, "service:AWS/SQS/orders"),
        ("AWS/RDS", {"DBInstanceIdentifier": "db-1"}, "service:AWS/RDS/db-1"),
        ("AWS/ECS", {"ServiceName": "cart", "ClusterName": "c"}, "service:AWS/ECS/cart"),
        ("AWS/ApplicationELB", {"LoadBalancer": "app/x/1", "TargetGroup": "t"}, "service:AWS/ApplicationELB/app/x/1"),
        ("Shop", {"Currency": "EUR"}, "service:Shop"),
    ],
)
def test_a_metric_belongs_to_what_its_dimensions_name(
    namespace: str, dimensions: dict[str, str], workload: str
) -> None:
    assert signal(namespace, **dimensions).workload == workload


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"account": "1"}, {"account": "2"}),
        ({"region": "eu"}, {"region": "us"}),
        ({"FunctionName": "f", "ExecutedVersion": "1"}, {"FunctionName": "f", "ExecutedVersion": "2"}),
        ({"FunctionName": "f", "ExecutedVersion": "1"}, {"FunctionName": "f"}),
        ({"FunctionName": "f", "Resource": "f:live"}, {"FunctionName": "f"}),
        ({"InstanceId": "i-1", "ImageId": "a"}, {"InstanceId": "i-1", "ImageId": "b"}),
        ({"ImageId": "a"}, {"InstanceType": "a"}),
        ({"LoadBalancer": "l", "TargetGroup": "t"}, {"LoadBalancer": "l"}),
        ({"namespace": "AWS/SQS", "QueueName": "x"}, {"namespace": "AWS/SNS", "TopicName": "x"}),
    ],
)
def test_metrics_that_are_sent_side_by_side_are_different_signals(one: dict[str, str], other: dict[str, str]) -> None:
    assert signal(**one).id != signal(**other).id


def test_versions_of_a_function_are_instances_of_it_and_carry_their_version() -> None:
    series = metric_of(
        "AWS/Lambda", "Errors", "{Count}", {"FunctionName": "pay", "ExecutedVersion": "7"}, "1", "eu"
    ).total()
    found = signal_of(series, ())
    assert (found.workload, found.instance) == ("function:pay", "1/eu/7")
    assert attributes(series)["faas.version"] == "7"


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"timestamp": START // 10**6}, "bad_time"),
        ({"timestamp": START}, "bad_time"),
        ({"timestamp": "2026-01-01T00:00:00Z"}, "undecodable"),
        ({"timestamp": ...}, "undecodable"),
        ({"value": {"sum": "3"}}, "undecodable"),
        ({"value": ...}, "undecodable"),
        ({"dimensions": {"a": 1}}, "bad_attributes"),
        ({"dimensions": []}, "bad_attributes"),
        ({"metric_name": ""}, "bad_name"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_with_its_reason(parts: dict[str, Any], reason: str) -> None:
    columns, rows = decoded("cloudwatch_json", record(**parts), record())
    assert {row.message for row in rows} == {1}
    assert refusals(columns) == [(0, reason, True)]


def test_records_one_after_the_other_and_arrays_are_read() -> None:
    for text in (record() + record(), f"{record()}\n{record()}\n", f"[{record()},{record()}]"):
        assert len(decoded("cloudwatch_json", text)[1]) == 6


def test_a_bad_record_leaves_the_others_of_its_message() -> None:
    columns, rows = decoded("cloudwatch_json", f"{record()}\n{record(timestamp=5)}\n{record()}")
    assert len(rows) == 6
    assert refusals(columns) == [(0, "bad_time", False)]


NAMES = st.text(min_size=1, max_size=5)
FLOATS = st.floats(-1e100, 1e100)


@given(NAMES, NAMES, st.dictionaries(NAMES, NAMES, max_size=3), FLOATS, FLOATS, st.integers(1, 1000))
def test_every_statistic_that_is_written_is_read(
    namespace: str, name: str, dimensions: dict[str, str], low: float, total: float, count: int
) -> None:
    value = {"min": low, "sum": total, "count": count, "p50": low}
    columns, rows = decoded("cloudwatch_json", record(namespace, name, "Count", dimensions=dimensions, value=value))
    base = f"{namespace}/{name}"
    assert columns.rejections == []
    assert {row.series.name: row.value for row in rows} == {
        base: total,
        f"{base}.mean": total / count,
        f"{base}.min": low,
        f"{base}.p50": low,
    }
    assert all(set(dimensions.values()) <= {v for _, v in row.series.attributes} for row in rows)
