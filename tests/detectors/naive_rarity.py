"""The rarity detector and its pool once more: one kind, all its minutes kept, plain Python."""

from dataclasses import dataclass, field
from math import ceil, floor, log2, log10, sqrt

from detectors.rarity import BUCKETS, FirstSeen, RarityDetector

DAY = 86_400.0


def minute_of(now: float, seconds: float) -> int:
    return ceil(now / seconds) - 1


def bucket(count: float) -> int:
    return min(max(floor(log2(count)), 0), BUCKETS - 1) if count > 0 else -1


def decayed_length(minutes: int, keep: float) -> float:
    return sum(keep**age for age in range(minutes)) if minutes < 20_000 else (1 - keep**minutes) / (1 - keep)


@dataclass
class NaiveRarity:
    detector: RarityDetector
    since: int | None = None
    given_since: int | None = None
    chance: float = 1.0
    counts: dict[int, float] = field(default_factory=dict)  # by minute

    def step(self, x: float, now: float) -> tuple[float, float, float, float]:
        keep = 0.5 ** (self.detector.seconds / self.detector.half_life)
        minute = minute_of(now, self.detector.seconds)
        new = self.since is None
        if self.since is None:
            self.since = minute if self.given_since is None else min(self.given_since, minute)
        self.counts[minute] = self.counts.get(minute, 0.0) + max(x, 0.0)
        known = decayed_length(minute - self.since, keep)
        before = [(keep ** (minute - at), bucket(count)) for at, count in self.counts.items() if at < minute]
        shares = [sum(w for w, of in before if of >= j) / max(known, 1.0) for j in range(BUCKETS)]
        median, low, high = (max((j for j in range(BUCKETS) if shares[j] >= s), default=-1) for s in (0.5, 0.99, 0.01))
        band = (
            0.0 if median < 0 else 2.0**median,
            0.0 if low < 0 else 2.0**low,
            0.0 if high < 0 else 2.0 ** (high + 1) - 1,
        )
        if new:
            band = (x, x, x)
        return (*band, self._surprise(before, self.counts[minute], known, minute - self.since))

    def _surprise(self, before: list[tuple[float, int]], count: float, known: float, minutes: int) -> float:
        if count <= 0:
            return 0.0
        as_many = sum(weight for weight, of in before if of >= bucket(count))
        p = (as_many + 0.5) / (known + 1)
        if not any(of >= 0 for _, of in before):
            p = self.chance
        return max(-log10(min(p, 1.0)), 0.0) * sqrt(min(minutes * self.detector.seconds / DAY, 1.0))


@dataclass
class NaiveFirstSeen:
    pool: FirstSeen
    since: int | None = None
    minutes: set[int] = field(default_factory=set)

    def chance(self, now: float) -> float:
        keep = 0.5 ** (self.pool.seconds / self.pool.half_life)
        minute = minute_of(now, self.pool.seconds)
        if self.since is None:
            self.since = minute
            self.minutes.add(minute)
        firsts = sum(keep ** (minute - at) for at in self.minutes if at < minute)
        return min((firsts + 0.5) / (decayed_length(minute - self.since, keep) + 1), 1.0)

    def saw(self, now: float) -> None:
        self.minutes.add(minute_of(now, self.pool.seconds))
