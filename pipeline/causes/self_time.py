"""Self times of workloads: where calls take longer than usual by what the workload itself, or the way to it, adds.

Guarantee: a slowdown depends on the times of the window and of the reference alone, whatever order they came in.
Memory is bounded: of parts of calls those without a time for longest are forgotten, and counted.

A *part* is either a step of an operation (its time minus that of what it waited for), or the way from a caller to
what it called (the calling span's own time: network, queues, connections). Times are compared as y = ln(ms + 0.3), so
that fractions of a millisecond make no difference. A workload is judged by its *facets*: its own steps, and each
neighbour that it calls or that calls it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Workload, what it called ("" = the part is a step of its own), operation, step.
Part = tuple[str, str, str, str]

_LEAST_MS = 0.3
#: Times in the reference from which something usual can be said.
LEAST_TIMES = 5.0
HALF_LIFE_US = 86_400 * 1_000_000
MOST_PARTS, MOST_MEDIANS = 50_000, 60
#: Width of the reference's buckets, and the least scale of y: a tenth.
_WIDTH = _LEAST_SCALE = 0.1
_IQR, _MAD, _MEDIAN = 1.349, 1.4826, 1.57  # of a normal distribution; variance of a median by that of a mean
_UNKNOWN_DRIFT, _LEAST_DRIFT, _DRIFT_KNOWN_FROM = 0.5, 0.3, 3
_LEAST_SHIFT, _MOST_SHIFT = -3.0, 6.0
_LEAST_Z, _MOST_Z, _MOST_FACETS = -2.0, 6.0, 4


@dataclass(frozen=True, slots=True)
class Usual:
    """``centre`` and ``scale`` of y, and how far medians of windows lie from each other (``drift``)."""

    centre: float
    scale: float
    drift: float


@dataclass(frozen=True, slots=True)
class Shift:
    """A part's times in a window against the usual ones; medians in milliseconds."""

    part: Part
    z: float
    times: int
    median_ms: float
    usual_ms: float


@dataclass(frozen=True, slots=True)
class Slowdown:
    """How much longer a workload takes in all its facets (``strength``), and the part that is furthest from usual."""

    strength: float
    furthest: Shift


def logged(milliseconds: Array) -> Array:
    """y of times; those below 0 are 0."""
    found: Array = np.log(np.maximum(milliseconds, 0.0) + _LEAST_MS)
    return found


def shift(part: Part, y: Array, usual: Usual) -> Shift:
    """``y`` of the window, shape (times,), at least one."""
    moved = np.clip(y - usual.centre, _LEAST_SHIFT, _MOST_SHIFT)
    spread = sqrt(usual.drift**2 + _MEDIAN * usual.scale**2 / y.size)
    median = max(exp(float(np.median(y))) - _LEAST_MS, 0.0)
    return Shift(part, float(np.median(moved)) / spread, y.size, median, max(exp(usual.centre) - _LEAST_MS, 0.0))


#: Part, at, counts by bucket, and medians of the last windows.
Saved = tuple[Part, int, list[tuple[int, float]], list[float]]


@dataclass(frozen=True, slots=True)
class _Known:
    at_us: int
    counts: dict[int, float]
    medians: tuple[float, ...]


