"""The slow, obvious twin of detectors.RatioDetector: one row in plain Python, tails as sums of all probabilities."""

from dataclasses import dataclass
from math import isfinite, log

import numpy as np
from scipy.special import logsumexp
from scipy.stats import betabinom

from detectors.ratio import RatioDetector
from tests.detectors.naive_counts import Scored, band, single


def surprise(k: int, trials: int, mean: float, overlap: float) -> float:
    """−log10 of the two-sided p, counted from the rarer outcome."""
    c = 1 / min(max(overlap, 1e-6), 1 / 3) - 1
    rare = mean * c <= (1 - mean) * c
    a, b, k = (mean * c, (1 - mean) * c, k) if rare else ((1 - mean) * c, mean * c, trials - k)
    ln = betabinom.logpmf(np.arange(trials + 1), trials, a, b)
    lower, upper = float(logsumexp(ln[: k + 1])), float(logsumexp(ln[k:]))
    ln_p = upper if upper < min(lower, ln[0]) else min(lower, upper) + log(2)
    return max(-float(ln_p) / log(10), 0.0)


@dataclass
class NaiveRatio:
    """One row of detectors.RatioDetector."""

    detector: RatioDetector
    seen: int = 0
    trials: float = 0.0
    events: float = 0.0
    information: float = 0.0
    weighted: float = 0.0

    def step(self, value: float, volume: float = 1.0) -> Scored:
        if not isfinite(value):
            return (float("nan"),) * 4
        whole, share = self.detector.whole, value / self.detector.whole
        n = min(round(volume), 1_000_000) if volume > 0 else 0
        mean = (self.events + 0.5) / (self.trials + 1)
        overlap = self._overlap(mean)
        nothing = (mean * whole, mean * whole, mean * whole, 0.0) if self.trials else (value, value, value, 0.0)
        if not 0 <= share <= 1 or n < 1:
            return nothing
        scored = nothing
        if self.trials:
            scored, share = self._score(share, n, mean, overlap)
            if n >= 2:
                self._learn_overlap(share, n, mean, overlap)
        keep, weight = 1 - self.detector.mean_rate, n / (1 + (n - 1) * overlap)
        self.trials = single(keep * self.trials + weight)
        self.events = single(keep * self.events + weight * share)
        self.seen += 1
        return scored

    def _overlap(self, mean: float) -> float:
        rare = min(mean, 1 - mean)
        weight = 4 / rare**2
        found = (weight * 0.3 * rare + self.weighted) / (weight + self.information)
        return min(max(found, 1e-6), 1 / 3)

    def _score(self, share: float, n: int, mean: float, overlap: float) -> tuple[Scored, float]:
        detector = self.detector
        windows = min(self.seen, 2 / detector.spread_rate)
        doubtful = overlap + 1 / (self.trials + 1) + (overlap + 1 / n) * 4 * (1 + 30 / windows) / windows
        found = surprise(round(share * n), n, mean, doubtful)
        warm = self.seen >= detector.min_history
        low, high = self._band(mean, n, min(doubtful, 1 / 3))
        scored = (mean * detector.whole, low * detector.whole, high * detector.whole, found if warm else 0.0)
        drawn_in = warm and found > detector.clip
        return scored, mean + (share - mean) * detector.clip / found if drawn_in else share

    def _band(self, mean: float, n: int, overlap: float) -> tuple[float, float]:
        rare = min(mean, 1 - mean)
        count, variance = n * rare, n * rare * (1 - rare) * (1 + (n - 1) * overlap)
        low, high = band(count, (variance - count) / count**2)
        low, high = min(low / n, rare), min(max(high / n, rare), 1.0)
        return (low, high) if mean <= 0.5 else (1 - high, 1 - low)

    def _learn_overlap(self, share: float, n: int, mean: float, overlap: float) -> None:
        spread, keep = mean * (1 - mean), 1 - self.detector.spread_rate
        estimate = ((share - mean) ** 2 * n / spread - 1) / (n - 1)
        information = ((n - 1) / (1 + (n - 1) * overlap)) ** 2 / (2 + 1 / (n * spread))
        self.information = single(keep * self.information + information)
        self.weighted = single(keep * self.weighted + information * estimate)
