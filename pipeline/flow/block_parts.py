"""Of a block on ``signals``, ``logs`` or ``spans`` those rows that belong to one partition of more than there were.

Guarantee: what a part says of its source (from where to where it covers it, how far event time is) is what the whole
block says. Signals and entities in it are not told again: whoever reads a part knows them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codecs import columns, line_block, policy_event, signal_block, span_block
from pipeline.flow.carried import CarriedMessage
from pipeline.flow.ingest_spans import partition_of_trace
from pipeline.records import Entity, HistogramPoint, Message

Array = npt.NDArray[Any]
#: A message to its part; None where there is nothing in it that anybody could read.
Part = Callable[[Message], CarriedMessage | None]


def of_signals(ids: Array) -> Part:
    """The rows of the signals with these ids; policies belong to everybody."""

    def part(value: bytes) -> bytes:
        block = signal_block.decode(value)
        rows = np.isin(block.ids, ids)[block.signal] if block.rows else np.zeros(0, np.bool_)
        used, signal = np.unique(block.signal[rows], return_inverse=True)
        return signal_block.encode(
            replace(
                block,
                described=(),
                entities=(),
                ids=block.ids[used],
                signal=signal.astype(np.uint32),
                time_us=block.time_us[rows],
                value=block.value[rows],
                offset=block.offset[rows],
                start_us=None if block.start_us is None else block.start_us[rows],
                late=_late(block.late, rows),
                histograms=_histograms(block.histograms, rows),
            )
        )

    return _messages(part)


def of_lines(owns: Callable[[Entity], bool]) -> Part:
    """The lines of entities that are ours."""

    def part(value: bytes) -> bytes:
        block = line_block.decode(value)
        ours = np.array([owns(entity) for entity in block.entities], np.bool_)
        rows = ours[block.entity] if block.rows else np.zeros(0, np.bool_)
        used, entity = np.unique(block.entity[rows], return_inverse=True)
        at = np.flatnonzero(rows).tolist()
        return line_block.encode(
            replace(
                block,
                entities=tuple(block.entities[number] for number in used.tolist()),
                entity=entity.astype(np.uint32),
                time_us=block.time_us[rows],
                severity=block.severity[rows],
                offset=block.offset[rows],
                body=[block.body[number] for number in at],
                trace_id=[block.trace_id[number] for number in at],
                late=_late(block.late, rows),
            )
        )

    return _messages(part)


def of_spans(partition: int, partitions: int) -> Part:
    """The spans of traces that belong to this partition."""

    def part(value: bytes) -> bytes:
        block = span_block.decode(value)
        rows = partition_of_trace(block.trace, partitions) == partition
        names: Sequence[str] = ("shape", "trace", "span", "parent", "start_us", "end_us", "failed", "offset")
        kept: dict[str, Any] = {name: getattr(block, name)[rows] for name in names}
        links = np.empty((0, 4), np.uint64)
        return span_block.encode(replace(block, links=links, late=_late(block.late, rows), **kept))

    return _messages(part)


def _messages(part: Callable[[bytes], bytes]) -> Part:
    def of(message: Message) -> CarriedMessage | None:
        value = message.value
        if not (message.headers and policy_event.is_control(message.headers)):
            try:
                value = part(value or b"")
            except columns.DamagedFrame:
                return None  # it has gone to the dead letters
        return CarriedMessage(message.offset, message.timestamp, message.key, value, tuple(message.headers))

    return of


def _late(late: Array | None, rows: Array) -> Array | None:
    if late is None:
        return None
    marked = np.zeros(rows.size, np.bool_)
    marked[late] = True
    found = np.flatnonzero(marked[rows])
    return found.astype(np.uint32) if found.size else None


def _histograms(histograms: dict[int, HistogramPoint], rows: Array) -> dict[int, HistogramPoint]:
    place = np.cumsum(rows) - 1
    return {int(place[at]): point for at, point in histograms.items() if rows[at]}
