"""Joined spans to values: how often, how long and how failed, by operation and by call, for one window.

Guarantee: the same set of spans gives the same values, in whatever order they came. Durations are distributions over
fixed buckets, so that those of several shards add up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.records import EdgeKind, HistogramPoint, Peer, SpanKind
from pipeline.signals import traces

_BOUNDS = traces.bucket_bounds()


@dataclass(frozen=True, slots=True)
class NamedSpans:
    """Distinct spans with what they are, as numbers that the caller gave: ``operation`` (of a workload), ``kind`` (a
    SpanKind), ``peer`` (what is called by name, −1 = nothing) and ``peer_kind`` (a Peer); shapes (spans,)."""

    spans: traces.Spans
    operation: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    peer: npt.NDArray[np.int64]
    peer_kind: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Measured:
    """One group of spans in a window: its number(s), durations in seconds, and how many failed."""

    group: tuple[int, ...]
    durations: HistogramPoint
    failed: int

    @property
    def share_failed(self) -> HistogramPoint:
        """Failures of all, as a distribution of zeros and ones."""
        return HistogramPoint(
            self.durations.count, float(self.failed), np.array([np.inf]), np.array([self.durations.count])
        )


def operations(named: NamedSpans, rows: npt.NDArray[np.intp]) -> Iterator[Measured]:
    """Total times of these rows, by (operation,)."""
    spans = named.spans
    yield from _measured(named.operation[rows], (spans.end_us - spans.start_us)[rows], spans.failed[rows])


def self_times(named: NamedSpans, parent: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]) -> Iterator[Measured]:
    """Self times of these rows, by (operation,); ``parent`` as ``traces.parents`` gives it for all spans."""
    own = traces.self_times(named.spans, parent)
    yield from _measured(named.operation[rows], own[rows], named.spans.failed[rows])


def calls(named: NamedSpans, parent: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]) -> Iterator[Measured]:
    """Calls that these rows are the called (or, where nobody answers with spans, the calling) side of, by (client
    workload, server, EdgeKind's place, 1 where the server is a number of ``peer`` and no workload)."""
    spans = named.spans
    child, caller = _answered(named, parent, rows)
    alone = _unanswered(named, parent, rows)
    client_side = np.isin(named.kind[caller], (SpanKind.CLIENT, SpanKind.PRODUCER))
    duration = spans.end_us - spans.start_us
    group = np.concatenate(
        [
            _packed(spans.workload[caller], spans.workload[child], _kind_of(named, child, caller), 0),
            _packed(spans.workload[alone], named.peer[alone], _KIND_OF_PEER[named.peer_kind[alone]], 1),
        ]
    )
    took = np.concatenate([np.where(client_side, duration[caller], duration[child]), duration[alone]])
    failed = np.concatenate([spans.failed[caller] & client_side | spans.failed[child], spans.failed[alone]])
    for found in _measured(group, took, failed):
        yield Measured(_unpacked(found.group[0]), found.durations, found.failed)


def _answered(
    named: NamedSpans, parent: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Rows whose parent belongs to another workload, and that parent."""
    workload = named.spans.workload
    child = rows[parent[rows] >= 0]
    child = child[workload[child] != workload[parent[child]]]
    return child, parent[child]


def _unanswered(named: NamedSpans, parent: npt.NDArray[np.int64], rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Rows that name what they call, and that no span of another workload answers."""
    workload, known = named.spans.workload, parent >= 0
    answered = np.zeros(parent.size, np.bool_)
    other = np.flatnonzero(known)[workload[known] != workload[parent[known]]]
    answered[parent[other]] = True
    calling = np.isin(named.kind[rows], (SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.INTERNAL))
    return rows[calling & (named.peer[rows] >= 0) & ~answered[rows]]


#: Kinds of edges by number, and the one of what a span itself names, by Peer.
EDGE_KINDS = tuple(EdgeKind)
_CALL, _MESSAGE, _DATABASE = (EDGE_KINDS.index(kind) for kind in (EdgeKind.CALL, EdgeKind.MESSAGE, EdgeKind.DATABASE))
_KIND_OF_PEER = np.zeros(len(Peer), np.int64)
_KIND_OF_PEER[[Peer.SERVICE, Peer.DATABASE, Peer.QUEUE]] = _CALL, _DATABASE, _MESSAGE


def _kind_of(named: NamedSpans, child: npt.NDArray[np.intp], caller: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    message = (named.kind[child] == SpanKind.CONSUMER) | (named.kind[caller] == SpanKind.PRODUCER)
    return np.where(message, _MESSAGE, _CALL)


_BITS = 30  # of a number of a workload or peer in a group's number


def _packed(
    client: npt.NDArray[np.int64], server: npt.NDArray[np.int64], kind: npt.NDArray[np.int64], named: int
) -> npt.NDArray[np.int64]:
    return ((client << _BITS | server) << 2 | kind) << 1 | named


def _unpacked(group: int) -> tuple[int, int, int, int]:
    ends = group >> 3
    return ends >> _BITS, ends & ((1 << _BITS) - 1), group >> 1 & 3, group & 1


def _measured(
    group: npt.NDArray[np.int64], took_us: npt.NDArray[np.int64], failed: npt.NDArray[np.bool_]
) -> Iterator[Measured]:
    """By group, in order of its number."""
    if not group.size:
        return
    order = np.argsort(group, kind="stable")
    group, took_us, failed = group[order], np.maximum(took_us[order], 0), failed[order]
    first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    ends = np.append(first[1:], group.size)
    seconds = np.add.reduceat(took_us, first) / 1e6
    failures = np.add.reduceat(failed.astype(np.int64), first)
    spreads = _spreads(traces.bucket_of(took_us), first, ends)
    columns = (group[first], ends - first, seconds, failures)
    for spread, number, count, total, bad in zip(spreads, *(column.tolist() for column in columns), strict=True):
        yield Measured((number,), HistogramPoint(float(count), total, *spread), bad)


def _spreads(
    bucket: npt.NDArray[np.int64], first: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Bounds and counts of each group, whose buckets are ``bucket[first:end]``: from the lowest bucket that holds
    anything to the highest, with the bound below and +inf. All groups lie one after the other in one array."""
    low, high = np.minimum.reduceat(bucket, first), np.maximum.reduceat(bucket, first)
    begins = np.maximum(low - 1, 0)
    sizes = np.minimum(high + 1, traces.BUCKETS - 1) - begins + 1
    places = np.cumsum(sizes)
    shift = places - sizes - begins  # place of a group's bucket in the array, less its number
    counts = np.bincount(bucket + np.repeat(shift, ends - first), minlength=int(places[-1])).astype(np.float64)
    bounds = _BOUNDS[np.arange(places[-1]) - np.repeat(shift, sizes)]
    bounds[places - 1] = np.inf
    for begin, end in zip((places - sizes).tolist(), places.tolist(), strict=True):
        yield bounds[begin:end], counts[begin:end]
