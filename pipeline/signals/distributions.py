"""Histograms of one window to values people read: rate, mean, quantiles, and the share above a threshold.

Guarantee: quantiles come from the values that arrived since the point before (cumulative histograms are subtracted,
resets are recognised by a falling count), interpolated linearly inside their bucket, never beyond the outer finite
bounds; so does the share above a threshold, which counts of what is beyond them only what is known. Exponential
histograms that changed scale are compared at the bounds they share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.records import US, HistogramPoint

QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest cumulative point of a histogram signal."""

    time_us: int
    start_us: int
    point: HistogramPoint


def summarise(
    points: Sequence[tuple[int, int, HistogramPoint]],
    before: Seen | None,
    *,
    cumulative: bool,
    above: float | None = None,
) -> tuple[dict[str, float], Seen | None]:
    """Values by suffix (``rate``, ``mean``, ``p50``…) for one signal's window, and what to remember.

    ``points`` are (time_us, start_us, point), in time order. Empty when nothing arrived in a known span of time.
    With the threshold ``above`` there is also the value ``above``, the share of values above it.
    """
    parts: list[HistogramPoint] = []
    elapsed_us = reached_us = 0
    for time_us, start_us, point in points:
        since = start_us or (before.time_us if before else 0)
        fresh = point
        if cumulative:
            reset = before is not None and (point.count < before.point.count or start_us > before.time_us)
            if before is None:
                since = 0
            elif reset:
                since = max(start_us, before.time_us)
            else:
                since, fresh = before.time_us, subtract(point, before.point)
        if 0 < since < time_us:
            parts.append(fresh)
            elapsed_us += max(time_us - max(since, reached_us), 0)  # several may send what belongs to one time
            reached_us = time_us
        before = Seen(time_us, start_us, point)
    return (_values(parts, elapsed_us, above), before)


def subtract(new: HistogramPoint, old: HistogramPoint) -> HistogramPoint:
    """What was added between two cumulative points."""
    shared = np.intersect1d(new.bounds, old.bounds)
    if not shared.size or not np.isinf(shared[-1]):
        shared = np.append(shared, np.inf)
    added = np.diff(_at(new, shared) - _at(old, shared), prepend=0.0)
    return HistogramPoint(max(new.count - old.count, 0.0), new.sum - old.sum, shared, np.maximum(added, 0.0))


def quantile(point: HistogramPoint, q: float) -> float:
    """The q-quantile, linear inside the bucket; the outermost finite bound for the open buckets."""
    total = float(point.counts.sum())
    if total <= 0 or point.bounds.size < 2:
        return float("nan")
    reached = np.cumsum(point.counts)
    i = int(np.searchsorted(reached, q * total, side="left"))
    i = min(i, point.bounds.size - 1)
    upper = float(point.bounds[i])
    if np.isinf(upper):
        return float(point.bounds[i - 1])
    below = float(reached[i - 1]) if i else 0.0
    lower = float(point.bounds[i - 1]) if i else min(0.0, upper)
    inside = float(point.counts[i])
    return lower + (upper - lower) * ((q * total - below) / inside if inside else 1.0)


def share_above(point: HistogramPoint, threshold: float) -> float:
    """The share of values above a threshold, from 0 to 1: exact at a bound, linear inside the bucket that it falls in.

    The lowest bucket begins at 0, if its bound is above that. Of values in an open bucket nothing is known but its
    bound: those of the last one are above thresholds up to that bound, and above none beyond it; those of the first,
    where it ends at 0 or below, are above none. NaN where there are no values, or no bounds.
    """
    reached = np.cumsum(point.counts)
    total = float(reached[-1])
    if total <= 0 or point.bounds.size < 2:
        return float("nan")
    i = int(np.searchsorted(point.bounds, threshold, side="left"))
    higher = total - float(reached[i])
    upper = float(point.bounds[i])
    lower = float(point.bounds[i - 1]) if i else min(0.0, upper)
    if lower < upper < np.inf:
        higher += float(point.counts[i]) * min((upper - threshold) / (upper - lower), 1.0)
    return higher / total


def merge(parts: Sequence[HistogramPoint]) -> HistogramPoint:
    """The sum of several distributions, at the bounds at which it is known of all of them how much lies below."""
    bounds = np.unique(np.concatenate([part.bounds for part in parts]))
    for part in parts:
        bounds = bounds[_known(part, bounds)]
    bounds = bounds if bounds.size and np.isinf(bounds[-1]) else np.append(bounds, np.inf)
    reached = sum(_at(part, bounds) for part in parts)
    counts = np.diff(np.asarray(reached), prepend=0.0)
    return HistogramPoint(sum(p.count for p in parts), sum(p.sum for p in parts), bounds, counts)


def _known(point: HistogramPoint, bounds: np.ndarray) -> np.ndarray:
    """At which bounds is it known how many values lie at or below: its own, and where all or none do."""
    known = np.isin(bounds, point.bounds)
    if point.counts[0] == 0:
        known |= bounds <= point.bounds[0]
    if point.counts[-1] == 0 and point.bounds.size > 1:
        known |= bounds >= point.bounds[-2]
    return known


def _at(point: HistogramPoint, bounds: np.ndarray) -> np.ndarray:
    """How many values lie at or below each bound."""
    reached = np.cumsum(point.counts)
    i = np.searchsorted(point.bounds, bounds, side="right") - 1
    return np.where(i >= 0, reached[np.maximum(i, 0)], 0.0)


def _values(parts: Sequence[HistogramPoint], elapsed_us: int, above: float | None) -> dict[str, float]:
    if not parts or elapsed_us <= 0:
        return {}
    whole = parts[0] if len(parts) == 1 else merge(parts)
    found = {"rate": whole.count * US / elapsed_us}
    if whole.count > 0:
        found["mean"] = whole.sum / whole.count
        found |= {name: quantile(whole, q) for name, q in QUANTILES}
        if above is not None:
            found["above"] = share_above(whole, above)
    return {name: value for name, value in found.items() if np.isfinite(value)}
