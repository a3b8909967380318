"""Incidents of a correlate shard as bytes of its checkpoint, and back.

Guarantee: unpack(pack(incident)) goes on as the incident does.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from pipeline.codecs import anomaly_event
from pipeline.incidents.course import Course
from pipeline.incidents.history import History
from pipeline.incidents.open_incident import Open, Told
from pipeline.incidents.over import Over
from pipeline.incidents.rarity import RareAlerts
from pipeline.incidents.severity import Standing
from pipeline.records import Member


def pack_open(incident: Open) -> bytes:
    return msgspec.msgpack.encode(_form(incident))


def unpack_open(value: bytes) -> Open:
    """Raises ValueError, TypeError, KeyError or msgspec's errors."""
    return _made(msgspec.msgpack.decode(value))


def pack_over(over: Over) -> bytes:
    return msgspec.msgpack.encode([_form(over.incident), over.at_us, over.may_return])


def unpack_over(value: bytes) -> Over:
    """As ``unpack_open``."""
    form, at_us, may_return = msgspec.msgpack.decode(value)
    return Over(_made(form), at_us, may_return)


def pack_rare(rare: RareAlerts) -> bytes:
    """Clusters of alerts that seldom come, and what came together before."""
    clusters = [
        [numbers, [[anomaly_event.pack(anomaly), why] for anomaly, why in anomalies]]
        for numbers, anomalies in rare.dump()
    ]
    return msgspec.msgpack.encode([clusters, rare.company.dump()])


def unpack_rare(value: bytes, owns: Callable[[str], bool] = lambda _: True) -> RareAlerts:
    """Of the scopes that are ours. Raises as ``unpack_open``."""
    clusters, company = msgspec.msgpack.decode(value)
    return RareAlerts(
        [
            (numbers, [(anomaly_event.unpack(anomaly), why) for anomaly, why in anomalies])
            for numbers, anomalies in clusters
            if owns(numbers[1])
        ],
        [(scope, tuple(types), number, at_us) for scope, types, number, at_us in company if owns(scope)],
    )


def pack_history(history: History, owns: Callable[[str], bool] = lambda _: True) -> bytes:
    """Incidents that are over, of the scopes that are ours."""
    return msgspec.msgpack.encode([each for each in history.dump() if owns(each[0])])


def unpack_history(value: bytes) -> History:
    """As ``unpack_open``."""
    return History(msgspec.msgpack.decode(value))


def _form(incident: Open) -> dict[str, Any]:
    return {
        "id": incident.id,
        "scope": incident.scope,
        "detected": incident.detected_us,
        "revision": incident.revision,
        "members": [[anomaly_event.pack(m.anomaly), m.joined_by] for m in incident.members.values()],
        "shown": incident.shown,
        "acknowledged_by": incident.acknowledged_by,
        "kept_open": incident.kept_open,
        "came_from": incident.came_from,
        "told": [incident.told.severity, incident.told.places],
        "cluster": incident.cluster,
        "unknown": sorted(incident.unknown),
        "standing": [incident.standing.severity, incident.standing.reasons],
        "course": incident.course.dump(),
    }


def _made(form: dict[str, Any]) -> Open:
    severity, reasons = form["standing"]
    members = [Member(anomaly_event.unpack(anomaly), joined_by) for anomaly, joined_by in form["members"]]
    return Open(
        form["id"],
        form["scope"],
        form["detected"],
        form["revision"],
        {member.anomaly.id: member for member in members},
        form["shown"],
        form["acknowledged_by"],
        form["kept_open"],
        form["came_from"],
        Told(*form["told"]),
        form["cluster"],
        set(form["unknown"]),
        Course.load(form["course"]),
        Standing(severity, tuple(reasons)),
    )
