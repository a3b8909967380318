"""The join chain of spans: blocks of one ``calm.spans`` partition to operations, calls and edges of the service graph.

Guarantee: what comes out depends on the log's contents alone, in whatever order spans came and however often. An
operation's rate, failures and durations are told when the window in which its spans ended closes; what needs the other
spans of a trace (self times, calls) is told some windows later, in the event time of then, so that nothing waits for
it. Spans that wait are read again after a restart: a checkpoint holds what was told so far, and no spans.
"""

import sys
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import edge_event, span_block
from pipeline.flow import held_spans
from pipeline.flow.config import FlowConfig
from pipeline.flow.join_chain import JoinChain
from pipeline.flow.made_signals import OTHER, BoundedNames
from pipeline.flow.span_names import SpanNames
from pipeline.records import (
    NO_TIME,
    Edge,
    EdgeKind,
    Entity,
    Kind,
    Output,
    Produced,
    Snapshot,
    SpanBlock,
)
from pipeline.records.signal import Attributes
from pipeline.signals import calls, traces
from pipeline.signals.calls import Measured, NamedSpans
from pipeline.signals.identity import made_signal, scope_partition
from pipeline.topology.service_graph import REMEMBERED_US

Array = npt.NDArray[Any]

#: Event time after which an edge is told again though nothing else is new, so that people see how old it is.
_TELL_EDGE_AGAIN_US = 60_000_000
#: Names of operations and peers that are known at once, before those are forgotten that no span has.
_MOST_NAMES = 100_000
_Key = tuple[str, str, str, EdgeKind]


