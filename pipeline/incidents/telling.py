"""An open incident as a transition that people read: title, severity, members, and what happened around it.

Guarantee: what is told depends on the incident and the evidence alone.
"""

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.incidents.evidence import Evidence
from pipeline.incidents.impact import NOBODY_SUFFERS, Suffering
from pipeline.incidents.open_incident import Open, since_us, worst_first
from pipeline.incidents.sentence import Story, title
from pipeline.records import Candidate, Incident, Member

#: Members and entities written out in an event; all are counted.
MEMBERS_SHOWN = 50
AFFECTED_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Because:
    """Who ordered a transition, and what is to be told with it; all empty where nobody did."""

    by: str | None = None
    comment: str | None = None
    close_reason: str | None = None
    merged_into: str | None = None


NOBODY = Because()


def tell(
    incident: Open,
    transition: str,
    evidence: Evidence,
    now_us: int,
    because: Because = NOBODY,
    causes: tuple[Candidate, ...] = (),
    suffering: Suffering = NOBODY_SUFFERS,
    bout: Collection[Member] | None = None,
) -> Incident:
    """The next revision of an incident. ``bout``: the members that it is about now (None: all)."""
    incident.tell()
    members = sorted(incident.members.values(), key=lambda member: worst_first(member.anomaly))
    ends = [m.anomaly.end_us for m in members if m.anomaly.end_us is not None]
    worst = members[0].anomaly
    over = transition in ("resolved", "merged", "withdrawn")
    likely = [cause.entity for cause in causes]
    about = sorted(incident.members.values() if bout is None else bout, key=lambda member: worst_first(member.anomaly))
    since, onset_us = since_us(about), min(member.anomaly.onset_us for member in about)
    found = evidence.near(incident.scope, since, onset_us, now_us, likely)
    told = [member.anomaly for member in about]
    story = Story(onset_us, told, len(since), suffering.impacted, causes, found.changes)
    return Incident(
        id=incident.id,
        revision=incident.revision,
        transition=transition,
        state=_state(incident, transition),
        scope=incident.scope,
        severity=incident.severity,
        severity_reasons=incident.standing.reasons,
        title=title(story, suffering.roles, withdrawn=transition == "withdrawn"),
        step_us=now_us,
        onset_us=incident.onset_us,
        detected_us=incident.detected_us,
        resolved_us=(max(ends) if len(ends) == len(members) else now_us) if over else None,
        surprise=worst.surprise,
        members=tuple(members[:MEMBERS_SHOWN]),
        member_count=len(members),
        ended_count=len(ends),
        affected=tuple(sorted({m.anomaly.signal.entity for m in members})[:AFFECTED_SHOWN]),
        detector=worst.detector,
        close_reason=because.close_reason,
        changes=found.changes,
        events=found.events,
        causes=causes,
        impacted=suffering.impacted,
        burn_rate=suffering.burn_rate,
        acknowledged_by=incident.acknowledged_by,
        by=because.by,
        comment=because.comment,
        merged_into=because.merged_into,
        came_from=incident.came_from,
    )


def _state(incident: Open, transition: str) -> str:
    if transition in ("resolved", "merged", "withdrawn", "suppressed"):
        return transition
    return "acknowledged" if incident.acknowledged_by is not None else "open"
