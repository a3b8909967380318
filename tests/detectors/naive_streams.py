"""Twins of how odd a row is, and how unlikely that: detectors.deviations, drift, novelty, shift, tails and the totals.

Constants are those of the modules.
"""

from dataclasses import dataclass, field
from math import inf, log

from detectors import composed, deviations, drift, novelty, shift, soft_range, tails
from tests.detectors.naive_expected import SoftRange, clipped, single

LN10 = log(10)


@dataclass
class Tail:
    """The tail of a stream; ``prior`` (u, mean excess) in units of the mean."""

    prior: tuple[float, float]
    level: float
    warm: int
    u: float = 0.0
    mean: float = 0.0
    first: float = 0.0
    second: float = 0.0
    excesses: float = 0.0
    values: float = 0

    def begin(self, unit: float) -> None:
        self.mean, self.u, self.first = single(unit), single(self.prior[0] * unit), single(self.prior[1] * unit)
        self.second = single(tails._PRIOR_SECOND * self.first**2)
        self.excesses = tails.PRIOR_EXCESSES

    def judge(self, a: float, floor: float, pace: float) -> float:
        """Surprise of a, which is then learned."""
        found = self._surprise(a)
        self._learn(a, floor, pace)
        return found

    def _surprise(self, a: float) -> float:
        e = a - self.u
        if e <= 0 or self.values < self.warm:
            return 0.0
        variance = self.second - self.first**2
        shape = clipped((1 - self.first**2 / variance) / 2, 0, 0.5) if variance > 0 else 0.0
        sigma = self.first * (1 - shape)
        if sigma == 0:
            return inf
        share = min(self.excesses / (self.values - self.warm + 1 + tails.PRIOR_EXCESSES / (1 - self.level)), 1)
        ln_beyond = -log(1 + shape * e / sigma) / shape if shape > 1e-6 else -e / sigma
        return -(ln_beyond + log(share)) / LN10

    def _learn(self, a: float, floor: float, pace: float) -> None:
        self.values += 1
        if self.values <= self.warm:
            self.mean = single(self.mean + (a - self.mean) / self.values)
            if self.values == self.warm:
                self.begin(max(self.mean, floor))
            return
        above = a > self.u
        usually = 1 - self.level
        share = max(self.excesses / (self.values - self.warm + tails.PRIOR_EXCESSES / usually) - usually, 0)
        if above:
            e = min(a - self.u, tails._LARGEST_EXCESS * self.first + share * a)
            self.excesses = single(self.excesses + pace)
            rate = max(1 / self.excesses, tails._SLOWEST) * pace
            self.first = single(self.first + rate * (e - self.first))
            self.second = single(self.second + rate * (e * e - self.second))
        mean = max(self.mean, floor)
        step = max(mean, self.first) * max(0.9 / self.values**0.5, 0.02) * pace
        self.u = single(max(self.u + step * (above - usually), 0))
        believed = min(a, 5 * mean + share * a)
        self.mean = single(self.mean + pace * max(0.002, 1 / self.values) * (believed - self.mean))


@dataclass
class Records:
    least: float
    most: float

    def judge(self, x: float, seen: int, soft: SoftRange) -> float:
        beyond = max(x - self.most, self.least - x, 0)
        span = max(self.most - self.least, 1e-3 * max(abs(self.most), abs(self.least)) + 1e-300)
        self.least, self.most = min(self.least, x), max(self.most, x)
        if seen >= soft_range.YOUNG:
            self.most -= deviations._FORGET * max(self.most - soft.high, 0)
            self.least += deviations._FORGET * max(soft.low - self.least, 0)
        known = min(seen / soft_range.YOUNG, 1) if seen >= deviations.RECORD_FROM else 0.0
        return deviations._RECORD * known * beyond / span


@dataclass
class Quiet:
    place: float = 0.0
    change: float = 0.0
    usual: float = 0.0
    spread: float = 0.5

    def stillness(self, place: float, seen: int) -> float:
        moved, self.place = abs(place - self.place) if seen else 0.0, place
        self.change += max(0.03, 1 / (seen + 1)) * (moved - self.change)
        since = seen - deviations.QUIET_FROM
        if since < 0:
            return 0.0
        now = log(self.change + 1e-9)
        self.usual = now if since == 0 else self.usual
        away, reach, rate = now - self.usual, 3 * self.spread, max(0.001, 1 / (since + 1))
        self.usual += rate * clipped(away, -reach, reach)
        self.spread += rate * (min(abs(away), reach + 0.01) - self.spread)
        return max(-away, 0.0)


