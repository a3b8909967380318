"""Deviations of a single row that are not a matter of its forecast: records, standstill, unusual quiet.

Guarantee: each gives a stream of numbers ≥ 0 that grows with how odd the window is; what is odd for the row is for the
tails to say (detectors.tails), but for records, which speak for themselves.
"""

from math import log

from numba import njit

from detectors.layout import CHANGE, HIGH, LAST, LEAST, LOW, MOST, PLACE, RUN, USUAL_CHANGE, USUAL_SPREAD
from detectors.protocol import Floats
from detectors.soft_range import YOUNG

_RECORD = 20.0  # evidence of a record as large as the whole range; less in the first windows, which have many
#: Windows before there are records.
RECORD_FROM = 30
_FORGET = 1.0 / 20_000  # share of a record beyond the soft range that is forgotten a window
#: Windows before quiet is known.
QUIET_FROM = 30


@njit(cache=True, error_model="numpy")
def record(core: Floats, x: float, seen: int) -> float:
    """Evidence that x lies beyond all that was seen, by its distance in ranges."""
    if seen < RECORD_FROM:
        return 0.0
    least, most = core[LEAST], core[MOST]
    span = max(most - least, 1e-3 * max(abs(most), abs(least)) + 1e-300)
    return _RECORD * min(seen / YOUNG, 1.0) * max(x - most, least - x, 0.0) / span


@njit(cache=True, error_model="numpy")
def learn_record(core: Floats, x: float, seen: int) -> None:
    """Remember the least and the greatest value, and forget them slowly towards the soft range."""
    if seen == 0:
        core[LEAST] = core[MOST] = x
        return
    core[LEAST], core[MOST] = min(core[LEAST], x), max(core[MOST], x)
    if seen >= YOUNG:
        core[MOST] -= _FORGET * max(core[MOST] - core[HIGH], 0.0)
        core[LEAST] += _FORGET * max(core[LOW] - core[LEAST], 0.0)


@njit(cache=True, error_model="numpy")
def flat(core: Floats, x: float, seen: int) -> float:
    """Windows in a row before this one that had this very value."""
    core[RUN] = core[RUN] + 1.0 if seen > 0 and x == core[LAST] else 0.0
    return core[RUN]


@njit(cache=True, error_model="numpy")
def quiet(core: Floats, place: float, seen: int) -> float:
    """By how much, in logarithms, the row moves less than it usually does; learns at once."""
    moved = abs(place - core[PLACE]) if seen > 0 else 0.0
    core[PLACE] = place
    core[CHANGE] += max(0.03, 1.0 / (seen + 1)) * (moved - core[CHANGE])
    if seen < QUIET_FROM:
        return 0.0
    now = log(core[CHANGE] + 1e-9)
    if seen == QUIET_FROM:
        core[USUAL_CHANGE], core[USUAL_SPREAD] = now, 0.5
    stillness = max(core[USUAL_CHANGE] - now, 0.0)
    rate = max(0.001, 1.0 / (seen - QUIET_FROM + 1.0))
    away, reach = now - core[USUAL_CHANGE], 3.0 * core[USUAL_SPREAD]
    core[USUAL_CHANGE] += rate * max(min(away, reach), -reach)
    core[USUAL_SPREAD] += rate * (min(abs(away), reach + 0.01) - core[USUAL_SPREAD])
    return stillness
