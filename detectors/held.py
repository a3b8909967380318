"""What a row was like before an incident: held while it lasts, and gone back to when it is over, so that one incident
does not hide the next.

Guarantee: nothing is changed here but at the end of an incident (6 to 11 surprising windows in a row, see BEGINS): then
tails, soft range, records and usual spreads become what they were before the first of those windows, but for a share
KEPT of what was learned meanwhile. So what comes again and again becomes usual, half of it after ln 0.5 / ln(1 − KEPT)
times (3.1). An incident is over after CALM_WINDOWS windows that would have been calm before it. What is held is let go
of when a new level is adopted, and after LONGEST windows without such calm: then what the row has become is the new
normal.
"""

from typing import Any

import numpy as np
from numba import njit

from detectors import drift, novelty, soft_range, tails
from detectors import layout as at

#: Surprising windows in a row, as layout.HOT counts them, that are an incident.
BEGINS = 11.0
#: Windows like those before the incident, each of the others taking _RELAPSE of them away, after which it is over.
CALM_WINDOWS = 30.0
#: Windows of an incident after which it is none any more.
LONGEST = 2880.0
#: Share of what was learned in an incident that stays.
KEPT = 0.2
_RELAPSE = 5.0
_GROWN = 30.0  # values of a tail that can be gone back to

#: Columns of ``core`` that are held.
CORE = np.array([at.LOW, at.HIGH, at.LEAST, at.MOST, at.USUAL_CHANGE, at.USUAL_SPREAD, at.SCALE, at.USUAL_AWAY])
_LEAST, _MOST = 2, 3
#: Numbers of tails that are held.
TAILS = at.TAILS * tails.WIDTH


@njit(cache=True, error_model="numpy")
def note(core: Any, streams: Any, sizes: Any, shown: Any) -> None:
    """Write down what a row is before a window: columns of core into ``sizes`` (CORE.size,), tails into ``shown``
    (at.TAILS, tails.WIDTH)."""
    if core[at.HELD] == 0.0:
        for j in range(CORE.size):
            sizes[j] = core[CORE[j]]
        for j in range(at.TAILS):
            for k in range(tails.WIDTH):
                shown[j, k] = streams[j, k]


@njit(cache=True, error_model="numpy")
def follow(state: Any, i: int, sizes: Any, shown: Any, x: float, error: float, hot: bool) -> bool:
    """After a window of value x and absolute forecast error ``error``, where the row is surprised (``hot``) or
    something is held: hold what note wrote down, go back or let go. Says whether ``held`` or ``held_core`` changed."""
    core = state.core[i]
    began = core[at.HELD] == 0.0 and hot
    if began:
        state.held_core[i, :] = sizes
        state.held[i, :] = shown.ravel()
        core[at.HELD], core[at.CALM] = -1.0, 0.0
    if core[at.HELD] < 0.0:
        core[at.HELD] = 1.0 if core[at.HOT] >= BEGINS else (-1.0 if hot else 0.0)
    elif core[at.HELD] > 0.0:
        core[at.HELD] = core[at.HELD] + 1.0 if core[at.HELD] < LONGEST else 0.0
        calm = not hot and _as_before(state.held[i], state.held_core[i], x, error)
        core[at.CALM] = core[at.CALM] + 1.0 if calm else max(core[at.CALM] - _RELAPSE, 0.0)
        if core[at.CALM] >= CALM_WINDOWS:
            _go_back(state, i)
            anew(state, i, x)
            core[at.HELD] = 0.0
    return began


@njit(cache=True, error_model="numpy")
def _as_before(held: Any, held_core: Any, x: float, error: float) -> bool:
    """Would this window have been usual before the incident?"""
    usual = held[at.RESIDUAL * tails.WIDTH + tails.U] + held[at.RESIDUAL * tails.WIDTH + tails.FIRST]
    return error <= usual and held_core[_LEAST] <= x <= held_core[_MOST]


@njit(cache=True, error_model="numpy")
def _go_back(state: Any, i: int) -> None:
    """Become what the row was, and a share of what it is."""
    core, streams, held, held_core = state.core[i], state.tails[i], state.held[i], state.held_core[i]
    for j in range(CORE.size):
        core[CORE[j]] = held_core[j] + KEPT * (core[CORE[j]] - held_core[j])
    for j in range(at.TAILS):
        if held[j * tails.WIDTH + tails.VALUES] >= _GROWN:
            for k in range(tails.WIDTH):
                streams[j, k] = _mixed(held[j * tails.WIDTH + k], streams[j, k], k < tails.EXCESSES)


@njit(cache=True, error_model="numpy")
def _mixed(was: float, learned: float, sizes: bool) -> float:
    """Sizes are mixed by their logarithms: an incident is many times as large as what is usual."""
    if sizes and was > 0.0 and learned > 0.0:
        return was * (learned / was) ** KEPT
    return was + KEPT * (learned - was)


@njit(cache=True, error_model="numpy")
def anew(state: Any, i: int, x: float) -> None:
    """Begin anew what is reckoned over the last windows in places of the soft range, which has changed."""
    core, histograms, blocks = state.core[i], state.histograms[i], state.blocks[i]
    for j in range(drift.BINS):
        histograms[j] = histograms[drift.BINS + j]
    for scale in range(novelty.SCALES):
        blocks[scale, novelty.SUM] = blocks[scale, novelty.WINDOWS] = blocks[scale, novelty.SO_FAR] = 0.0
    core[at.PLACE] = soft_range.place(core, x)
    core[at.CHANGE] = np.exp(core[at.USUAL_CHANGE]) - 1e-9
    core[at.HOURLY] = 0.0
