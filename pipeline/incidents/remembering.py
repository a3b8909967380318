"""What an incident leaves to remember, and what is told of its kind's past with it.

Guarantee: of an incident that came back only the whole is remembered; what silences or maintenance windows kept from
everybody all its life is not, for nobody could say anything to it.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.incidents.history import ENDED, History, Occurrence, merged, sample
from pipeline.incidents.open_incident import SEVERITIES, Open, Place
from pipeline.incidents.usual_trouble import Habits
from pipeline.records import Incident

_MOST_CAUSE = 200


def kind_of(incident: Open, history: History, now_us: int) -> Place:
    """The kind that it is of; once asked for it stays."""
    if incident.course.begun is None:
        members = (member.anomaly for member in incident.members.values())
        first = min(members, key=lambda one: (one.onset_us, one.signal.workload, one.signal.name, one.id)).signal
        incident.course.begun = history.kind_of(incident.scope, (first.workload, first.name), now_us)
    return incident.course.begun


def past_of(incident: Open, history: History, now_us: int) -> Sequence[Occurrence]:
    """Those of its kind before it, by onset."""
    return history.past(incident.scope, kind_of(incident, history, now_us), now_us, incident.id)


def with_past(told: Incident, incident: Open, history: History, habits: Habits, now_us: int) -> Incident:
    """A transition with what the past says of the incident and what was held back of it."""
    course, causes = incident.course, [cause.entity for cause in told.causes[:1]]
    course.cause = causes[0] if causes else course.cause
    course.flapping.told = incident.flaps(now_us)
    kind = kind_of(incident, history, now_us)
    every_us = habits.every_us([one.onset_us for one in past_of(incident, history, now_us)])
    return replace(
        told,
        flapping=course.flapping.told,
        rarity=history.rarity(incident.scope, kind, now_us, incident.id, every_us),
        similar=history.similar(incident, now_us),
        suppressed=tuple(sorted(course.held.items())),
    )


def note(incident: Open) -> None:
    """Keep the worst that it was."""
    course = incident.course
    course.acknowledged |= incident.acknowledged_by is not None
    course.severity = max(course.severity, incident.severity, key=_rank)


def remember(incident: Open, history: History, now_us: int, close_reason: str | None) -> None:
    """It is over."""
    told = incident.revision > 0
    if not told and incident.course.pause is None:
        return
    note(incident)
    course, ended_us = incident.course, incident.ended_us()
    ends = [each.anomaly.end_us for each in incident.members.values()]
    resolved = [end for end in ends if end is not None]
    kind, places, count = kind_of(incident, history, now_us), sample(incident.places), len(incident.places)
    for before in history.past(incident.scope, kind, now_us):
        if before.id == incident.id:  # it came back, maybe with its worst members only
            places, count = merged(places, before.places), max(count, before.place_count)
    found = Occurrence(
        id=incident.id,
        onset_us=incident.onset_us,
        resolved_us=max(resolved) if len(resolved) == len(ends) else now_us,
        lasted_us=(now_us if ended_us is None else ended_us) - course.seen_us,
        severity=course.severity,
        places=places,
        place_count=count,
        told=told,
        acknowledged=course.acknowledged,
        close_reason="" if close_reason in (None, ENDED) else close_reason or "",
        cause=course.cause[:_MOST_CAUSE],
    )
    history.remember(incident.scope, kind, found)


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1
