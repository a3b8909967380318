"""Values of PromQL worked out by hand from what Prometheus' documentation says of each function and operator.

Samples are a minute apart. Beside these, 1,695 values of 42 expressions over random series were compared with promtool
2.42. All are the same but where Prometheus 3 computes another value on purpose: ranges are open at their beginning, and
a counter is carried back to where it was zero after the half step is taken, not before.
"""

import math

import pytest

from tests.deploy.promql_values import NAME, STALE, Sample, Series, evaluate

MINUTE = 60.0


def series(name: str, values: list[float | str | None], **labels: str) -> Series:
    """A value each minute from 0 on; ``_`` where none was scraped."""
    samples = [(MINUTE * number, value) for number, value in enumerate(values) if not isinstance(value, str)]
    return Series({NAME: name, **labels}, samples)


def values(expression: str, *given: Series, at: float = 4 * MINUTE) -> dict[frozenset[tuple[str, str]], float]:
    found = evaluate(expression, given, at)
    assert isinstance(found, list)
    return {sample.key: sample.value for sample in found}


def value(expression: str, *given: Series, at: float = 4 * MINUTE) -> float | None:
    """Of the only series, or None where there is none."""
    found = list(values(expression, *given, at=at).values())
    assert len(found) <= 1
    return found[0] if found else None