class Paces:
    """The reference: how long parts of calls usually take, as counts in buckets of y, fading by age."""

    def __init__(self, saved: Iterable[Saved] = ()) -> None:
        self._parts: dict[Part, _Known] = {}  # the one learnt last comes last
        self.forgotten_parts = 0
        for (workload, called, operation, step), at_us, counts, medians in saved:
            self._parts[workload, called, operation, step] = _Known(at_us, dict(counts), tuple(medians))

    def __len__(self) -> int:
        return len(self._parts)

    def learn(self, window: Mapping[Part, Array], at_us: int, but: frozenset[str] = frozenset()) -> None:
        """Take the y of a window as usual, apart from parts that workloads ``but`` have a share in."""
        for part in sorted(window):
            if not but.isdisjoint(part[:2]) or not window[part].size:
                continue
            known = self._parts.pop(part, _Known(at_us, {}, ()))
            faded = 0.5 ** (max(at_us - known.at_us, 0) / HALF_LIFE_US)
            counts = {bucket: number * faded for bucket, number in known.counts.items() if number * faded > 1e-3}
            for bucket, number in zip(*np.unique(np.floor(window[part] / _WIDTH), return_counts=True), strict=True):
                counts[int(bucket)] = counts.get(int(bucket), 0.0) + float(number)
            medians = (*known.medians, float(np.median(window[part])))[-MOST_MEDIANS:]
            self._parts[part] = _Known(at_us, counts, medians)
        while len(self._parts) > MOST_PARTS:
            del self._parts[next(iter(self._parts))]
            self.forgotten_parts += 1

    def usual(self, part: Part, now_us: int) -> Usual | None:
        """None where too little is known."""
        known = self._parts.get(part)
        if known is None:
            return None
        faded = 0.5 ** (max(now_us - known.at_us, 0) / HALF_LIFE_US)
        if sum(known.counts.values()) * faded < LEAST_TIMES:
            return None
        low, centre, high = (_quantile(known.counts, share) for share in (0.25, 0.5, 0.75))
        return Usual(centre, max((high - low) / _IQR, _LEAST_SCALE), _drift(known.medians))

    def dump(self) -> list[Saved]:
        """For a checkpoint: parts in the order in which they were learnt, so that the same are forgotten next."""
        return [
            (part, known.at_us, sorted(known.counts.items()), list(known.medians))
            for part, known in self._parts.items()
        ]


def _quantile(counts: Mapping[int, float], share: float) -> float:
    """Of y, evenly spread within each bucket."""
    left = share * sum(counts.values())
    ordered = sorted(counts.items())
    for bucket, number in ordered:
        if left <= number:
            return (bucket + left / number) * _WIDTH
        left -= number
    return (ordered[-1][0] + 1) * _WIDTH


def _drift(medians: tuple[float, ...]) -> float:
    if len(medians) < _DRIFT_KNOWN_FROM:
        return _UNKNOWN_DRIFT
    values = np.array(medians)
    return max(_MAD * float(np.median(np.abs(values - np.median(values)))), _LEAST_DRIFT)


def shifts(window: Mapping[Part, Array], paces: Paces, now_us: int) -> list[Shift]:
    """Every part of the window of which something usual is known."""
    found = []
    for part in sorted(window):
        usual = paces.usual(part, now_us)
        if usual is not None and window[part].size:
            found.append(shift(part, window[part], usual))
    return found


def slowdowns(found: Iterable[Shift]) -> dict[str, Slowdown]:
    """Shifts of parts to slowdowns of workloads; the way to a neighbour is a facet of both ends."""
    facets: dict[str, dict[tuple[str, str], list[Shift]]] = {}
    for one in found:
        caller, called = one.part[:2]
        if called:
            facets.setdefault(caller, {}).setdefault(("to", called), []).append(one)
            facets.setdefault(called, {}).setdefault(("from", caller), []).append(one)
        else:
            facets.setdefault(caller, {}).setdefault(("own", ""), []).append(one)
    return {workload: _slowdown(own) for workload, own in sorted(facets.items())}


def _slowdown(facets: Mapping[tuple[str, str], list[Shift]]) -> Slowdown:
    means = [_mean(facets[name]) for name in sorted(facets)]
    furthest = max((one for own in facets.values() for one in own), key=lambda one: (one.z * sqrt(one.times), one.part))
    return Slowdown(sum(means) / len(means) * sqrt(min(len(means), _MOST_FACETS)), furthest)


def _mean(own: Iterable[Shift]) -> float:
    """Of z, each kept within limits, by the root of how many times there were."""
    total = weight = 0.0
    for one in own:
        total += sqrt(one.times) * min(max(one.z, _LEAST_Z), _MOST_Z)
        weight += sqrt(one.times)
    return total / weight


def bucket_middle(bounds_ms: Array) -> Array:
    """y in the middle of each bucket of a histogram with these upper bounds: for times that come as distributions."""
    low = np.concatenate([[0.0], bounds_ms[:-1]])
    high = np.where(np.isfinite(bounds_ms), bounds_ms, low)
    found: Array = logged((low + high) / 2.0)
    return found
