"""The slow, obvious twin of detectors.ComposedDetector: one row in plain Python, a class for each part.

What the state keeps in single precision is rounded here too (``single``); the kernel rounds some products on the way as
well, and that is left out: twin and kernel agree to 1e-5, not to the last bit. Constants are those of the modules.
"""

from dataclasses import dataclass, field
from math import exp, inf, isfinite, log

import numpy as np

from detectors import ComposedDetector, composed, deviations, drift, forecast, novelty, season, shift, soft_range, tails

Scored = tuple[float, float, float, float]

LN10 = log(10)


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
            return self._place(x)
        place = self._place(x)
        step = self.width * max(2 / min(seen + 1, 5000), 1 / 5000)
        self.high += step * ((x > self.high) - 0.05)
        self.low -= step * ((x < self.low) - 0.05)
        return place

    def _place(self, x: float) -> float:
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
    values: int = 0

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
        if seen < soft_range.YOUNG:
            return 0.0
        self.most -= deviations._FORGET * max(self.most - soft.high, 0)
        self.least += deviations._FORGET * max(soft.low - self.least, 0)
        return deviations._RECORD * beyond / span


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

    def step(self, away: float, seen: int, pace: float) -> float:
        before = self.away
        self.away += shift._MEMORY * (away - self.away)
        self.spread += shift._MEMORY * (abs(away - self.away) - self.spread)
        usual = self.usual
        if seen < shift._YOUNG:
            self.usual += (abs(away) - usual) / (seen + 1)
            return 0.0
        self.usual += 0.005 * pace * (min(abs(away), 5 * usual + 1e-300) - usual)
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

    def judge(self, total: float, prior: composed.TotalsPrior, pace: float) -> float:
        own = self.excesses / (self.excesses + composed._PRIOR_WEIGHT)
        u, mean = own * self.u + (1 - own) * prior.threshold, own * self.mean + (1 - own) * prior.excess
        usually = composed._TOTAL_SURPRISE
        found = usually + (total - u) / mean / LN10 if total > u else usually * total / u
        self.values += 1
        step = pace * max(0.7 / (self.values + 50 * composed._TOTAL_BEGIN) ** 0.5, 0.01)
        if total > self.u:
            self.excesses = single(self.excesses + pace)
            e, rate = min(total - self.u, 3 * self.mean), pace * max(1 / self.excesses, 0.003)
            self.mean = single(self.mean + rate * (e - self.mean))
            self.u = single(self.u + composed._TOTAL_LEVEL * step)
        else:
            self.u = single(max(self.u - (1 - composed._TOTAL_LEVEL) * step, composed._LEAST_U))
        return found