class SpanJoinChain(JoinChain[SpanBlock, dict[str, Array]]):
    """The shard of partition ``partition`` of ``calm.spans``."""

    ROLE = "join-spans"
    VERSION = "join-spans/1"
    ROWS = "spans"

    def __init__(self, partition: int, config: FlowConfig) -> None:
        window_us = config.window_of(Kind.HISTOGRAM_DELTA)
        self._anomaly_partitions = config.anomaly_partitions
        super().__init__(f"spans/{partition}", span_block.decode, config.span_sources, window_us, config)
        # event time until a trace is taken as whole
        self._wait_us = max(-(-config.trace_wait_us // self._window_us), 1) * self._window_us
        self._names = SpanNames()
        self._operations = BoundedNames(config.limits.max_operations, self._window_us)
        self._peers = BoundedNames(config.limits.max_operations, self._window_us)
        self._distinct: dict[int, NamedSpans] = {}  # what is held, of windows that are closed, without repeats
        self._told_us = NO_TIME  # windows that end at or before it were told
        self._edges: dict[_Key, Edge] = {}
        self._edge_told: dict[_Key, int] = {}

    # -- in ------------------------------------------------------------------------------------------------------

    def _time_us(self, block: SpanBlock) -> Array:
        return block.end_us

    def _hold(self, block: SpanBlock, rows: Array, ends: Array) -> None:
        if not rows.size:
            return
        names = self._names.of(block)[block.shape[rows]]
        spans = {name: getattr(block, name)[rows] for name in held_spans.OF_SPANS}
        spans |= dict(zip(("workload", *held_spans.OF_NAMES), names.T, strict=True))
        for end in np.unique(ends).tolist():
            inside = ends == end
            chunk = {name: column[inside] for name, column in spans.items()}
            self._held.put(end, chunk, chunk["span"].size, sum(map(sys.getsizeof, chunk.values())))

    def _let_go(self) -> None:
        super()._let_go()
        self._distinct.clear()
        self._names = SpanNames()

    # -- windows -------------------------------------------------------------------------------------------------

    def _told_until_us(self) -> int:
        return self._told_us

    def _close(self, until_us: int, out: Output, *, woke: bool) -> None:
        """Of the windows in which nobody waited for us only the ones that spans need."""
        while (end := self._next_end(held=woke)) is not None and end <= until_us:
            self._tell(end, out)
            self._told_us = end
            done = end - 2 * self._wait_us
            self._intake.closed(done)
            for old in [old for old in self._held.ends() if old <= done]:
                self._held.pop(old)
                self._distinct.pop(old, None)
        if len(self._names) > _MOST_NAMES:
            self._forget_names()
        if woke and self._told_us > NO_TIME:
            self._told_us = max(self._told_us, until_us // self._window_us * self._window_us)

    def _next_end(self, *, held: bool) -> int | None:
        """The next window of which there is something to tell; of those that spans need, if you like."""
        if self._made.any() and not held:
            return self._told_us + self._window_us
        ends = [at for end in self._held.ends() for at in (end, end + self._wait_us) if at > self._told_us]
        return min(ends, default=None)

    def _tell(self, end_us: int, out: Output) -> None:
        told = self._of_window(end_us)
        for found in calls.operations(told, np.arange(told.spans.size)):
            self._put("duration", found, end_us)
        whole_us = end_us - self._wait_us
        if self._of_window(whole_us).spans.size:
            self._tell_joined(whole_us, end_us)
        out.records += self._made.close(end_us)
        out.records += self._tell_edges(end_us)

    def _tell_joined(self, whole_us: int, end_us: int) -> None:
        """What needs the other spans of a trace, of the spans of the window that ended at ``whole_us``."""
        ends = range(whole_us - self._wait_us, end_us + 1, self._window_us)
        around = [self._of_window(at) for at in ends]
        named = held_spans.together(around)
        before = sum(each.spans.size for each, at in zip(around, ends, strict=True) if at < whole_us)
        rows = np.arange(before, before + self._of_window(whole_us).spans.size)
        parent = traces.parents(named.spans)
        for found in calls.self_times(named, parent, rows):
            self._put("self_time", found, end_us)
        named = replace(named, peer=self._admitted_peers(named, rows, end_us))
        for found in calls.calls(named, parent, rows):
            self._put_call(found, whole_us, end_us)

    def _of_window(self, end_us: int) -> NamedSpans:
        """The spans that ended in a closed window, each once."""
        found = self._distinct.get(end_us)
        if found is None:
            chunks = self._held.at(end_us)
            if not chunks:
                return held_spans.NOTHING
            rows = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
            keep = traces.first_of_each(held_spans.spans_of(rows))
            rows = {name: column[keep] for name, column in rows.items()}
            rows["operation"] = self._admitted(rows["operation"], end_us)
            found = self._distinct[end_us] = held_spans.named(rows)
        return found

    def _admitted(self, operation: Array, end_us: int) -> Array:
        """Operations beyond what a workload may have become one."""
        used, place = np.unique(operation, return_inverse=True)
        names: dict[tuple[str, ...], dict[str, list[int]]] = {}
        for at, number in enumerate(used.tolist()):
            entity, kind, name = self._names.operation(number)
            names.setdefault((entity.scope, entity.workload, kind), {}).setdefault(name, []).append(at)
        for owner, own in names.items():
            called = self._operations.admit(owner, own, end_us, take=end_us > self._told_us)
            for name, places in own.items():
                if called[name] == OTHER:
                    used[places] = self._names.other(int(used[places[0]]))
        return used[place]

    def _admitted_peers(self, named: NamedSpans, rows: Array, end_us: int) -> Array:
        """What spans call by name, for all; of these rows what is beyond what a workload may call become one."""
        peer = named.peer.copy()
        calling = rows[peer[rows] >= 0]
        pairs, place = np.unique(np.stack([named.spans.workload[calling], peer[calling]]), axis=1, return_inverse=True)
        names: dict[int, dict[str, list[int]]] = {}
        for at, (workload, number) in enumerate(pairs.T.tolist()):
            names.setdefault(workload, {}).setdefault(self._names.peer(number), []).append(at)
        admitted = pairs[1].copy()
        for workload, own in names.items():
            entity = self._names.workload(workload)
            called = self._peers.admit((entity.scope, entity.workload), own, end_us)
            for name, places in own.items():
                if called[name] == OTHER:
                    admitted[places] = self._names.other_peer(int(admitted[places[0]]))
        peer[calling] = admitted[place.ravel()]
        return peer

    def _forget_names(self) -> None:
        """Names that no span has which is held."""
        held = self._held.chunks()
        known = list(self._distinct.values())
        columns = {name: [chunk[name] for chunk in held] for name in ("workload", "operation", "peer")}
        columns["workload"] += [each.spans.workload for each in known]
        columns["operation"] += [each.operation for each in known]
        columns["peer"] += [each.peer for each in known]
        if held:
            self._names.shrink(columns)
        else:
            self._names = SpanNames()

    # -- out -----------------------------------------------------------------------------------------------------

    def _put(self, what: str, found: Measured, end_us: int) -> None:
        entity, kind, operation = self._names.operation(found.group[0])
        attributes = (("operation", operation), ("span.kind", kind))
        self._put_distribution(f"traces.operation.{what}", entity, attributes, found, end_us)

    def _put_call(self, found: Measured, whole_us: int, end_us: int) -> None:
        client, server, kind, named = found.group
        caller = self._names.workload(client)
        called = self._names.peer(server) if named else self._names.workload(server).workload
        edge_kind = calls.EDGE_KINDS[kind]
        attributes = (("call.kind", edge_kind.value), ("peer", called))
        self._put_distribution("traces.call.duration", caller, attributes, found, end_us)
        edge = Edge(caller.scope, caller.workload, called, edge_kind, whole_us, whole_us, int(found.durations.count))
        known = self._edges.get(edge.key)
        self._edges[edge.key] = replace(known, last_us=whole_us, calls=known.calls + edge.calls) if known else edge

    def _put_distribution(
        self, name: str, entity: Entity, attributes: Attributes, found: Measured, end_us: int
    ) -> None:
        self._made.put(made_signal(name, "s", Kind.HISTOGRAM_DELTA, entity, attributes), found.durations, end_us)
        if name.endswith(".duration"):
            failed = name.removesuffix("duration") + "failed"
            self._made.put(made_signal(failed, "1", Kind.SHARE, entity, attributes), found.share_failed, end_us)

    def _tell_edges(self, end_us: int) -> list[Produced]:
        """Edges that are new or were not told for a while, and tombstones of those that nobody has called for long."""
        records = []
        for key, edge in sorted(self._edges.items()):
            if edge.last_us < end_us - REMEMBERED_US:
                del self._edges[key], self._edge_told[key]
                records.append(Produced("topology", None, edge_event.key(edge, self._name)))
            elif edge.last_us > self._edge_told.get(key, NO_TIME) + _TELL_EDGE_AGAIN_US:
                self._edge_told[key] = edge.last_us
                name, value = edge_event.encode(edge, self._name)
                records.append(Produced("topology", value, name))
                records.append(self._to_incidents(edge.scope, value))
        return records

    def _to_incidents(self, scope: str, value: bytes) -> Produced:
        """The same for who groups anomalies: it does not matter there how often an edge is heard."""
        partition = scope_partition(scope, self._anomaly_partitions)
        return Produced("anomalies", value, scope.encode("utf-8", "replace"), partition, (edge_event.EDGE,))

    # -- state ---------------------------------------------------------------------------------------------------

    def gauges(self) -> dict[str, float]:
        return {"pending_rows": len(self._held)}

    @property
    def edges(self) -> list[Edge]:
        """The calls that this shard knows, in order of their keys."""
        return [edge for _, edge in sorted(self._edges.items())]

    def inherit(self, moved: int | None) -> None:
        """A new shard tells of the calls that it sees itself; names of operations and peers it knows."""
        super().inherit(moved)
        if moved is not None:
            self._made.keep(lambda _: False)
            self._edges, self._edge_told = {}, {}

    def snapshot(self, *, full: bool) -> Snapshot:
        offset, progress = self._intake.place()
        edges = [[key, (edge.first_us, edge.last_us, edge.calls)] for key, edge in sorted(self._edges.items())]
        told = sorted(self._edge_told.items())
        kept = [offset, progress, self._intake.closed_us, self._told_us]
        state = msgspec.msgpack.encode([self._made.dump(), self._operations.dump(), self._peers.dump(), edges, told])
        return Snapshot(self.VERSION, offset, msgspec.msgpack.encode(kept), {"state": state}, ("state",), full)

    def _load(self, snapshot: Snapshot) -> None:
        offset, progress, closed_us, self._told_us = msgspec.msgpack.decode(snapshot.head)
        self._intake.restore(offset, progress, closed_us)
        made, operations, peers, edges, told = msgspec.msgpack.decode(snapshot.blocks["state"])
        self._made.load(made)
        self._operations.load(operations)
        self._peers.load(peers)
        self._edges = {edge.key: edge for edge in (_edge(*ends, *rest) for ends, rest in edges)}
        self._edge_told = {(*ends, EdgeKind(kind)): told_us for (*ends, kind), told_us in told}


def _edge(scope: str, client: str, server: str, kind: str, first_us: int, last_us: int, calls: int) -> Edge:
    return Edge(scope, client, server, EdgeKind(kind), first_us, last_us, calls)
