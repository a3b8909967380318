"""The join chain of log lines: blocks of one ``calm.logs`` partition to templates, their counts, and first sights.

Guarantee: what comes out depends on the log's contents alone: lines of a window are mined when the watermark has passed
it, in the order of their times (then source, offset, and place in the message). A line counts in its own window, so
that nothing waits for it. Lines that wait are read again after a restart.
"""

import sys
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import line_block
from pipeline.flow.chain import Numbers
from pipeline.flow.config import FlowConfig
from pipeline.flow.join_chain import JoinChain
from pipeline.flow.templates import Templates
from pipeline.records import NO_TIME, Entity, Kind, LineBlock, Output, Snapshot
from pipeline.signals.identity import workload_partition

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of one block for one window: ``entity`` are numbers of the chain's entities, shapes (lines,)."""

    source: str
    entity: Array
    time_us: Array
    severity: Array
    offset: Array
    body: list[str]
    trace_id: list[bytes]

    def bytes(self) -> int:
        """What they take in memory, about."""
        texts = sum(map(sys.getsizeof, self.body)) + sum(sys.getsizeof(each) for each in self.trace_id if each)
        return _CHUNK_BYTES + _LINE_BYTES * len(self.body) + texts


#: What a chunk takes without its lines, and a line in its columns.
_CHUNK_BYTES, _LINE_BYTES = 800, 48


class LineJoinChain(JoinChain[LineBlock, _Lines]):
    """The shard of partition ``partition`` of ``calm.logs``."""

    ROLE = "join-logs"
    VERSION = "join-lines/1"
    ROWS = "lines"

    def __init__(self, partition: int, config: FlowConfig) -> None:
        window_us = config.window_of(Kind.DELTA)
        super().__init__(f"logs/{partition}", line_block.decode, config.line_sources, window_us, config)
        self._partitions = config.line_partitions
        self._templates = Templates(self._name, config.anomaly_partitions)
        self._entities: dict[Entity, int] = {}

    # -- in ------------------------------------------------------------------------------------------------------

    def _time_us(self, block: LineBlock) -> Array:
        return block.time_us

    def _hold(self, block: LineBlock, rows: Array, ends: Array) -> None:
        if not rows.size:
            return
        entities = np.array([self._entities.setdefault(each, len(self._entities)) for each in block.entities], np.int64)
        for end in np.unique(ends).tolist():
            inside = rows[ends == end]
            place = inside.tolist()
            lines = _Lines(
                block.source,
                entities[block.entity[inside]],
                block.time_us[inside],
                block.severity[inside],
                block.offset[inside],
                [block.body[at] for at in place],
                [block.trace_id[at] for at in place],
            )
            self._held.put(end, lines, inside.size, lines.bytes())

    def _let_go(self) -> None:
        super()._let_go()
        self._entities.clear()

    # -- windows -------------------------------------------------------------------------------------------------

    def _told_until_us(self) -> int:
        return self._intake.closed_us

    def _close(self, until_us: int, out: Output, *, woke: bool) -> None:
        """Of the windows in which nobody waited for us only the ones that hold lines."""
        while (end := self._next_end(held=woke)) is not None and end <= until_us:
            self._tell(end, out)
            self._intake.closed(end)
        if until_us > NO_TIME:
            self._intake.closed(until_us)

    def _next_end(self, *, held: bool) -> int | None:
        """The next window of which there is something to tell; of those that hold lines, if you like."""
        if self._made.any() and not held:
            return max(self._intake.closed_us // self._window_us * self._window_us, 0) + self._window_us
        return min(self._held.ends(), default=None)

    def _tell(self, end_us: int, out: Output) -> None:
        held = sorted(self._held.pop(end_us), key=lambda lines: lines.source)
        if held:
            entities = list(self._entities)
            source = np.repeat(np.arange(len(held)), [len(lines.body) for lines in held])
            entity, time_us, severity, offset = (
                np.concatenate([getattr(lines, name) for lines in held])
                for name in ("entity", "time_us", "severity", "offset")
            )
            order = np.lexsort((offset, source, time_us))
            body = [text for lines in held for text in lines.body]
            trace = [each for lines in held for each in lines.trace_id]
            places = order.tolist()
            counted = self._templates.take(
                [entities[number] for number in entity[order].tolist()],
                time_us[order].tolist(),
                severity[order],
                [body[place] for place in places],
                [trace[place] for place in places],
                out,
            )
            for signal, number in counted:
                self._made.put(signal, float(number), end_us)
        out.records += self._made.close(end_us)
        out.records += self._templates.tell(end_us)
        if not self._held:
            self._entities.clear()

    # -- state ---------------------------------------------------------------------------------------------------

    def gauges(self) -> dict[str, float]:
        return {"pending_rows": len(self._held), "templates": len(self._templates)}

    def numbers(self) -> Numbers:
        return {**super().numbers(), **self._templates.numbers()}

    def go_on_from(self, numbers: Numbers) -> None:
        super().go_on_from(numbers)
        self._templates.go_on_from(numbers)

    def inherit(self, moved: int | None) -> None:
        super().inherit(moved)
        self._made.keep(lambda signal: self.owns(signal.scope, signal.workload))
        self._templates.keep(self.owns)

    def owns(self, scope: str, workload: str) -> bool:
        """Do lines of this workload come to this shard?"""
        return workload_partition(scope, workload, self._partitions) == int(self._name.rpartition("/")[2])

    def snapshot(self, *, full: bool) -> Snapshot:
        offset, progress = self._intake.place()
        head = msgspec.msgpack.encode([offset, progress, self._intake.closed_us])
        blocks = {"made": msgspec.msgpack.encode(self._made.dump()), **self._templates.dump()}
        return Snapshot(self.VERSION, offset, head, blocks, tuple(blocks), full)

    def _load(self, snapshot: Snapshot) -> None:
        offset, progress, closed_us = msgspec.msgpack.decode(snapshot.head)
        self._intake.restore(offset, progress, closed_us)
        self._made.load(msgspec.msgpack.decode(snapshot.blocks["made"]))
        self._templates.load(snapshot.blocks)
