"""Twins of what is expected of a row: detectors.soft_range, season and forecast, in plain Python.

Constants are those of the modules.
"""

from dataclasses import dataclass, field
from math import exp, log

import numpy as np

from detectors import forecast, season, soft_range


def single(x: float) -> float:
    """x as the state keeps it."""
    return float(np.float32(x))


def clipped(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


@dataclass
class SoftRange:
    first: list[float] = field(default_factory=list)
    low: float = 0.0
    high: float = 0.0

    @property
    def width(self) -> float:
        return max(self.high - self.low, 1e-3 * max(abs(self.low), abs(self.high)) + 1e-300)

    def place(self, x: float, seen: int) -> float:
        """Where x stands; a young row learns it before, a grown one after."""
        if seen < soft_range.YOUNG:
            self.first = sorted([*self.first, x])
            grown = len(self.first) == soft_range.YOUNG
            self.low = self.first[soft_range.LEAST_KEPT - 1 if grown else 0]
            self.high = self.first[-soft_range.MOST_KEPT if grown else -1]
            return self.place_of(x)
        place = self.place_of(x)
        step = self.width * max(2 / min(seen + 1, 5000), 1 / 5000)
        self.high += step * ((x > self.high) - 0.05)
        self.low -= step * ((x < self.low) - 0.05)
        return place

    def place_of(self, x: float) -> float:
        z = (x - self.low) / self.width
        far = soft_range._FARTHEST
        if 0 <= z <= 1:
            return z
        return clipped(1 + log(z) if z > 1 else -log(1 - z), -far, far)


@dataclass
class Bin:
    """An hour of the week or of the day."""

    mean: float = 0.0
    visits: int = 0

    def learn(self, x: float, least_rate: float, pace: float) -> None:
        rate = max(1 / (self.visits + 1), least_rate) * pace if self.visits else 1.0
        self.mean = single(self.mean + rate * (x - self.mean))
        self.visits = min(self.visits + 1, 255)


@dataclass
class Season:
    week: list[Bin] = field(default_factory=lambda: [Bin() for _ in range(168)])
    day: list[Bin] = field(default_factory=lambda: [Bin() for _ in range(24)])
    hour: int | None = None
    sum: float = 0.0
    count: int = 0
    offset: float = 0.0
    clock: int = 0
    errors: dict[int, float] = field(default_factory=lambda: {-1: 0.0, 0: 0.0, 1: 0.0})

    def enter(self, now: float, pace: float) -> tuple[int, float]:
        """The hour that the window is in, and the place in it; the hour before is learned when it is over."""
        hours = (now - 1e-3) / 3600
        hour = (int(hours) + self.clock) % 168
        if hour != self.hour:
            if self.count and self.hour is not None:
                self.week[self.hour].learn(self.sum / self.count, season._WEEK_RATE, pace)
                self.day[self.hour % 24].learn(self.sum / self.count, season._DAY_RATE, pace)
            self.hour, self.sum, self.count = hour, 0.0, 0
        return hour, hours - int(hours)

    def usual(self, hour: int, place: float, fallback: float, used: bool = True) -> float:
        """The profile between the middles of two hours; ``fallback`` where it has neither."""
        if not used:
            return fallback
        here = self._bin(hour, fallback - self.offset)
        other = self._bin(hour - 1 if place < 0.5 else hour + 1, here)
        far = abs(place - 0.5)
        return (1 - far) * here + far * other + self.offset

    def _bin(self, hour: int, fallback: float) -> float:
        of_week, of_day = self.week[hour % 168], self.day[hour % 24]
        weight = season._DAY_WEIGHT if of_day.visits else 0.0
        if not of_week.visits + weight:
            return fallback
        return (of_week.visits * of_week.mean + weight * of_day.mean) / (of_week.visits + weight)

    def drawn(self, expected: float, seconds: float) -> float:
        """Drawn towards the present hour."""
        if not self.count:
            return expected
        share = min(self.count * seconds / 3600, 0.9)
        return (1 - share) * expected + share * (self.sum / self.count + self.offset)

    def read_clock(self, errors: dict[int, float], seconds: float) -> None:
        rate = min(seconds / 3600 / season._CLOCK_HOURS, 1)
        self.errors = {way: old + rate * (errors[way] - old) for way, old in self.errors.items()}
        early, ontime, tardy = (self.errors[way] for way in (-1, 0, 1))
        best = season._CLOCK_GAIN * ontime
        turn = -1 if early < min(best, tardy) else 1 if tardy < best else 0
        if turn and abs(self.clock + turn) <= 1:
            self.clock += turn
            self.errors = dict.fromkeys(self.errors, min(early, tardy))

    def learn(self, x: float) -> None:
        self.sum += x - self.offset
        self.count += 1


@dataclass
class Forecast:
    last: float
    means: list[float]  # fast, medium, slow
    seasonal: float
    trust: list[float] = field(default_factory=list)
    scale: float = 0.0
    bursts: float = 0.0

    def advice(self, expected: float) -> list[float]:
        return [self.last, *self.means, expected, self.last + expected - self.seasonal]

    def mixture(self, advice: list[float]) -> float:
        return sum(t * a for t, a in zip(self.trust, advice, strict=True)) if self.trust else advice[0]

    def learn(self, advice: list[float], x: float, seen: int) -> None:
        if not self.trust:
            self.trust = [single(1 / len(advice))] * len(advice)
            return
        forecasted, scale = self.mixture(advice), max(self.scale, 1e-9 * abs(x) + 1e-300)
        losses = [min(abs(x - a) / scale, forecast._MOST_LOSS) for a in advice]
        kept = [single(t * exp(-forecast._LEARNING * loss)) for t, loss in zip(self.trust, losses, strict=True)]
        share = forecast._SHARE
        self.trust = [single((1 - share) * t / sum(kept) + share / len(kept)) for t in kept]
        error, usually = abs(x - forecasted), forecast._CLIP * self.scale
        reach = usually + self.bursts * error
        self.bursts += forecast._BURST_RATE * ((error > usually) - self.bursts)
        if seen > forecast._YOUNG:
            error = min(error, reach)
        self.scale += max(0.005, 1 / seen) * (error - self.scale)
        reach = forecast._CLIP * self.scale
        near = clipped(x, forecasted - reach, forecasted + reach)
        for j, (rate, value) in enumerate(((0.3, x), (0.05, x), (0.002, near))):
            self.means[j] += max(rate, 1 / (seen + 1)) * (value - self.means[j])
