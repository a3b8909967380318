"""Rows held back: the same closed window for every order of arrival and every cut into blocks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import HistogramPoint, window_end
from pipeline.windows.tumbling import ClosedWindow, Pending, Rows

LENGTH = 10


@dataclass(frozen=True)
class Point:
    source: str
    offset: int
    row: int
    time_us: int
    value: float
    histogram: bool = False


def rows_of(points: Sequence[Point]) -> Rows:
    """One block of points of one source, in message order."""
    ints = np.array([[p.row, p.time_us, p.offset] for p in points], np.int64).reshape(-1, 3)
    value = np.array([p.value for p in points], np.float64)
    histograms = {
        i: HistogramPoint(p.value, p.value, np.array([np.inf]), np.array([p.value]))
        for i, p in enumerate(points)
        if p.histogram
    }
    start_us = value.astype(np.int64)
    return Rows(ints[:, 0], ints[:, 1], value, start_us, ints[:, 2], points[0].source, histograms)


def pending(blocks: Sequence[Sequence[Point]]) -> Pending:
    held = Pending()
    for block in blocks:
        rows = rows_of(block)
        held.hold(rows, window_end(rows.time_us, LENGTH))
    return held


def closed(blocks: Sequence[Sequence[Point]], end_us: int = 1010) -> list[tuple[int, int, float, int, float | None]]:
    return told(pending(blocks).close(end_us))


def told(window: ClosedWindow) -> list[tuple[int, int, float, int, float | None]]:
    """(row, time, value, start, sum of its histogram) of each point."""
    sums = [window.histograms[i].sum if i in window.histograms else None for i in range(window.row.size)]
    columns = (window.row, window.time_us, window.value, window.start_us)
    return list(zip(*(column.tolist() for column in columns), sums, strict=True))


def naive(points: Sequence[Point]) -> list[tuple[int, int, float, int, float | None]]:
    """Of each (row, time) the first by source, offset and place in the message, sorted."""
    first: dict[tuple[int, int], Point] = {}
    for point in sorted(points, key=lambda p: (p.source, p.offset)):
        first.setdefault((point.row, point.time_us), point)
    return [
        (row, time_us, p.value, int(p.value), p.value if p.histogram else None)
        for (row, time_us), p in sorted(first.items())
    ]


def test_rows_come_out_sorted_by_row_and_time() -> None:
    points = [Point("in/0", i, row, time, i) for i, (row, time) in enumerate([(2, 1005), (1, 1003), (2, 1001)])]
    assert [entry[:2] for entry in closed([points])] == [(1, 1003), (2, 1001), (2, 1005)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_points_with_the_same_row_and_time_the_first_by_source_and_offset_stays(order: tuple[int, ...]) -> None:
    blocks = [[Point("in/1", 3, 7, 1001, 13.0)], [Point("in/0", 9, 7, 1001, 9.0)], [Point("in/0", 8, 7, 1001, 8.0)]]
    window = pending([blocks[i] for i in order]).close(1010)
    assert window.value.tolist() == [8.0]
    assert window.duplicates == 2


def test_of_repeats_inside_a_message_the_first_stays() -> None:
    points = [Point("in/0", 4, 7, 1001, value) for value in (1.0, 2.0)]
    assert [entry[2] for entry in closed([points])] == [1.0]


def test_a_window_holds_times_from_its_start_to_before_its_end() -> None:
    points = [Point("in/0", i, 0, time, i) for i, time in enumerate((999, 1000, 1009, 1010))]
    held = pending([points])
    assert held.due(10**6) == [1000, 1010, 1020]
    assert held.close(1010).time_us.tolist() == [1000, 1009]


def test_windows_are_due_when_the_watermark_reaches_their_end() -> None:
    held = pending([[Point("in/0", 0, 0, 1005, 0.0), Point("in/0", 1, 0, 1015, 0.0)]])
    assert held.due(1009) == []
    assert held.due(1010) == [1010]
    assert held.due(1020) == [1010, 1020]


def test_holding_says_the_greatest_end_and_the_number_of_rows() -> None:
    held = Pending()
    rows = rows_of([Point("in/0", 0, 0, 1005, 0.0), Point("in/0", 1, 0, 1025, 0.0)])
    assert held.hold(rows, window_end(rows.time_us, LENGTH)) == 1030
    assert len(held) == 2
    held.close(1010)
    assert len(held) == 1


def test_holding_no_rows_holds_nothing() -> None:
    held = Pending()
    none = rows_of([Point("in/0", 0, 0, 1005, 0.0)]).take(np.array([False]))
    assert held.hold(none, np.empty(0, np.int64)) == 0
    assert held.due(10**18) == []


@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=8), max_size=12), st.integers(1, 20))
def test_with_a_bound_all_rows_up_to_the_horizon_are_here_and_of_later_ones_it_is_known_who_waits(
    blocks: list[list[int]], most_rows: int
) -> None:
    held, everything = Pending(most_rows), Pending()
    for offset, times in enumerate(blocks):
        rows = rows_of([Point("in/0", offset, time, 1000 + time, 0.0) for time in times])
        ends = window_end(rows.time_us, LENGTH)
        assert held.hold(rows, ends) == everything.hold(rows, ends)
        assert held.horizon_us is not None or len(held) <= most_rows
    assert held.rows().tolist() == everything.rows().tolist()
    until = 10**6 if held.horizon_us is None else held.horizon_us
    assert held.due(10**6) == everything.due(until)
    assert held.whole == (len(held) == len(everything))
    for end_us in held.due(10**6):
        assert told(held.close(end_us)) == told(everything.close(end_us))
    assert len(held) == 0


def test_a_bound_keeps_the_earliest_windows_and_begins_anew_when_cleared() -> None:
    held = Pending(4)
    for time_us in (1025, 1005, 1015, 1005, 1035):
        rows = rows_of([Point("in/0", time_us, 7, time_us, 0.0)])
        held.hold(rows, window_end(rows.time_us, LENGTH))
    assert (held.due(10**6), held.horizon_us, held.whole, len(held)) == ([1010], 1010, False, 2)
    held.close(1010)
    held.clear()
    assert (held.due(10**6), held.horizon_us, held.whole, len(held)) == ([], None, True, 0)


def test_a_window_that_holds_no_rows_can_be_closed_too() -> None:
    window = pending([]).close(1010)
    assert (window.end_us, window.row.size, window.duplicates, window.sources) == (1010, 0, 0, ())


def test_a_closed_window_says_what_came_from_where() -> None:
    points = [[Point("in/1", 0, 2, 1005, 0.0)], [Point("in/0", 0, 1, 1004, 0.0), Point("in/0", 1, 1, 1004, 0.0)]]
    sources = pending(points).close(1010).sources
    assert [(source, row.tolist()) for source, row in sources] == [("in/0", [1, 1]), ("in/1", [2])]


def test_windows_of_different_lengths_that_end_together_are_closed_together() -> None:
    held = Pending()
    rows = rows_of([Point("in/0", 0, 1, 1005, 1.0), Point("in/0", 1, 0, 961, 2.0)])
    held.hold(rows, np.array([1010, 1010]))
    assert [entry[:3] for entry in told(held.close(1010))] == [(0, 961, 2.0), (1, 1005, 1.0)]


def test_late_rows_wait_apart_for_their_own_time() -> None:
    held, late = pending([[Point("in/0", 0, 1, 1005, 5.0)]]), rows_of([Point("in/0", 1, 7, 905, 6.0)])
    held.hold(replace(late, late=True), np.array([1010]))
    held.hold(replace(late, late=True), np.array([1020]))
    assert (held.due(1020), held.due_late(1010), held.due_late(1020)) == ([1010], [1010], [1010, 1020])
    assert held.rows().tolist() == [1, 7]
    assert [row for row, *_ in told(held.close(1010))] == [1]
    assert (held.due(1020), held.due_late(1020)) == ([], [1010, 1020])
    assert [(rows.row.tolist(), rows.time_us.tolist()) for rows in held.late(1010)] == [([7], [905])]
    assert (held.due_late(1020), held.late(1010), len(held)) == ([1020], [], 1)


def test_late_rows_count_towards_the_bound() -> None:
    held = Pending(4)
    for offset, at in enumerate(range(1010, 1080, 10)):
        late = replace(rows_of([Point("in/0", offset, 1, 905, 6.0)]), late=True)
        held.hold(late, np.array([at]))
    assert (held.horizon_us, held.whole) == (1020, False)
    assert held.due_late(2000) == [1010, 1020]


def test_a_histogram_stays_with_its_point() -> None:
    points = [Point("in/0", 0, 5, 1005, 50.0), Point("in/0", 1, 3, 1005, 30.0, True), Point("in/0", 2, 3, 1004, 31.0)]
    assert [entry[4] for entry in closed([points])] == [None, 30.0, None]


MESSAGE = st.lists(st.tuples(st.integers(0, 3), st.integers(1000, 1003), st.booleans()), min_size=1, max_size=4)


@given(st.dictionaries(st.tuples(st.sampled_from(["in/0", "in/1"]), st.integers(0, 9)), MESSAGE, min_size=1), st.data())
def test_the_closed_window_is_the_same_for_every_order_of_arrival_and_every_cut(
    messages: dict[tuple[str, int], list[tuple[int, int, bool]]], data: st.DataObject
) -> None:
    far = data.draw(st.sampled_from([1, 2**58]), label="distance of row numbers")
    numbers = iter(range(10**6))
    sent = [
        [Point(source, offset, row * far, time, next(numbers), histogram) for row, time, histogram in parts]
        for (source, offset), parts in messages.items()
    ]
    blocks: list[list[Point]] = []
    for message in data.draw(st.permutations(sent), label="order of arrival"):
        joins = bool(blocks) and blocks[-1][0].source == message[0].source and data.draw(st.booleans(), label="joins")
        if joins:
            blocks[-1] = blocks[-1] + message
        else:
            blocks.append(message)
    points = [point for message in sent for point in message]
    window = pending(blocks).close(1010)
    assert told(window) == naive(points)
    assert window.duplicates == len(points) - window.row.size
