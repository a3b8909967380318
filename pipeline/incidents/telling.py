"""An open incident as a transition that people read: title, severity, members, and what happened around it.

Guarantee: what is told depends on the incident and the evidence alone; numbers in the title are of its worst member.
"""

from dataclasses import dataclass

from pipeline.incidents.evidence import Evidence
from pipeline.incidents.open_incident import Open, worst_first
from pipeline.records import Anomaly, Candidate, Incident

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
) -> Incident:
    """The next revision of an incident."""
    incident.tell()
    members = sorted(incident.members.values(), key=lambda member: worst_first(member.anomaly))
    ends = [m.anomaly.end_us for m in members if m.anomaly.end_us is not None]
    worst = members[0].anomaly
    over = transition in ("resolved", "merged")
    likely = [cause.entity for cause in causes]
    found = evidence.near(incident.scope, incident.workloads, incident.onset_us, now_us, likely)
    return Incident(
        id=incident.id,
        revision=incident.revision,
        transition=transition,
        state=_state(incident, transition),
        scope=incident.scope,
        severity=incident.severity,
        title=title(worst, len(members)),
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
        acknowledged_by=incident.acknowledged_by,
        by=because.by,
        comment=because.comment,
        merged_into=because.merged_into,
        came_from=incident.came_from,
    )


def _state(incident: Open, transition: str) -> str:
    if transition in ("resolved", "merged", "suppressed"):
        return transition
    return "acknowledged" if incident.acknowledged_by is not None else "open"


def title(worst: Anomaly, members: int) -> str:
    """One true sentence."""
    signal = worst.signal
    unit = "" if signal.unit in ("", "1") else f" {signal.unit}"
    more = f", and {members - 1} more signal{'s' if members > 2 else ''}" if members > 1 else ""
    return f"{signal.label()} of {signal.entity} was {worst.value:.4g}{unit}, expected {worst.expected:.4g}{unit}{more}"
