"""Trouble that users feel, by its size: requests that take much longer, or fail much more often, than is usual here;
and what they will feel: something that was never nearly full and now is.

How unlikely something is can only be said as far as history reaches: after an hour nothing is rarer than one window in
some hundreds, were it ten times as slow as ever. So what people feel is judged by size as well: far beyond the usual
spread, in several windows or in the mean of some minutes.

Guarantee: a row depends on its own windows alone, whatever the order of rows. One odd window is no trouble, however odd
it is. What is away from usual hardly teaches; a level that lasts ``ADOPTED`` windows is learned anew.

Symbols: x the natural logarithm of a latency, or a share of failures or of a limit; two streams, x of a window and its
exponential mean over about 12; m the median of a stream, h its 98th percentile, both tracked by stochastic steps
(Robbins and Monro 1951), d its mean absolute deviation; z = (x − m)/max(1.25·d, (h − m)/3, the least scale).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: What a row measures.
NOTHING, LATENCY, SHARE, FULL = 0, 1, 2, 3

FIELDS: Mapping[str, npt.DTypeLike] = {
    "what": np.uint8,
    "scale": np.float32,  # to seconds, or to a share
    "seen": np.uint32,
    "median": np.dtype(("f4", (2,))),
    "high": np.dtype(("f4", (2,))),
    "spread": np.dtype(("f4", (2,))),
    "smooth": np.float32,
    "away": np.uint8,  # bit i: was the window i steps ago away from usual
    "far": np.uint8,
    "apart": np.uint8,  # the same of the mean, far from usual
    "lasted": np.uint16,  # windows in a row with trouble
}

#: Windows of data before anything is said, and with trouble after which all is learned anew.
LEARNING, ADOPTED = 40, 240
#: z from which a window is away from usual, and far from it.
AWAY, FAR = 3.0, 6.0
#: Of the last windows so many must be away, and so many of them far; or the mean far in so many running.
_OF, _AWAY_WINDOWS, _FAR_WINDOWS, _MEAN_WINDOWS = 4, 3, 2, 2
_SMOOTH = 1.0 / 12.0
#: Scales above the median that a window counts for in the mean.
_MOST_OF_MEAN = 8.0
#: Least scales of the streams: of ln(latency), of a share of failures, and of one of a limit.
_LEAST = np.array([[1.0, 1.0], [0.05, 0.03], [0.02, 0.008], [0.03, 0.03]])
#: A latency must be so much longer, as a share of the usual one and in seconds, and failures so many more of requests.
LEAST_SLOWER, LEAST_SECONDS, LEAST_FAILED = 0.2, 0.005, 0.01
#: What fills up is trouble from this share of its limit on.
NEARLY_FULL = 0.8
_LEVEL, _SLOWEST_STEP, _PACE_AWAY = 0.98, 0.02, 0.05
_LEAST_SECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class Trouble:
    """Windows in trouble: their places in what was given, how far they are from usual, and what was usual and the least
    that is not any more, in the signal's unit; shapes (found,)."""

    place: Array
    z: Array
    usual: Array
    upper: Array


_NONE = Trouble(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))