def key(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


# -- what is seen of a series ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "seen"), [(0, 1), (59, 1), (60, 2), (60 + 299, 2), (60 + 300, None), (-1, None)])
def test_a_sample_counts_for_five_minutes(at: float, seen: float | None) -> None:
    assert value("x", series("x", [1, 2]), at=at) == seen


def test_a_series_that_ended_is_gone_at_once_and_comes_back_with_its_next_sample() -> None:
    ended = series("x", [1, STALE, "_", 5])
    assert [value("x", ended, at=MINUTE * number) for number in range(4)] == [1, None, None, 5]


def test_an_offset_looks_back() -> None:
    assert value("x offset 3m", series("x", [7, 8, 9, 10, 11])) == 8


def test_matchers_choose_by_equality_and_whole_patterns_and_a_label_that_is_not_there_is_empty() -> None:
    given = [series("x", [1] * 5, a="one"), series("x", [2] * 5, a="two"), series("x", [3] * 5)]
    assert value('x{a="one"}', *given) == 1
    assert sorted(values('x{a!="one"}', *given).values()) == [2, 3]
    assert sorted(values('x{a=~"one|two"}', *given).values()) == [1, 2]
    assert value('x{a!~"o.*|two"}', *given) == 3
    assert values('x{a=~"on"}', *given) == {}
    assert value('x{a=""}', *given) == 3


# -- rate and increase -----------------------------------------------------------------------------------------------


def test_a_steady_counter_grows_by_its_step_times_the_range() -> None:
    steady = series("c", [100, 110, 120, 130, 140])
    assert value("increase(c[4m])", steady) == pytest.approx(40)
    assert value("rate(c[4m])", steady) == pytest.approx(10 / 60)


def test_a_reset_counts_what_came_after_it() -> None:
    # in (0, 4 min]: 110, 120, 5, 15 → 10 + 5 + 10 = 25 in three minutes, carried on over the fourth
    assert value("increase(c[4m])", series("c", [100, 110, 120, 5, 15])) == pytest.approx(25 * 4 / 3)


def test_growth_is_carried_on_to_edges_that_are_near_and_half_a_step_beyond_where_they_are_not() -> None:
    begun = series("c", ["_"] * 6 + [600, 660, 720])
    # 120 in two minutes; the begin of the range is six minutes away, the end is here: half a minute more
    assert value("increase(c[8m])", begun, at=8 * MINUTE) == pytest.approx(120 * 2.5 / 2)
    # half a minute later: that is still near enough to be carried on to
    assert value("increase(c[8m])", begun, at=8.5 * MINUTE) == pytest.approx(120 * 3 / 2)
    # two minutes later: half a step here too
    assert value("increase(c[8m])", begun, at=10 * MINUTE) == pytest.approx(120 * 3 / 2)


def test_growth_is_not_carried_back_to_below_zero() -> None:
    # 30 a minute from 10 on: it was 0 a third of a minute before the first sample in the range
    assert value("increase(c[4m])", series("c", ["_", 10, 40, 70, 100])) == pytest.approx(90 * (3 + 1 / 3) / 3)
    assert value("increase(c[4m])", series("c", ["_", 0, 30, 60, 90])) == pytest.approx(90)


def test_a_range_is_open_at_its_begin() -> None:
    stepped = series("c", [0, 10, 10, 10, 10])
    assert value("increase(c[4m])", stepped) == 0
    assert value("increase(c[5m])", stepped) == pytest.approx(10)


@pytest.mark.parametrize("function", ["rate", "increase", "deriv"])
def test_one_sample_has_no_rate(function: str) -> None:
    assert value(f"{function}(c[1m])", series("c", [1, 2, 3, 4, 5])) is None


def test_where_a_series_ended_is_no_value_of_a_range() -> None:
    # 1, 2 and 4 in (0, 4 min]: 3 in three minutes, and it was 0 one minute before the first
    assert value("increase(c[4m])", series("c", [0, 1, 2, STALE, 4])) == pytest.approx(4)


# -- other functions -------------------------------------------------------------------------------------------------


def test_a_slope_is_by_least_squares() -> None:
    # 0, 0, 3 at 0, 1, 2 minutes: the mean of time is 1, of values 1; (−1)(−1) + 0 + 1·2 = 3 over 2 = 1.5 a minute
    assert value("deriv(g[3m])", series("g", [9, 9, 0, 0, 3])) == pytest.approx(1.5 / 60)
    assert value("deriv(g[4m])", series("g", [5] * 5)) == 0
    assert value("deriv(g[4m])", series("g", [50, 40, 30, 20, 10])) == pytest.approx(-10 / 60)


def test_changes_are_counted_inside_the_range() -> None:
    assert value("changes(g[4m])", series("g", [1, 2, 2, 3, 2])) == 2
    assert value("changes(g[5m])", series("g", [1, 2, 2, 3, 2])) == 3
    assert value("changes(g[1m])", series("g", [1, 2, 3, 4, 5])) == 0
    assert value("changes(g[1m])", series("g", [1])) is None


def test_what_is_absent_is_one_with_the_labels_that_were_asked_for() -> None:
    assert values('absent(x{a="b",c!="d"})') == {key(a="b"): 1}
    assert values("absent(x)", series("x", [0] * 5)) == {}
    assert values("absent(sum(x))") == {key(): 1}


def test_the_time_is_that_of_the_evaluation() -> None:
    assert evaluate("time()", [], 240.0) == 240
    assert value("time() - g", series("g", [0, 0, 0, 0, 200])) == 40


def histogram(**counts: float) -> list[Series]:
    names = {"half": "0.5", "one": "1", "two": "2", "inf": "+Inf"}
    return [series("h_bucket", [count] * 5, le=names[name]) for name, count in counts.items()]


def test_a_quantile_lies_evenly_within_its_bucket() -> None:
    found = histogram(half=10, one=30, two=40, inf=40)
    assert value("histogram_quantile(0.5, h_bucket)", *found) == pytest.approx(0.75)  # 20 of 40: half of 0.5 … 1
    assert value("histogram_quantile(0.1, h_bucket)", *found) == pytest.approx(0.2)  # 4 of 10 in 0 … 0.5
    assert value("histogram_quantile(1, h_bucket)", *found) == 2


def test_a_quantile_above_all_bounds_is_the_highest_of_them() -> None:
    assert value("histogram_quantile(0.9, h_bucket)", *histogram(half=1, one=2, inf=10)) == 1


def test_a_quantile_of_nothing_is_no_number() -> None:
    assert math.isnan(value("histogram_quantile(0.9, h_bucket)", *histogram(half=0, one=0, inf=0)) or 0)
    assert value("histogram_quantile(0.9, h_bucket) > 0", *histogram(half=0, one=0, inf=0)) is None


# -- aggregations and operators --------------------------------------------------------------------------------------

XS = [series("x", [v] * 5, a=a, b=b) for v, a, b in ((1, "p", "1"), (2, "p", "2"), (5, "q", "1"))]
YS = [series("y", [v] * 5, a=a, b=b) for v, a, b in ((10, "p", "1"), (20, "q", "2"))]


def test_aggregations_keep_the_labels_that_are_named() -> None:
    assert values("sum by (a) (x)", *XS) == {key(a="p"): 3, key(a="q"): 5}
    assert values("max by (b) (x)", *XS) == {key(b="1"): 5, key(b="2"): 2}
    assert values("min(x)", *XS) == {key(): 1}
    assert values("sum(nothing)", *XS) == {}


def test_a_comparison_filters_and_keeps_the_value_and_the_name() -> None:
    assert values("x > 1.5", *XS) == {key(**{NAME: "x"}, a="p", b="2"): 2, key(**{NAME: "x"}, a="q", b="1"): 5}
    assert value("4 < x", *XS) == 5
    assert values("x >= bool 2", *XS) == {key(a="p", b="1"): 0, key(a="p", b="2"): 1, key(a="q", b="1"): 1}


def test_arithmetic_drops_the_name() -> None:
    assert values("x * 2 - 1", *XS) == {key(a="p", b="1"): 1, key(a="p", b="2"): 3, key(a="q", b="1"): 9}
    assert evaluate("2 + 3 * 4 / 6", [], 0) == 4
    assert value("x / 0", XS[0]) == math.inf


def test_vectors_are_matched_by_all_labels_or_by_those_that_are_named() -> None:
    assert values("x + y", *XS, *YS) == {key(a="p", b="1"): 11}
    assert values("sum by (a) (x) + on (a) y", *XS, *YS) == {key(a="p"): 13, key(a="q"): 25}
    assert values("sum by (a) (x) + ignoring (b) y", *XS, *YS) == {key(a="p"): 13, key(a="q"): 25}
    assert values("x > y", *XS, *YS) == {}


def test_many_are_matched_to_one_where_group_left_says_so() -> None:
    assert values("x * on (a) group_left () y", *XS, *YS) == {
        key(a="p", b="1"): 10,
        key(a="p", b="2"): 20,
        key(a="q", b="1"): 100,
    }
    assert values("sum by (a) (x) > on () group_left () 0.5 * sum(x)", *XS) == {key(a="q"): 5}
    assert values("sum by (a) (x) * on (a) group_left (b) y", *XS, *YS) == {
        key(a="p", b="1"): 30,
        key(a="q", b="2"): 100,
    }


@pytest.mark.parametrize(
    "expression", ["x + on (a) y", "y + on (a) x", "x * on (a) group_left (b) y", "1 == 1", "x and 1"]
)
def test_what_prometheus_refuses_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        evaluate(expression, [*XS, *YS], 4 * MINUTE)


def test_sets_keep_the_left_side_by_what_is_on_the_right() -> None:
    assert sorted(values("x and y", *XS, *YS).values()) == [1]
    assert sorted(values("x and on (a) (y > 15)", *XS, *YS).values()) == [5]
    assert sorted(values("x unless y", *XS, *YS).values()) == [2, 5]
    assert sorted(values("x or y", *XS, *YS).values()) == [1, 2, 5, 20]
    assert sorted(values("x or on (a) y", *XS, *YS).values()) == [1, 2, 5]


def test_a_variable_of_the_dashboard_has_no_value() -> None:
    with pytest.raises(ValueError, match="variable"):
        evaluate("rate(c[$__rate_interval])", [series("c", [1, 2])], MINUTE)


def test_a_sample_is_told_by_its_labels() -> None:
    assert evaluate("x", [XS[0]], 0) == [Sample({NAME: "x", "a": "p", "b": "1"}, 1)]
