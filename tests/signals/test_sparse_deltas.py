"""Where the zeros of sparse deltas stand: on the series' own grid, never over a point, for so many spans."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import US
from pipeline.signals.rates import WindowValues
from pipeline.signals.sparse_deltas import NEVER, QUIET_SPANS, absent, next_absent, sparse_delta_rates
from tests.signals.test_rates import Raw, T, by_row, fresh, us, window

#: The tests' time 0 is the beginning of a minute, so that windows are where one expects them.
assert T % 60 == 20
MINUTE = 60


def at(minute: float) -> float:
    """Seconds of a minute that ends with the wall clock's."""
    return 40 + (minute - 1) * MINUTE


def minute(number: float, value: float, row: int = 0) -> Raw:
    return Raw(at(number), value, at(number - 1), row)


def ends(length: int, first: int, last: int) -> list[int]:
    """Ends of all windows of this length in so many seconds."""
    begin = (T + first) // length * length
    return [end * US for end in range(begin + length, T + last + length + 1, length)]


def told(points: list[Raw], length: int, until: int, rows: int = 1) -> dict[int, dict[float, float]]:
    """The rate by row and second at which its window ends."""
    state, found = fresh(rows), {row: {} for row in range(rows)}
    all_rows, lengths = np.arange(rows), np.full(rows, length * US)
    for end_us in ends(length, 0, until):
        held = window([point for point in points if end_us - length * US <= us(point.at) < end_us])
        zeros = absent(held, all_rows, lengths, end_us, state)
        for row, value in by_row(sparse_delta_rates(held, zeros, state)).items():
            found[row][end_us / US - T] = value
    return found


def test_a_minute_of_which_nothing_came_is_a_zero_where_its_point_would_have_stood() -> None:
    (found,) = told([minute(1, 60), minute(2, 120), minute(5, 30)], 10, 350).values()
    rates = [1.0, 2.0, 0.0, 0.0, 0.5, 0.0]
    assert found == {at(number) + 10: rate for number, rate in enumerate(rates, 1)}


def test_a_window_of_several_minutes_counts_those_of_which_nothing_came() -> None:
    points = [minute(1, 60), minute(3, 600), minute(7, 60)]
    (found,) = told(points, 300, 400).values()
    assert list(found.values()) == [1.0, 600 / 300, 60 / 300]  # of the first window only its last minute is known


def test_zeros_end_after_so_many_spans_and_begin_again_after_the_next_point() -> None:
    late = QUIET_SPANS + 30
    (found,) = told([minute(1, 60), minute(late, 60)], 10, int(at(late + 2)) + 10).values()
    zeros = [number for number in range(2, late) if found.get(at(number) + 10) == 0.0]
    assert zeros == list(range(2, QUIET_SPANS + 2))
    assert found[at(late + 1) + 10] == 0.0


def test_a_zero_is_no_point() -> None:
    state = fresh(1)
    sparse_delta_rates(window([minute(1, 60)]), window([]), state)
    before = {name: array.copy() for name, array in state.items()}
    (end,) = [end for end in ends(10, 0, 400) if end - 10 * US == us(at(2))]
    zeros = absent(window([]), np.array([0]), np.array([10 * US]), end, state)
    found = sparse_delta_rates(window([]), zeros, state)
    assert (found.value.tolist(), found.count.tolist(), found.time_us.tolist()) == ([0.0], [0], [us(at(2))])
    assert all((state[name] == before[name]).all() for name in state)


def test_without_start_times_there_are_no_zeros() -> None:
    (found,) = told([Raw(at(1), 60), Raw(at(2), 60)], 10, 400).values()
    assert found == {at(2) + 10: 1.0}


def test_a_point_that_covers_a_part_of_a_span_leaves_no_zero_for_it() -> None:
    points = [minute(1, 60), Raw(at(3.5), 90, at(2.5)), minute(7, 60)]
    state = fresh(1)
    sparse_delta_rates(window(points[:1]), window([]), state)
    end = us(at(8))
    zeros = absent(window(points[1:]), np.array([0]), np.array([7 * MINUTE * US]), end, state)
    assert [time / US - T for time in zeros.time_us.tolist()] == [at(2), at(5), at(6)]


@given(
    st.lists(st.sets(st.integers(1, 40), min_size=1), min_size=1, max_size=3),
    st.sampled_from([7, 10, 30, 60]),
)
def test_every_minute_from_the_first_on_has_one_value(rows: list[set[int]], length: int) -> None:
    points = [minute(number, number, row) for row, minutes in enumerate(rows) for number in sorted(minutes)]
    found = told(points, length, int(at(42)), len(rows))
    for row, minutes in enumerate(rows):
        wanted = {number: number / MINUTE if number in minutes else 0.0 for number in range(min(minutes), 42)}
        by_end = {int((T + at(number)) // length + 1) * length - T: rate for number, rate in wanted.items()}
        assert {end: value for end, value in found[row].items() if end in by_end} == pytest.approx(by_end)
        assert all(end > at(41) for end in found[row].keys() - by_end.keys())


@given(st.sets(st.integers(1, 100), min_size=1), st.sampled_from([7, 10, 60, 300]), st.integers(0, 90))
def test_the_next_window_with_a_zero_is_where_it_is_said_to_be(minutes: set[int], length: int, after: int) -> None:
    """Only windows that it names can have zeros, and with no more points all that it names have some."""
    state = fresh(1)
    last = max(minutes)
    sparse_delta_rates(window([minute(last, 1)]), window([]), state)
    row, lengths = np.array([0]), np.array([length * US])
    now = us(at(last) + after)
    (following,) = next_absent(row, lengths, now, state).tolist()
    with_zeros = [
        end
        for end in ends(length, int(at(last)), int(at(last + QUIET_SPANS + 2)))
        if end > now and absent(window([]), row, lengths, end, state).row.size
    ]
    assert following == with_zeros[0]
    assert next_absent(row, lengths, us(at(last + QUIET_SPANS + 10)), state).tolist() == [NEVER]
    assert next_absent(row, lengths, now, fresh(1)).tolist() == [NEVER]
    for one, other in pairwise(with_zeros):
        assert next_absent(row, lengths, one, state).tolist() == [other]


def test_what_there_is_of_nothing_is_nothing() -> None:
    none = np.empty(0, np.int64)
    zeros = absent(window([]), none, none, us(60), fresh(1))
    found: WindowValues = sparse_delta_rates(window([]), zeros, fresh(1))
    assert zeros.row.size == found.row.size == 0
