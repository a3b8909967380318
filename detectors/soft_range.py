"""The soft range: where a row's values usually are, and a window's place in it, whatever its unit.

Guarantee: one window moves a bound by a bounded share of the range. The place is 0 … 1 inside and grows with the
logarithm of the distance outside, so that no value is so large that it hides all others.

The first 100 windows give minimum and maximum; then the 6th least and the 5th greatest of them are the bounds, which
follow the 5 % and 95 % quantiles by stochastic steps (Robbins and Monro 1951).
"""

from math import log

from numba import njit

from detectors.layout import HIGH, LOW
from detectors.protocol import Floats

#: Windows that make the first bounds, and how many of the least and greatest of them are passed over.
YOUNG = 100
LEAST_KEPT, MOST_KEPT = 6, 5
_FARTHEST = 15.0


@njit(cache=True, error_model="numpy")
def width(low: float, high: float) -> float:
    """The range, never less than a thousandth of its bounds."""
    return max(high - low, 1e-3 * max(abs(low), abs(high)) + 1e-300)


@njit(cache=True, error_model="numpy")
def place(core: Floats, x: float) -> float:
    """Where x stands: 0 at the lower bound, 1 at the upper one, at most 15 beyond."""
    z = (x - core[LOW]) / width(core[LOW], core[HIGH])
    y = 1.0 + log(z) if z > 1.0 else (-log(1.0 - z) if z < 0.0 else z)
    return min(max(y, -_FARTHEST), _FARTHEST)


@njit(cache=True, error_model="numpy")
def follow_young(core: Floats, least: Floats, most: Floats, x: float, seen: int) -> None:
    """While the row is young: keep the least values (LEAST_KEPT,) ascending and the greatest (MOST_KEPT,)
    descending."""
    if seen == 0:
        least[:] = x
        most[:] = x
    else:
        _insert(least, x, seen, 1.0)
        _insert(most, x, seen, -1.0)
    young = seen + 1 < YOUNG
    core[LOW] = least[0] if young else least[LEAST_KEPT - 1]
    core[HIGH] = most[0] if young else most[MOST_KEPT - 1]


@njit(cache=True, error_model="numpy")
def _insert(kept: Floats, x: float, seen: int, sign: float) -> None:
    """Put x in its place among the first ``seen`` values kept; sign 1 keeps the least, −1 the greatest."""
    filled = min(seen, kept.size)
    for j in range(filled):
        if sign * x < sign * kept[j]:
            kept[j], x = x, kept[j]
    if filled < kept.size:
        kept[filled:] = x


@njit(cache=True, error_model="numpy")
def follow(core: Floats, x: float, seen: int) -> None:
    """Move the bounds of a grown row a little towards their quantiles."""
    step = width(core[LOW], core[HIGH]) * max(2.0 / min(seen + 1, 5000), 1.0 / 5000)
    core[HIGH] += 0.95 * step if x > core[HIGH] else -0.05 * step
    core[LOW] -= 0.95 * step if x < core[LOW] else -0.05 * step
