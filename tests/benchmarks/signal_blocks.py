"""Blocks as ingest writes them to ``calm.signals``, made without ingest: one point a signal in every window.

Guarantee: the score role takes them as a real log: a source's blocks join without gaps, a signal is described before
its first row, siblings stand in one partition, and event time goes evenly through each window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codecs import signal_block
from pipeline.records import Signal, SignalBlock
from pipeline.signals.identity import partition_of
from tests.benchmarks import fleet

Array = npt.NDArray[Any]

#: As many as ingest holds before it cuts, and points in one message of a producer.
ROWS_HELD = 20_000
POINTS_PER_MESSAGE = 100


@dataclass(frozen=True, slots=True)
class Record:
    """What a chain reads of a Kafka record."""

    offset: int
    value: bytes
    timestamp: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(slots=True)
class _Place:
    """The signals that one source sends to one partition, cut as ingest would."""

    source: str
    partition: int
    signals: list[Signal]
    numbers: Array
    ids: Array
    sent: int = 0  # the source's offset


class Blocks:
    """Windows of ``signals`` signals from ``sources`` (names ``topic/partition``) to ``partitions``."""

    def __init__(self, signals: int, partitions: int, sources: tuple[str, ...]) -> None:
        self._sources = sources
        made = [fleet.signal(number) for number in range(signals)]
        partition = np.array([partition_of(signal, partitions) for signal in made])
        source = np.arange(signals) // fleet.METRICS_PER_INSTANCE % len(sources)
        self._places = [
            self._place(made, np.flatnonzero((partition == p) & (source == s)), name, p)
            for s, name in enumerate(sources)
            for p in range(partitions)
        ]
        self._rows = ROWS_HELD // partitions
        self._described = False

    def _place(self, made: list[Signal], numbers: Array, source: str, partition: int) -> _Place:
        signals = [made[number] for number in numbers.tolist()]
        ids = np.array([signal.id for signal in signals], np.uint64)
        return _Place(source, partition, signals, numbers, ids)

    def window(self, start_us: int, values: Array) -> Iterator[tuple[int, bytes]]:
        """(partition, block) of all values (signals,) of the window that starts here, in order of event time."""
        most = max((place.numbers.size for place in self._places), default=0)
        for first in range(0, most, self._rows):
            for place in self._places:
                if first < place.numbers.size:
                    yield place.partition, self._block(place, first, start_us, values)
        self._described = True

    def _block(self, place: _Place, first: int, start_us: int, values: Array) -> bytes:
        rows = slice(first, first + self._rows)
        numbers = place.numbers[rows]
        at = np.arange(first, first + numbers.size)
        time_us = start_us + at * (fleet.WINDOW_US - 1) // max(place.numbers.size, 1)
        begin = place.sent
        offset = begin + np.arange(numbers.size) // POINTS_PER_MESSAGE
        place.sent = int(offset[-1]) + 1
        block = SignalBlock(
            source=place.source,
            start=begin,
            end=place.sent,
            progress_us=int(time_us[-1]),
            idle=False,
            described=() if self._described else tuple(place.signals[rows]),
            ids=place.ids[rows],
            signal=np.arange(numbers.size, dtype=np.uint32),
            time_us=time_us,
            value=values[numbers],
            offset=offset,
        )
        return signal_block.encode(block)

    def close(self, at_us: int) -> Iterator[tuple[int, bytes]]:
        """Blocks without rows that say that every source has come to this time."""
        none = np.empty(0, np.int64)
        for place in self._places:
            yield (
                place.partition,
                signal_block.encode(
                    SignalBlock(
                        place.source,
                        place.sent,
                        place.sent,
                        at_us,
                        False,
                        (),
                        none.astype(np.uint64),
                        none.astype(np.uint32),
                        none,
                        none.astype(np.float64),
                        none,
                    )
                ),
            )
