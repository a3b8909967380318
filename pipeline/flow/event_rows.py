"""Events of an input partition: to the correlate stage as evidence, and counted, a signal for each workload and type.

Guarantee: what is written depends on the events and their order alone.
"""

import numpy as np

from pipeline.codecs import signal_block
from pipeline.flow.chain import Numbers
from pipeline.flow.config import FlowConfig
from pipeline.flow.happenings import Happenings
from pipeline.records import Change, Entity, Event, Kind, Produced, Signal, SignalBlock
from pipeline.signals.identity import made_signal, partition_of

_Row = tuple[Signal, int, int]  # signal, time and offset


class EventRows:
    """``source`` is that of the input chain whose messages hold the events."""

    def __init__(self, source: str, config: FlowConfig) -> None:
        self._source = source
        self._partitions = config.signal_partitions
        self._happenings = Happenings(source, config.anomaly_partitions)
        self._held: list[_Row] = []

    def add(self, event: Event, entity: Entity, offset: int) -> Produced:
        """Count an event of the message at this offset; the record that tells of it."""
        signal = made_signal("events", "{event}/s", Kind.COUNT, entity, (("event.type", event.type),))
        self._held.append((signal, event.time_us, offset))
        return self._happenings.of(event, entity)

    def tell(self, change: Change, entity: Entity) -> Produced:
        """The record that tells of a change, which is not counted."""
        return self._happenings.of(change, entity)

    def blocks(self, start: int, end: int, progress_us: int, *, idle: bool) -> list[Produced]:
        """What was counted of the messages from ``start`` to ``end``, for each partition of ``calm.signals``."""
        held = [row for row in self._held if row[2] < end]
        self._held = [row for row in self._held if row[2] >= end]  # their messages are not covered yet
        records = []
        for partition in range(self._partitions):
            rows = [row for row in held if partition_of(row[0], self._partitions) == partition]
            signals = list({row[0].id: row[0] for row in rows}.values())
            place = {signal.id: at for at, signal in enumerate(signals)}
            block = SignalBlock(
                source=self._source,
                start=start,
                end=end,
                progress_us=progress_us,
                idle=idle,
                described=tuple(signals),
                ids=np.array([signal.id for signal in signals], np.uint64),
                signal=np.array([place[row[0].id] for row in rows], np.uint32),
                time_us=_apart(rows),
                value=np.ones(len(rows)),
                offset=np.array([row[2] for row in rows], np.int64),
            )
            records.append(Produced("signals", signal_block.encode(block), partition=partition))
        return records

    def numbers(self) -> Numbers:
        return self._happenings.numbers()

    def go_on_from(self, numbers: Numbers) -> None:
        self._happenings.go_on_from(numbers)

    def dump(self) -> list[int]:
        return self._happenings.dump()

    def load(self, sent: list[int]) -> None:
        self._happenings.load(sent)


def _apart(rows: list[_Row]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Times; of events of one signal, time and message each a microsecond later than the one before, for what has one
    time is taken for the same thing sent twice."""
    seen: dict[_Row, int] = {}
    times = []
    for row in rows:
        number = seen[row] = seen.get(row, -1) + 1
        times.append(row[1] + number)
    return np.array(times, np.int64)
