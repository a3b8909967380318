"""OTLP metrics against a slow, obvious twin that walks the official protobuf classes, and against hostile input."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, MetricsData, NumberDataPoint

from pipeline.codecs.otlp_encode import Point, cumulative_sum, gauge, key_values, metrics_request, resource_metrics
from pipeline.codecs.otlp_metrics import OtlpMetrics
from pipeline.codecs.series_table import Limits
from pipeline.records import Kind, PointColumns, Rejection, Series
from tests.codecs.otlp_sent import CHECKOUT, CUMULATIVE, DELTA, FORMS, NANO, T, decode, of_metric, with_point


def as_json(value: bytes, **options: Any) -> bytes:
    return json_format.MessageToJson(MetricsData.FromString(value), **options).encode()


# Plain use


def test_a_gauge_becomes_rows_with_resource_and_point_attributes_sorted_by_name() -> None:
    points: list[Point] = [(T, 0.5, {"cpu": 1, "a": "x"}), (T + 7, 3, {"cpu": 2, "a": "x"})]
    columns, series = decode(of_metric(gauge("system.cpu.utilization", points, "1")))
    assert series[0] == Series(
        "system.cpu.utilization", "1", Kind.GAUGE, (("a", "x"), ("cpu", "1"), ("service.name", "checkout"))
    )
    assert columns.time_us.tolist() == [T, T + 7]
    assert columns.value.tolist() == [0.5, 3.0]
    assert columns.start_us is None
    assert (columns.rejections, columns.dropped) == ([], {})


def test_a_cumulative_sum_has_its_start_time_and_a_gauge_beside_it_has_none() -> None:
    metrics = [cumulative_sum("calls", [(T, 9, {})], T - 50), gauge("level", [(T, 1, {})])]
    columns, series = decode(metrics_request(resource_metrics(CHECKOUT, metrics)))
    assert [one.kind for one in series] == [Kind.COUNTER, Kind.GAUGE]
    assert columns.start_us is not None
    assert columns.start_us.tolist() == [T - 50, 0]


@pytest.mark.parametrize(
    ("form", "temporality", "monotonic", "kind"),
    [
        ("sum", CUMULATIVE, True, Kind.COUNTER),
        ("sum", CUMULATIVE, False, Kind.GAUGE),
        ("sum", DELTA, True, Kind.DELTA),
        ("sum", DELTA, False, Kind.DELTA),
        ("histogram", CUMULATIVE, None, Kind.HISTOGRAM),
        ("histogram", DELTA, None, Kind.HISTOGRAM_DELTA),
        ("exponential_histogram", CUMULATIVE, None, Kind.HISTOGRAM),
        ("exponential_histogram", DELTA, None, Kind.HISTOGRAM_DELTA),
    ],
)
def test_form_and_temporality_give_the_kind(form: str, temporality: int, monotonic: bool | None, kind: Kind) -> None:
    metric = with_point(form, **({"as_int": 4} if form == "sum" else {"count": 4}))
    getattr(metric, form).aggregation_temporality = temporality
    if monotonic is not None:
        metric.sum.is_monotonic = monotonic
    columns, series = decode(of_metric(metric))
    assert [one.kind for one in series] == [kind]
    assert columns.value.tolist() == [4.0]


def test_a_point_attribute_wins_over_the_same_one_of_the_resource() -> None:
    _, series = decode(of_metric(gauge("m", [(T, 1, {"service.name": "mine"})])))
    assert series[0].attributes == (("service.name", "mine"),)


def test_series_differ_by_resource_name_unit_and_kind_but_not_by_where_they_stand() -> None:
    same = gauge("m", [(T, 1, {"a": 1}), (T, 2, {"a": 1})], "s")
    others = [gauge("m", [(T, 1, {"a": 1})], "ms"), gauge("n", [(T, 1, {"a": 1})], "s")]
    others.append(cumulative_sum("m", [(T, 1, {"a": 1})], T, "s"))
    resources = [resource_metrics({}, [same, *others]), resource_metrics(CHECKOUT, [same])]
    columns, _ = decode(metrics_request(*resources), metrics_request(*reversed(resources)))
    assert columns.series.tolist() == [0, 0, 1, 2, 3, 4, 4, 4, 4, 0, 0, 1, 2, 3]


def test_series_of_a_resource_share_its_attributes_in_memory() -> None:
    _, series = decode(of_metric(gauge("m", [(T, 1, {"a": "1"}), (T, 1, {"a": "2"})])))
    assert series[0].attributes[1] is series[1].attributes[1]


def test_attribute_values_of_every_type_become_text() -> None:
    metric = gauge("m", [(T, 1, {"s": "é", "t": True, "f": False, "i": -7, "d": 0.1, "list": ["a", 1, True, 0.5]})])
    more = metric.gauge.data_points[0].attributes
    more.append(KeyValue(key="bytes", value=AnyValue(bytes_value=b"\x00\xff")))
    more.append(KeyValue(key="none"))
    kvlist = more.add(key="map").value.kvlist_value
    kvlist.values.extend([*key_values({"k": "v"}), KeyValue(key="none"), *more[6:7]])
    _, series = decode(of_metric(metric, {}))
    assert dict(series[0].attributes) == {
        "s": "é",
        "t": "true",
        "f": "false",
        "i": "-7",
        "d": "0.1",
        "list": '["a",1,true,0.5]',
        "bytes": "AP8=",
        "map": '{"k":"v","none":null,"bytes":"AP8="}',
    }


def test_the_encoder_writes_an_export_metrics_service_request() -> None:
    value = of_metric(cumulative_sum("in.use", [(T, 2, {}), (T, 2.0, {})], T - 1, "By", monotonic=False))
    metric = ExportMetricsServiceRequest.FromString(value).resource_metrics[0].scope_metrics[0].metrics[0]
    assert (metric.name, metric.unit, metric.sum.is_monotonic) == ("in.use", "By", False)
    assert [point.WhichOneof("value") for point in metric.sum.data_points] == ["as_int", "as_double"]
    assert metric.sum.data_points[0].start_time_unix_nano == (T - 1) * 1000


def test_no_messages_give_no_rows() -> None:
    columns, _ = decode()
    assert [array.size for array in (columns.message, columns.series, columns.time_us, columns.value)] == [0, 0, 0, 0]


# The slow twin

names = st.text(max_size=12)
scalars = st.one_of(st.text(max_size=12), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
attributes = st.dictionaries(names, scalars, max_size=4)
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
points = st.lists(st.tuples(st.integers(1, 2**62 // 1000), numbers, attributes), max_size=4)
metrics = st.one_of(
    st.builds(gauge, names.filter(bool), points, names),
    st.builds(cumulative_sum, names.filter(bool), points, st.integers(0, 2**50), names, monotonic=st.booleans()),
)
requests = st.lists(st.builds(resource_metrics, attributes, st.lists(metrics, max_size=3)), min_size=1, max_size=2)
batches = st.lists(requests.map(lambda resources: metrics_request(*resources)), max_size=3)


def naive(values: list[bytes]) -> list[tuple[int, Series, int, float, int]]:
    """Message, series, time, value and start of each number point, one by one."""
    found = []
    for number, value in enumerate(values):
        for resource in MetricsData.FromString(value).resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    total = metric.sum if metric.HasField("sum") else None
                    counter = total is not None and total.is_monotonic
                    for point in total.data_points if total else metric.gauge.data_points:
                        texts = {pair.key: naive_text(pair.value) for pair in resource.resource.attributes}
                        texts |= {pair.key: naive_text(pair.value) for pair in point.attributes}
                        kind = Kind.COUNTER if counter else Kind.GAUGE
                        series = Series(metric.name, metric.unit, kind, tuple(sorted(texts.items())))
                        start = point.start_time_unix_nano // 1000 if counter else 0
                        number_value = float(getattr(point, str(point.WhichOneof("value"))))
                        found.append((number, series, point.time_unix_nano // 1000, number_value, start))
    return found


def naive_text(value: AnyValue) -> str:
    plain = getattr(value, str(value.WhichOneof("value")))
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def rows(columns: PointColumns, series: list[Series]) -> list[tuple[int, Series, int, float, int]]:
    starts = [0] * len(series) if columns.start_us is None else columns.start_us.tolist()
    return list(
        zip(columns.message.tolist(), series, columns.time_us.tolist(), columns.value.tolist(), starts, strict=True)
    )


@given(batches)
@settings(deadline=None, max_examples=40)
def test_rows_are_those_of_the_slow_twin_at_first_sight_and_from_memory(values: list[bytes]) -> None:
    codec = OtlpMetrics(Limits())
    expected = naive(values)
    assert rows(*decode(*values, codec=codec)) == expected
    known = len(codec.table.series)
    assert rows(*decode(*values, codec=codec)) == expected
    assert len(codec.table.series) == known


@given(batches)
@settings(deadline=None, max_examples=40)
def test_json_gives_the_rows_of_protobuf(values: list[bytes]) -> None:
    texts = [as_json(value, preserving_proto_field_name=bool(place % 2)) for place, value in enumerate(values)]
    assert rows(*decode(*texts)) == rows(*decode(*values))


@given(batches, st.lists(st.integers(0, 2), max_size=3))
@settings(deadline=None, max_examples=40)
def test_rows_of_a_message_do_not_depend_on_what_was_decoded_before(values: list[bytes], before: list[int]) -> None:
    codec = OtlpMetrics(Limits(max_series=1))
    for place in before:
        decode(*values[place : place + 1], codec=codec)
    assert rows(*decode(*values, codec=codec)) == rows(*decode(*values))


# Protobuf or JSON


def test_json_has_hex_ids_numbers_as_text_and_enums_by_name_or_number() -> None:
    point = {
        "timeUnixNano": str(NANO),
        "startTimeUnixNano": str(NANO - 1000),
        "asInt": "12",
        "attributes": [{"key": "big", "value": {"intValue": "9007199254740993"}}],
        "exemplars": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "asDouble": 1}],
        "inventedLater": {"x": [1]},
    }
    for temporality in (2, "AGGREGATION_TEMPORALITY_CUMULATIVE"):
        metric = {
            "name": "m",
            "sum": {"dataPoints": [point], "aggregationTemporality": temporality, "isMonotonic": True},
        }
        text = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}, indent=1)
        columns, series = decode(f" \n{text}".encode())
        assert series == [Series("m", "", Kind.COUNTER, (("big", "9007199254740993"),))]
        assert rows(columns, series)[0][2:] == (T, 12.0, T - 1)


def test_a_protobuf_message_that_starts_like_json_is_still_protobuf() -> None:
    # b"\n{" is the tag of resource_metrics and a length of 123.
    for length in range(200):
        value = of_metric(gauge("m", [(T, 1.0, {})]), {"filler": "x" * length})
        if value.startswith(b"\n{"):
            break
    assert value.startswith(b"\n{")
    columns, _ = decode(value)
    assert (columns.value.tolist(), columns.rejections) == ([1.0], [])


# What cannot be used


@pytest.mark.parametrize("value", [None, b""])
def test_a_message_without_a_value_is_refused_as_empty(value: bytes | None) -> None:
    columns, _ = decode(of_metric(gauge("m", [(T, 1, {})])), value)
    assert columns.message.tolist() == [0]
    assert [(one.message, one.reason, one.whole) for one in columns.rejections] == [(1, "empty", True)]


@pytest.mark.parametrize("value", [b"{}", b'{"resourceSpans": []}', b"\x7a\x01x"])
def test_a_message_without_resource_metrics_is_refused_as_empty(value: bytes) -> None:
    columns, _ = decode(value)
    assert [(one.reason, one.whole) for one in columns.rejections] == [("empty", True)]
    assert "topic of OTLP metrics" in columns.rejections[0].detail


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b" \n{no",
        b"\xff\xff",
        b"   ",
        b"[]",
        b'{"resourceMetrics": "\xff"}',
        b'{"resourceMetrics": 5}',
        b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "\\ud800"}]}]}]}',
        b'{"a":' * 100_000,
        b'{"resourceMetrics":' + b"[" * 100_000,
        b'{"resourceMetrics": [{"schemaUrl": ' + b"9" * 10_000 + b"}]}",
        b"\x0a\xff\xff\xff\xff\x07",
        of_metric(gauge("m", [(T, 1, {})]))[:-3],
    ],
)
def test_an_undecodable_message_is_refused_whole_and_its_neighbours_are_used(value: bytes) -> None:
    good = of_metric(gauge("m", [(T, 1, {})]))
    columns, _ = decode(good, value, good)
    assert columns.message.tolist() == [0, 2]
    assert [(one.message, one.reason, one.whole) for one in columns.rejections] == [(1, "undecodable", True)]
    assert len(columns.rejections[0].detail) < 300


@pytest.mark.parametrize("form", ["sum", "histogram", "exponential_histogram"])
def test_without_temporality_the_points_are_refused_once_for_each_message(form: str) -> None:
    metric = with_point(form)
    getattr(metric, form).data_points.add()
    getattr(metric, form).aggregation_temporality = 0
    value = metrics_request(resource_metrics({}, [metric, gauge("good", [(T, 1, {})]), metric]))
    columns, series = decode(value, of_metric(metric))
    assert [one.name for one in series] == ["good"]
    assert [(one.message, one.reason, one.whole) for one in columns.rejections] == [
        (0, "no_temporality", False),
        (1, "no_temporality", True),
    ]


def test_points_without_a_time_are_refused_and_the_others_used() -> None:
    columns, _ = decode(of_metric(gauge("m", [(0, 1, {}), (T, 2, {}), (0, 3, {"a": "b"})])))
    assert columns.value.tolist() == [2.0]
    assert columns.rejections == [
        Rejection(0, "no_time", "time_unix_nano is 0; give the time of the measurement", whole=False)
    ]


@pytest.mark.parametrize("form", FORMS)
def test_a_point_flagged_as_without_value_is_passed_over(form: str) -> None:
    columns, _ = decode(of_metric(with_point(form, flags=1)))
    assert (columns.value.size, columns.rejections, columns.dropped) == (0, [], {"no_recorded_value": 1})


def test_a_number_point_with_neither_flag_nor_value_is_passed_over_but_zero_is_a_value() -> None:
    metric = Metric(name="m")
    for value in ({}, {"as_int": 0}, {"as_double": 0.0}, {"as_double": -0.0}):
        metric.gauge.data_points.append(NumberDataPoint(time_unix_nano=NANO, **value))
    columns, _ = decode(of_metric(metric))
    assert (columns.value.tolist(), columns.dropped) == ([0.0, 0.0, 0.0], {"no_recorded_value": 1})


def test_values_that_are_not_finite_are_counted_without_a_rejection() -> None:
    values = [math.nan, math.inf, 1.0, -math.inf]
    columns, _ = decode(
        of_metric(gauge("m", [(T, value, {}) for value in values])),
        of_metric(with_point("histogram", count=1, sum=math.nan)),
    )
    assert (columns.value.tolist(), columns.rejections, columns.dropped) == ([1.0], [], {"not_finite": 4})


def test_an_empty_metric_name_is_refused() -> None:
    columns, _ = decode(of_metric(gauge("", [(T, 1, {}), (T, 2, {})])))
    assert [(one.reason, one.whole) for one in columns.rejections] == [("bad_name", True)]


def nested(depth: int) -> AnyValue:
    outermost = AnyValue()
    value = outermost
    for _ in range(depth):
        value = value.array_value.values.add()
    return outermost


@pytest.mark.parametrize(
    ("reason", "bad"),
    [
        ("huge_attribute", key_values({"a": "x" * 100})),
        ("huge_attribute", key_values({"a": "é" * 40})),
        ("huge_attribute", key_values({"x" * 100: "a"})),
        ("too_many_attributes", key_values({str(place): 1 for place in range(9)})),
        ("deep_attribute", [KeyValue(key="a", value=nested(17))]),
    ],
)
def test_attributes_beyond_the_limits_refuse_a_point_or_all_points_of_a_resource(
    reason: str, bad: list[KeyValue]
) -> None:
    codec = OtlpMetrics(Limits(max_attributes=8, max_attribute_bytes=64))
    metric = gauge("m", [(T, 1, {}), (T, 2, {}), (T, 3, {})])
    metric.gauge.data_points[1].attributes.extend(bad)
    spoilt = resource_metrics({}, [gauge("m", [(T, 9, {})]), gauge("n", [(T, 9, {})])])
    spoilt.resource.attributes.extend(bad)
    for _ in range(2):  # what was refused is not remembered as good
        columns, _ = decode(of_metric(metric), metrics_request(spoilt), codec=codec)
        assert columns.value.tolist() == [1.0, 3.0]
        assert [(one.message, one.reason, one.whole) for one in columns.rejections] == [
            (0, reason, False),
            (1, reason, True),
        ]


def without_points(*metrics: Metric, bad: bytes = b"bad!") -> bytes:
    value = metrics_request(resource_metrics({"a": "bad!"}, list(metrics)))
    return value.replace(b"bad!", bad)


#: Resources that are damaged, of which there are no points.
idle = [
    without_points(bad=b"\xff\xff\xff\xff"),
    without_points(Metric(name="m"), bad=b"\xff\xff\xff\xff"),
    without_points(gauge("m", []), gauge("n", []), bad=b"\xff\xff\xff\xff"),
    b"\x0a\x04\x0a\x02\x0a\x05",  # an attribute that ends too late
]


@pytest.mark.parametrize("value", idle)
def test_a_damaged_resource_is_refused_each_time_also_where_it_has_no_points(value: bytes) -> None:
    codec = OtlpMetrics(Limits())
    for _ in range(2):
        columns, _ = decode(value, without_points(), of_metric(gauge("m", [(T, 1, {})])), value, codec=codec)
        assert columns.message.tolist() == [2]
        assert [(one.message, one.reason, one.whole) for one in columns.rejections] == [
            (0, "bad_attributes", True),
            (3, "bad_attributes", True),
        ]


def test_a_damaged_resource_beside_a_good_one_is_refused_and_the_good_one_used() -> None:
    columns, _ = decode(idle[0] + of_metric(gauge("m", [(T, 1, {})])) + idle[2])
    assert columns.value.tolist() == [1.0]
    assert [(one.message, one.reason, one.whole) for one in columns.rejections] == [(0, "bad_attributes", False)]


def test_attributes_of_resource_and_point_together_keep_to_the_limit() -> None:
    codec = OtlpMetrics(Limits(max_attributes=8))
    columns, _ = decode(
        of_metric(gauge("m", [(T, 1, dict.fromkeys("abcde", 1))]), dict.fromkeys("vwxyz", 1)), codec=codec
    )
    assert [one.reason for one in columns.rejections] == ["too_many_attributes"]


def test_text_that_is_not_utf_8_refuses_only_the_point_that_has_it() -> None:
    value = of_metric(gauge("m", [(T, 1, {"a": "good"}), (T, 2, {"a": "bad!"})])).replace(b"bad!", b"\xff\xff\xff\xff")
    columns, _ = decode(value)
    assert columns.value.tolist() == [1.0]
    assert [(one.reason, one.whole) for one in columns.rejections] == [("bad_attributes", False)]


def test_a_value_nested_deeper_than_protobuf_parses_refuses_only_the_point_that_has_it() -> None:
    value = b""
    for _ in range(3000):
        array = BytesValue(value=value).SerializeToString()  # field 1, as in ArrayValue
        as_bytes = AnyValue(bytes_value=array).SerializeToString()
        value = b"\x2a" + as_bytes[1:]  # the same as array_value
    metric = gauge("m", [(T, 1, {}), (T, 2, {})])
    metric.gauge.data_points[1].attributes.add(key="a").value.bytes_value = array
    columns, _ = decode(of_metric(metric).replace(as_bytes, value))
    assert columns.value.tolist() == [1.0]
    assert [(one.reason, one.whole) for one in columns.rejections] == [("bad_attributes", False)]


def test_a_name_or_unit_that_is_too_long_is_refused() -> None:
    long = "x" * 2000
    columns, _ = decode(of_metric(gauge(long, [(T, 1, {})])), of_metric(gauge("m", [(T, 1, {})], long)))
    assert [(one.message, one.reason) for one in columns.rejections] == [(0, "huge_attribute"), (1, "huge_attribute")]


def test_a_thousand_bad_points_give_one_rejection_for_each_reason() -> None:
    bad: list[Point] = [(T, 1, {"a": "x" * 2000, "n": place}) for place in range(1000)]
    columns, _ = decode(of_metric(gauge("m", [*bad, (0, 1, {}), (0, 2, {})])))
    assert [one.reason for one in columns.rejections] == ["huge_attribute", "no_time"]


def test_a_full_table_starts_over_and_rows_name_the_right_series() -> None:
    codec = OtlpMetrics(Limits(max_series=2))
    for turn in range(4):
        values = [of_metric(gauge(f"m{(turn + place) % 4}", [(T, 1, {})])) for place in range(2)]
        _, series = decode(*values, codec=codec)
        assert [one.name for one in series] == [f"m{turn % 4}", f"m{(turn + 1) % 4}"]
    assert codec.table.generation > 0
    assert len(codec.table.series) <= 3


def test_names_of_metrics_that_were_refused_are_not_remembered_for_ever() -> None:
    codec = OtlpMetrics(Limits(max_series=5))
    for turn in range(50):
        decode(of_metric(gauge(f"m{turn}", [(T, 1, {"a": "x" * 2000})])), codec=codec)
    assert len(codec._families) <= 5


# Hostile bytes

valid = of_metric(gauge("m", [(T, 1, {"a": "b"}), (T, 2.5, {"a": 1})]))
whole_values = [
    valid,
    as_json(valid),
    *(of_metric(with_point(form, start_time_unix_nano=9, attributes=key_values({"a": 1}))) for form in FORMS),
]


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\n" + bytes([len(tail)]) + tail))
@settings(deadline=None)
def test_any_bytes_are_decoded_or_refused(value: bytes) -> None:
    assert_accounted_for(value)


damages = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4)


@given(st.sampled_from(whole_values), damages)
@settings(deadline=None)
def test_damaged_messages_are_decoded_or_refused(value: bytes, damage: list[tuple[int, int]]) -> None:
    damaged = bytearray(value)
    for place, byte in damage:
        damaged[place % len(damaged)] = byte
    assert_accounted_for(bytes(damaged))


class Slow(OtlpMetrics):
    """Everything through the official classes."""

    def _decode_some(self, rows: Any, messages: Sequence[Any], first: int, last: int) -> None:
        for number in range(first, last):
            self._add_slowly(rows, number, messages[number].value or b"")


#: All forms in one message, a description, several resources, names and units that are no ASCII.
of_all_forms = [*(with_point(form) for form in FORMS), gauge("größe", [(T, 1, {})], "µs")]
rich = metrics_request(*(resource_metrics({"service.name": name}, of_all_forms) for name in ("a", "b")))
beginnings = st.builds(
    lambda value, end: value[: end % (len(value) + 1)], st.sampled_from([rich, valid]), st.integers(0)
)


@given(st.lists(beginnings | st.sampled_from([rich, *whole_values, *idle]), min_size=1, max_size=3), damages)
@example([rich], [(34, 8)])  # a metric without points, whose name is no text
@example([idle[0] + rich + idle[1], *idle], [])
@settings(deadline=None, max_examples=300)
def test_whatever_is_damaged_the_fast_way_and_the_slow_way_give_the_same(
    values: list[bytes], damage: list[tuple[int, int]]
) -> None:
    first = bytearray(values[0])
    for place, byte in damage:
        if first:
            first[place % len(first)] = byte
    batch = [bytes(first), *values[1:]]
    fast, slow = OtlpMetrics(Limits()), Slow(Limits())
    decode(rich, codec=fast)  # what is known is found by another way
    for _ in range(2):
        ours, theirs = decode(*batch, codec=fast), decode(*batch, codec=slow)
        assert rows(*ours) == rows(*theirs)
        assert ours[0].rejections == theirs[0].rejections
        assert ours[0].dropped == theirs[0].dropped
        assert ours[0].histograms.keys() == theirs[0].histograms.keys()


OTLP_KEYS = [
    *("resourceMetrics", "scopeMetrics", "metrics", "name", "gauge", "sum", "dataPoints", "asInt", "asDouble"),
    *("attributes", "key", "value", "stringValue", "resource", "timeUnixNano", "aggregationTemporality"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(OTLP_KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["resourceMetrics", "x"]), json_values, max_size=2))
@settings(deadline=None)
def test_any_json_object_is_decoded_or_refused(value: dict[str, Any]) -> None:
    assert_accounted_for(json.dumps(value).encode())


def assert_accounted_for(value: bytes) -> None:
    """Every row is sound, and a message is refused whole exactly when it has rejections and no rows."""
    columns, series = decode(value)
    assert np.isfinite(columns.value).all()
    assert (columns.time_us >= 0).all()
    assert len({(one.message, one.reason) for one in columns.rejections}) == len(columns.rejections)
    assert all(one.whole == (not series) for one in columns.rejections)
    for histogram in columns.histograms.values():
        assert histogram.bounds[-1] == np.inf
        assert (np.diff(histogram.bounds[:-1]) > 0).all()
        assert histogram.bounds.shape == histogram.counts.shape
