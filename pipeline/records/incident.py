"""An incident: anomalies that belong together, and its life from opened to resolved."""

from dataclasses import dataclass

from pipeline.records.anomaly import Anomaly
from pipeline.records.cause import Candidate
from pipeline.records.happening import Happened
from pipeline.records.impact import Impacted
from pipeline.records.past import FIRST, Rarity, Similar

TRANSITIONS = (
    "opened", "updated", "acknowledged", "suppressed", "resolved", "reopened", "merged", "split", "withdrawn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """An anomaly in an incident and by what it joined."""

    anomaly: Anomaly
    joined_by: str


@dataclass(frozen=True, slots=True)
class Incident:
    """One transition (one of TRANSITIONS) of an incident, in event time (microseconds).

    ``state`` is what it is in from then on: ``open``, ``acknowledged``, ``suppressed`` (held back by a silence or a
    maintenance window), ``resolved``, ``merged`` or ``withdrawn`` (late data show that it was none). ``by`` is who
    ordered the transition, with ``comment``; None where nobody did. ``merged_into`` and ``came_from`` (split from it)
    are ids of other incidents.

    ``causes`` are the candidates for where it starts, the likeliest first. ``changes`` and ``events`` are what happened
    shortly before and since, the most likely to matter first.
    ``impacted`` are those who suffer, those who feel it first; ``severity_reasons`` say in words why it is so severe,
    ``burn_rate`` how many times too fast the fastest error budget burns (None: none does).
    ``flapping``: it comes and goes. ``rarity`` and ``similar`` are what the past says of it; ``suppressed``: by reason,
    how many of its anomalies were not told at once.
    ``members`` are sorted by surprise, most unlikely first, and may be cut to the first ones; ``member_count`` and
    ``ended_count`` count all of them. ``revision`` counts transitions from 1.
    """

    id: str
    revision: int
    transition: str
    scope: str
    severity: str
    title: str
    step_us: int
    onset_us: int
    detected_us: int
    resolved_us: int | None
    surprise: float
    members: tuple[Member, ...]
    member_count: int
    ended_count: int
    affected: tuple[str, ...]
    detector: str
    close_reason: str | None = None
    changes: tuple[Happened, ...] = ()
    events: tuple[Happened, ...] = ()
    causes: tuple[Candidate, ...] = ()
    state: str = "open"
    acknowledged_by: str | None = None
    by: str | None = None
    comment: str | None = None
    merged_into: str | None = None
    came_from: str | None = None
    flapping: bool = False
    rarity: Rarity = FIRST
    similar: tuple[Similar, ...] = ()
    suppressed: tuple[tuple[str, int], ...] = ()
    severity_reasons: tuple[str, ...] = ()
    impacted: tuple[Impacted, ...] = ()
    burn_rate: float | None = None
