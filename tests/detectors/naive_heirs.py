"""The slow, obvious twin of detectors.heirs: what five windows make of an inherited baseline without a season."""

from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean, median

from detectors import tails


@dataclass
class Spread:
    """A tail in the unit of the row: mean, threshold, first and second moment of the excesses."""

    mean: float
    threshold: float
    first: float
    second: float

    def widened(self, factor: float, least: float) -> "Spread":
        return Spread(
            max(factor * self.mean, least),
            max(factor * self.threshold, 3.0 * least),
            max(factor * self.first, 0.8 * least),
            max(factor**2 * self.second, 2.3 * (0.8 * least) ** 2),
        )


@dataclass
class Baseline:
    """What is fitted: levels and spreads, and the tails of residual, season and hour."""

    slow: float
    low: float
    high: float
    least: float
    most: float
    scale: float
    usual_away: float
    tails: list[Spread]


def pooled(baselines: list[Baseline]) -> Baseline:
    """The first one's levels; its spreads or, where these are greater, the median spreads of all."""
    first = baselines[0]
    spreads = []
    for j, tail in enumerate(first.tails):
        medians = {name: median(getattr(each.tails[j], name) for each in baselines) for name in vars(tail)}
        spreads.append(Spread(**{name: max(own, medians[name]) for name, own in vars(tail).items()}))
    scale = max(first.scale, median(each.scale for each in baselines))
    usual_away = max(first.usual_away, median(each.usual_away for each in baselines))
    return replace(first, scale=scale, usual_away=usual_away, tails=spreads)


def settled(base: Baseline, values: list[float], *, stranger: bool) -> Baseline:
    """The baseline after the first windows of the heir."""
    step = fmean(value - base.slow for value in values)
    change = fmean(abs(b - a) for a, b in pairwise(values))
    level = base.slow + step
    moved = replace(
        base,
        slow=level,
        low=base.low + step,
        high=base.high + step,
        least=base.least + step,
        most=base.most + step,
    )
    return _spread(base, moved, values, change) if stranger else moved


def _spread(base: Baseline, moved: Baseline, values: list[float], change: float) -> Baseline:
    level = moved.slow
    ratio = abs(level / base.slow) if base.slow else 1.0
    factor = 4 * ratio if change and ratio < 0.25 else min(max(ratio, 1.0), 100.0)
    change = max(change, 1e-7 * abs(level))
    low = min(level - max(factor * (base.slow - base.low), 3 * change), *values)
    high = max(level + max(factor * (base.high - base.slow), 3 * change), *values)
    least = min(level - factor * (base.slow - base.least), low)
    most = max(level + factor * (base.most - base.slow), high)
    if base.least >= 0 and min(values) >= 0:
        low, least = max(low, 0.0), max(least, 0.0)
    return Baseline(
        level,
        low,
        high,
        least,
        most,
        max(factor * base.scale, change),
        max(factor * base.usual_away, change),
        [each.widened(factor, change) for each in base.tails],
    )


def read(core: list[float], streams: list[list[float]], names: dict[str, int]) -> Baseline:
    """The baseline of a row of the state; ``names`` are columns of ``core``."""
    columns = {name: core[names[name]] for name in ("slow", "low", "high", "least", "most", "scale", "usual_away")}
    spreads = [Spread(t[tails.MEAN], t[tails.U], t[tails.FIRST], t[tails.SECOND]) for t in streams[:3]]
    return Baseline(**columns, tails=spreads)
