"""The slow, obvious twin of detectors.ComposedDetector: one row in plain Python, made of the twins of its parts.

What the state keeps in single precision is rounded here too (``single``); the kernel rounds some products on the way as
well, and that is left out: twin and kernel agree to 1e-5, not to the last bit. Constants are those of the modules.
"""

from math import inf, isfinite, log

from detectors import ComposedDetector, composed, deviations, drift, novelty, season, soft_range
from tests.detectors.naive_expected import Forecast, Season, SoftRange, clipped, single
from tests.detectors.naive_held import Before, Held, anew
from tests.detectors.naive_streams import Drift, Quiet, Records, Shapes, Shift, Tail, Totals

Scored = tuple[float, float, float, float]


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
        self.hourly, self.run, self.hot, self.held = 0.0, 0, 0.0, Held()
        self.evidence = dict.fromkeys(
            ["residual", "season", "record", "stillness", "drift", "shape", "long shape"], 0.0
        )

    def step(self, value: float, now: float, most: float = inf) -> Scored:
        if not isfinite(value):
            return (float("nan"),) * 4
        x, seen = clipped(value, -composed._LARGEST, composed._LARGEST), self.seen
        if seen == 0:
            self.forecast, self.records = Forecast(x, [x, x, x], x), Records(x, x)
        before = Before.of(self)
        disturbed = self.hot >= composed._HOT_FROM or self.shift.lasting or self.forecast.bursts > composed._MANY_BURSTS
        pace = composed._DISTURBED_PACE if disturbed else 1.0
        seconds = clipped(now - self.time, 1e-3, composed._LONGEST) if seen else 60.0
        self.time = now
        place = self.soft.place(x, seen)
        level, expected = self._expect(x, now, seconds, pace)
        advice = self.forecast.advice(expected)
        forecasted = self.forecast.mixture(advice)
        band = self._band(forecasted)
        by = self._streams(x, place, level, expected, forecasted, seconds, pace)
        surprise = self._surprise(by, most, seconds, pace)
        hot = surprise >= composed._HOT_SURPRISE
        self.hot = self.hot + min(surprise / composed._HOT_SURPRISE, composed._HOT_MOST) if hot else 0.0
        if seen >= soft_range.YOUNG:
            self.held.follow(self, before, x, abs(x - forecasted), hot, self.hot)
        shifted = self.shift.step(x - level, seen, pace, self.forecast.bursts) if self._on("shift") else 0.0
        self._adopt(shifted, x)
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
        if used and self.season.week[hour].visits >= season.CLOCK_FROM:
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
        length_weight = max((seconds / 3600) ** composed._LENGTH_POWER, composed._LEAST_LENGTH_WEIGHT)
        single_window = length_weight * self._capped(max(found["residual"], weight * found["season"]))
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

    def _capped(self, evidence: float) -> float:
        beyond = evidence - composed._CAP
        return evidence if beyond <= 0 else composed._CAP + log(1 + beyond)

    def _adopt(self, step: float, x: float) -> None:
        """A new level: what is usual moves with it."""
        self.season.offset += step
        self.season.sum -= step * self.season.count
        self.forecast.means[2] += step
        self.soft.low, self.soft.high = self.soft.low + step, self.soft.high + step
        self.hourly -= step
        if step:
            around = composed._NEW_RECORDS * (self.soft.high - self.soft.low)
            self.records = Records(self.soft.low - around, self.soft.high + around)
            anew(self, x)
            self.held = Held()
