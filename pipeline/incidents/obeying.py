"""What an order of a person does to the incidents of a shard.

Guarantee: an order is carried out whole or not at all. One for an incident that this shard does not know is passed
over, for every shard hears every order; one that does not fit the incident's state is refused, which is counted.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, assert_never

from pipeline.incidents.bridging import put_together
from pipeline.incidents.open_incident import Open
from pipeline.incidents.telling import Because
from pipeline.policies.orders import Order
from pipeline.records import Incident, Member

if TYPE_CHECKING:
    from pipeline.incidents.grouping import Grouping

#: Why an order is refused: the incident is not in the state that the order is for.
NOT_POSSIBLE = "order_not_possible"
#: Reasons after which the incident comes back when its signals do: what was meant to be mended is not.
_MAY_RETURN = ("fixed",)


def obey(order: Order, grouping: Grouping, now_us: int) -> list[Incident]:
    """Carry it out; what is to be told of it."""
    if order.action == "reopen":
        return _reopen(order, grouping, now_us)
    incident = grouping.open.get(order.incident)
    if incident is None or not incident.revision:
        return []
    match order.action:
        case "ack":
            return _acknowledge(order, incident, grouping, now_us)
        case "resolve":
            return _resolve(order, incident, grouping, now_us)
        case "merge":
            return _merge(order, incident, grouping, now_us)
        case "split":
            return _split(order, incident, grouping, now_us)
        case _:
            assert_never(order.action)


def _acknowledge(order: Order, incident: Open, grouping: Grouping, now_us: int) -> list[Incident]:
    if incident.acknowledged_by is not None:
        return _refuse(grouping)
    incident.acknowledged_by = order.author
    return [grouping.tell(incident, "acknowledged", now_us, _because(order))]


def _resolve(order: Order, incident: Open, grouping: Grouping, now_us: int) -> list[Incident]:
    grouping.past.settle(key for key, member in incident.members.items() if member.anomaly.end_us is None)
    because = Because(order.author, order.comment or None, order.reason)
    return grouping.close(incident, now_us, because, may_return=order.reason in _MAY_RETURN)


def _reopen(order: Order, grouping: Grouping, now_us: int) -> list[Incident]:
    """It stays open until somebody resolves it, or something joins it and ends."""
    if order.incident in grouping.open:
        return _refuse(grouping)
    incident = grouping.past.take(order.incident)
    if incident is None:
        return []
    grouping.take_up(incident)
    incident.shown = incident.kept_open = True
    incident.acknowledged_by = None
    grouping.set_deadline(incident)
    return [grouping.tell(incident, "reopened", now_us, _because(order))]


def _merge(order: Order, incident: Open, grouping: Grouping, now_us: int) -> list[Incident]:
    into = grouping.open.get(order.into or "")
    if into is None or not into.revision or into.scope != incident.scope:
        return _refuse(grouping)
    because = Because(order.author, order.comment or None, merged_into=into.id)
    told = put_together(grouping, incident, into, f"merged from {incident.id} by {order.author}", because, now_us)
    return [*told, grouping.tell(into, "updated", now_us, _because(order))]


def _split(order: Order, incident: Open, grouping: Grouping, now_us: int) -> list[Incident]:
    named = frozenset(order.members)
    if not named < incident.members.keys():
        return _refuse(grouping)
    gone = incident.leave(named)
    grouping.set_deadline(incident)
    why = f"split from {incident.id} by {order.author}"
    part = Open(_part_id(incident, order), incident.scope, now_us, came_from=incident.id)
    part.course.seen_us = incident.course.seen_us
    grouping.take_up(part)
    part.shown = True
    grouping.receive(part, [Member(member.anomaly, why) for member in gone])
    return [
        grouping.tell(incident, "split", now_us, _because(order)),
        grouping.tell(part, "opened", now_us, _because(order)),
    ]


def _part_id(incident: Open, order: Order) -> str:
    """The same in every run."""
    return f"inc-{blake2b(f'{incident.id}/{order.id}'.encode(), digest_size=12).hexdigest()}"


def _because(order: Order) -> Because:
    return Because(order.author, order.comment or None)


def _refuse(grouping: Grouping) -> list[Incident]:
    grouping.refused.append(NOT_POSSIBLE)
    return []
