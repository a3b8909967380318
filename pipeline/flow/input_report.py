"""What ingest makes of single messages, for a producer who wants to know: accepted or rejected, and why.

Guarantee: nothing is judged here. Each message goes through an ingest chain of its own partition, and what is reported
is what the chain let out and counted. Times are judged against the Kafka record's time, lateness against the messages
given before; so the first messages of a stretch are never late.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.codecs import happening_event, line_block, signal_block, span_block
from pipeline.codecs.registry import INPUT_CODECS
from pipeline.flow import refused
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.inputs import ingest_chain
from pipeline.records import Entity, Event, Headers, Message, Output, Produced, Signal
from pipeline.signals.identity import entity_of

#: What ingest counts without a dead letter, and what the score chain drops because of what ingest found.
_EXPLAINED: Mapping[str, str] = {
    "not_finite": "a value is NaN or infinite; leave such points out",
    "no_recorded_value": "a point says itself that no value was recorded",
    "text_field": "a field is a text, which cannot be watched; fields with numbers and booleans are taken",
    "histogram_bucket": "a bucket of a histogram, which cannot be put together; its _count and _sum are taken",
    "no_container": "a sum over containers, or a pod's pause container; each container is taken by itself",
    "blank": "a log line without text",
    "cut": "a log line is too long; its beginning is taken",
    "event_deleted": "Kubernetes forgot an event, which is no event",
    "superseded": "a deployment that another one took the place of; that other one is told by itself",
    "late": "newer ones came before it: its window had ended and the allowed lateness had passed",
}


Ints = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Thing:
    """What was accepted: a ``what`` (point, log line, span, event, change) of an entity, by its name."""

    what: str
    workload: str
    instance: str
    name: str


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
    """What became of one message: how many of each thing were accepted, and why anything of it was rejected (reason →
    detail)."""

    place: Place
    accepted: Counter[Thing]
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
        self._config = replace(config, signal_partitions=1, line_partitions=1, span_partitions=1)
        self._chains: dict[tuple[str, int], Chain] = {}
        self._signals: dict[int, Signal] = {}

    def inspect(self, message: PlacedMessage) -> Fate:
        """The fate of one message."""
        chain = self._chain(message.topic, message.partition)
        output = refused.apply(chain, message.topic, message.partition, [message])
        output.add(chain.flush())
        place = Place(message.topic, message.partition, message.offset)
        accepted: Counter[Thing] = Counter()
        late = sum(self._read(record, accepted) for record in output.records if record.value is not None)
        rejected = _rejections(output)
        if late:
            rejected["late"] = _EXPLAINED["late"]
        return Fate(place, accepted, rejected)

    def _chain(self, topic: str, partition: int) -> Chain:
        chain = self._chains.get((topic, partition))
        if chain is None:
            chain = ingest_chain(self._format, f"{topic}/{partition}", self._config)
            self._chains[topic, partition] = chain
        return chain

    def _read(self, record: Produced, accepted: Counter[Thing]) -> int:
        """Count what a record that a chain let out holds; the number of late rows in it."""
        value = record.value or b""
        if record.topic == "anomalies" and happening_event.is_happening(record.headers):
            accepted[self._happening(record)] += 1
        elif record.topic == "signals" and not self._counts_events:
            points = signal_block.decode(value)
            self._signals.update({signal.id: signal for signal in points.described})
            names = [_point(self._signals[number]) for number in points.ids.tolist()]
            return _count(names, points.signal, points.late, accepted)
        elif record.topic == "logs":
            lines = line_block.decode(value)
            names = [_of(entity, "log line", "lines") for entity in lines.entities]
            return _count(names, lines.entity, lines.late, accepted)
        elif record.topic == "spans":
            spans = span_block.decode(value)
            names = [_of(spans.entities[each.resource], "span", each.operation) for each in spans.shapes]
            return _count(names, spans.shape, spans.late, accepted)
        return 0

    @property
    def _counts_events(self) -> bool:
        """Are points what we make of events ourselves?"""
        return self._format not in INPUT_CODECS

    def _happening(self, record: Produced) -> Thing:
        happening = happening_event.decode(_Told(record.value, record.headers)).happening
        entity = entity_of(happening.entity, self._config.scope_attributes)
        if isinstance(happening, Event):
            return _of(entity, "event", happening.type)
        return _of(entity, "change", f"{happening.kind} {happening.phase}")


@dataclass(frozen=True, slots=True)
class _Told:
    """A record as the next stage reads it."""

    value: bytes | None
    headers: Headers
    key: bytes | None = None
    offset: int = 0
    timestamp: int = 0


def _point(signal: Signal) -> Thing:
    return Thing("point", signal.workload, signal.instance, signal.label())


def _of(entity: Entity, what: str, name: str) -> Thing:
    return Thing(what, entity.workload, entity.instance, name)


def _count(names: list[Thing], number: Ints, late: Ints | None, accepted: Counter[Thing]) -> int:
    """Count rows in time by the number of their name; the number of late ones."""
    in_time = np.ones(number.size, np.bool_)
    if late is not None:
        in_time[late] = False
    for name, rows in zip(names, np.bincount(number[in_time], minlength=len(names)).tolist(), strict=True):
        if rows:
            accepted[name] += rows
    return int(number.size - in_time.sum())


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
    accepted: Counter[Thing] = field(default_factory=Counter)
    rejected: dict[str, Rejected] = field(default_factory=dict)

    def add(self, fate: Fate) -> None:
        """Take in one more message."""
        self.messages += 1
        self.messages_rejected += bool(fate.rejected)
        self.accepted.update(fate.accepted)
        exact = len(fate.rejected) == 1
        for reason, detail in fate.rejected.items():
            known = self.rejected.get(reason)
            if known is None:
                self.rejected[reason] = Rejected(1, detail, fate.place, exact)
                continue
            known.messages += 1
            if exact and not known.exact:
                known.detail, known.place, known.exact = detail, fate.place, True
