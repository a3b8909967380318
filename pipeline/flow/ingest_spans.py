"""The ingest chain of traces: messages of one input partition to blocks of spans on ``calm.spans``, by trace.

Guarantee: that of all input chains; besides, all spans of a message for one output partition stand in one block. All
spans of a trace go to one partition. Ids and numbers in the names of operations are masked, so that there are few.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codecs import span_block
from pipeline.codecs.registry import SpanCodec
from pipeline.flow.config import FlowConfig
from pipeline.flow.input_chain import FULL_ROWS, InputChain, cuts, offsets_of
from pipeline.records import Entity, Kind, Message, Output, Produced, SpanBlock, SpanColumns, SpanShape
from pipeline.signals.identity import entity_of
from pipeline.signals.operations import without_ids

Array = npt.NDArray[Any]

_COLUMNS = ("shape", "trace", "span", "parent", "start_us", "end_us", "failed")


class SpanIngestChain(InputChain):
    """``source`` is ``topic/partition`` of the input partition."""

    def __init__(self, source: str, codec: SpanCodec, config: FlowConfig) -> None:
        super().__init__(source, config)
        self._codec = codec
        self._window_us = config.window_of(Kind.HISTOGRAM_DELTA)
        self._generation = -1
        self._entities: list[Entity] = []  # by number of the codec's resource
        self._shapes: list[SpanShape] = []  # by number of the codec's shape
        self._held: list[dict[str, Array]] = []
        self._rows = 0

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        if self._unused.are_most(len(self._shapes), self._progress_us):
            self._codec.forget_soon()
        columns = self._codec.decode(messages)
        if self._codec.generation != self._generation:
            out.add(self.flush())
            self._unused.begin_anew()
            self._generation = self._codec.generation
            self._entities, self._shapes = [], []
        self._learn()
        for reason, number in columns.dropped.items():
            out.count("drop", reason, number)
        wrong, claim = self._too_far(columns.message, columns.end_us, messages, columns.rejections, out)
        if wrong.any():
            columns, claim = _kept(columns, ~wrong), claim[~wrong]
        self._unused.use(columns.shape)
        self._dead_letters(columns.rejections, messages, out)
        offsets = offsets_of(messages)
        for _, last, rows in cuts(columns.message, len(messages)):
            if rows.stop > rows.start:
                message = columns.message[rows]
                late = self._lateness(claim[rows], message, columns.end_us[rows], self._window_us, out)
                held = {name: getattr(columns, name)[rows] for name in _COLUMNS}
                self._held.append(held | {"offset": offsets[message], "late": late})
                self._rows += message.size
            self._offset = int(offsets[last - 1]) + 1
            if self._rows >= FULL_ROWS:
                out.add(self.flush())
        out.count("spans", "", columns.message.size)
        if messages:
            self._idle = False
        return out

    def _learn(self) -> None:
        scope = self._config.scope_attributes
        self._entities += [entity_of(each, scope) for each in self._codec.resources[len(self._entities) :]]
        new = self._codec.shapes[len(self._shapes) :]
        self._shapes += [replace(shape, operation=without_ids(shape.operation)) for shape in new]

    def flush(self, *, idle: bool = False) -> Output:
        out = Output()
        if not self._news(idle=idle) and not self._rows:
            return out
        rows = (
            {name: np.concatenate([held[name] for held in self._held]) for name in self._held[0]} if self._held else {}
        )
        partitions = self._config.span_partitions
        target = partition_of_trace(rows["trace"], partitions) if rows else np.empty(0, np.int64)
        for partition in range(partitions):
            inside = target == partition
            block = self._block({name: column[inside] for name, column in rows.items()})
            out.records.append(Produced("spans", span_block.encode(block), partition=partition))
        self._held, self._rows = [], 0
        self._covered = self._offset
        return out

    def _block(self, rows: dict[str, Array]) -> SpanBlock:
        rows = rows or _NO_ROWS
        used, shape = np.unique(rows["shape"], return_inverse=True)
        shapes = [self._shapes[number] for number in used.tolist()]
        resources = sorted({each.resource for each in shapes})
        place = {resource: at for at, resource in enumerate(resources)}
        late = rows["late"]
        return SpanBlock(
            source=self._source,
            start=self._covered,
            end=self._offset,
            progress_us=self._progress_us,
            idle=self._idle,
            entities=tuple(self._entities[resource] for resource in resources),
            shapes=tuple(replace(each, resource=place[each.resource]) for each in shapes),
            shape=shape.astype(np.uint32),
            **{name: rows[name] for name in ("trace", "span", "parent", "start_us", "end_us", "failed", "offset")},
            links=np.empty((0, 4), np.uint64),
            late=np.flatnonzero(late).astype(np.uint32) if late.any() else None,
        )


_NO_ROWS: dict[str, Array] = {
    "shape": np.empty(0, np.int32),
    "trace": np.empty((0, 2), np.uint64),
    "span": np.empty(0, np.uint64),
    "parent": np.empty(0, np.uint64),
    "start_us": np.empty(0, np.int64),
    "end_us": np.empty(0, np.int64),
    "failed": np.empty(0, np.bool_),
    "offset": np.empty(0, np.int64),
    "late": np.empty(0, np.bool_),
}


def partition_of_trace(trace: Array, partitions: int) -> Array:
    """The partition of each trace: by all 16 bytes of its id, which need not be random."""
    mixed = (trace[:, 0] ^ (trace[:, 1] * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xC2B2AE3D27D4EB4F)
    return ((mixed >> np.uint64(33)) % np.uint64(partitions)).astype(np.int64)


def _kept(columns: SpanColumns, mask: Array) -> SpanColumns:
    """The spans marked; links are of no use without their rows' places, and are left out."""
    rows = {name: getattr(columns, name)[mask] for name in ("message", *_COLUMNS)}
    return replace(columns, **rows, links=np.empty((0, 4), np.uint64))