@dataclass
class Drift:
    recent: list[float] = field(default_factory=lambda: [1 / drift.BINS] * drift.BINS)
    usual: list[float] = field(default_factory=lambda: [1 / drift.BINS] * drift.BINS)

    def distance(self, place: float, seen: int) -> float:
        here = int(clipped((place + 0.5) / 2 * 8, 0, drift.BINS - 1))
        found = [float(j == here) for j in range(drift.BINS)]
        usual_rate, least = max(drift._USUAL, 1 / (seen + 1)), drift._LEAST_SHARE
        self.recent = [single(p + drift._RECENT * (f - p)) for p, f in zip(self.recent, found, strict=True)]
        self.usual = [single(p + usual_rate * (f - p)) for p, f in zip(self.usual, found, strict=True)]
        pairs = zip(self.recent, self.usual, strict=True)
        return max(sum(p * log((p + least) / (q + least)) for p, q in pairs), 0.0)


@dataclass
class Shapes:
    """One scale."""

    block: int
    sum: float = 0.0
    windows: int = 0
    means: list[float] = field(default_factory=list)
    known: list[list[float]] = field(default_factory=list)

    def distance(self, place: float, tick: int) -> float | None:
        """To the nearest shape known, where a block is over and some are."""
        self.sum, self.windows = single(self.sum + place), self.windows + 1
        if tick % self.block:
            return None
        self.means.append(single(self.sum / self.windows))
        self.sum, self.windows = 0.0, 0
        shape = self.means[-novelty.BLOCKS :]
        if len(self.means) <= novelty.BLOCKS:
            return None
        distances = [sum(abs(a - b) for a, b in zip(k, shape, strict=True)) / len(shape) for k in self.known]
        nearest = min(distances, default=inf)
        if nearest > novelty._NEW:
            rounded = [round(mean / novelty._STEP) * novelty._STEP for mean in shape]
            self.known = [*self.known, rounded][-novelty.SHAPES :]
        return nearest if distances else None


@dataclass
class Shift:
    away: float = 0.0
    spread: float = 0.0
    usual: float = 0.0
    lasting: int = 0

    def step(self, away: float, seen: int, pace: float, bursts: float) -> float:
        before = self.away
        self.away += shift._MEMORY * (away - self.away)
        self.spread += shift._MEMORY * (abs(away - self.away) - self.spread)
        usual = self.usual
        if seen < shift._YOUNG:
            self.usual += (abs(away) - usual) / (seen + 1)
            return 0.0
        self.usual += 0.005 * pace * (min(abs(away), 5 * usual + bursts * abs(away) + 1e-300) - usual)
        far = abs(self.away) > shift._FAR * usual and self.away * before > 0
        self.lasting = self.lasting + 1 if far else 0
        if self.lasting < shift.LASTING_WINDOWS or self.spread > 0.5 * abs(self.away):
            return 0.0
        step, self.away, self.lasting = self.away, 0.0, 0
        return step


@dataclass
class Totals:
    u: float
    mean: float
    excesses: float = composed._TOTAL_BEGIN
    values: int = 0
    run: int = 0

    def judge(self, total: float, prior: composed.TotalsPrior, pace: float) -> float:
        own = self.excesses / (self.excesses + composed._PRIOR_WEIGHT)
        u, mean = own * self.u + (1 - own) * prior.threshold, own * self.mean + (1 - own) * prior.excess
        usually = composed._TOTAL_SURPRISE
        found = usually + (total - u) / mean / LN10 if total > u else usually * total / u
        self.values += 1
        self.run = self.run + 1 if total > self.u else 0
        if self.run > composed._LONG_RUN:
            pace *= composed._DISTURBED_PACE
        step = pace * max(0.7 / (self.values + 50 * composed._TOTAL_BEGIN) ** 0.5, 0.01)
        if total > self.u:
            self.excesses = single(self.excesses + pace)
            e, rate = min(total - self.u, 3 * self.mean), pace * max(1 / self.excesses, 0.003)
            self.mean = single(self.mean + rate * (e - self.mean))
            self.u = single(self.u + composed._TOTAL_LEVEL * step)
        else:
            self.u = single(max(self.u - (1 - composed._TOTAL_LEVEL) * step, composed._LEAST_U))
        return found
