"""OTLP histogram, exponential histogram and summary points as a HistogramPoint.

Guarantee: bounds are strictly ascending, only the last is +inf, and there is one count for each; a point that cannot
be brought into this form raises BadPoint ``bad_histogram``. ``sum`` is NaN where the producer gave none (it may leave
it out when values can be negative). Arrays of bounds may be shared between points and are read-only.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import inf, isfinite, nan
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codecs.series_table import BadPoint
from pipeline.records import HistogramPoint

Floats = npt.NDArray[np.float64]

#: More buckets than any SDK makes (exponential histograms have at most 160 by default).
MAX_BUCKETS = 1024
# The scales OpenTelemetry's SDKs use. At the least, one bucket holds everything above 1.
_SCALES = range(-10, 21)


def explicit_histogram(point: Any) -> HistogramPoint:
    """A ``HistogramDataPoint``: its explicit bounds and +inf."""
    counts, bounds = point.bucket_counts[:], point.explicit_bounds[:]
    if not counts and not bounds:
        return whole_range(point.count, _sum(point))
    if len(bounds) != len(counts) - 1:
        detail = f"{len(counts)} bucket counts need {len(counts) - 1} bounds, not {len(bounds)}"
        raise BadPoint("bad_histogram", detail)
    return _histogram(point, [*bounds, inf], counts)


def exponential_histogram(point: Any) -> HistogramPoint:
    """An ``ExponentialHistogramDataPoint``: bucket i ends at base**(i+1), its mirror image at −base**i.

    Empty buckets at the ends are left out. Where nothing borders on a run of buckets, its lower edge is a bound of
    its own with count 0, so that the lowest bucket does not seem to reach down to −inf (or to zero).
    """
    if point.scale not in _SCALES:
        detail = f"scale is {point.scale}; it must be from {_SCALES[0]} to {_SCALES[-1]}"
        raise BadPoint("bad_histogram", detail)
    bounds: list[float] = []
    counts: list[int] = []
    for edge, ends, inside in _runs(point):
        if isfinite(edge) and edge < ends[0] and (not bounds or bounds[-1] < edge):
            bounds.append(edge)
            counts.append(0)
        bounds += ends
        counts += inside
    if not bounds or bounds[-1] != inf:
        bounds.append(inf)
        counts.append(0)
    return _histogram(point, bounds, counts)


def whole_range(count: int, total: float) -> HistogramPoint:
    """A distribution of which only count and sum are known."""
    return HistogramPoint(float(count), total, _ascending(inf), np.array([count], np.float64))


def _runs(point: Any) -> Iterator[tuple[float, Sequence[float], Sequence[int]]]:
    """Negative, zero and positive buckets in ascending order: lower edge, upper bounds, counts."""
    first, counts = _filled(point.negative)
    if counts:
        edge, *ends = (-power for power in reversed(_powers(first, len(counts), point.scale)))
        yield edge, ends, counts[::-1]
    if point.zero_count:
        yield -point.zero_threshold, [point.zero_threshold], [point.zero_count]
    first, counts = _filled(point.positive)
    if counts:
        edge, *ends = _powers(first, len(counts), point.scale)
        yield edge, ends, counts


def _filled(buckets: Any) -> tuple[int, list[int]]:
    """Index of the first bucket that is not empty, and the counts from there to the last such."""
    counts = buckets.bucket_counts[:]
    filled = [place for place, count in enumerate(counts) if count]
    if not filled:
        return 0, []
    first, last = filled[0], filled[-1]
    _check_buckets(last - first + 1)
    return buckets.offset + first, counts[first : last + 1]


@lru_cache(maxsize=256)
def _powers(first: int, size: int, scale: int) -> tuple[float, ...]:
    """base**first … base**(first+size), where base = 2**(2**−scale)."""
    with np.errstate(over="ignore", under="ignore"):
        return tuple(np.exp2(np.arange(first, first + size + 1) * 2.0**-scale).tolist())


def _histogram(point: Any, bounds: list[float], counts: list[int]) -> HistogramPoint:
    _check_buckets(len(counts))
    return HistogramPoint(float(point.count), _sum(point), _ascending(*bounds), np.array(counts, np.float64))


@lru_cache(maxsize=256)
def _ascending(*bounds: float) -> Floats:
    """The bounds as an array, made once for all points that have the same ones."""
    found = np.array(bounds, np.float64)
    if bounds[-1] != inf or not (np.isfinite(found[:-1]).all() and (found[:-1] < found[1:]).all()):
        raise BadPoint("bad_histogram", f"bounds must ascend and be finite, not {bounds[:8]}")
    found.flags.writeable = False
    return found


def _check_buckets(number: int) -> None:
    if number > MAX_BUCKETS:
        raise BadPoint("bad_histogram", f"{number} buckets; at most {MAX_BUCKETS} are taken")


def _sum(point: Any) -> float:
    return float(point.sum) if point.HasField("sum") else nan
