"""Silence: expected data that does not come, by each row's own gaps.

Guarantee: over gaps that come from one distribution, P(the p of a gap ever falls to α) ≤ α, for p is the share of
earlier gaps that were as long, counting this one. Longer than all n of them, p falls on from 1/(n + 1) by a power of
time that is steep for regular senders and flat for irregular ones: there it is an extrapolation. Rows with fewer than
``min_history`` gaps say nothing. Time is counted in windows that were stepped and in which we did not lag, so that our
own delays are no silence. 125 bytes of state a row.

Scores are about rows that did *not* send: their mask is false. They get surprise and, in windows since the last data,
as ``expected`` the usual gap, as ``lower`` and ``upper`` the central 98 % of gaps; rows that sent get surprise 0, and
NaN for the rest. The common checks that want NaN where the mask is false do not apply, nor does "a gap is as if the
window was not there".

Symbols: g gap (1: data in the next window again), t windows without data so far (so g > t), C(t) weight of learned gaps
longer than t, n weight of all, T the longest usual gap, κ steepness.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, log10
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numba import njit

from detectors.protocol import Floats, Mask, Scores, State, check_state, empty_state

#: The longest gap of each bin, in windows: half octaves up to 16,384; the last bin has all beyond.
BINS = 28
EDGES = np.array([1, 2, 3, *sorted(base << up for base in (4, 6) for up in range(13))][:BINS], np.float64)

_FORGET_FROM = 32_768.0  # gaps after which all weights are halved
_STEEPEST = 12.0  # κ at most, and one for this many gaps
_GAPS_A_POWER = 4.0
_LOOK = 1024  # how often that is looked at, in gaps

#: What ``phase`` says: never sent, sending, sending but with a window in the present gap in which we lagged, ended.
NEW, _LIVE, _LAGGED, ENDED = 0, 1, 2, 3


@njit(cache=True, error_model="numpy")
def gap_bin(gap: float) -> int:
    at = 0
    while at < BINS - 1 and EDGES[at] < gap:
        at += 1
    return at


@njit(cache=True, error_model="numpy")
def gap_at(weights: Any, weight: float) -> float:
    """The gap that all but ``weight`` of the learned gaps do not exceed."""
    left, at = 0.0, BINS - 1
    while at > 0:
        left += np.float64(weights[at])
        if left >= weight:
            break
        at -= 1
    return np.float64(EDGES[at])


@njit(cache=True, error_model="numpy")
def longer_than(weights: Any, silence: float) -> float:
    """C: weight of gaps that are, or may be, longer than this silence."""
    left, at = 0.0, BINS - 1
    while at >= 0 and EDGES[at] > silence:
        left += np.float64(weights[at])
        at -= 1
    return left


@njit(cache=True, error_model="numpy")
def silence_surprise(silence: float, longer: float, total: float, usual: float, longest: float) -> float:
    """−log10 p of a silence of t windows: p = (C(t) + beyond)/(n + 1), beyond = ((t + 1)/(T + 1))^−κ from T on.

    κ = ln(n + 1)/ln((T + 1)/(usual + 1)): as fast as gaps thinned out between the usual and the longest; at most 12 and
    one for every 4 gaps.
    """
    beyond = 1.0
    if silence > longest:
        spread = log((longest + 1.0) / (usual + 1.0))
        steepest = min(_STEEPEST, total / _GAPS_A_POWER)
        power = min(log(total + 1.0) / max(spread, 1e-9), steepest)
        beyond = ((silence + 1.0) / (longest + 1.0)) ** -power
    return max(-log10(min((longer + beyond) / (total + 1.0), 1.0)), 0.0)


@njit(cache=True, error_model="numpy")
def _total(weights: Any) -> float:
    total = 0.0
    for at in range(BINS):
        total += np.float64(weights[at])
    return total


@njit(cache=True, error_model="numpy")
def surprise_of_silence(weights: Any, silence: float) -> float:
    """silence_surprise by a row's weights; the longest usual gap is one that the weight of a whole gap reached."""
    total = _total(weights)
    usual, longest = gap_at(weights, 0.5 * total), gap_at(weights, 1.0)
    return silence_surprise(silence, longer_than(weights, silence), total, usual, longest)


