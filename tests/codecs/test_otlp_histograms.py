"""OTLP histograms, exponential histograms and summaries: buckets with ascending bounds that hold what was put in."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, SummaryDataPoint

from pipeline.codecs.otlp_encode import gauge, key_values, metrics_request, resource_metrics
from pipeline.records import Kind
from tests.codecs.otlp_sent import NANO, T, decode, of_metric, with_point

# Histograms


def test_an_explicit_histogram_keeps_its_bounds_and_gains_infinity() -> None:
    metric = with_point(
        "histogram",
        count=6,
        sum=7.5,
        bucket_counts=[1, 2, 3],
        explicit_bounds=[0.1, 1.0],
        start_time_unix_nano=NANO - 1000,
        exemplars=[Exemplar(as_double=1, trace_id=b"x" * 16)],
    )
    columns, _ = decode(of_metric(metric))
    found = columns.histograms[0]
    assert (found.count, found.sum, columns.value.tolist()) == (6.0, 7.5, [6.0])
    assert found.bounds.tolist() == [0.1, 1.0, np.inf]
    assert found.counts.tolist() == [1.0, 2.0, 3.0]
    assert columns.start_us is not None
    assert columns.start_us.tolist() == [T - 1]


def test_a_histogram_without_buckets_has_one_and_without_sum_it_is_unknown() -> None:
    columns, _ = decode(of_metric(with_point("histogram", count=3)))
    assert columns.histograms[0].bounds.tolist() == [np.inf]
    assert columns.histograms[0].counts.tolist() == [3.0]
    assert math.isnan(columns.histograms[0].sum)


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("histogram", {"bucket_counts": [1, 2], "explicit_bounds": [1.0, 2.0]}),
        ("histogram", {"explicit_bounds": [1.0]}),
        ("histogram", {"bucket_counts": [1, 2, 3], "explicit_bounds": [2.0, 1.0]}),
        ("histogram", {"bucket_counts": [1, 2, 3], "explicit_bounds": [1.0, math.inf]}),
        ("histogram", {"bucket_counts": [1, 2, 3], "explicit_bounds": [1.0, math.nan]}),
        ("histogram", {"bucket_counts": [0] * 3000, "explicit_bounds": [float(bound) for bound in range(2999)]}),
        ("exponential_histogram", {"scale": 21}),
        ("exponential_histogram", {"scale": -(2**31)}),
        ("exponential_histogram", {"positive": {"bucket_counts": [1] * 3000}}),
        ("exponential_histogram", {"positive": {"offset": 2**31 - 1, "bucket_counts": [1, 1]}}),
        ("exponential_histogram", {"zero_count": 1, "zero_threshold": math.nan}),
        ("exponential_histogram", {"zero_count": 1, "zero_threshold": 9.0, "positive": {"bucket_counts": [1]}}),
    ],
)
def test_a_histogram_that_makes_no_sense_is_refused_alone(form: str, fields: dict[str, Any]) -> None:
    metric = with_point(form, count=1, **fields)
    getattr(metric, form).data_points.add(time_unix_nano=NANO, count=5, sum=2)
    columns, _ = decode(of_metric(metric))
    assert columns.value.tolist() == [5.0]
    assert list(columns.histograms) == [0]
    assert columns.histograms[0].count == 5.0
    assert [(one.reason, one.whole) for one in columns.rejections] == [("bad_histogram", False)]


def test_exponential_buckets_stand_in_ascending_order_between_their_edges() -> None:
    metric = with_point(
        "exponential_histogram",
        count=21,
        sum=0.5,
        scale=0,
        zero_count=6,
        zero_threshold=0.25,
        positive={"offset": -1, "bucket_counts": [0, 4, 5, 0]},
        negative={"offset": 1, "bucket_counts": [1, 2, 3, 0, 0]},
    )
    columns, _ = decode(of_metric(metric))
    found = columns.histograms[0]
    pairs = list(zip(found.bounds.tolist(), found.counts.tolist(), strict=True))
    assert pairs == [
        (-16.0, 0.0),  # lower edge
        (-8.0, 3.0),
        (-4.0, 2.0),
        (-2.0, 1.0),
        (-0.25, 0.0),
        (0.25, 6.0),
        (1.0, 0.0),  # nothing between the zero bucket and the first positive one
        (2.0, 4.0),
        (4.0, 5.0),
        (math.inf, 0.0),
    ]


def test_an_exponential_histogram_may_be_empty_or_end_at_infinity() -> None:
    empty = with_point("exponential_histogram", positive={"bucket_counts": [0, 0]})
    widest = with_point("exponential_histogram", count=3, scale=-10, positive={"offset": -1, "bucket_counts": [1, 2]})
    columns, _ = decode(of_metric(empty), of_metric(widest))
    assert columns.histograms[0].bounds.tolist() == [np.inf]
    assert columns.histograms[0].counts.tolist() == [0.0]
    assert columns.histograms[1].bounds.tolist() == [2.0**-1024, 1.0, np.inf]
    assert columns.histograms[1].counts.tolist() == [0.0, 1.0, 2.0]


def test_an_edge_that_is_infinite_or_already_a_bound_is_left_out() -> None:
    lowest = with_point("exponential_histogram", count=1, scale=-10, negative={"bucket_counts": [1]})
    touching = with_point(
        "exponential_histogram", count=3, zero_count=1, zero_threshold=1.0, positive={"bucket_counts": [2]}
    )
    columns, _ = decode(of_metric(lowest), of_metric(touching))
    assert columns.histograms[0].bounds.tolist() == [-1.0, np.inf]
    assert columns.histograms[1].bounds.tolist() == [-1.0, 1.0, 2.0, np.inf]
    assert columns.histograms[1].counts.tolist() == [0.0, 1.0, 2.0, 0.0]


def test_a_histogram_flagged_as_without_value_is_not_looked_into() -> None:
    columns, _ = decode(of_metric(with_point("histogram", flags=1, bucket_counts=[1, 2], explicit_bounds=[])))
    assert (columns.rejections, columns.dropped) == ([], {"no_recorded_value": 1})


@given(st.integers(-2, 6), st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(-80, 80)) | st.none(), max_size=30))
@settings(deadline=None)
def test_exponential_buckets_hold_the_values_that_were_put_in(scale: int, put: list[tuple[int, int] | None]) -> None:
    base = 2.0 ** (2.0**-scale)
    # The middle of a bucket, so that rounding at a bound does not matter; None is a zero.
    values = [one[0] * base ** (one[1] + 0.5) if one else 0.0 for one in put]
    metric = with_point("exponential_histogram", count=len(put), scale=scale, zero_count=put.count(None))
    point = metric.exponential_histogram.data_points[0]
    for sign, buckets in ((1, point.positive), (-1, point.negative)):
        mine = [one[1] for one in put if one and one[0] == sign]
        if mine:
            buckets.offset = min(mine)
            buckets.bucket_counts.extend(mine.count(index) for index in range(min(mine), max(mine) + 1))
    columns, _ = decode(of_metric(metric))
    found = columns.histograms[0]
    at_or_below = [sum(value <= bound for value in values) for bound in found.bounds.tolist()]
    assert np.cumsum(found.counts).tolist() == at_or_below


# Summaries


def test_a_summary_becomes_a_histogram_row_and_a_gauge_for_each_quantile() -> None:
    quantile = SummaryDataPoint.ValueAtQuantile
    wanted = {0: "min", 0.05: "p5", 0.5: "p50", 0.99: "p99", 0.999: "p99_9", 0.9999: "p99_99", 1: "max"}
    metric = with_point(
        "summary",
        count=10,
        sum=55.0,
        start_time_unix_nano=NANO - 1000,
        quantile_values=[quantile(quantile=one, value=place) for place, one in enumerate(wanted)],
        attributes=key_values({"route": "/"}),
    )
    metric.unit = "ms"
    columns, series = decode(of_metric(metric))
    assert [one.name for one in series] == ["m", *(f"m.{suffix}" for suffix in wanted.values())]
    assert [one.kind for one in series] == [Kind.HISTOGRAM, *[Kind.GAUGE] * len(wanted)]
    assert {(one.unit, one.attributes) for one in series} == {("ms", (("route", "/"), ("service.name", "checkout")))}
    assert columns.value.tolist() == [10.0, *map(float, range(len(wanted)))]
    assert list(columns.histograms) == [0]
    assert (columns.histograms[0].sum, columns.histograms[0].bounds.tolist()) == (55.0, [np.inf])
    assert columns.start_us is not None
    assert columns.start_us.tolist() == [T - 1, *[0] * len(wanted)]


def test_a_quantile_outside_of_0_to_1_is_refused_and_one_that_is_not_a_number_is_counted() -> None:
    quantile = SummaryDataPoint.ValueAtQuantile
    values = [quantile(quantile=99, value=1), quantile(quantile=0.5, value=math.nan), quantile(quantile=0.9, value=2)]
    columns, series = decode(of_metric(with_point("summary", count=2, sum=2, quantile_values=values)))
    assert [one.name for one in series] == ["m", "m.p90"]
    assert [(one.reason, one.whole) for one in columns.rejections] == [("bad_quantile", False)]
    assert columns.dropped == {"not_finite": 1}


def test_a_summary_with_more_quantiles_than_anybody_looks_at_keeps_only_count_and_sum() -> None:
    quantile = SummaryDataPoint.ValueAtQuantile
    values = [quantile(quantile=place / 100, value=1) for place in range(50)]
    columns, series = decode(of_metric(with_point("summary", count=2, sum=2, quantile_values=values)))
    assert [one.name for one in series] == ["m"]
    assert [(one.reason, one.whole) for one in columns.rejections] == [("bad_quantile", False)]


def test_histograms_stay_with_their_rows_when_rows_before_them_go() -> None:
    metrics = [
        gauge("a", [(0, 1, {}), (T, math.nan, {})]),
        with_point("histogram", count=4, sum=1),
        gauge("b", [(T, 2, {})]),
    ]
    columns, series = decode(metrics_request(resource_metrics({}, metrics)))
    assert [one.name for one in series] == ["m", "b"]
    assert {row: found.count for row, found in columns.histograms.items()} == {0: 4.0}
