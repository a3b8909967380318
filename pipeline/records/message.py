"""Messages in and out of a chain, without any Kafka client in sight."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from pipeline.records.timestamps import NO_TIME

#: (what, reason or kind) → how many. The rim turns these into metrics.
Counts = Counter[tuple[str, str]]

Headers = Sequence[tuple[str, bytes]]


class Message(Protocol):
    """What a chain reads of a Kafka record; aiokafka's ``ConsumerRecord`` fits as it is."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...  # milliseconds since the epoch
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class RefusedValue(bytes):
    """The value of a record that nobody is to read, for what is around it is damaged: a counted reason, and in words.

    ``whole`` is what the record came with, which may be None.
    """

    reason: str
    detail: str
    whole: bytes | None

    @classmethod
    def of(cls, value: bytes | None, reason: str, detail: str) -> "RefusedValue":
        made = cls(value or b"")
        made.reason, made.detail, made.whole = reason, detail, value
        return made


@dataclass(frozen=True, slots=True)
class Produced:
    """A record to write. ``topic`` is the short name (``signals``), the rim knows the prefix."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(slots=True)
class Output:
    """What a chain made of a batch: records to write, in order, and what it counted.

    ``reread_from``: the chain stopped there and wants its messages from this offset on once more, for it had to let go
    of some of what they hold.
    """

    records: list[Produced] = field(default_factory=list)
    counts: Counts = field(default_factory=Counter)
    reread_from: int | None = None

    def count(self, what: str, reason: str, number: int = 1) -> None:
        if number:
            self.counts[what, reason] += int(number)

    def add(self, other: "Output") -> None:
        self.records.extend(other.records)
        self.counts.update(other.counts)


_MOST_MS = 2**52  # so that it can be counted in microseconds


def record_time_us(message: Message) -> int:
    """The time of a message's Kafka record in microseconds, which a producer may set as it likes: what lies thousands
    of years away is brought nearer."""
    return min(max(message.timestamp, -_MOST_MS), _MOST_MS) * 1000


@dataclass(frozen=True, slots=True)
class Numbered:
    """A record of our own log: it covers ``start`` … ``end`` of its source's sequence, and tells no progress."""

    progress_us: ClassVar[int] = NO_TIME
    idle: ClassVar[bool] = False

    source: str
    start: int
    end: int