@njit(cache=True, error_model="numpy")
def _learn_gap(weights: Any, gap: float, seen: int, min_history: int, clip: float, unusual_weight: float) -> None:
    weight = 1.0
    if gap > 1.0 and seen >= min_history and surprise_of_silence(weights, gap - 1.0) > clip:
        weight = unusual_weight
    if seen % _LOOK == 0 and _total(weights) >= _FORGET_FROM:
        for at in range(BINS):
            weights[at] *= 0.5
    weights[gap_bin(gap)] += weight


@njit(cache=True, error_model="numpy")
def _silence_step(
    sent: Any, lagging: bool, seen: Any, silence: Any, phase: Any, gaps: Any, min_history: int, clip: float,
    unusual_weight: float, end_gaps: float, end_windows: float,
    expected: Any, lower: Any, upper: Any, surprise: Any,
) -> None:  # fmt: skip
    for row in range(sent.size):
        surprise[row] = 0.0
        if sent[row]:
            if phase[row] == _LIVE:
                _learn_gap(gaps[row], silence[row] + 1.0, seen[row], min_history, clip, unusual_weight)
                seen[row] += 1
            phase[row], silence[row] = _LIVE, 0
        elif phase[row] == _LIVE or phase[row] == _LAGGED:
            if lagging:
                phase[row] = _LAGGED
            else:
                silence[row] += 1
            if seen[row] < min_history:
                continue
            weights, t = gaps[row], np.float64(silence[row])
            total = _total(weights)
            expected[row] = gap_at(weights, 0.5 * total)
            lower[row], upper[row] = gap_at(weights, 0.99 * total), gap_at(weights, 0.01 * total)
            if t > end_windows and t > end_gaps * gap_at(weights, 1.0):
                phase[row] = ENDED
            elif not lagging and t > 0.0:
                surprise[row] = surprise_of_silence(weights, t)


@dataclass(frozen=True, slots=True)
class SilenceDetector:
    """Parameters of the silence detector. A gap that was more surprising than ``clip`` is learned with
    ``unusual_weight`` of a gap, so that an outage is not at once usual. A row ends, and is no longer looked at until it
    sends again, after ``end_windows`` windows of silence that are ``end_gaps`` of its longest usual gaps."""

    min_history: int = 10
    clip: float = 3.5
    unusual_weight: float = 0.2
    end_gaps: float = 30.0
    end_windows: float = 2880.0

    version: ClassVar[str] = "silence/1"
    fields: ClassVar[Mapping[str, npt.DTypeLike]] = {
        "seen": np.int64,
        "silence": np.int32,
        "phase": np.uint8,
        "gaps": np.dtype((np.float32, (BINS,))),
    }
    slow: ClassVar[frozenset[str]] = frozenset()

    def empty(self, rows: int) -> State:
        return empty_state(self.version, self.fields, rows)

    def check(self, state: State) -> None:
        """Raises StateVersionError when ``state`` is not this detector's."""
        check_state(self.version, self.fields, state)

    def step(self, state: State, values: Floats, mask: Mask, now: float, lagging: bool = False) -> Scores:
        """Score the rows that did not send in the window that ends; ``lagging``: we are behind, so that their data may
        still be on its way. Then nothing is said, the window does not count, and a gap with it in is not learned."""
        scores = Scores(*(np.full(values.shape, np.nan) for _ in range(4)))
        a = state.arrays
        _silence_step(
            mask & np.isfinite(values), lagging, a["seen"], a["silence"], a["phase"], a["gaps"],
            self.min_history, self.clip, self.unusual_weight, self.end_gaps, self.end_windows,
            scores.expected, scores.lower, scores.upper, scores.surprise,
        )  # fmt: skip
        return scores
