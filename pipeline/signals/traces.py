"""Spans of traces joined: who called whom, how long it took, and how much of that time was a span's own.

Guarantee: the same set of spans gives the same answer, in whatever order and however often each came; a parent or child
that is missing costs what only it can tell and nothing else. All times are event times in microseconds.

A span's parent is the span of the same trace with that id. *Self time* is the part of a span's time in which none of
its children was running. A *call* is a span whose parent belongs to another workload, seen from both ends; where the
called side sends no spans (a database, a queue, somebody else's service), what the calling span names is taken for it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

#: Buckets of durations: eight to an octave from a microsecond on, so that a quantile is at most 9 % off. The first
#: holds all that is shorter, the last all that is longer (an hour and more).
PER_OCTAVE, BUCKETS = 8, 256
_NONE = -1


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans by column, shapes (spans,): ``trace`` (spans, 2), ``span`` and ``parent`` (0 = none) uint64;
    ``start_us`` and ``end_us``; ``failed``; ``workload``, a number for whoever sent it."""

    trace: npt.NDArray[np.uint64]
    span: npt.NDArray[np.uint64]
    parent: npt.NDArray[np.uint64]
    start_us: npt.NDArray[np.int64]
    end_us: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    workload: npt.NDArray[np.int64]

    @property
    def size(self) -> int:
        return int(self.span.size)


def first_of_each(spans: Spans) -> npt.NDArray[np.intp]:
    """Places of the spans without repeats, in order of trace and span; of those with the same ids that which ended
    first stays."""
    order = np.lexsort((spans.start_us, spans.end_us, spans.span, spans.trace[:, 1], spans.trace[:, 0]))
    trace, span = spans.trace[order], spans.span[order]
    fresh = np.ones(order.size, np.bool_)
    fresh[1:] = (span[1:] != span[:-1]) | (trace[1:] != trace[:-1]).any(axis=1)
    return order[fresh]


def parents(spans: Spans) -> npt.NDArray[np.int64]:
    """The place of each span's parent among ``spans`` (distinct), −1 where it is not among them."""
    found = np.full(spans.size, _NONE, np.int64)
    if spans.size:
        slots = np.zeros(1 << (2 * spans.size - 1).bit_length(), np.int32)
        _find_parents(spans.trace, spans.span, spans.parent, slots, found)
    return found


def self_times(spans: Spans, parent: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The self time of each span, in microseconds."""
    order = np.lexsort((spans.start_us, parent))
    covered = np.zeros(spans.size, np.int64)
    _cover(order, parent, spans.start_us, spans.end_us, covered)
    return np.maximum(spans.end_us - spans.start_us, 0) - covered


def bucket_of(duration_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The bucket of each duration."""
    octaves = np.log2(np.maximum(duration_us, 1).astype(np.float64))
    return np.clip(np.ceil(octaves * PER_OCTAVE - 1e-9), 0, BUCKETS - 1).astype(np.int64)


def bucket_bounds() -> npt.NDArray[np.float64]:
    """Upper bounds in seconds, (BUCKETS,); the last is +inf."""
    bounds = 1e-6 * 2.0 ** (np.arange(BUCKETS) / PER_OCTAVE)
    bounds[-1] = np.inf
    return bounds


@njit(cache=True, error_model="numpy")
def _hash(high: Any, low: Any, span: Any) -> Any:
    mixed = (high ^ (low << np.uint64(1)) ^ span) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64(mixed >> np.uint64(20))


@njit(cache=True, error_model="numpy")
def _find_parents(trace: Any, span: Any, parent: Any, slots: Any, found: Any) -> None:
    last = slots.size - 1
    for i in range(span.size):
        at = _hash(trace[i, 0], trace[i, 1], span[i]) & last
        while slots[at] > 0:
            at = (at + 1) & last
        slots[at] = i + 1
    for i in range(span.size):
        if parent[i] == 0 or parent[i] == span[i]:
            continue
        at = _hash(trace[i, 0], trace[i, 1], parent[i]) & last
        while slots[at] > 0:
            j = slots[at] - 1
            if span[j] == parent[i] and trace[j, 0] == trace[i, 0] and trace[j, 1] == trace[i, 1]:
                found[i] = j
                break
            at = (at + 1) & last


@njit(cache=True, error_model="numpy")
def _cover(order: Any, parent: Any, start_us: Any, end_us: Any, covered: Any) -> None:
    """How much of each span its children cover together; ``order`` by parent and start."""
    now, reached = -1, 0
    for i in order:
        above = parent[i]
        if above < 0:
            continue
        if above != now:
            now, reached = above, start_us[above]
        begin = max(start_us[i], reached)
        end = min(end_us[i], end_us[above])
        if end > begin:
            covered[above] += end - begin
            reached = end
