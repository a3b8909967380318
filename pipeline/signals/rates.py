"""Raw values of one window to one value per signal: means of gauges, rates of counters and deltas.

Guarantee: the result depends on the set of points only, not on the order in which they came: rows arrive here sorted
by (row, time) with duplicates removed. A counter that drops, or whose start time moves on, was reset: what it shows
after the reset counts as increase. State is named arrays, one row per signal.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import US, Kind

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Codes of the kinds in array columns.
GAUGE, COUNTER, DELTA, HISTOGRAM, HISTOGRAM_DELTA, SHARE, COUNT, SPARSE_DELTA = range(8)
KIND_CODES = {
    Kind.GAUGE: GAUGE,
    Kind.COUNTER: COUNTER,
    Kind.DELTA: DELTA,
    Kind.HISTOGRAM: HISTOGRAM,
    Kind.HISTOGRAM_DELTA: HISTOGRAM_DELTA,
    Kind.SHARE: SHARE,
    Kind.COUNT: COUNT,
    Kind.SPARSE_DELTA: SPARSE_DELTA,
}

#: Finite points may add up to more than a float holds; the caller drops and counts such values.
_TOO_LARGE = np.errstate(over="ignore", invalid="ignore")

FIELDS = {"last_value": np.float64, "last_us": np.int64, "last_start_us": np.int64}


@dataclass(frozen=True, slots=True)
class SortedPoints:
    """Points of one window, sorted by (row, time), no two with the same row and time. All shapes (points,)."""

    row: Ints
    time_us: Ints
    value: Floats
    start_us: Ints  # 0 = unknown

    def take(self, mask: npt.NDArray[np.bool_]) -> "SortedPoints":
        return SortedPoints(self.row[mask], self.time_us[mask], self.value[mask], self.start_us[mask])


@dataclass(frozen=True, slots=True)
class WindowValues:
    """One value per signal that has one: ``row``, ``value``, newest point's time and number of points, (signals,)."""

    row: Ints
    value: Floats
    time_us: Ints
    count: Ints


def firsts(row: Ints) -> npt.NDArray[np.intp]:
    """Positions where a new row begins in a sorted column."""
    return np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]])) if row.size else np.empty(0, np.intp)


@_TOO_LARGE
def means(points: SortedPoints) -> WindowValues:
    """Gauges: the mean of the window's points."""
    start = firsts(points.row)
    if not start.size:
        return _none()
    count = np.diff(np.append(start, points.row.size))
    total = np.add.reduceat(points.value, start)
    return WindowValues(points.row[start], total / count, points.time_us[start + count - 1], count)


def counter_rates(points: SortedPoints, state: dict[str, npt.NDArray[Any]]) -> WindowValues:
    """Cumulative counters: increase per second since the signal's newest earlier point, which may be in an earlier
    window. The first point ever of a signal gives no value, unless it is 0 and tells when counting started."""
    return _rates(points, state, cumulative=True)


def delta_rates(points: SortedPoints, state: dict[str, npt.NDArray[Any]]) -> WindowValues:
    """Deltas: increase per second of the time that they cover: from their start time, else from the point before."""
    return _rates(points, state, cumulative=False)


@_TOO_LARGE
def _rates(points: SortedPoints, state: dict[str, npt.NDArray[Any]], *, cumulative: bool) -> WindowValues:
    start = firsts(points.row)
    if not start.size:
        return _none()
    rows = points.row[start]
    before_value, before_us, before_start = (_shifted(points, start, state, name) for name in FIELDS)
    began = points.start_us
    if cumulative:
        reset = (points.value < before_value) | ((began > before_start) & (began > before_us) & (before_us > 0))
        increase = np.where(reset, points.value, points.value - before_value)
        since = np.where(reset & (began > 0), np.maximum(began, before_us), before_us)
        first_known = (before_us == 0) & (began > 0) & (began < points.time_us) & (points.value == 0)
        increase, since = np.where(first_known, 0.0, increase), np.where(first_known, began, since)
    else:
        increase = points.value
        since = np.where(began > 0, began, before_us)
    elapsed = np.where(since > 0, points.time_us - since, 0)
    usable = elapsed > 0
    total = np.add.reduceat(np.where(usable, increase, 0.0), start)
    seconds = np.add.reduceat(np.where(usable, elapsed, 0), start) / US
    count = np.diff(np.append(start, points.row.size))
    last = start + count - 1
    _remember(points, last, rows, state)
    good = seconds > 0
    return WindowValues(rows[good], total[good] / seconds[good], points.time_us[last][good], count[good])


@_TOO_LARGE
def counts(points: SortedPoints, window_us: Ints) -> WindowValues:
    """Things counted when they happened: how many a second; ``window_us`` (points,) are the windows' lengths."""
    start = firsts(points.row)
    if not start.size:
        return _none()
    number = np.diff(np.append(start, points.row.size))
    total = np.add.reduceat(points.value, start) / (window_us[start] / US)
    return WindowValues(points.row[start], total, points.time_us[start + number - 1], number)


def _shifted(
    points: SortedPoints, start: npt.NDArray[np.intp], state: dict[str, npt.NDArray[Any]], name: str
) -> npt.NDArray[Any]:
    """For each point the field of the point before it: in the window, else from the state."""
    column = {"last_value": points.value, "last_us": points.time_us, "last_start_us": points.start_us}[name]
    shifted = np.empty_like(column)
    shifted[1:] = column[:-1]
    shifted[start] = state[name][points.row[start]]
    return shifted


def _remember(points: SortedPoints, last: npt.NDArray[np.intp], rows: Ints, state: dict[str, npt.NDArray[Any]]) -> None:
    state["last_value"][rows] = points.value[last]
    state["last_us"][rows] = points.time_us[last]
    state["last_start_us"][rows] = points.start_us[last]


def _none() -> WindowValues:
    ints = np.empty(0, np.int64)
    return WindowValues(ints, np.empty(0), ints, ints)