class NaiveComposed:
    """One row of detectors.ComposedDetector."""

    def __init__(self, detector: ComposedDetector, phase: int = 0) -> None:
        self.detector, self.phase, self.seen, self.time = detector, phase, 0, 0.0
        self.soft, self.season, self.quiet, self.drift = SoftRange(), Season(), Quiet(), Drift()
        self.shapes, self.shift = [Shapes(block) for block in novelty.BLOCK], Shift()
        self.totals = Totals(single(detector.prior.threshold), single(detector.prior.excess))
        point = (composed._PRIOR_POINT, composed._POINT, composed._TAIL_WARM)
        self.tails = {name: Tail(*point) for name in ("residual", "season", "hour", "quiet", "drift")}
        self.tails["flat"] = Tail(composed._PRIOR_FLAT, composed._POINT, 0)
        self.tails["flat"].begin(composed._FLAT_UNIT)
        for block in novelty.BLOCK:
            self.tails[f"shape {block}"] = Tail(composed._PRIOR_STRETCH, composed._STRETCH, composed._SHAPE_WARM)
        self.hourly, self.run, self.hot = 0.0, 0, 0
        self.evidence = dict.fromkeys(
            ["residual", "season", "record", "stillness", "drift", "shape", "long shape"], 0.0
        )

    def step(self, value: float, now: float, most: float = inf) -> Scored:
        if not isfinite(value):
            return (float("nan"),) * 4
        x, seen = clipped(value, -composed._LARGEST, composed._LARGEST), self.seen
        if seen == 0:
            self.forecast, self.records = Forecast(x, [x, x, x], x), Records(x, x)
        pace = composed._HOT_PACE if self.hot >= composed._HOT_FROM else 1.0
        seconds = clipped(now - self.time, 1e-3, composed._LONGEST) if seen else 60.0
        self.time = now
        place = self.soft.place(x, seen)
        level, expected = self._expect(x, now, seconds, pace)
        advice = self.forecast.advice(expected)
        forecasted = self.forecast.mixture(advice)
        band = self._band(forecasted)
        by = self._streams(x, place, level, expected, forecasted, seconds, pace)
        surprise = self._surprise(by, most, seconds, pace)
        self.hot = self.hot + 1 if surprise >= composed._HOT_SURPRISE else 0
        shifted = self.shift.step(x - level, seen, pace) if self._on("shift") else 0.0
        self._adopt(shifted)
        self.forecast.learn(advice, x, seen)
        self.season.learn(x)
        self.forecast.last, self.forecast.seasonal = x, expected + shifted
        self.seen += 1
        return forecasted, *band, surprise

    def _on(self, part: str) -> bool:
        return part in self.detector.parts

    def _expect(self, x: float, now: float, seconds: float, pace: float) -> tuple[float, float]:
        """The usual level, and that drawn towards the present hour."""
        _, medium, slow = self.forecast.means
        hour, place = self.season.enter(now, pace)
        used = self._on("season")
        level = self.season.usual(hour, place, slow, used)
        expected = self.season.drawn(self.season.usual(hour, place, medium, used), seconds)
        if used and self.seen > season.DAY:
            read = {way: self.season.usual(hour + way, place, slow) for way in (-1, 1)} | {0: level}
            self.season.read_clock({way: abs(x - found) for way, found in read.items()}, seconds)
        return level, expected

    def _band(self, forecasted: float) -> tuple[float, float]:
        half = self.tails["residual"].u + self.tails["residual"].first * log(2)
        if self.seen < composed._TAIL_FROM + composed._TAIL_WARM:
            half = 4 * self.forecast.scale
        half *= 1 + 10 / (self.seen + 1)
        low = forecasted - half
        if self.seen and self.records.least >= 0:
            low = min(max(low, 0), forecasted)
        return low, forecasted + half

    def _streams(
        self, x: float, place: float, level: float, expected: float, forecasted: float, seconds: float, pace: float
    ) -> dict[str, float]:
        """Surprise of each stream, by part and kind of evidence."""
        seen, found = self.seen, dict.fromkeys(self.tails, 0.0)
        self.hourly += seconds / 3600 * (x - expected - self.hourly)
        floor = 1e-9 * max(self.forecast.scale, 1e-6 * abs(x)) + 1e-300
        if seen >= composed._TAIL_FROM:
            for name, away in (("residual", x - forecasted), ("season", x - expected), ("hour", self.hourly)):
                found[name] = self.tails[name].judge(abs(away), floor, pace)
        found["record"] = self.records.judge(x, seen, self.soft)
        self.run = self.run + 1 if seen and x == self.forecast.last else 0
        found["flat"] = self.tails["flat"].judge(self.run, 1e-3, pace)
        still = self.quiet.stillness(place, seen)
        if seen >= deviations.QUIET_FROM:
            found["quiet"] = self.tails["quiet"].judge(still, 1e-6, pace)
        distance = self.drift.distance(place, seen)
        if seen >= drift.DRIFT_FROM:
            found["drift"] = self.tails["drift"].judge(distance, 1e-6, pace)
        if seen >= soft_range.YOUNG and self._on("novelty"):
            for scale in self.shapes:
                far = scale.distance(place, seen + self.phase)
                if far is not None:
                    found[f"shape {scale.block}"] = self.tails[f"shape {scale.block}"].judge(far, 1e-6, pace)
        return found

    def _surprise(self, found: dict[str, float], most: float, seconds: float, pace: float) -> float:
        weight, first, *longer = composed._SEASON_WEIGHT, *novelty.BLOCK
        single_window = (seconds / 3600) ** composed._LENGTH_POWER * max(found["residual"], weight * found["season"])
        most = most if self._on("counts") else inf
        by = {
            "residual": min(single_window, most) if self._on("residual") else 0.0,
            "season": min(weight * found["hour"], most) if self._on("season") else 0.0,
            "record": min(found["record"], most) if self._on("record") else 0.0,
            "stillness": max(found[part] if self._on(part) else 0.0 for part in ("flat", "quiet")),
            "drift": found["drift"] if self._on("drift") else 0.0,
            "shape": found[f"shape {first}"],
            "long shape": max(found[f"shape {block}"] for block in longer),
        }
        for name, old in self.evidence.items():
            self.evidence[name] = single(max(min(by[name], composed._CAP), composed._DECAY * old))
        if self.seen < self.detector.min_history:
            return 0.0
        return self.totals.judge(sum(self.evidence.values()), self.detector.prior, pace)

    def _adopt(self, step: float) -> None:
        """A new level: what is usual moves with it."""
        self.season.offset += step
        self.season.sum -= step * self.season.count
        self.forecast.means[2] += step
        self.soft.low, self.soft.high = self.soft.low + step, self.soft.high + step
        self.hourly -= step
