"""The ingest chain: messages of one input partition to columnar blocks on ``calm.signals``.

Guarantee: what a message becomes depends on the message, the configuration and the greatest event time before it in its
partition, and on nothing else; every row of a message for one output partition stands in one block; what cannot
be used goes whole to ``calm.dead-letter`` with its reason. That greatest event time is kept in the checkpoint, so
that lateness is the same after a restart.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import signal_block
from pipeline.codecs.registry import InputCodec
from pipeline.flow.chain import UnreadableState
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.records import (
    NO_TIME,
    US,
    Message,
    Output,
    PointColumns,
    Produced,
    Rejection,
    Signal,
    SignalBlock,
    Snapshot,
    window_end,
)
from pipeline.signals.identity import partition_of, signal_of

Array = npt.NDArray[Any]

_VERSION = "ingest/1"
#: Rows held before blocks are cut, and event time after which signals are described again.
_FULL_ROWS = 20_000
_DESCRIBE_AGAIN_US = 600 * US


class IngestChain:
    """``source`` is ``topic/partition`` of the input partition."""

    def __init__(self, source: str, codec: InputCodec, config: FlowConfig) -> None:
        self._source = source
        self._topic, _, self._partition = source.rpartition("/")
        self._codec = codec
        self._config = config
        self._offset = 0  # messages below it are taken
        self._covered = 0  # blocks say that messages below it are covered
        self._progress_us = NO_TIME
        self._told: tuple[int, int, bool] | None = None
        self._idle = False
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
        self._described: Array = np.zeros(0, np.bool_)

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
        offsets = _offsets(messages)
        for _, last, rows in _cuts(columns.message, len(messages)):
            self._take(columns, rows, offsets, out)
            self._offset = int(offsets[last - 1]) + 1
            if self._rows >= _FULL_ROWS:
                out.add(self.flush())
        if messages:
            self._idle = False
        return out

    def _learn_series(self) -> None:
        """Work out the signal of each series that is new in the codec's table."""
        new = self._codec.table.series[len(self._signals) :]
        if not new:
            return
        config = self._config
        found = [signal_of(series, config.scope_attributes) for series in new]
        self._signals.extend(found)
        self._ids = np.append(self._ids, np.array([signal.id for signal in found], np.uint64))
        parts = [partition_of(signal, config.signal_partitions) for signal in found]
        self._out = np.append(self._out, np.array(parts, np.int64))
        windows = [config.window_of(signal.kind) for signal in found]
        self._window_us = np.append(self._window_us, np.array(windows, np.int64))
        self._described = np.append(self._described, np.zeros(len(found), np.bool_))

    def _check_times(self, columns: PointColumns, messages: Sequence[Message], out: Output) -> None:
        """Refuse points too far from their Kafka record's time; the rest stays."""
        written = np.array([message.timestamp for message in messages], np.int64) * 1000
        record_us = written[columns.message]
        ahead = columns.time_us - record_us
        future, past = ahead > self._config.max_future_us, ahead < -self._config.max_past_us
        wrong = future | past
        if wrong.any():
            for mask, reason, limit in (
                (future, "far_future", self._config.max_future_us),
                (past, "far_past", self._config.max_past_us),
            ):
                text = f"a point's time is more than {limit // US} s from its Kafka record's time"
                refused = np.unique(columns.message[mask]).tolist()
                columns.rejections.extend(Rejection(number, reason, text, whole=False) for number in refused)
                out.count("drop", reason, int(mask.sum()))
            _keep(columns, ~wrong)
            record_us = record_us[~wrong]
        self._claim = np.minimum(columns.time_us, record_us)

    def _take(self, columns: PointColumns, rows: slice, offsets: Array, out: Output) -> None:
        """Hold the rows of some whole messages, and mark those that came after their window."""
        series = columns.series[rows]
        if not series.size:
            return
        time_us, message = columns.time_us[rows], columns.message[rows]
        before = self._progress_before(self._claim[rows], message)
        late = window_end(time_us, self._window_us[series]) + self._config.lateness_us <= before
        start_us = columns.start_us[rows] if columns.start_us is not None else np.zeros(series.size, np.int64)
        self._has_start = self._has_start or columns.start_us is not None
        self._histograms.update(
            {
                self._rows + i - rows.start: point
                for i, point in columns.histograms.items()
                if rows.start <= i < rows.stop
            }
        )
        self._held.append((series, time_us, columns.value[rows], start_us, offsets[message], late))
        self._rows += series.size
        out.count("points", "", int(series.size))
        out.count("notice", "out_of_order", int(((time_us < before) & ~late).sum()))

    def _progress_before(self, claim: Array, message: Array) -> Array:
        """For each row the greatest event time of all messages before its own; moves the chain's progress on."""
        reached = np.maximum.accumulate(np.maximum(claim, self._progress_us))
        first = np.flatnonzero(np.concatenate([[True], message[1:] != message[:-1]]))
        of_message = np.concatenate([[self._progress_us], reached[first[1:] - 1]])
        self._progress_us = int(reached[-1])
        if first.size == message.size:
            return of_message
        return np.repeat(of_message, np.diff(np.append(first, message.size)))

    def _dead_letters(self, rejections: Sequence[Rejection], messages: Sequence[Message], out: Output) -> None:
        reasons: dict[int, list[Rejection]] = {}
        for rejection in rejections:
            reasons.setdefault(rejection.message, []).append(rejection)
            if rejection.reason not in ("far_future", "far_past"):
                out.count("drop", rejection.reason)
        for number, found in sorted(reasons.items()):
            message = messages[number]
            found.sort(key=lambda rejection: rejection.reason)
            reason = ",".join(rejection.reason for rejection in found)
            detail = "; ".join(rejection.detail for rejection in found)
            out.records.append(dead_letter(message, self._topic, self._partition, reason, detail))

    # -- out -----------------------------------------------------------------------------------------------------

    def flush(self, *, idle: bool = False) -> Output:
        out = Output()
        self._idle = self._idle or idle
        told = (self._offset, self._progress_us, self._idle)
        if not self._rows and told == self._told:
            return out
        if self._progress_us - self._described_at_us > _DESCRIBE_AGAIN_US:
            self._described[:] = False
            self._described_at_us = self._progress_us
        columns = [np.concatenate(parts) for parts in zip(*self._held, strict=True)] if self._held else []
        target = self._out[columns[0]] if columns else np.empty(0, np.int64)
        for partition in range(self._config.signal_partitions):
            rows = np.flatnonzero(target == partition)
            block = self._block([column[rows] for column in columns], rows)
            out.records.append(Produced("signals", signal_block.encode(block), partition=partition))
        self._held, self._histograms, self._rows, self._has_start = [], {}, 0, False
        self._covered = self._offset
        self._told = told
        return out

    def _block(self, columns: list[Array], rows: Array) -> SignalBlock:
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

    # -- state ---------------------------------------------------------------------------------------------------

    def watermark_us(self) -> int:
        return self._progress_us

    def gauges(self) -> dict[str, float]:
        return {}

    def snapshot(self, *, full: bool) -> Snapshot:
        head = msgspec.msgpack.encode([self._offset, self._progress_us])
        return Snapshot(_VERSION, self._offset, head, {}, (), full=True)

    def saved(self) -> None:
        """Nothing to remember: the state is always saved whole."""

    def restore(self, snapshot: Snapshot) -> None:
        if snapshot.version != _VERSION:
            raise UnreadableState(
                f"state of {self._source} has version {snapshot.version!r}; this worker reads {_VERSION!r}"
            )
        try:
            self._offset, self._progress_us = msgspec.msgpack.decode(snapshot.head, type=tuple[int, int])
        except msgspec.MsgspecError as error:
            raise UnreadableState(f"state of {self._source} is damaged: {error!r}") from error
        self._covered = self._offset

    def lost_history(self) -> None:
        """Blocks go on saying that they cover everything from the last one on: the lost messages are gone for good."""


