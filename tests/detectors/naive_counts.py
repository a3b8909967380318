"""The slow, obvious twin of detectors.CountsDetector: one row in plain Python, with the tails of scipy."""

from dataclasses import dataclass
from math import ceil, exp, floor, gcd, inf, isfinite, log, sqrt

import numpy as np
from scipy.special import logsumexp
from scipy.stats import nbinom

from detectors.counts import CountsDetector

Scored = tuple[float, float, float, float]

Z = 2.5758293035489004


def single(x: float) -> float:
    """x as the state keeps it."""
    return float(np.float32(x))


def ln_tails(k: int, mean: float, dispersion: float) -> tuple[float, float]:
    """ln P(X ≤ k) and ln P(X ≥ k): of scipy, or sums of its probabilities where floats end."""
    size = min(max(1 / max(dispersion, 1e-300), 1e-3), 1e12)
    given = (size, size / (size + mean))
    lower, upper = float(nbinom.cdf(k, *given)), float(nbinom.sf(k - 1, *given))
    ln_lower = log(lower) if lower > 1e-250 else logsumexp(nbinom.logpmf(np.arange(k + 1), *given))
    ln_upper = log(upper) if upper > 1e-250 else logsumexp(nbinom.logpmf(np.arange(k, k + 100_000), *given))
    return float(ln_lower), float(ln_upper)


def surprise(k: int, mean: float, dispersion: float, presence: float) -> float:
    lower, upper = ln_tails(k, mean, dispersion)
    zero, _ = ln_tails(0, mean, dispersion)
    lower = log(1 - presence + presence * exp(lower)) if presence < 1 else lower
    zero = log(1 - presence + presence * exp(zero)) if presence < 1 else zero
    upper = upper + log(presence) if k else 0.0
    ln_p = upper if upper < min(lower, zero) else min(lower, upper) + log(2)
    return max(-ln_p / log(10), 0.0)


def band(mean: float, dispersion: float) -> tuple[float, float]:
    sigma = sqrt(mean + dispersion * mean**2)
    skewness = (1 + 2 * dispersion * mean) / sigma
    high = mean + sigma * (Z + skewness * (Z**2 - 1) / 6)
    ninth = sigma**2 / mean**2 / 9
    low = mean * max(1 - ninth - Z * sqrt(ninth), 0) ** 3
    return min(ceil(low - 0.5), floor(mean)), max(floor(high), ceil(mean))


def zero_share(presence: float, mean: float, dispersion: float) -> float:
    own = max(presence * (1 + dispersion) - 1, 1e-300)
    size = min(max(1 / own, 1e-3), 1e12)
    return 1 - presence + presence * (1 + mean / presence / size) ** -size


