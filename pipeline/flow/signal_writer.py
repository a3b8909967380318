"""Signals that a stage makes itself, written to ``calm.signals`` as a source of its own.

Guarantee: messages of this source are numbered; a stage that adds and closes the same again after a restart writes the
same messages with the same numbers, and the reader takes each once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.codecs import signal_block
from pipeline.records import NO_TIME, Entity, HistogramPoint, Produced, Signal, SignalBlock
from pipeline.signals.identity import partition_of, workload_partition

_DESCRIBE_AGAIN = 60  # messages after which a signal is described again
_MOST_ENTITIES = 50_000  # whose telling is remembered
_MOST_ROWS = 10_000  # in a message, so that its blocks stay below what a topic takes


@dataclass(slots=True)
class _Held:
    """Rows for one partition."""

    described: list[Signal] = field(default_factory=list)
    ids: dict[int, int] = field(default_factory=dict)  # id → place among the block's signals
    signal: list[int] = field(default_factory=list)
    time_us: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    start_us: list[int] = field(default_factory=list)
    histograms: dict[int, HistogramPoint] = field(default_factory=dict)


class SignalWriter:
    """``source`` is the name under which readers know it; ``number`` is that of the next message, part of the state."""

    def __init__(self, source: str, partitions: int) -> None:
        self._source = source
        self._partitions = partitions
        self.number = 0
        self._described: dict[int, int] = {}  # signal id → number of the message that described it
        self._held = [_Held() for _ in range(partitions)]
        self._rows = 0
        self._records: list[Produced] = []
        self._progress_us = NO_TIME
        self._told: tuple[int, int, bool] | None = None
        self._entities: list[list[Entity]] = [[] for _ in range(partitions)]
        self._known: dict[Entity, None] = {}

    def know(self, entity: Entity) -> None:
        """Tell of an entity with the next message, unless it was told of late."""
        if entity in self._known:
            return
        if len(self._known) >= _MOST_ENTITIES:
            self._known.clear()
        self._known[entity] = None
        self._entities[workload_partition(entity.scope, entity.workload, self._partitions)].append(entity)

    def add(self, signal: Signal, time_us: int, value: float | HistogramPoint, start_us: int) -> None:
        """One value of a signal; a distribution for a signal of a histogram kind."""
        held = self._held[partition_of(signal, self._partitions)]
        place = held.ids.get(signal.id)
        if place is None:
            place = held.ids[signal.id] = len(held.ids)
            if self.number - self._described.get(signal.id, -_DESCRIBE_AGAIN) >= _DESCRIBE_AGAIN:
                self._described[signal.id] = self.number
                held.described.append(signal)
        if isinstance(value, HistogramPoint):
            held.histograms[len(held.signal)] = value
            value = value.count
        held.signal.append(place)
        held.time_us.append(time_us)
        held.value.append(value)
        held.start_us.append(start_us)
        self._rows += 1
        if self._rows >= _MOST_ROWS:
            self._message()

    def forget(self, ids: Sequence[int]) -> None:
        """Signals that are no more: describe them if they come again."""
        for each in ids:
            self._described.pop(each, None)

    def close(self, progress_us: int) -> list[Produced]:
        """Everything added, blocks for all partitions. ``progress_us``: event time that is complete with it."""
        self._progress_us = progress_us
        self._message()
        records, self._records = self._records, []
        self._told = (self.number, progress_us, False)
        return records

    def tell(self, progress_us: int, *, idle: bool) -> list[Produced]:
        """How far event time is, where that is news."""
        news = (self.number, progress_us, idle)
        if news == self._told or (progress_us == NO_TIME and not idle):
            return []
        self._told, self._progress_us = news, progress_us
        return [self._record(partition, _Held(), self.number, idle=idle) for partition in range(self._partitions)]

    def _message(self) -> None:
        first, self.number = self.number, self.number + 1
        self._records += [self._record(partition, held, first) for partition, held in enumerate(self._held)]
        self._entities = [[] for _ in range(self._partitions)]
        self._held, self._rows = [_Held() for _ in range(self._partitions)], 0

    def _record(self, partition: int, held: _Held, start: int, *, idle: bool = False) -> Produced:
        block = SignalBlock(
            source=self._source,
            start=start,
            end=self.number,
            progress_us=self._progress_us,
            idle=idle,
            described=tuple(held.described),
            ids=np.fromiter(held.ids, np.uint64, len(held.ids)),
            signal=np.array(held.signal, np.uint32),
            time_us=np.array(held.time_us, np.int64),
            value=np.array(held.value, np.float64),
            offset=np.full(len(held.signal), start, np.int64),
            start_us=np.array(held.start_us, np.int64),
            histograms=held.histograms,
            entities=tuple(self._entities[partition]) if start < self.number else (),
        )
        return Produced("signals", signal_block.encode(block), partition=partition)
