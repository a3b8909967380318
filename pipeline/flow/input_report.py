"""What ingest makes of single messages, for a producer who wants to know: accepted or rejected, and why.

Guarantee: nothing is judged here. Each message goes through an ingest chain of its own partition, and what is reported
is what the chain let out and counted. Times are judged against the Kafka record's time, lateness against the messages
given before; so the first messages of a stretch are never late.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from pipeline.codecs import signal_block
from pipeline.codecs.registry import input_codec
from pipeline.flow import refused
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.records import Message, Output, Signal

#: What ingest counts without a dead letter, and what the score chain drops because of what ingest found.
_EXPLAINED: Mapping[str, str] = {
    "not_finite": "a value is NaN or infinite; leave such points out",
    "no_recorded_value": "a point says itself that no value was recorded",
    "text_field": "a field is a text, which cannot be watched; fields with numbers and booleans are taken",
    "histogram_bucket": "a bucket of a histogram, which cannot be put together; its _count and _sum are taken",
    "no_container": "a sum over containers, or a pod's pause container; each container is taken by itself",
    "late": "newer points came before it: its window had ended and the allowed lateness had passed",
}


class PlacedMessage(Message, Protocol):
    """A Kafka record with its place; aiokafka's ``ConsumerRecord`` fits as it is."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition} offset {self.offset}"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one message: accepted points by signal, and why anything of it was rejected (reason → detail)."""

    place: Place
    accepted: Counter[Signal]
    rejected: Mapping[str, str]


@dataclass(slots=True)
class Rejected:
    """A reason: how many messages it met, and one of them."""

    messages: int
    detail: str
    place: Place
    exact: bool  # the detail belongs to this reason alone


class InputInspector:
    """Sends messages of one topic, in the order given, through the real thing."""

    def __init__(self, format_name: str, config: FlowConfig) -> None:
        self._format = format_name
        self._config = replace(config, signal_partitions=1)
        self._chains: dict[tuple[str, int], IngestChain] = {}
        self._signals: dict[int, Signal] = {}

    def inspect(self, message: PlacedMessage) -> Fate:
        """The fate of one message."""
        chain = self._chain(message.topic, message.partition)
        output = refused.apply(chain, message.topic, message.partition, [message])
        output.add(chain.flush())
        place = Place(message.topic, message.partition, message.offset)
        accepted, late = self._rows(output)
        rejected = _rejections(output)
        if late:
            rejected["late"] = _EXPLAINED["late"]
        return Fate(place, accepted, rejected)

    def _chain(self, topic: str, partition: int) -> IngestChain:
        chain = self._chains.get((topic, partition))
        if chain is None:
            codec = input_codec(self._format, self._config.limits)
            chain = self._chains[topic, partition] = IngestChain(f"{topic}/{partition}", codec, self._config)
        return chain

    def _rows(self, output: Output) -> tuple[Counter[Signal], int]:
        """Points in time by signal, and the number of late ones."""
        accepted: Counter[Signal] = Counter()
        late = 0
        for record in output.records:
            if record.topic != "signals" or record.value is None:
                continue
            block = signal_block.decode(record.value)
            self._signals.update({signal.id: signal for signal in block.described})
            in_time = np.ones(block.rows, np.bool_)
            if block.late is not None:
                in_time[block.late] = False
                late += int(block.late.size)
            counts = np.bincount(block.signal[in_time], minlength=block.ids.size)
            for signal_id, count in zip(block.ids.tolist(), counts.tolist(), strict=True):
                if count:
                    accepted[self._signals[signal_id]] += count
        return accepted, late


def _rejections(output: Output) -> dict[str, str]:
    """Reason → detail. A message with several reasons has one dead letter, which tells all details together."""
    reasons = [reason for (what, reason), _ in output.counts.items() if what == "drop"]
    letters = [record for record in output.records if record.topic == "dead-letter"]
    told = dict(letters[0].headers).get("calm_detail", b"").decode("utf-8", "replace") if letters else ""
    return {reason: _EXPLAINED.get(reason, told) for reason in reasons}


@dataclass(slots=True)
class InputReport:
    """Fates summed up."""

    messages: int = 0
    messages_rejected: int = 0  # in part or whole
    points: int = 0
    signals: Counter[Signal] = field(default_factory=Counter)
    rejected: dict[str, Rejected] = field(default_factory=dict)

    def add(self, fate: Fate) -> None:
        """Take in one more message."""
        self.messages += 1
        self.messages_rejected += bool(fate.rejected)
        self.points += fate.accepted.total()
        self.signals.update(fate.accepted)
        exact = len(fate.rejected) == 1
        for reason, detail in fate.rejected.items():
            known = self.rejected.get(reason)
            if known is None:
                self.rejected[reason] = Rejected(1, detail, fate.place, exact)
                continue
            known.messages += 1
            if exact and not known.exact:
                known.detail, known.place, known.exact = detail, fate.place, True
