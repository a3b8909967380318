"""Raw values to one value per window: means of gauges, rates of counters and deltas, resets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import US
from pipeline.signals.rates import FIELDS, SortedPoints, WindowValues, counter_rates, delta_rates, means

#: Seconds since the epoch at which tests begin.
T = 1_700_000_000


@dataclass(frozen=True)
class Raw:
    """A raw point; times in seconds after T, ``start`` None where the producer gave none."""

    at: float
    value: float
    start: float | None = None
    row: int = 0


def us(seconds: float | None) -> int:
    return 0 if seconds is None else round((T + seconds) * US)


def window(points: Sequence[Raw]) -> SortedPoints:
    ordered = sorted(points, key=lambda p: (p.row, p.at))
    ints = np.array([[p.row, us(p.at), us(p.start)] for p in ordered], np.int64).reshape(-1, 3)
    return SortedPoints(ints[:, 0], ints[:, 1], np.array([p.value for p in ordered], np.float64), ints[:, 2])


def fresh(rows: int = 4) -> dict[str, np.ndarray]:
    return {name: np.zeros(rows, dtype) for name, dtype in FIELDS.items()}


def by_row(values: WindowValues) -> dict[int, float]:
    return dict(zip(values.row.tolist(), values.value.tolist(), strict=True))


def counter(*windows: Sequence[Raw]) -> list[float | None]:
    """Rate of row 0 in each window, None where there is none."""
    state = fresh()
    return [by_row(counter_rates(window(points), state)).get(0) for points in windows]


def delta(*windows: Sequence[Raw]) -> list[float | None]:
    state = fresh()
    return [by_row(delta_rates(window(points), state)).get(0) for points in windows]


# Gauges


def test_a_gauge_is_the_mean_of_its_points_with_the_newest_time_and_the_count() -> None:
    found = means(window([Raw(1, 1.0), Raw(2, 3.0), Raw(4, 8.0), Raw(3, 5.0, row=2)]))
    assert by_row(found) == {0: 4.0, 2: 5.0}
    assert found.time_us.tolist() == [us(4), us(3)]
    assert found.count.tolist() == [3, 1]


def test_no_points_have_no_values() -> None:
    assert means(window([])).row.size == 0
    assert counter_rates(window([]), fresh()).row.size == 0
    assert delta_rates(window([]), fresh()).row.size == 0


# Counters


def test_a_counter_is_its_increase_per_second_across_windows() -> None:
    assert counter([Raw(0, 100), Raw(5, 110)], [Raw(10, 130), Raw(15, 130)]) == [2.0, 2.0]


def test_the_first_point_ever_of_a_counter_gives_no_value() -> None:
    assert counter([Raw(0, 100)], [Raw(10, 150)]) == [None, 5.0]
    assert counter([Raw(0, 100, start=-50)], [Raw(10, 150, start=-50)]) == [None, 5.0]


def test_a_first_point_of_zero_that_tells_when_counting_began_is_a_rate_of_zero() -> None:
    assert counter([Raw(5, 0, start=0)], [Raw(10, 50, start=0)]) == [0.0, 10.0]


def test_a_counter_that_drops_was_reset_and_shows_its_increase_since() -> None:
    assert counter([Raw(0, 100)], [Raw(10, 30)]) == [None, 3.0]


def test_after_a_drop_with_a_start_time_the_time_counts_from_the_start() -> None:
    assert counter([Raw(0, 100, start=-50)], [Raw(10, 30, start=5)]) == [None, 6.0]


def test_a_start_time_after_the_point_before_is_a_reset_even_if_the_value_is_higher() -> None:
    assert counter([Raw(0, 100, start=-50)], [Raw(10, 120, start=4)]) == [None, 20.0]


def test_a_drop_with_an_old_start_time_counts_from_the_point_before() -> None:
    assert counter([Raw(0, 100, start=-50)], [Raw(10, 30, start=-50)]) == [None, 3.0]


def test_a_start_time_that_only_becomes_known_is_no_reset() -> None:
    assert counter([Raw(0, 100)], [Raw(10, 150, start=-50)]) == [None, 5.0]


def test_a_reset_inside_a_window_keeps_the_increase_on_both_sides() -> None:
    assert counter([Raw(0, 100), Raw(5, 120), Raw(10, 10)]) == [3.0]


def test_a_gap_of_windows_gives_the_mean_rate_over_the_gap() -> None:
    assert counter([Raw(0, 0)], [], [], [Raw(30, 90)]) == [None, None, None, 3.0]


def test_counters_of_different_rows_do_not_touch_each_other() -> None:
    state = fresh()
    counter_rates(window([Raw(0, 10, row=1), Raw(0, 1000, row=3)]), state)
    found = counter_rates(window([Raw(10, 20, row=1), Raw(10, 0, row=2), Raw(10, 1500, row=3)]), state)
    assert by_row(found) == {1: 1.0, 3: 50.0}


# Deltas


def test_a_delta_with_a_start_time_covers_the_time_since_its_start() -> None:
    assert delta([Raw(10, 50, start=0), Raw(20, 30, start=10)]) == [4.0]


def test_a_delta_without_a_start_time_covers_the_time_since_the_point_before() -> None:
    assert delta([Raw(0, 50)], [Raw(10, 30), Raw(20, 10)]) == [None, 2.0]


def test_a_delta_may_be_smaller_than_the_one_before_without_being_a_reset() -> None:
    assert delta([Raw(10, 50, start=0)], [Raw(20, 5, start=10)]) == [5.0, 0.5]


def test_the_time_between_deltas_that_nothing_covers_does_not_count() -> None:
    assert delta([Raw(10, 50, start=0), Raw(100, 50, start=90)]) == [5.0]


def test_a_start_time_that_is_not_before_the_point_covers_nothing() -> None:
    assert delta([Raw(10, 50, start=10)], [Raw(20, 5, start=30)]) == [None, None]


# Against a twin that walks one series point by point


def naive(points: Sequence[Raw], before: Raw | None, *, cumulative: bool) -> tuple[float | None, Raw | None]:
    increase = elapsed = 0.0
    for p in points:
        start = -np.inf if p.start is None else p.start
        if not cumulative:
            since = p.start if p.start is not None else before.at if before else np.inf
            more = p.value
        elif before is None:
            since, more = (p.start, 0.0) if p.start is not None and p.value == 0 else (np.inf, 0.0)
        else:
            old_start = -np.inf if before.start is None else before.start
            reset = p.value < before.value or (start > old_start and start > before.at)
            since = max(start, before.at) if reset else before.at
            more = p.value if reset else p.value - before.value
        if since is not None and since < p.at:
            increase, elapsed = increase + more, elapsed + p.at - since
        before = p
    return (increase / elapsed if elapsed > 0 else None), before


POINT = st.tuples(st.integers(0, 3), st.integers(1, 20), st.integers(0, 5), st.none() | st.integers(-3, 12))


@given(st.lists(POINT, max_size=25), st.booleans(), st.data())
def test_rates_agree_with_the_twin_however_the_points_fall_into_windows(
    drawn: list[tuple[int, int, int, int | None]], cumulative: bool, data: st.DataObject
) -> None:
    at, points = 0, []
    for row, step, value, start in drawn:
        at += step
        points.append(Raw(at, value, None if start is None else at - start, row))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(points)), max_size=3)))
    state, before = fresh(), dict.fromkeys(range(4))
    for start, end in zip([0, *cuts], [*cuts, len(points)], strict=True):
        part = points[start:end]
        found = by_row((counter_rates if cumulative else delta_rates)(window(part), state))
        for row in range(4):
            rate, before[row] = naive([p for p in part if p.row == row], before[row], cumulative=cumulative)
            assert found.get(row) == (rate if rate is None else pytest.approx(rate))
