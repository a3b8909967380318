"""What the values of windows are made of, cut out so that a value can be worked out again with points that came late.

Guarantee: the same sums as of windows that close (``signals.rates``), over the same points and what was known before
them. Values of histograms, and counts of events, are not worked out again.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import US
from pipeline.scoring.corrections import Episode, Judged, Made
from pipeline.signals import rates, sparse_deltas

Array = npt.NDArray[Any]

#: Kinds of which the value of a window follows from its points and the newest before them.
KINDS = (rates.GAUGE, rates.COUNTER, rates.DELTA, rates.SPARSE_DELTA)
#: Of these, those in which the newest point before the window counts.
_FOLLOW = KINDS[1:]


def made_of(row: int, points: rates.SortedPoints, before: dict[str, Array]) -> Made:
    """The part of a row in the points of a window; ``before``: what was known of all rows (``rates.FIELDS``)."""
    first, last = np.searchsorted(points.row, (row, row + 1))
    inside = slice(first, last)
    time_us, value, start_us = points.time_us[inside], points.value[inside], points.start_us[inside]
    last = (float(before["last_value"][row]), int(before["last_us"][row]), int(before["last_start_us"][row]))
    return Made(time_us.copy(), value.copy(), start_us.copy(), last)


def with_late(kind: int, episode: Episode, window: Judged, time_us: int, value: float, start_us: int) -> Made | None:
    """What a window is made of, with a point that came late; None where the point changes nothing.

    A point before the window takes away what happened before it from what the window tells. So that what was odd then
    is not lost, it must be of another window of the episode, or tell what is usual itself.
    """
    made = window.made
    if window.start_us <= time_us < window.end_us:
        return made.with_point(time_us, value, start_us)
    if kind not in _FOLLOW or not 0 < made.before[1] < time_us < window.start_us:
        return None
    told = any(each.start_us <= time_us < each.end_us for each in episode.windows.values())
    if told or window.low <= _rate(kind, made.before, time_us, value, start_us) <= window.high:
        return Made(made.time_us, made.value, made.start_us, (value, time_us, start_us))
    return None


def _rate(kind: int, before: tuple[float, int, int], time_us: int, value: float, start_us: int) -> float:
    """What a point tells alone, a second."""
    last, last_us, _ = before
    increase = value - last if kind == rates.COUNTER and value >= last else value
    since_us = start_us if kind != rates.COUNTER and start_us > 0 else last_us
    return increase * US / (time_us - since_us) if time_us > since_us else math.nan


def value_of(kind: int, window: Judged) -> float | None:
    """The value of a window; None where there is none that is finite."""
    made = window.made
    one = np.zeros(made.time_us.size, np.int64)
    points = rates.SortedPoints(one, made.time_us, made.value, made.start_us)
    known = {
        name: np.array([value], dtype) for (name, dtype), value in zip(rates.FIELDS.items(), made.before, strict=True)
    }
    if kind == rates.GAUGE:
        found = rates.means(points)
    elif kind == rates.COUNTER:
        found = rates.counter_rates(points, known)
    elif kind == rates.DELTA:
        found = rates.delta_rates(points, known)
    else:
        row, length = np.zeros(1, np.int64), np.array([window.end_us - window.start_us])
        zeros = sparse_deltas.absent(points, row, length, window.end_us, known)
        found = sparse_deltas.sparse_delta_rates(points, zeros, known)
    value = float(found.value[0]) if found.value.size else math.nan
    return value if math.isfinite(value) else None
