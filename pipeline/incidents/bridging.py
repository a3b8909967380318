"""Open incidents that turn out to be one: an anomaly that has just joined the one belongs to the other as well.

As well means by an edge of its own (the same signal, the same workload, at most two calls), never by nearness in time.
The one that began first goes on; the other is told to be merged into it, and by what.

Guarantee: what is put together depends on the incidents and the graph alone. Incidents of alerts, and what people have
split from each other, are not put together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.incidents import joining
from pipeline.incidents.open_incident import Open, Told
from pipeline.incidents.telling import Because
from pipeline.records import Anomaly, Incident, Member

if TYPE_CHECKING:
    from pipeline.incidents.grouping import Grouping


def bridge(grouping: Grouping, fresh: dict[str, list[Anomaly]], now_us: int) -> list[Incident]:
    """Put together what the newest anomalies of incidents (``fresh``, by incident) show to be one; ``fresh`` is kept
    up. What is to be told of those that are over by it; the others are to be told of as ever."""
    told: list[Incident] = []
    for key in list(fresh):
        for anomaly in [each for each in fresh.get(key, ()) if each.transition == "opened"]:
            incident = grouping.of(anomaly)
            while incident is not None and (found := _other(grouping, anomaly, incident)) is not None:
                other, why = found
                into, gone = sorted((incident, other), key=lambda each: (each.onset_us, each.id))
                because = Because(comment=f"{anomaly.signal.workload}: {why}", merged_into=into.id)
                told += put_together(grouping, gone, into, f"merged from {gone.id}: {why}", because, now_us)
                fresh.setdefault(into.id, []).extend(fresh.pop(gone.id, []))
                into.told = Told()  # it is news
                incident = into
    return told


def put_together(
    grouping: Grouping, incident: Open, into: Open, joined_by: str, because: Because, now_us: int
) -> list[Incident]:
    """The members of ``incident`` go on in ``into``, and it is over: what is to be told of that."""
    told = [grouping.tell(incident, "merged", now_us, because)] if incident.revision else []
    grouping.put_away(incident)
    into.cluster = into.cluster or incident.cluster
    into.acknowledged_by = into.acknowledged_by or incident.acknowledged_by
    into.course.held.update(incident.course.held)
    grouping.receive(into, [Member(member.anomaly, joined_by) for member in incident.members.values()])
    return told


def _other(grouping: Grouping, anomaly: Anomaly, incident: Open) -> tuple[Open, str] | None:
    """Another incident that it belongs to, and why."""
    found = [
        (edge, other)
        for other in grouping.open.values()
        if other is not incident
        and _may_merge(incident, other)
        and (edge := grouping.edge(anomaly, other)) is not None
        and edge.strength >= joining.CALLS
    ]
    if not found:
        return None
    edge, other = max(found, key=lambda one: (one[0].strength, one[1].newest_onset_us, one[1].id))
    return other, edge.why


def _may_merge(one: Open, other: Open) -> bool:
    split = one.came_from == other.id or other.came_from == one.id
    return not split and all(each.cluster is None and each.going_on for each in (one, other))
