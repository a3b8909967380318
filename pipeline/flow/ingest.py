"""The ingest chain of metrics: messages of one input partition to columnar blocks on ``calm.signals``.

Guarantee: that of all input chains; besides, every row of a message for one output partition stands in one block.
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
    Signal,
    SignalBlock,
)
from pipeline.signals.aliases import value_factor
from pipeline.signals.identity import entity_of, partition_of, signal_of, workload_partition
from pipeline.signals.span_metrics import of_caller

Array = npt.NDArray[Any]

#: Event time after which signals are described again.
_DESCRIBE_AGAIN_US = 600 * US


class IngestChain(InputChain):
    """``source`` is ``topic/partition`` of the input partition."""

    def __init__(self, source: str, codec: InputCodec, config: FlowConfig) -> None:
        super().__init__(source, config)
        self._codec = codec
        self._held: list[tuple[Array, ...]] = []  # (series, time_us, value, start_us, offset, late) per batch
        self._histograms: dict[int, Any] = {}
        self._rows = 0
        self._has_start = False
        self._described_at_us = NO_TIME
        self._forget_series()

    def _forget_series(self) -> None:
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
        columns = self._codec.decode(messages)
        if self._codec.table.generation != self._generation:
            out.add(self.flush())
            self._forget_series()
        self._learn_series()
        for reason, number in columns.dropped.items():
            out.count("drop", reason, number)
        self._check_times(columns, messages, out)
        self._dead_letters(columns.rejections, messages, out)
        offsets = offsets_of(messages)
        for _, last, rows in cuts(columns.message, len(messages)):
            self._take(columns, rows, offsets, out)
            self._offset = int(offsets[last - 1]) + 1
            if self._rows >= FULL_ROWS:
                out.add(self.flush())
        if messages:
            self._idle = False
        return out

    def _learn_series(self) -> None:
        """Work out the signal of each series that is new in the codec's table."""
        new = [of_caller(series) for series in self._codec.table.take(len(self._signals))]
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

    def _check_times(self, columns: PointColumns, messages: Sequence[Message], out: Output) -> None:
        """Refuse points too far from their Kafka record's time; the rest stays."""
        wrong, claim = self._too_far(columns.message, columns.time_us, messages, columns.rejections, out)
        if wrong.any():
            _keep(columns, ~wrong)
            claim = claim[~wrong]
        self._claim = claim

    def _take(self, columns: PointColumns, rows: slice, offsets: Array, out: Output) -> None:
        """Hold the rows of some whole messages, and mark those that came after their window."""
        series = columns.series[rows]
        if not series.size:
            return
        time_us, message = columns.time_us[rows], columns.message[rows]
        late = self._lateness(self._claim[rows], message, time_us, self._window_us[series], out)
        start_us = columns.start_us[rows] if columns.start_us is not None else np.zeros(series.size, np.int64)
        self._has_start = self._has_start or columns.start_us is not None
        factor, value = self._factor[series], columns.value[rows]
        for i, point in columns.histograms.items():
            if rows.start <= i < rows.stop:
                self._histograms[self._rows + i - rows.start] = _rescaled(point, float(factor[i - rows.start]))
                factor[i - rows.start] = 1.0  # its value is a count
        if (factor != 1.0).any():
            value = value * factor
        self._held.append((series, time_us, value, start_us, offsets[message], late))
        self._rows += series.size
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
            out.records.append(Produced("signals", signal_block.encode(block), partition=partition))
        self._held, self._histograms, self._rows, self._has_start = [], {}, 0, False
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
            columns = [none, none, np.empty(0), none, none, np.empty(0, np.bool_)]
        series, time_us, value, start_us, offset, late = columns
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
            late=np.flatnonzero(late).astype(np.uint32) if late.any() else None,
            histograms=histograms,
            entities=entities,
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