def _offsets(messages: Sequence[Message]) -> Array:
    if not messages:
        return np.empty(0, np.int64)
    first, last = messages[0].offset, messages[-1].offset
    if last - first == len(messages) - 1:  # none is missing
        return np.arange(first, last + 1, dtype=np.int64)
    return np.array([message.offset for message in messages], np.int64)


def _keep(columns: PointColumns, mask: Array) -> None:
    if columns.histograms:
        place = np.cumsum(mask) - 1
        columns.histograms = {int(place[i]): point for i, point in columns.histograms.items() if mask[i]}
    for name in ("message", "series", "time_us", "value"):
        setattr(columns, name, getattr(columns, name)[mask])
    if columns.start_us is not None:
        columns.start_us = columns.start_us[mask]


def _cuts(message: Array, messages: int) -> list[tuple[int, int, slice]]:
    """Cut a batch into runs of whole messages with about _FULL_ROWS rows: (first message, end message, rows)."""
    if not messages:
        return []
    if message.size <= _FULL_ROWS:
        return [(0, messages, slice(0, message.size))]
    cuts = []
    first = row = 0
    while first < messages:
        if row + _FULL_ROWS >= message.size:
            last, end = messages, message.size
        else:
            last = max(int(message[row + _FULL_ROWS]), first + 1)
            end = int(np.searchsorted(message, last))
        cuts.append((first, last, slice(row, end)))
        first, row = last, end
    return cuts
