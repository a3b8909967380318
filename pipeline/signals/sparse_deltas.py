"""Deltas that are not sent for a span in which nothing happened: where the zeros belong that were left out.

Guarantee: the result depends on the set of points only, and a zero stands for a span of which no part is covered by a
point before it or in its window. Spans are counted on from the newest point, each as long as that one's own, so that a
series says itself how often it would send; where it gives no start times there are no zeros.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import window_end
from pipeline.signals.rates import FIELDS, SortedPoints, WindowValues, delta_rates

Ints = npt.NDArray[np.int64]
_State = dict[str, npt.NDArray[Any]]

#: Spans after the newest point for which nothing means 0, and not a gap.
QUIET_SPANS = 60
#: A time that does not come.
NEVER = 2**62


def sparse_delta_rates(points: SortedPoints, zeros: SortedPoints, state: _State) -> WindowValues:
    """Rates of deltas, with ``zeros`` (sorted like points) for what was left out: they are time in which nothing
    happened, but no points, so that they are neither counted nor remembered."""
    if not zeros.row.size:
        return delta_rates(points, state)
    kept = {name: state[name][zeros.row] for name in FIELDS}
    found = delta_rates(_joined(points, zeros), state)
    for name, before in kept.items():
        state[name][zeros.row] = before
    delta_rates(points.take(np.isin(points.row, zeros.row)), state)  # to remember points
    row, number = np.unique(zeros.row, return_counts=True)
    count = found.count.copy()
    count[np.searchsorted(found.row, row)] -= number
    return WindowValues(found.row, found.value, found.time_us, count)


def absent(points: SortedPoints, row: Ints, length_us: Ints, end_us: int, state: _State) -> SortedPoints:
    """The zeros of ``row`` (distinct, ascending) in the windows that end at ``end_us`` and are so long, and in which
    ``points`` came."""
    last, span = _last_span(state, row)
    row, length_us, last, span = (column[span > 0] for column in (row, length_us, last, span))
    first = np.maximum(_up(end_us - length_us - last, span), 1)
    until = np.minimum(_up(end_us - last, span), QUIET_SPANS + 1)
    number = np.maximum(until - first, 0)
    each = np.repeat(np.arange(row.size), number)
    step = first[each] + np.arange(each.size) - np.repeat(np.cumsum(number) - number, number)
    time_us, span = last[each] + step * span[each], span[each]
    zeros = SortedPoints(row[each], time_us, np.zeros(each.size), time_us - span)
    return zeros.take(~_covered(points, zeros))


def next_absent(row: Ints, length_us: Ints, after_us: int, state: _State) -> Ints:
    """Ends of the first windows after ``after_us`` in which these rows, whose windows are so long, may have a zero;
    NEVER where there is none."""
    last, span = _last_span(state, row)
    known = np.maximum(span, 1)
    step = np.maximum(_up(after_us // length_us * length_us - last, known), 1)
    ends = window_end(last + step * known, length_us)
    return np.where((span > 0) & (step <= QUIET_SPANS), ends, NEVER)


def _last_span(state: _State, row: Ints) -> tuple[Ints, Ints]:
    """Time of the newest point and the span that it covers, 0 where that is not known."""
    last, start = state["last_us"][row], state["last_start_us"][row]
    return last, np.where((start > 0) & (last > start), last - start, 0)


def _up(dividend: Ints, divisor: Ints) -> Ints:
    """The quotient, rounded up."""
    found: Ints = -(-dividend // divisor)
    return found


def _covered(points: SortedPoints, zeros: SortedPoints) -> npt.NDArray[np.bool_]:
    """Does a point cover a part of the span of a zero? One without a start time goes back to the point before it."""
    if not points.row.size or not zeros.row.size:
        return np.zeros(zeros.row.size, np.bool_)
    low = min(int(points.time_us.min()), int(zeros.time_us.min()))
    width = max(int(points.time_us.max()), int(zeros.time_us.max())) - low + 1
    came, left_out = (each.row * width + (each.time_us - low) for each in (points, zeros))
    after = np.searchsorted(came, left_out, side="right")
    before, next_ = np.maximum(after - 1, 0), np.minimum(after, points.row.size - 1)
    reaches = (after > 0) & (points.row[before] == zeros.row) & (points.time_us[before] > zeros.start_us)
    began = (after < points.row.size) & (points.row[next_] == zeros.row) & (points.start_us[next_] < zeros.time_us)
    covered: npt.NDArray[np.bool_] = reaches | began
    return covered


def _joined(points: SortedPoints, zeros: SortedPoints) -> SortedPoints:
    names = ("row", "time_us", "value", "start_us")
    row, time_us, value, start_us = (
        np.concatenate([getattr(each, name) for each in (points, zeros)]) for name in names
    )
    order = np.lexsort((time_us, row))
    return SortedPoints(row[order], time_us[order], value[order], start_us[order])
