"""What happens to entities without being a measurement: events, and changes that somebody made."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.records.points import Rejection
from pipeline.records.signal import Attributes

#: What a change is. ``other``: something that conventions have no name for; its type is in the attributes.
ChangeKind = Literal[
    "deployment", "rollback", "removal", "flag", "config", "scaling", "canary", "experiment", "code", "other"
]
ChangePhase = Literal["planned", "started", "finished", "failed"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an entity, named by its resource attributes (of OpenTelemetry, sorted).

    ``id`` is the sender's, or a hash of the content: the same event sent twice has one id. ``type`` has few distinct
    values (``k8s.BackOff``, ``alert.HighLatency``); ``severity`` is OpenTelemetry's number, 0 where none is given;
    ``attributes`` are the others that were sent.
    """

    id: str
    time_us: int
    type: str
    entity: Attributes
    severity: int = 0
    text: str = ""
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Something that somebody or something did to an entity, named by its resource attributes (of OpenTelemetry).

    ``id`` is the same in all messages about one change, where the sender lets us know; ``effective_us`` is event time.
    ``version`` and ``before`` are versions (or variants of a flag, numbers of replicas), empty where unknown.
    ``source`` is who told: ``cdevents``, ``github``, ``argocd``, ``opentelemetry``, or ``telemetry`` (seen, not
    announced).
    """

    id: str
    effective_us: int
    kind: ChangeKind
    phase: ChangePhase
    entity: Attributes
    source: str
    version: str = ""
    before: str = ""
    title: str = ""
    url: str = ""
    author: str = ""
    chain: str = ""  # what changes belong to one delivery have in common
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class Happened:
    """An event or a change, and to whom, in the words of signals. ``score`` (0 … 1) and ``why`` say how likely it has
    to do with an incident, where somebody has judged that."""

    what: Event | Change
    scope: str
    workload: str
    instance: str = ""
    score: float = 0.0
    why: str = ""

    @property
    def time_us(self) -> int:
        """Event time."""
        return self.what.time_us if isinstance(self.what, Event) else self.what.effective_us


@dataclass(slots=True)
class DecodedEvents:
    """Events of a batch in message order, each with the index of its message. ``dropped`` counts what needs no dead
    letter, by reason."""

    events: list[tuple[int, Event]]
    rejections: list[Rejection] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class DecodedChanges:
    """The same for changes."""

    changes: list[tuple[int, Change]]
    rejections: list[Rejection] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
