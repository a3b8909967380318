"""The ingest chain of metrics: messages of one input partition to columnar blocks on ``calm.signals``.

Guarantee: that of all input chains; besides, every row of a message for one output partition stands in one block, and
no block is larger than a record may be: descriptions of signals may stand in blocks of their own before it, and a
message of which a block would be too large is refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codecs import signal_block
from pipeline.codecs.registry import InputCodec
from pipeline.flow.config import FlowConfig
from pipeline.flow.input_chain import FULL_ROWS, InputChain, cuts, offsets_of
from pipeline.records import (
    NO_TIME,
    US,
    Entity,
    HistogramPoint,
    Message,
    Output,
    PointColumns,
    Produced,
    Rejection,
    Series,
    Signal,
    SignalBlock,
)
from pipeline.signals.aliases import value_factor
from pipeline.signals.identity import entity_of, partition_of, signal_of, workload_partition
from pipeline.signals.span_metrics import of_caller

Array = npt.NDArray[Any]

#: Of the rows that are held before blocks are cut, of descriptions in one block, and of the rows of one message.
_FULL_BYTES = 2 * 2**20
_MOST_DESCRIBED_BYTES = 2**20
_MOST_MESSAGE_BYTES = 10 * 2**20
#: What a row takes in a block, and a bucket of its histogram.
_ROW_BYTES = 48
_BUCKET_BYTES = 16
#: What a description takes beside its texts.
_DESCRIPTION_BYTES = 64

#: Event time after which signals are described again.
_DESCRIBE_AGAIN_US = 600 * US


class IngestChain(InputChain):
    """``source`` is ``topic/partition`` of the input partition."""

    def __init__(self, source: str, codec: InputCodec, config: FlowConfig) -> None:
        super().__init__(source, config)
        self._codec = codec
        self._held: list[tuple[Array, ...]] = []  # (series, time_us, value, start_us, offset, late) per batch
        self._histograms: dict[int, Any] = {}
        self._rows = self._bytes = 0
        self._has_start = False
        self._described_at_us = NO_TIME
        self._told_us = NO_TIME  # the progress that the newest blocks told of
        self._forget_series()

    def _forget_series(self) -> None:
        self._unused.begin_anew()
        self._generation = self._codec.table.generation
        self._signals: list[Signal] = []
        self._ids: Array = np.zeros(0, np.uint64)
        self._out: Array = np.zeros(0, np.int64)
        self._window_us: Array = np.zeros(0, np.int64)
        self._factor: Array = np.zeros(0)  # to today's unit
        self._described: Array = np.zeros(0, np.bool_)
        self._entities: dict[Entity, bool] = {}  # was it told?

    # -- in ------------------------------------------------------------------------------------------------------

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        if self._unused.are_most(len(self._signals), self._progress_us):
            self._codec.table.forget_soon()
        columns = self._codec.decode(messages)
        if self._codec.table.generation != self._generation:
            out.add(self.flush())
            self._forget_series()
        self._learn_series()
        for reason, number in columns.dropped.items():
            out.count("drop", reason, number)
        self._check_times(columns, messages, out)
        self._check_sizes(columns, messages)
        self._dead_letters(columns.rejections, messages, out)
        offsets = offsets_of(messages)
        for _, last, rows in cuts(columns.message, len(messages), _most_rows(columns)):
            self._take(columns, rows, offsets, out)
            self._offset = int(offsets[last - 1]) + 1
            if self._rows >= FULL_ROWS or self._bytes >= _FULL_BYTES:
                out.add(self.flush())
        if messages:
            self._idle = False
        return out

    def _learn_series(self) -> None:
        """Work out the signal of each series that is new in the codec's table."""
        new = [self._named(series) for series in self._codec.table.take(len(self._signals))]
        if not new:
            return
        config = self._config
        found = [signal_of(series, config.scope_attributes, rescaled=True) for series in new]
        self._factor = np.append(self._factor, np.array([value_factor(series) for series in new]))
        for series in new:
            entity = entity_of(series.attributes, config.scope_attributes)
            if entity not in self._entities:
                self._entities[entity] = False
        self._signals.extend(found)
        self._ids = np.append(self._ids, np.array([signal.id for signal in found], np.uint64))
        parts = [partition_of(signal, config.signal_partitions) for signal in found]
        self._out = np.append(self._out, np.array(parts, np.int64))
        windows = [config.window_of(signal.kind) for signal in found]
        self._window_us = np.append(self._window_us, np.array(windows, np.int64))
        self._described = np.append(self._described, np.zeros(len(found), np.bool_))

    def _named(self, series: Series) -> Series:
        """A series as one of whom it is of: its attributes may get other names, which rules have a say on too."""
        named = of_caller(series)
        return series if named is series else self.redaction.series(named)

    def _check_times(self, columns: PointColumns, messages: Sequence[Message], out: Output) -> None:
        """Refuse points too far from their Kafka record's time; the rest stays."""
        wrong, claim = self._too_far(columns.message, columns.time_us, messages, columns.rejections, out)
        if wrong.any():
            _keep(columns, ~wrong)
            claim = claim[~wrong]
        self._claim = claim

    def _check_sizes(self, columns: PointColumns, messages: Sequence[Message]) -> None:
        """Refuse messages whose rows would not fit into a block; the rest stays."""
        if _bytes_of(columns) <= _MOST_MESSAGE_BYTES:
            return
        sizes = np.bincount(columns.message, _row_bytes(columns), minlength=len(messages))
        refused = np.flatnonzero(sizes > _MOST_MESSAGE_BYTES)
        text = f"its points would take more than {_MOST_MESSAGE_BYTES >> 20} MiB; send fewer of them in a message"
        columns.rejections.extend(Rejection(number, "too_large", text) for number in refused.tolist())
        if (wrong := np.isin(columns.message, refused)).any():
            self._claim = self._claim[~wrong]
            _keep(columns, ~wrong)

    def _take(self, columns: PointColumns, rows: slice, offsets: Array, out: Output) -> None:
        """Hold the rows of some whole messages, and mark those that came after their window."""
        series = columns.series[rows]
        if not series.size:
            return
        self._unused.use(series)
        time_us, message = columns.time_us[rows], columns.message[rows]
        before = self._progress_before(self._claim[rows], message)
        late = self._came_late(before, time_us, self._window_us[series], out)
        late_us = np.where(late, before, NO_TIME)
        start_us = columns.start_us[rows] if columns.start_us is not None else np.zeros(series.size, np.int64)
        self._has_start = self._has_start or columns.start_us is not None
        factor, value = self._factor[series], columns.value[rows]
        for i, point in columns.histograms.items():
            if rows.start <= i < rows.stop:
                self._histograms[self._rows + i - rows.start] = _rescaled(point, float(factor[i - rows.start]))
                self._bytes += _BUCKET_BYTES * point.bounds.size
                factor[i - rows.start] = 1.0  # its value is a count
        if (factor != 1.0).any():
            value = value * factor
        self._held.append((series, time_us, value, start_us, offsets[message], late_us))
        self._rows += series.size
        self._bytes += _ROW_BYTES * series.size
        out.count("points", "", int(series.size))

    # -- out -----------------------------------------------------------------------------------------------------

    def flush(self, *, idle: bool = False) -> Output:
        out = Output()
        if not self._news(idle=idle) and not self._rows:
            return out
        if self._progress_us - self._described_at_us > _DESCRIBE_AGAIN_US:
            self._described[:] = False
            self._entities = dict.fromkeys(self._entities, False)
            self._described_at_us = self._progress_us
        columns = [np.concatenate(parts) for parts in zip(*self._held, strict=True)] if self._held else []
        target = self._out[columns[0]] if columns else np.empty(0, np.int64)
        for partition in range(self._config.signal_partitions):
            rows = np.flatnonzero(target == partition)
            block = self._block([column[rows] for column in columns], rows, self._news_of(partition))
            for part in _parts(block, self._told_us):
                out.records.append(Produced("signals", signal_block.encode(part), partition=partition))
        self._told_us = self._progress_us
        self._held, self._histograms, self._rows, self._bytes, self._has_start = [], {}, 0, 0, False
        self._covered = self._offset
        return out

    def _news_of(self, partition: int) -> tuple[Entity, ...]:
        """Entities that a partition has not been told of."""
        partitions = self._config.signal_partitions
        new = [
            entity
            for entity, told in self._entities.items()
            if not told and workload_partition(entity.scope, entity.workload, partitions) == partition
        ]
        self._entities.update(dict.fromkeys(new, True))
        return tuple(new)

    def _block(self, columns: list[Array], rows: Array, entities: tuple[Entity, ...]) -> SignalBlock:
        if not rows.size:
            none = np.empty(0, np.int64)
            columns = [none, none, np.empty(0), none, none, none]
        series, time_us, value, start_us, offset, late_us = columns
        late = np.flatnonzero(late_us != NO_TIME)
        distinct, local = self._compact(series)
        new = distinct[~self._described[distinct]]
        self._described[new] = True
        histograms = {}
        if self._histograms:
            histograms = {i: self._histograms[old] for i, old in enumerate(rows.tolist()) if old in self._histograms}
        return SignalBlock(
            source=self._source,
            start=self._covered,
            end=self._offset,
            progress_us=self._progress_us,
            idle=self._idle,
            described=tuple(self._signals[i] for i in new.tolist()),
            ids=self._ids[distinct],
            signal=local,
            time_us=time_us,
            value=value,
            offset=offset,
            start_us=start_us if self._has_start else None,
            late=late.astype(np.uint32) if late.size else None,
            histograms=histograms,
            entities=entities,
            late_us=late_us[late] if late.size else None,
        )

    def _compact(self, series: Array) -> tuple[Array, Array]:
        """Distinct series numbers, and each row's place among them."""
        if 4 * series.size < len(self._signals):
            distinct, local = np.unique(series, return_inverse=True)
            return distinct, local.astype(np.uint32)
        seen = np.zeros(len(self._signals), np.bool_)
        seen[series] = True
        distinct = np.flatnonzero(seen)
        place = np.empty(len(self._signals), np.uint32)
        place[distinct] = np.arange(distinct.size, dtype=np.uint32)
        return distinct, place[series]


