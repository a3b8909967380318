"""The ingest chain of events and changes: messages of one input partition to what the correlate stage reads.

Guarantee: that of all input chains. Events are counted as well, a signal for each workload and type.
"""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.flow.chain import Numbers
from pipeline.flow.config import FlowConfig
from pipeline.flow.event_rows import EventRows
from pipeline.flow.input_chain import InputChain, offsets_of
from pipeline.records import (
    Change,
    DecodedChanges,
    DecodedEvents,
    Event,
    Message,
    Output,
    Produced,
    Snapshot,
)
from pipeline.signals.identity import entity_of


class HappeningIngestChain(InputChain):
    """``source`` is ``topic/partition`` of the input partition; ``decode`` that of the format."""

    def __init__(
        self, source: str, decode: Callable[[Sequence[Message]], DecodedEvents | DecodedChanges], config: FlowConfig
    ) -> None:
        super().__init__(source, config)
        self._decode = decode
        self._events = EventRows(source, config)

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        decoded = self._decode(messages)
        for reason, number in decoded.dropped.items():
            out.count("drop", reason, number)
        found: list[tuple[int, Event | Change]] = list(
            decoded.events if isinstance(decoded, DecodedEvents) else decoded.changes
        )
        message = np.array([number for number, _ in found], np.int64)
        time_us = np.array([_time(each) for _, each in found], np.int64)
        wrong, claim = self._too_far(message, time_us, messages, decoded.rejections, out)
        self._dead_letters(decoded.rejections, messages, out)
        offsets = offsets_of(messages)
        if claim.size:
            self._progress_us = max(self._progress_us, int(claim[~wrong].max(initial=self._progress_us)))
        for (number, each), refused in zip(found, wrong.tolist(), strict=True):
            if not refused:
                out.records.append(self._take(each, int(offsets[number])))
        out.count("events", "", int((~wrong).sum()))
        if messages:
            self._offset = int(offsets[-1]) + 1
            self._idle = False
        return out

    def _take(self, happening: Event | Change, offset: int) -> Produced:
        happening = self.redaction.happening(happening, self._config.limits.max_attribute_bytes)
        entity = entity_of(happening.entity, self._config.scope_attributes)
        if isinstance(happening, Event):
            return self._events.add(happening, entity, offset)
        return self._events.tell(happening, entity)

    def flush(self, *, idle: bool = False) -> Output:
        out = Output()
        if self._news(idle=idle):
            out.records += self._events.blocks(self._covered, self._offset, self._progress_us, idle=self._idle)
            self._covered = self._offset
        return out

    def snapshot(self, *, full: bool) -> Snapshot:
        return self._with(super().snapshot(full=full), self._events.dump())

    def restore(self, snapshot: Snapshot) -> None:
        super().restore(snapshot)
        self._events.load(self._without(snapshot))

    def numbers(self) -> Numbers:
        return self._events.numbers()

    def go_on_from(self, numbers: Numbers) -> None:
        self._events.go_on_from(numbers)


def _time(happening: Event | Change) -> int:
    return happening.time_us if isinstance(happening, Event) else happening.effective_us