@dataclass
class NaiveCounts:
    """One row of detectors.CountsDetector."""

    detector: CountsDetector
    seen: int = 0
    quantum: float = 0.0
    height: float = 0.0
    spread: float = 0.0
    zeros: float = 0.0
    absence: float = 0.0
    fit: float = 0.0
    common: int = 0
    zeros_before: float = 0.0

    def step(self, value: float) -> Scored:
        if not isfinite(value):
            return (float("nan"),) * 4
        x = min(max(value, -1e15), 1e15)
        before, fit_before = self.quantum, self.fit
        step, count = self._place(x)
        scored, found, reach = self._score(value, x, step, count, before, fit_before)
        self._learn(value, x, found, step, reach)
        self._coarsen(before, count)
        return scored

    def _count(self, x: float, quantum: float) -> int | None:
        if x == 0:
            return 0
        if x < 0 or quantum <= 0 or x / quantum > 2e5:
            return None
        count = round(x / quantum)
        fits = 1 <= count <= 100_000 and abs(x / quantum - count) <= min(1e-6 * count, 0.02)
        return count if fits else None

    def _common(self, x: float) -> float:
        large, small = max(x, self.quantum), min(x, self.quantum)
        a, b = large, small
        while b > 1e-8 * large:
            a, b = b, abs(a - np.rint(a / b) * b)
        return large / round(large / a) if a >= large / 100_000 else 0.0

    def _place(self, x: float) -> tuple[float, int | None]:
        """The step to score by (0: none) and the count on the lattice; quantum and fit are learned."""
        count = self._count(x, self.quantum)
        if count == 0:
            return self.quantum, 0
        if count is not None:
            self.fit = single(self.fit + 0.1 * (1 - self.fit))
            return self.quantum, count
        if x > 1e5 * self.quantum > 0 and self.fit >= 0.9:
            return self.quantum, None
        if not 1e-15 < x < 1e15:
            self.fit = single(0.9 * self.fit)
            return 0.0, None
        if self.quantum == 0:
            self.quantum, self.fit = x, 1.0
            return x, None
        finer, fit = self._common(x), 0.9 * self.fit
        self.fit = single(fit)
        if finer >= self.quantum / 64:
            self.quantum = finer if fit < 0.8 else self.quantum
            return finer, None
        if fit < 0.5:
            self.quantum = finer or x
        return 0.0, None

    def _score(
        self, value: float, x: float, step: float, count: int | None, before: float, fit_before: float
    ) -> tuple[Scored, float, float]:
        """What is said, the surprise by which x is drawn in, and how far values off the lattice are let."""
        mean = (1 - self.zeros) * self.height
        reach = 4 * (sqrt(self.spread) + abs(self.height - mean))
        found, low, high = 0.0, mean - reach, mean + reach
        on_lattice, asked = before == 0 or fit_before >= self.detector.least_fit, None
        if step:
            asked = min(round(x / step), 1_000_000)
        if on_lattice and step and step != before and self.height <= 1e5 * step and self.height >= 0:
            found, _, _, _ = self._against(step, asked)
        if on_lattice and before and 0 <= self.height <= 1e5 * before:
            by_old, low, high, absence = self._against(before, asked if step == before else None)
            found = by_old if step == before else found
            self.absence = absence if count is not None else self.absence
        shown = found if self.seen >= self.detector.min_history else 0.0
        reach = reach if step == 0 or not on_lattice else inf
        if self.seen == 0:
            return (value, value, value, 0.0), found, reach
        return (mean, min(low, mean), max(high, mean), shown), found, reach

    def _against(self, unit: float, asked: int | None) -> tuple[float, float, float, float]:
        """Surprise, band and next absence by a lattice of this step."""
        n = max(self.seen, 1)
        mean_n, spread_n = min(n, 2 / self.detector.mean_rate), min(n, 2 / self.detector.spread_rate)
        height, share = self.height / unit, 1 - self.zeros
        mean = share * height + 0.5 / mean_n
        variance = share * (self.spread / unit**2 + height**2) - (share * height) ** 2
        information = spread_n * mean**3 / (2 * mean + 1)
        dispersion = max((4 * 0.3 + information * (variance - mean) / mean**2) / (4 + information), 0)
        presence = max(1 - self.absence, 1 / (1 + dispersion))
        rate, own = mean / presence, max(presence * (1 + dispersion) - 1, 0)
        windows = presence * spread_n
        doubt = 1 / (presence * mean_n) + 4 * (1 + 3 * own) * (1 + 30 / windows) / windows
        own += (1 / rate + own) * doubt
        low, high = band(rate, own)
        found = surprise(asked, rate, own, presence) if asked is not None else 0.0
        absence = single(1 - self._presence(presence, mean, dispersion, mean_n))
        return found, low * unit if presence > 0.995 else 0.0, high * unit, absence

    def _presence(self, presence: float, mean: float, dispersion: float, windows: float) -> float:
        sure = self.zeros - 3 * sqrt(self.zeros * (1 - self.zeros) / windows)
        if dispersion < 1e-3 or zero_share(1.0, mean, dispersion) >= sure:
            return 1.0
        return min(max(presence + zero_share(presence, mean, dispersion) - self.zeros, 1 / (1 + dispersion)), 1.0)

    def _learn(self, value: float, x: float, found: float, step: float, reach: float) -> None:
        detector, mean, weight = self.detector, (1 - self.zeros) * self.height, 1.0
        if self.seen >= detector.min_history:
            if found > detector.clip:
                weight = detector.clip / found
                x = mean + (min(x, 1e6 * step) - mean) * weight
            x = min(max(x, mean - reach), mean + reach)
        if x != 0:
            some = max((1 - self.zeros) * self.seen, 0) + 1
            away = x - self.height
            height = self.height + max(detector.mean_rate, 1 / some) * away
            rate = max(detector.spread_rate, 1 / some)
            self.spread = single(self.spread + rate * (away * (x - height) - self.spread))
            self.height = single(height)
        zero = weight if value == 0 else 0.0
        rate = max(detector.mean_rate, 1 / (self.seen + 1))
        self.zeros, self.zeros_before = single(self.zeros + rate * (zero - self.zeros)), self.zeros
        self.seen += 1

    def _coarsen(self, before: float, count: int | None) -> None:
        if self.quantum != before:
            self.common = 0
            return
        if count and self.common != 1:
            self.common = gcd(count, self.common)
        if self.seen % 256 == 0:
            if self.common > 1 and self.zeros_before < 0.9:
                self.quantum *= self.common
            self.common = 0
