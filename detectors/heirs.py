"""Heirs: rows that begin with what others like them have learned, are fitted in their first windows, and then watched.

Guarantee: the rows that an heir inherits from stay as they are; it says nothing in the WINDOWS windows in which it is
fitted. The order of all donors but the first does not matter, nor does the unit.

A *sibling's* heir takes over everything from the first donor, its spreads no narrower than the median of all, and its
level moves by the mean deviation of its first windows.

A *stranger's* heir (the same metric of another workload) takes over how much such values spread, but neither when nor
in what shapes: no season, no shapes, no distribution of evidence. Its spreads grow in proportion to its level and to
the changes of its first windows; they shrink only where its level is less than a quarter of the donor's and it moves,
so that a row which stands still at first is not taken for one that always will. The history counts as STRANGE_SEEN
windows, so that its own windows soon count more.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from detectors import drift, season, tails
from detectors import layout as at
from detectors.protocol import State

#: Windows in which an heir is fitted.
WINDOWS = 5
#: Arrays that speak of a row's own present, and that every heir begins with zeros: an heir has had no disturbance.
OWN = ("evidence",)
#: Arrays of which the heir of a stranger takes nothing either.
_STRANGE = ("week", "visits", "day", "day_visits", "blocks", "totals")
_STRANGE_TAILS = [at.QUIET, at.DRIFT, at.SHAPE_16, at.SHAPE_48, at.SHAPE_96]
_STRANGE_CORE = [at.OFFSET, at.CLOCK, at.EARLY, at.ONTIME, at.TARDY, at.VISIT_SUM, at.VISIT_COUNT, at.VISIT_HOUR]
#: Windows that the history of a stranger counts for, and of its tails.
STRANGE_SEEN, _STRANGE_VALUES = 100, 30.0
# Columns of ``core`` that the fitting borrows; nothing else reads them before it is over.
_LEAST_AWAY, _MOST_AWAY, _CHANGES, _STRANGER = at.AWAY, at.HOURLY, at.LASTING, at.RUN
_SPREADS = 3  # tails RESIDUAL, SEASON and HOUR are in the row's unit
_REACH = 3.0  # mean changes that the soft range reaches to both sides of the level at least
_POINT_PRIOR = (3.0, 0.8)  # u and mean excess of a tail, in mean errors
_FAR_BELOW, _MOST_FACTOR = 0.25, 100.0  # levels in the donor's: below it spreads shrink, beyond it they stay
_ROUNDING = 1e-7  # of seasons, which are kept in single precision
_DRIFTING = 0.2  # mean distance that drift is taken to have while the distribution of values is not known


def inherit(state: State, row: int, donor: int, others: Sequence[int] = (), *, stranger: bool = False) -> None:
    """Give a new row the baseline of ``donor``, with spreads no narrower than the median of it and ``others``.
    ``stranger``: the donor is of another workload."""
    arrays = state.arrays
    phase = arrays["phase"][row]
    for name, array in arrays.items():
        array[row] = 0 if name in OWN or (stranger and name in _STRANGE) else array[donor]
    arrays["phase"][row] = phase
    core, streams = arrays["core"][row], arrays["tails"][row]
    if others:
        _pool(arrays["core"], arrays["tails"], arrays["totals"], np.array([donor, *others]), row)
    core[[at.ALIGN, at.ALIGN_SUM]] = WINDOWS, 0.0
    core[[at.HOT, _LEAST_AWAY, _MOST_AWAY, _CHANGES, _STRANGER]] = 0.0
    if stranger:
        core[_STRANGER] = 1.0
        core[_STRANGE_CORE] = 0.0
        streams[_STRANGE_TAILS] = 0.0
        tails.begin(streams[at.DRIFT], _DRIFTING, *_POINT_PRIOR)
        streams[at.DRIFT, tails.VALUES] = _STRANGE_VALUES
        arrays["histograms"][row, : drift.BINS] = arrays["histograms"][row, drift.BINS :]
        arrays["seen"][row] = STRANGE_SEEN


@njit(cache=True, error_model="numpy")
def _pool(core: Any, streams: Any, totals: Any, of: Any, row: int) -> None:
    """The spreads of ``row`` become those of the first of some rows, or their medians where these are greater."""
    for j in (at.SCALE, at.USUAL_AWAY):
        core[row, j] = _pooled(core[of, j])
    for j in range(_SPREADS):
        for k in (tails.MEAN, tails.U, tails.FIRST, tails.SECOND):
            streams[row, j, k] = _pooled(streams[of, j, k])
    for j in (at.TOTAL_U, at.TOTAL_MEAN):
        totals[row, j] = _pooled(totals[of, j])


@njit(cache=True, error_model="numpy")
def _pooled(spreads: Any) -> float:
    return max(spreads[0], np.median(spreads))


@njit(cache=True, error_model="numpy")
def move(core: Any, step: float) -> None:
    """Move the level of a row, with its season and its soft range."""
    core[at.OFFSET] += step
    core[at.VISIT_SUM] -= step * core[at.VISIT_COUNT]
    core[at.SLOW] += step
    core[at.LOW] += step
    core[at.HIGH] += step
    core[at.HOURLY] -= step


@njit(cache=True, error_model="numpy")
def fit(state: Any, i: int, x: float, now: float, scored: Any) -> None:
    """One of the first windows of an heir; after the last its level and its spread are its own. Nothing is said."""
    core = state.core[i]
    hour, part = season.hour_of(now)
    hour = (hour + int(core[at.CLOCK]) + season.HOURS) % season.HOURS
    offset = core[at.OFFSET]
    level = (
        season.usual(
            state.week[i], state.visits[i], state.day[i], state.day_visits[i], hour, part, 0, core[at.SLOW] - offset
        )
        + offset
    )
    away = x - level
    if core[at.ALIGN] == WINDOWS:
        core[_LEAST_AWAY] = core[_MOST_AWAY] = away
    else:
        core[_LEAST_AWAY] = min(core[_LEAST_AWAY], away)
        core[_MOST_AWAY] = max(core[_MOST_AWAY], away)
        core[_CHANGES] += abs(x - core[at.LAST])
    core[at.ALIGN_SUM] += away
    core[at.ALIGN] -= 1.0
    core[at.TIME], core[at.LAST] = now, x
    half = (state.tails[i, at.RESIDUAL, tails.U] + 4.0 * core[at.SCALE]) * 2.0
    scored[0, i], scored[1, i], scored[2, i] = level, level - half, level + half
    scored[3, i], scored[4, i], scored[5, i] = 0.0, 0.0, 0.0
    if core[at.ALIGN] == 0.0:
        _settle(core, state.tails[i], level, x)


@njit(cache=True, error_model="numpy")
def _settle(core: Any, streams: Any, level: float, x: float) -> None:
    """The last of the first windows: move the level by the mean deviation."""
    step = core[at.ALIGN_SUM] / WINDOWS
    change = core[_CHANGES] / (WINDOWS - 1.0)
    before, lowest, highest = core[at.SLOW], level + core[_LEAST_AWAY], level + core[_MOST_AWAY]
    move(core, step)
    core[at.LEAST] += step
    core[at.MOST] += step
    if core[_STRANGER] > 0.0:
        core[at.OFFSET] = 0.0
        _spread(core, streams, before, change, lowest, highest)
    core[at.HOURLY] = core[at.AWAY] = core[at.LASTING] = core[at.RUN] = 0.0
    core[at.FAST] = core[at.MEDIUM] = x
    core[at.SEASONAL] = level + step
    core[at.VISIT_SUM] = core[at.VISIT_COUNT] = core[at.VISIT_HOUR] = 0.0


@njit(cache=True, error_model="numpy")
def _spread(core: Any, streams: Any, before: float, change: float, lowest: float, highest: float) -> None:
    """What a stranger's heir usually does: as the donor did around its level ``before``, at least what it has done."""
    level = core[at.SLOW]
    ratio = abs(level) / abs(before) if before != 0.0 else 1.0
    factor = min(max(ratio, 1.0), _MOST_FACTOR)
    if change > 0.0 and ratio < _FAR_BELOW:
        factor = ratio / _FAR_BELOW
    change = max(change, _ROUNDING * abs(level))
    positive = core[at.LEAST] - (level - before) >= 0.0 and lowest >= 0.0
    core[at.LOW] = min(level - max(factor * (level - core[at.LOW]), _REACH * change), lowest)
    core[at.HIGH] = max(level + max(factor * (core[at.HIGH] - level), _REACH * change), highest)
    core[at.LEAST] = min(level - factor * (level - core[at.LEAST]), core[at.LOW])
    core[at.MOST] = max(level + factor * (core[at.MOST] - level), core[at.HIGH])
    if positive:
        core[at.LOW], core[at.LEAST] = max(core[at.LOW], 0.0), max(core[at.LEAST], 0.0)
    _widen(core, streams, factor, change)
    core[at.AWAY_SPREAD] *= factor
    for j in range(_SPREADS):
        streams[j, tails.EXCESSES] = tails.PRIOR_EXCESSES
        streams[j, tails.VALUES] = _STRANGE_VALUES


@njit(cache=True, error_model="numpy")
def _widen(core: Any, streams: Any, factor: float, least: float) -> None:
    """Spreads become ``factor`` times what they are, and those of a row whose usual error is ``least`` at least."""
    core[at.SCALE] = max(factor * core[at.SCALE], least)
    core[at.USUAL_AWAY] = max(factor * core[at.USUAL_AWAY], least)
    for j in range(_SPREADS):
        tail = streams[j]
        tail[tails.MEAN] = max(factor * tail[tails.MEAN], least)
        tail[tails.U] = max(factor * tail[tails.U], _POINT_PRIOR[0] * least)
        tail[tails.FIRST] = max(factor * tail[tails.FIRST], _POINT_PRIOR[1] * least)
        tail[tails.SECOND] = max(factor * factor * tail[tails.SECOND], 2.3 * (_POINT_PRIOR[1] * least) ** 2)
