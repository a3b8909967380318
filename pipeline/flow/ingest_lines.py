"""The ingest chain of logs: messages of one input partition to blocks of lines on ``calm.logs``, by workload.

Guarantee: that of all input chains; besides, all lines of a message for one output partition stand in one block, and a
message of which a block would be larger than a record may be is refused. Log
records that are events of an entity (of Kubernetes, say) become events.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codecs import line_block
from pipeline.codecs.registry import LineCodec
from pipeline.flow.chain import Numbers
from pipeline.flow.config import FlowConfig
from pipeline.flow.event_rows import EventRows
from pipeline.flow.input_chain import FULL_ROWS, InputChain, cuts, offsets_of
from pipeline.records import Entity, Kind, LineBlock, LineColumns, Message, Output, Produced, Rejection, Snapshot
from pipeline.signals.identity import entity_of, workload_partition

Array = npt.NDArray[Any]

#: Of the lines that are held before blocks are cut, and of the lines of one message.
_FULL_BYTES = 2**20
_MOST_MESSAGE_BYTES = 10 * 2**20
#: What a line takes in a block beside its text, and a character of it at most.
_LINE_BYTES = 80
_CHARACTER_BYTES = 4


class LineIngestChain(InputChain):
    """``source`` is ``topic/partition`` of the input partition."""

    def __init__(self, source: str, codec: LineCodec, config: FlowConfig) -> None:
        super().__init__(source, config)
        self._codec = codec
        self._window_us = config.window_of(Kind.DELTA)
        self._events = EventRows(source, config)
        self._generation = -1
        self._entities: list[Entity] = []  # by number of the codec's resource
        self._out: Array = np.zeros(0, np.int64)
        self._held: list[tuple[LineColumns, slice, Array, Array]] = []  # columns, rows, offset and late by row
        self._rows = self._bytes = 0

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        if self._unused.are_most(len(self._entities), self._progress_us):
            self._codec.forget_soon()
        columns = self._codec.decode(messages)
        if self._codec.generation != self._generation:
            out.add(self.flush())
            self._unused.begin_anew()
            self._generation = self._codec.generation
            self._entities, self._out = [], np.zeros(0, np.int64)
        self._learn()
        for reason, number in columns.dropped.items():
            out.count("drop", reason, number)
        wrong, claim = self._too_far(columns.message, columns.time_us, messages, columns.rejections, out)
        if wrong.any():
            _keep(columns, ~wrong)
            claim = claim[~wrong]
        claim = _fitting(columns, claim, len(messages))
        self._unused.use(columns.resource)
        self._dead_letters(columns.rejections, messages, out)
        offsets = offsets_of(messages)
        for number, resource, found in columns.events:
            event = self.redaction.happening(found, self._config.limits.max_attribute_bytes)
            out.records.append(self._events.add(event, self._entities[resource], int(offsets[number])))
        sizes = np.array([len(body) for body in columns.body], np.int64) + _LINE_BYTES
        most_rows = min(FULL_ROWS, max(_FULL_BYTES // int(sizes.max(initial=1)), 1))
        for _, last, rows in cuts(columns.message, len(messages), most_rows):
            if rows.stop > rows.start:
                message, time_us = columns.message[rows], columns.time_us[rows]
                late = self._lateness(claim[rows], message, time_us, self._window_us, out)
                self._held.append((columns, rows, offsets[message], late))
                self._rows += message.size
                self._bytes += int(sizes[rows].sum())
            self._offset = int(offsets[last - 1]) + 1
            if self._rows >= FULL_ROWS or self._bytes >= _FULL_BYTES:
                out.add(self.flush())
        out.count("lines", "", columns.message.size)
        if messages:
            self._idle = False
        return out

    def _learn(self) -> None:
        new = [entity_of(each, self._config.scope_attributes) for each in self._codec.resources[len(self._entities) :]]
        partitions = [workload_partition(each.scope, each.workload, self._config.line_partitions) for each in new]
        self._entities += new
        self._out = np.append(self._out, np.array(partitions, np.int64))

    def flush(self, *, idle: bool = False) -> Output:
        out = Output()
        if not self._news(idle=idle) and not self._rows:
            return out
        for partition in range(self._config.line_partitions):
            out.records.append(Produced("logs", line_block.encode(self._block(partition)), partition=partition))
        out.records += self._events.blocks(self._covered, self._offset, self._progress_us, idle=self._idle)
        self._held, self._rows, self._bytes = [], 0, 0
        self._covered = self._offset
        return out

    def _block(self, partition: int) -> LineBlock:
        parts = []
        for columns, rows, offset, late in self._held:
            inside = np.flatnonzero(self._out[columns.resource[rows]] == partition)
            parts.append((columns, inside + rows.start, offset[inside], late[inside]))
        resource, time_us, severity = (
            np.concatenate([getattr(columns, name)[at] for columns, at, _, _ in parts] or [np.empty(0, kind)])
            for name, kind in (("resource", np.int32), ("time_us", np.int64), ("severity", np.uint8))
        )
        offset = np.concatenate([part[2] for part in parts] or [np.empty(0, np.int64)])
        late = np.concatenate([part[3] for part in parts] or [np.empty(0, np.bool_)])
        used, entity = np.unique(resource, return_inverse=True)
        places = [(columns, at.tolist()) for columns, at, _, _ in parts]
        return LineBlock(
            source=self._source,
            start=self._covered,
            end=self._offset,
            progress_us=self._progress_us,
            idle=self._idle,
            entities=tuple(self._entities[number] for number in used.tolist()),
            entity=entity.astype(np.uint32),
            time_us=time_us,
            severity=severity,
            offset=offset,
            body=[columns.body[at] for columns, inside in places for at in inside],
            trace_id=[columns.trace_id[at] for columns, inside in places for at in inside],
            late=np.flatnonzero(late).astype(np.uint32) if late.any() else None,
        )

    def snapshot(self, *, full: bool) -> Snapshot:
        return self._with(super().snapshot(full=full), self._events.dump())

    def restore(self, snapshot: Snapshot) -> None:
        super().restore(snapshot)
        self._events.load(self._without(snapshot))

    def numbers(self) -> Numbers:
        return self._events.numbers()

    def go_on_from(self, numbers: Numbers) -> None:
        self._events.go_on_from(numbers)


def _fitting(columns: LineColumns, claim: Array, messages: int) -> Array:
    """Refuse messages whose lines would not fit into a block; the claims of the lines that stay."""
    if _CHARACTER_BYTES * sum(map(len, columns.body)) + _LINE_BYTES * len(columns.body) <= _MOST_MESSAGE_BYTES:
        return claim
    sizes = [len(body.encode("utf-8", "replace")) + _LINE_BYTES for body in columns.body]
    refused = np.flatnonzero(np.bincount(columns.message, sizes, minlength=messages) > _MOST_MESSAGE_BYTES)
    text = f"its lines would take more than {_MOST_MESSAGE_BYTES >> 20} MiB; send fewer of them in a message"
    columns.rejections.extend(Rejection(number, "too_large", text) for number in refused.tolist())
    wrong = np.isin(columns.message, refused)
    if wrong.any():
        _keep(columns, ~wrong)
    return claim[~wrong]


def _keep(columns: LineColumns, mask: Array) -> None:
    place = np.flatnonzero(mask).tolist()
    columns.body = [columns.body[at] for at in place]
    columns.trace_id = [columns.trace_id[at] for at in place]
    for name in ("message", "resource", "time_us", "severity"):
        setattr(columns, name, getattr(columns, name)[mask])
