"""Events and changes on their way to the correlate stage, through ``calm.anomalies``.

Guarantee: what a stage writes into a partition is numbered from 0, so that a reader takes each once.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.codecs import happening_event
from pipeline.flow.chain import Numbers
from pipeline.records import Change, Entity, Event, Produced
from pipeline.signals.identity import attributes_of, scope_partition


def grown(sent: Sequence[int], partitions: int) -> list[int]:
    """Numbers by partition when there are more: a new one goes on from the one whose keys it takes over."""
    return [sent[partition % len(sent)] for partition in range(partitions)]


class Happenings:
    """``source`` is the name of who writes; part of its state is how much it wrote, by partition."""

    def __init__(self, source: str, partitions: int) -> None:
        self._source = source
        self._sent = [0] * partitions

    def of(self, happening: Event | Change, entity: Entity) -> Produced:
        """The record of something that happened to an entity, which is what the reader will know of it."""
        partition = scope_partition(entity.scope, len(self._sent))
        named = replace(happening, entity=attributes_of(entity))
        value, headers = happening_event.encode(named, self._source, self._sent[partition])
        self._sent[partition] += 1
        return Produced("anomalies", value, entity.scope.encode("utf-8", "replace"), partition, headers)

    def dump(self) -> list[int]:
        return self._sent

    def load(self, sent: list[int]) -> None:
        """The inverse of ``dump``; there may be more partitions now."""
        self._sent = grown(sent, len(self._sent))

    def numbers(self) -> Numbers:
        return {("anomalies", partition): number for partition, number in enumerate(self._sent)}

    def go_on_from(self, numbers: Numbers) -> None:
        """Nothing is known but what the next number of each partition is."""
        self._sent = [numbers.get(("anomalies", partition), 0) for partition in range(len(self._sent))]