def step(state: dict[str, Array], row: Array, value: Array) -> Trouble:
    """Take in one window of distinct rows (``value`` in the signal's unit, both shapes (windows,))."""
    place = np.flatnonzero((state["what"][row] != NOTHING) & np.isfinite(value))
    if not place.size:
        return _NONE
    rows = row[place]
    what, unit = state["what"][rows], state["scale"][rows].astype(np.float64)
    value = value[place] * unit
    x = np.where(what == LATENCY, np.log(np.maximum(value, _LEAST_SECONDS)), value)
    seen = state["seen"][rows].astype(np.int64) + 1
    scale = _scale(state, rows, what)
    median = state["median"][rows].astype(np.float64)
    ready = seen > LEARNING
    before, most = state["smooth"][rows].astype(np.float64), median[:, 0] + _MOST_OF_MEAN * scale[:, 0]
    taken = np.where(ready, np.minimum(x, most), x)  # one window is not the mean of some minutes
    smooth = np.where(seen == 1, x, before + np.maximum(_SMOOTH, 1.0 / seen) * (taken - before))
    streams = np.stack([x, smooth], axis=1)
    z = (streams - median) / scale
    enough = _matters(what, value, smooth, median[:, 0])
    away = _bits(state["away"][rows], ready & (z[:, 0] >= AWAY))
    far = _bits(state["far"][rows], ready & (z[:, 0] >= FAR) & enough[0])
    apart = _bits(state["apart"][rows], ready & (z[:, 1] >= FAR) & enough[1])
    lasts = (np.bitwise_count(away) >= _AWAY_WINDOWS) & (np.bitwise_count(far) >= _FAR_WINDOWS)
    trouble = lasts | (np.bitwise_count(apart & ((1 << _MEAN_WINDOWS) - 1)) >= _MEAN_WINDOWS)
    _learn(state, rows, streams, seen, np.where(ready & (z >= AWAY).any(axis=1), _PACE_AWAY, 1.0))
    lasted = np.where(trouble, state["lasted"][rows].astype(np.int64) + 1, 0)
    state["seen"][rows] = np.where(lasted >= ADOPTED, 0, seen)
    state["lasted"][rows] = np.where(lasted >= ADOPTED, 0, lasted)
    state["smooth"][rows], state["away"][rows], state["far"][rows], state["apart"][rows] = smooth, away, far, apart
    usual, upper = (_measured(what, at) / unit for at in (median[:, 0], median[:, 0] + AWAY * scale[:, 0]))
    return Trouble(place[trouble], z.max(axis=1)[trouble], usual[trouble], upper[trouble])


def is_away(state: dict[str, Array], row: Array) -> Array:
    """Which of these rows were away from usual in several of their last windows, (rows,); one always may be."""
    return np.asarray((np.bitwise_count(state["away"][row]) >= _FAR_WINDOWS) | (state["apart"][row] != 0))


def _scale(state: dict[str, Array], rows: Array, what: Array) -> Array:
    median, high, spread = (state[name][rows].astype(np.float64) for name in ("median", "high", "spread"))
    return np.asarray(np.maximum(np.maximum(1.25 * spread, (high - median) / 3.0), _LEAST[what]))


def _measured(what: Array, x: Array) -> Array:
    """The inverse of what is taken of a value."""
    return np.where(what == LATENCY, np.exp(np.minimum(x, 50.0)), x)


def _matters(what: Array, value: Array, smooth: Array, median: Array) -> tuple[Array, Array]:
    """Is it large enough to be felt: the window, and the mean of some minutes?"""
    usual, mean = _measured(what, median), _measured(what, smooth)
    least = np.where(what == LATENCY, np.maximum(LEAST_SLOWER * usual, LEAST_SECONDS), LEAST_FAILED)
    full = (what != FULL) | (value >= NEARLY_FULL)
    return (value - usual >= least) & full, (mean - usual >= least) & full


def _bits(before: Array, now: Array) -> Array:
    return ((before << 1) | now).astype(np.uint8) & np.uint8((1 << _OF) - 1)


def _learn(state: dict[str, Array], rows: Array, x: Array, seen: Array, pace: Array) -> None:
    k = seen[:, None].astype(np.float64)
    first = k == 1
    median, high, spread = (state[name][rows].astype(np.float64) for name in ("median", "high", "spread"))
    away = np.abs(x - median)
    spread = np.where(first, 0.0, spread)
    most = np.where(k <= 10, np.inf, 4.0 * spread + 1e-6)
    slow = pace[:, None]
    spread = spread + np.maximum(1.0 / k, 0.01) * (np.minimum(away, most) - spread) * slow * ~first
    unit = np.maximum(spread, 1e-6) * np.maximum(2.0 / np.sqrt(k), _SLOWEST_STEP) * slow
    median = np.where(first, x, median + unit * np.sign(x - median))
    moved = np.where(x > high, _LEVEL, _LEVEL - 1.0) * unit
    high = np.where(first, x, high + np.where(x > high, np.minimum(4.0 * moved, x - high), moved))
    for name, array in (("median", median), ("high", np.maximum(high, median)), ("spread", spread)):
        state[name][rows] = array
