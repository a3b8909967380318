"""Ratios with their volume: how unlikely are this many failures among this many trials, by the row's beta-binomial.

Guarantee: 1 of 2 is nothing and 50 of 100 is much, for the tail is that of the count, not of the ratio; p is valid
(P(p ≤ α) ≤ α but for what is not yet known of the row, and that widens the tails); one outlier moves mean and
overdispersion by a bounded amount. A ratio outside 0 … ``whole`` gets surprise 0 and is not learned. 24 bytes of state
a row.

Symbols: n trials (the volume), k = round(ratio·n) events, p mean ratio, ρ correlation of trials of a window (variance
of the ratio p(1 − p)·(1/n + (1 − 1/n)·ρ)), so that the ratio behind a window is Beta(p·c, (1 − p)·c) with c = 1/ρ − 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numba import njit

from detectors.discrete import count_band, share_surprise_of
from detectors.protocol import Floats, Mask, Scores, State, check_state, empty_state

_MOST_TRIALS = 1e6  # more count as so many; with the least ρ they tell no more
_LEAST_OVERLAP, _MOST_OVERLAP = 1e-6, 1 / 3
_PRIOR_DISPERSION, _PRIOR_WEIGHT = 0.3, 4.0  # ρ = that share of p (or 1 − p) before it is known; its weight
_DOUBT = 4.0  # how much the doubt about ρ widens the tails


@njit(cache=True, error_model="numpy")
def ratio_surprise(k: float, n: float, mean: float, overlap: float) -> float:
    """−log10 of the two-sided p of k events in n trials; n ≥ 1, 0 < mean < 1, overlap ρ."""
    c = 1.0 / min(max(overlap, _LEAST_OVERLAP), _MOST_OVERLAP) - 1.0
    return share_surprise_of(k, n, mean * c, (1.0 - mean) * c)


@njit(cache=True, error_model="numpy")
def overlap_of(mean: float, information: float, weighted: float) -> float:
    """ρ from Σ information and Σ information·(ρ of a window), drawn towards a prior share of the rarer outcome."""
    rare = min(mean, 1.0 - mean)
    prior = _PRIOR_DISPERSION * rare
    weight = _PRIOR_WEIGHT / (rare * rare)
    return min(max((weight * prior + weighted) / (weight + information), _LEAST_OVERLAP), _MOST_OVERLAP)


@njit(cache=True, error_model="numpy")
def overlap_seen(away: float, n: float, mean: float, overlap: float) -> tuple[float, float]:
    """The information a window has on ρ (one over the variance of its estimate), and that estimate: n ≥ 2."""
    spread = mean * (1.0 - mean)
    scale = (n - 1.0) / (1.0 + (n - 1.0) * overlap)
    information = scale * scale / (2.0 + 1.0 / (n * spread))
    return information, (away * away * n / spread - 1.0) / (n - 1.0)


@njit(cache=True, error_model="numpy")
def ratio_band(mean: float, n: float, overlap: float) -> tuple[float, float]:
    """About the central 99 % of the ratio of n trials, on whole events."""
    rare = min(mean, 1.0 - mean)
    count = n * rare
    dispersion = ((1.0 - rare) * (1.0 + (n - 1.0) * overlap) - 1.0) / count
    low, high = count_band(count, dispersion)
    low, high = min(low / n, rare), min(max(high / n, rare), 1.0)
    return (low, high) if mean <= 0.5 else (1.0 - high, 1.0 - low)


@njit(cache=True, error_model="numpy")
def ratio_doubt(overlap: float, n: float, trials: float, windows: float) -> float:
    """What must be added to ρ for what is not known of p after so many trials, and of ρ after so many windows."""
    return 1.0 / (trials + 1.0) + (overlap + 1.0 / n) * _DOUBT * (1.0 + 30.0 / windows) / windows


@njit(cache=True, error_model="numpy")
def _ratio_step(
    values: Any, mask: Any, volume: Any, seen: Any, trials: Any, events: Any, information: Any, weighted: Any,
    mean_rate: float, spread_rate: float, min_history: int, clip: float, whole: float,
    expected: Any, lower: Any, upper: Any, surprise: Any,
) -> None:  # fmt: skip
    for row in range(values.size):
        if not mask[row] or not np.isfinite(values[row]):
            continue
        n = min(np.rint(volume[row]), _MOST_TRIALS) if volume[row] > 0.0 else 0.0
        share, windows, known = values[row] / whole, seen[row], np.float64(trials[row])
        mean = (np.float64(events[row]) + 0.5) / (known + 1.0)
        overlap = overlap_of(mean, np.float64(information[row]), np.float64(weighted[row]))
        surprise[row] = 0.0
        expected[row] = lower[row] = upper[row] = mean * whole if known > 0.0 else values[row]
        if share < 0.0 or share > 1.0 or n < 1.0:
            continue
        if known > 0.0:
            doubtful = overlap + ratio_doubt(overlap, n, known, min(np.float64(windows), 2.0 / spread_rate))
            low, high = ratio_band(mean, n, min(doubtful, _MOST_OVERLAP))
            lower[row], upper[row] = low * whole, high * whole
            found = ratio_surprise(np.rint(share * n), n, mean, doubtful)
            if windows >= min_history:
                surprise[row] = found
                share = mean + (share - mean) * min(clip / max(found, clip), 1.0)
            if n >= 2.0:
                more, estimate = overlap_seen(share - mean, n, mean, overlap)
                information[row] = (1.0 - spread_rate) * np.float64(information[row]) + more
                weighted[row] = (1.0 - spread_rate) * np.float64(weighted[row]) + more * estimate
        weight = n / (1.0 + (n - 1.0) * overlap)
        trials[row] = (1.0 - mean_rate) * known + weight
        events[row] = (1.0 - mean_rate) * np.float64(events[row]) + weight * share
        seen[row] = windows + 1


@dataclass(frozen=True, slots=True)
class RatioDetector:
    """Parameters of the ratio detector; rates are per window. ``whole`` is the value of a ratio of all (100 for per
    cent), ``clip`` the surprise from which a ratio is drawn in before it is learned."""

    mean_rate: float = 0.004
    spread_rate: float = 0.001
    min_history: int = 12
    clip: float = 4.0
    whole: float = 1.0

    version: ClassVar[str] = "ratio/1"
    fields: ClassVar[Mapping[str, npt.DTypeLike]] = {
        "seen": np.int64,
        "trials": np.float32,
        "events": np.float32,
        "information": np.float32,
        "weighted": np.float32,
    }
    slow: ClassVar[frozenset[str]] = frozenset()

    def empty(self, rows: int) -> State:
        return empty_state(self.version, self.fields, rows)

    def check(self, state: State) -> None:
        """Raises StateVersionError when ``state`` is not this detector's."""
        check_state(self.version, self.fields, state)

    def step(self, state: State, values: Floats, mask: Mask, now: float, volume: Floats | None = None) -> Scores:
        """Score and learn one window; ``volume`` (rows,) is the number of trials behind each ratio, None: 1 each.

        A volume that is not at least ½ gives surprise 0 and is not learned.
        """
        scores = Scores(*(np.full(values.shape, np.nan) for _ in range(4)))
        trials = np.ones(values.shape) if volume is None else volume
        a = state.arrays
        _ratio_step(
            values, mask, trials, a["seen"], a["trials"], a["events"], a["information"], a["weighted"],
            self.mean_rate, self.spread_rate, self.min_history, self.clip, self.whole,
            scores.expected, scores.lower, scores.upper, scores.surprise,
        )  # fmt: skip
        return scores
