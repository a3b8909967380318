"""Histograms to rate, mean, quantiles and shares above a threshold: subtraction, resets, changed scale, exactness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

from pipeline.codecs.otlp_histograms import exponential_histogram
from pipeline.records import US, HistogramPoint
from pipeline.signals.distributions import merge, quantile, share_above, subtract, summarise

T = 1_700_000_000 * US


def histogram(bounds: list[float], counts: list[float], total: float | None = None) -> HistogramPoint:
    """With +inf as the last bound."""
    array = np.array([*bounds, np.inf])
    return HistogramPoint(sum(counts), float(sum(counts)) if total is None else total, array, np.array(counts, float))


def of(values: list[float], bounds: list[float]) -> HistogramPoint:
    """What an SDK makes of values."""
    edges = np.array([*bounds, np.inf])
    place = np.searchsorted(edges, values, side="left")
    counts = np.bincount(place, minlength=edges.size).astype(float)
    return HistogramPoint(float(len(values)), float(np.sum(values)), edges, counts)


# What a window says


def test_the_first_cumulative_point_ever_says_nothing() -> None:
    values, seen = summarise([(T + 10 * US, T, histogram([1.0], [5, 5]))], None, cumulative=True)
    assert values == {}
    assert seen is not None
    assert seen.time_us == T + 10 * US


def test_cumulative_points_are_subtracted_from_the_point_before() -> None:
    _, seen = summarise([(T, 1, histogram([1.0, 2.0], [10, 0, 0], 5.0))], None, cumulative=True)
    values, _ = summarise([(T + 10 * US, 1, histogram([1.0, 2.0], [10, 20, 0], 35.0))], seen, cumulative=True)
    assert values == {"rate": 2.0, "mean": 1.5, "p50": 1.5, "p95": 1.95, "p99": 1.99}


def test_a_count_that_falls_is_a_reset_and_all_of_the_point_is_new() -> None:
    _, seen = summarise([(T, 0, histogram([1.0], [100, 0]))], None, cumulative=True)
    values, _ = summarise([(T + 10 * US, 0, histogram([1.0], [20, 0], 8.0))], seen, cumulative=True)
    assert (values["rate"], values["mean"]) == (2.0, 0.4)


def test_a_start_time_after_the_point_before_is_a_reset_and_the_time_counts_from_there() -> None:
    _, seen = summarise([(T, T - US, histogram([1.0], [100, 0]))], None, cumulative=True)
    after = (T + 10 * US, T + 5 * US, histogram([1.0], [150, 0]))
    assert summarise([after], seen, cumulative=True)[0]["rate"] == 30.0


def test_after_a_reset_with_an_old_start_time_the_time_counts_from_the_point_before() -> None:
    long_ago = T - 86_400 * US
    _, seen = summarise([(T, long_ago, histogram([1.0], [100, 0]))], None, cumulative=True)
    after = (T + 10 * US, long_ago, histogram([1.0], [50, 0]))
    assert summarise([after], seen, cumulative=True)[0]["rate"] == 5.0


def test_a_window_in_which_nothing_happened_has_a_rate_of_zero_and_no_quantiles() -> None:
    same = histogram([1.0], [10, 0])
    _, seen = summarise([(T, 0, same)], None, cumulative=True)
    assert summarise([(T + 10 * US, 0, same)], seen, cumulative=True)[0] == {"rate": 0.0}


def test_several_points_of_a_window_are_merged() -> None:
    first, second = histogram([1.0, 2.0], [10, 0, 0], 5.0), histogram([1.0, 2.0], [0, 10, 0], 15.0)
    points = [(T + 5 * US, T, first), (T + 10 * US, T + 5 * US, second)]
    values, _ = summarise(points, None, cumulative=False)
    assert (values["rate"], values["mean"], values["p50"]) == (2.0, 1.0, 1.0)


def test_a_delta_without_a_start_time_counts_from_the_point_before() -> None:
    point = histogram([1.0], [30, 0])
    values, seen = summarise([(T, 0, point)], None, cumulative=False)
    assert values == {}
    assert summarise([(T + 10 * US, 0, point)], seen, cumulative=False)[0]["rate"] == 3.0


def test_a_distribution_without_buckets_has_rate_and_mean_only() -> None:
    point = histogram([], [4], 10.0)
    assert summarise([(T + 2 * US, T, point)], None, cumulative=False)[0] == {"rate": 2.0, "mean": 2.5}


def test_a_sum_that_was_not_given_leaves_the_mean_out() -> None:
    point = histogram([1.0], [4, 0], float("nan"))
    assert "mean" not in summarise([(T + 2 * US, T, point)], None, cumulative=False)[0]


# Subtracting and merging


def test_what_is_added_between_two_points_is_their_difference_per_bucket() -> None:
    added = subtract(histogram([1.0, 2.0], [5, 7, 9], 50.0), histogram([1.0, 2.0], [5, 3, 1], 20.0))
    assert (added.count, added.sum, added.counts.tolist()) == (12, 30.0, [0, 4, 8])


def test_points_with_other_bounds_are_compared_at_the_bounds_they_share() -> None:
    added = subtract(histogram([1.0, 2.0, 4.0], [1, 2, 3, 4]), histogram([2.0, 3.0, 4.0], [1, 0, 1, 1]))
    assert added.bounds.tolist() == [2.0, 4.0, np.inf]
    assert added.counts.tolist() == [2, 2, 3]


def test_points_that_share_no_bound_are_compared_as_a_whole() -> None:
    added = subtract(histogram([1.0], [5, 5]), histogram([3.0], [2, 2]))
    assert (added.bounds.tolist(), added.counts.tolist()) == ([np.inf], [6])


VALUES = st.lists(st.floats(0.01, 100), min_size=1, max_size=30)
BOUNDS = [0.1, 1.0, 10.0, 50.0]


@given(VALUES, VALUES)
def test_subtracting_what_was_there_leaves_what_came(old: list[float], new: list[float]) -> None:
    added = subtract(of(old + new, BOUNDS), of(old, BOUNDS))
    assert added.counts.tolist() == of(new, BOUNDS).counts.tolist()


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_merging_is_the_distribution_of_all_values(parts: list[list[float]]) -> None:
    merged = merge([of(part, BOUNDS) for part in parts])
    whole = of([value for part in parts for value in part], BOUNDS)
    assert merged.counts.tolist() == whole.counts.tolist()
    assert (merged.count, merged.sum) == (whole.count, pytest.approx(whole.sum))


# Exponential histograms


def exponential(values: list[float], scale: int) -> HistogramPoint:
    """What an SDK makes of positive values: bucket i holds base**i < value ≤ base**(i+1)."""
    index = np.ceil(np.log2(values) * 2.0**scale).astype(int) - 1
    point = ExponentialHistogramDataPoint(count=len(values), sum=float(np.sum(values)), scale=scale)
    point.positive.offset = int(index.min())
    point.positive.bucket_counts.extend(np.bincount(index - index.min()).tolist())
    return exponential_histogram(point)


@pytest.mark.parametrize(("before", "after"), [(3, 2), (5, 2), (2, 3)])
def test_an_exponential_histogram_that_changed_scale_is_compared_at_the_bounds_it_shares(
    before: int, after: int
) -> None:
    dice = np.random.default_rng(1)
    old, new = dice.lognormal(0, 1, 300).tolist(), dice.lognormal(1, 1, 200).tolist()
    added = subtract(exponential(old + new, after), exponential(old, before))
    expected = of(new, added.bounds[:-1].tolist())
    assert added.bounds.size > 10
    assert added.counts.tolist() == expected.counts.tolist()
    assert added.counts.sum() == 200


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_quantiles_of_an_exponential_histogram_are_within_its_resolution(q: float) -> None:
    values = np.random.default_rng(2).lognormal(0, 2, 20_000)
    assert quantile(exponential(values.tolist(), 4), q) == pytest.approx(np.quantile(values, q), rel=2**2**-4 - 1)


# Quantiles


@given(st.sets(st.integers(1, 10_000), min_size=2, max_size=40), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_with_a_bound_at_every_value_a_quantile_is_the_one_that_numpy_interpolates(values: set[int], q: float) -> None:
    exact = sorted(float(value) for value in values)
    expected = np.quantile(exact, q, method="interpolated_inverted_cdf")
    assert quantile(of(exact, exact), q) == pytest.approx(expected)


@pytest.mark.parametrize("q", [0.01, 0.25, 0.5, 0.95, 0.99])
def test_a_quantile_is_off_by_less_than_its_bucket(q: float) -> None:
    values = np.random.default_rng(3).gamma(2.0, 20.0, 5000)
    assert abs(quantile(of(values.tolist(), list(range(5, 500, 5))), q) - np.quantile(values, q)) < 5


def test_a_quantile_is_never_beyond_the_last_finite_bound() -> None:
    assert quantile(histogram([1.0, 2.0], [0, 1, 99]), 0.99) == 2.0


def test_the_lowest_bucket_reaches_down_to_zero_and_not_below_its_bound_when_that_is_negative() -> None:
    assert quantile(histogram([10.0], [100, 0]), 0.5) == 5.0
    assert quantile(histogram([-10.0, 0.0], [100, 0, 0]), 0.5) == -10.0


def test_an_empty_distribution_has_no_quantile() -> None:
    assert np.isnan(quantile(histogram([1.0], [0, 0]), 0.5))
    assert np.isnan(quantile(histogram([], [7]), 0.5))


# Shares above a threshold

COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=12).filter(any)


@st.composite
def distributions(draw: st.DrawFn) -> HistogramPoint:
    counts = draw(COUNTS)
    bounds = draw(st.sets(st.integers(-50, 50), min_size=len(counts) - 1, max_size=len(counts) - 1))
    return histogram([float(bound) for bound in sorted(bounds)], [float(count) for count in counts])


@given(distributions(), st.floats(-100, 100), st.floats(0, 100))
def test_a_share_is_from_0_to_1_and_falls_as_the_threshold_rises(
    point: HistogramPoint, threshold: float, more: float
) -> None:
    lower, higher = share_above(point, threshold), share_above(point, threshold + more)
    assert 0.0 <= higher <= lower <= 1.0


@given(VALUES, st.sampled_from(BOUNDS))
def test_at_a_bound_the_share_is_exact(values: list[float], bound: float) -> None:
    exact = sum(value > bound for value in values) / len(values)
    assert share_above(of(values, BOUNDS), bound) == pytest.approx(exact)


@given(distributions(), st.floats(0.01, 0.99))
def test_above_a_quantile_is_what_the_quantile_leaves(point: HistogramPoint, q: float) -> None:
    reached = quantile(point, q)
    at = int(np.searchsorted(point.bounds, reached))
    inside = at > 0 and reached < point.bounds[at] < np.inf
    left = share_above(point, reached)
    if inside and point.counts[at]:
        assert left == pytest.approx(1 - q)
    elif reached > point.bounds[0]:  # at a bound: from there on all that is higher
        assert left <= 1 - q + 1e-9 or reached == point.bounds[-2]


@given(VALUES, VALUES, st.sampled_from(BOUNDS))
def test_the_share_of_a_window_is_that_of_all_its_values(one: list[float], other: list[float], bound: float) -> None:
    points = [(T + 5 * US, T, of(one, BOUNDS)), (T + 10 * US, T + 5 * US, of(other, BOUNDS))]
    values, _ = summarise(points, None, cumulative=False, above=bound)
    assert values["above"] == pytest.approx(share_above(of(one + other, BOUNDS), bound))


def test_inside_a_bucket_values_lie_evenly() -> None:
    assert share_above(histogram([1.0, 2.0, 4.0], [10, 10, 80, 0]), 2.5) == 0.6
    assert share_above(histogram([1.0, 2.0], [10, 0, 0]), 0.25) == 0.75  # the lowest bucket begins at 0
    assert share_above(histogram([1.0, 2.0], [10, 0, 0]), -1.0) == 1.0


def test_of_values_in_an_open_bucket_only_what_is_known_counts_as_above() -> None:
    high = histogram([1.0, 2.0], [6, 0, 4])
    assert [share_above(high, threshold) for threshold in (1.5, 2.0, 2.1, 99.0)] == [0.4, 0.4, 0.0, 0.0]
    low = histogram([-5.0, 0.0], [6, 0, 4])
    assert [share_above(low, threshold) for threshold in (-99.0, -5.0, -1.0)] == [0.4, 0.4, 0.4]


@pytest.mark.parametrize("threshold", [0.2, 1.0, 7.0])
def test_a_share_of_an_exponential_histogram_is_within_its_resolution(threshold: float) -> None:
    values = np.random.default_rng(4).lognormal(0, 2, 20_000)
    exact = float((values > threshold).mean())
    assert share_above(exponential(values.tolist(), 4), threshold) == pytest.approx(exact, abs=0.005)


def test_a_distribution_without_values_or_without_bounds_has_no_share() -> None:
    assert np.isnan(share_above(histogram([1.0], [0, 0]), 0.5))
    assert np.isnan(share_above(histogram([], [7]), 0.5))
    empty = (T + 10 * US, T, histogram([1.0], [0, 0]))
    assert summarise([empty], None, cumulative=False, above=0.5)[0] == {"rate": 0.0}


def test_without_a_threshold_there_is_no_share() -> None:
    point = (T + 10 * US, T, histogram([1.0], [5, 5]))
    assert "above" not in summarise([point], None, cumulative=False)[0]
    assert summarise([point], None, cumulative=False, above=1.0)[0]["above"] == 0.5