def _parts(block: SignalBlock, told_us: int) -> list[SignalBlock]:
    """A block, and before it others that hold nothing but descriptions, where there are very many. Those bring nobody
    further: what they say of the progress was said before."""
    parts, first, size = [], 0, 0
    for at, signal in enumerate(block.described):
        texts = (signal.name, signal.unit, signal.scope, signal.workload, signal.instance, *sum(signal.attributes, ()))
        size += _DESCRIPTION_BYTES + sum(map(len, map(str.encode, texts)))
        if size > _MOST_DESCRIBED_BYTES:
            parts.append(block.described[first:at])
            first, size = at, 0
    if not parts:
        return [block]
    rows = {name: getattr(block, name)[:0] for name in ("ids", "signal", "time_us", "value", "offset")}
    nothing: dict[str, Any] = {"start_us": None, "histograms": {}, "entities": (), "late": None, "late_us": None}
    nothing |= rows
    before = replace(block, end=block.start, progress_us=told_us, idle=False, **nothing)
    return [*(replace(before, described=part) for part in parts), replace(block, described=block.described[first:])]


def _bytes_of(columns: PointColumns) -> int:
    """About what all rows take in blocks."""
    buckets = sum(point.bounds.size for point in columns.histograms.values())
    return _ROW_BYTES * columns.message.size + _BUCKET_BYTES * buckets


def _row_bytes(columns: PointColumns) -> Array:
    """The same for each row."""
    sizes = np.full(columns.message.size, float(_ROW_BYTES))
    for row, point in columns.histograms.items():
        sizes[row] += _BUCKET_BYTES * point.bounds.size
    return sizes


def _most_rows(columns: PointColumns) -> int:
    """Rows after which blocks are cut: fewer, where they are large."""
    if not columns.histograms:
        return FULL_ROWS
    largest = max(point.bounds.size for point in columns.histograms.values())
    return min(FULL_ROWS, max(_FULL_BYTES // (_ROW_BYTES + _BUCKET_BYTES * largest), 1))


def _rescaled(point: HistogramPoint, factor: float) -> HistogramPoint:
    return point if factor == 1.0 else replace(point, sum=point.sum * factor, bounds=point.bounds * factor)


def _keep(columns: PointColumns, mask: Array) -> None:
    if columns.histograms:
        place = np.cumsum(mask) - 1
        columns.histograms = {int(place[i]): point for i, point in columns.histograms.items() if mask[i]}
    for name in ("message", "series", "time_us", "value"):
        setattr(columns, name, getattr(columns, name)[mask])
    if columns.start_us is not None:
        columns.start_us = columns.start_us[mask]
