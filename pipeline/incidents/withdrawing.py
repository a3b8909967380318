"""Anomalies that late data show to be wrong, taken out of the incidents that they are in.

Guarantee: depends on the anomalies and the incidents alone. An incident of which something is left that may start one
goes on without them, and says so; one of which nothing is left is withdrawn: it is over, does not come back, and is
nothing that the past says. What people were never told of goes without a word. What is over is looked at for as long as
it may come back, unless it had so many members that not all of them are known any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.incidents.open_incident import Open
from pipeline.incidents.telling import Because
from pipeline.records import Anomaly, Incident, Suppression

if TYPE_CHECKING:
    from pipeline.incidents.grouping import Grouping

WITHDRAWN = "withdrawn"
LATE_DATA = "late_data"
#: Members that are named where they leave.
_MOST_NAMED = 3


def withdraw(grouping: Grouping, anomalies: Iterable[Anomaly], now_us: int) -> tuple[list[Incident], list[str]]:
    """Take these out; what is to be told of that, and the open incidents that go on with less."""
    told: list[Incident] = []
    less: list[str] = []
    gone: dict[str, list[Anomaly]] = {}
    over: dict[str, tuple[Open, list[Anomaly]]] = {}
    for anomaly in anomalies:
        grouping.past.is_settled(anomaly)
        if (incident := grouping.of(anomaly)) is not None:
            gone.setdefault(incident.id, []).append(anomaly)
        elif (incident := grouping.past.having(anomaly.id, now_us)) is not None:
            over.setdefault(incident.id, (incident, []))[1].append(anomaly)
    for key, its in gone.items():
        incident = grouping.open[key]
        if _stands(grouping, incident, its):
            told += _leave(grouping, incident, its, now_us)
            less.append(key)
        else:
            told += _withdraw(grouping, incident, its, now_us)
            grouping.put_away(incident)
    for incident, its in over.values():
        if _stands(grouping, incident, its):
            incident.leave(frozenset(anomaly.id for anomaly in its))
        else:
            grouping.past.take(incident.id)
            told += _withdraw(grouping, incident, its, now_us)
    return told, less


def _stands(grouping: Grouping, incident: Open, gone: Sequence[Anomaly]) -> bool:
    """Is anything left that may start an incident?"""
    ids = {anomaly.id for anomaly in gone}
    rest = [member.anomaly for key, member in incident.members.items() if key not in ids]
    return any(each.signal.alert_type or grouping.bar(each) is None for each in rest)


def _leave(grouping: Grouping, incident: Open, gone: Sequence[Anomaly], now_us: int) -> list[Incident]:
    grouping.let_go(incident, frozenset(anomaly.id for anomaly in gone))
    incident.course.begun = None  # it may have begun at one of them
    if not incident.revision or not incident.shown:
        return []
    return [grouping.tell(incident, "updated", now_us, Because(comment=_words(gone)))]


def _withdraw(grouping: Grouping, incident: Open, gone: Sequence[Anomaly], now_us: int) -> list[Incident]:
    """All of it goes, members that cannot be an incident alone as well."""
    for anomaly in gone:
        incident.join(replace(incident.members[anomaly.id], anomaly=anomaly))
    ids = {anomaly.id for anomaly in gone}
    for anomaly in [member.anomaly for key, member in incident.members.items() if key not in ids]:
        if (reason := grouping.bar(anomaly)) is not None and anomaly.end_us is None:
            grouping.suppressed.append(Suppression(anomaly, reason, now_us))
    grouping.let_go(incident, frozenset(incident.members) - ids)
    grouping.history.withdraw(incident.scope, incident.id)
    return [grouping.tell_withdrawn(incident, now_us, Because(close_reason=LATE_DATA))] if incident.revision else []


def _words(gone: Sequence[Anomaly]) -> str:
    named = [f"{each.signal.label()} of {each.signal.entity}" for each in gone[:_MOST_NAMED]]
    more = f" and {len(gone) - _MOST_NAMED} more" if len(gone) > _MOST_NAMED else ""
    return f"{LATE_DATA}: {', '.join(named)}{more} withdrawn"
