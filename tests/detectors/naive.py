"""Slow, obvious twins of the detectors: one row, one window at a time, plain Python."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log10, pi, sqrt
from typing import Any, Protocol

from scipy.special import stdtr, stdtrit

from detectors import LevelDetector
from tests.detectors.naive_composed import NaiveComposed
from tests.detectors.naive_counts import NaiveCounts
from tests.detectors.naive_rarity import NaiveRarity
from tests.detectors.naive_ratio import NaiveRatio

#: expected, lower, upper, surprise
Scored = tuple[float, float, float, float]


class Naive(Protocol):
    """One row; ``now`` is the end of the window in epoch seconds."""

    def step(self, x: float, now: float) -> Scored: ...


class Clockless(Protocol):
    """One row to which it does not matter when a window is."""

    def step(self, x: float) -> Scored: ...


@dataclass
class AnyTime:
    """Such a row, asked like the others."""

    row: Clockless

    def step(self, x: float, now: float) -> Scored:
        return self.row.step(x)


@dataclass
class NaiveLevel:
    """One row of detectors.LevelDetector, for values whose tail probability a float can hold."""

    detector: LevelDetector
    seen: int = 0
    level: float = 0.0
    spread: float = 0.0
    reach: float = 0.0

    def step(self, x: float) -> Scored:
        scored = self._score(x)
        self._learn(x)
        self.seen += 1
        return scored

    def _scale(self) -> float:
        floor = self.detector.relative_floor * max(abs(self.level), self.reach)
        return max(self.spread * sqrt(pi / 2), floor, 1e-9)

    def _score(self, x: float) -> Scored:
        if self.seen == 0:
            return x, x, x, 0.0
        scale = self._scale()
        freedom = min(max(self.seen / 4, 2.0), 8.0)
        half = -scale * float(stdtrit(freedom, self.detector.band_p / 2))
        surprise = 0.0
        if self.seen >= self.detector.min_history:
            surprise = -log10(2 * float(stdtr(freedom, -abs(x - self.level) / scale)))
        return self.level, self.level - half, self.level + half, surprise

    def _learn(self, x: float) -> None:
        detector, scale = self.detector, self._scale()
        young = self.seen < detector.min_history // 2
        most = detector.clip * scale
        residual = x - self.level
        if not young:
            residual = min(max(residual, -most), most)
        if young:
            reach = max(self.reach, abs(x))
        else:
            above = min(max(abs(x) - self.reach, 0.0), 100 * max(self.reach, scale))
            reach = 0.999 * self.reach + detector.scale_rate * above
        if self.seen == 0:
            self.level = x
        else:
            level_rate = max(detector.level_rate, 1 / (self.seen + 1))
            scale_rate = max(detector.scale_rate, 1 / self.seen)
            self.level += level_rate * residual
            self.spread += scale_rate * (abs(residual) - self.spread)
        self.reach = reach


#: The twin of each detector in the catalogue, made from the detector's parameters.
TWINS: dict[str, Callable[[Any], Naive]] = {
    "composed": NaiveComposed,
    "level": lambda detector: AnyTime(NaiveLevel(detector)),
    "counts": lambda detector: AnyTime(NaiveCounts(detector)),
    "ratio": lambda detector: AnyTime(NaiveRatio(detector)),
    "rarity": NaiveRarity,
}
