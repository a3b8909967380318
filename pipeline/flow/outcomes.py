"""What became of an anomaly and of an incident, in words, from the events that were written of them.

Guarantee: everything that is said stands in an event (bodies as docs/schema has them); what no event says is said to be
unknown. Events of one id are given by revision, each once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from detectors import felt
from pipeline.incidents.evidence import name_of

Body = Mapping[str, Any]
#: By id, the events of it in the order of their revisions.
ById = Mapping[str, Sequence[Body]]


@dataclass(frozen=True, slots=True)
class Told:
    """One step of a life: its event time (RFC 3339), what it was, and why in words."""

    time: str
    what: str
    words: str
    incident: str | None = None
    revision: int | None = None


def anomaly_at(anomalies: ById, start: str, end: str, *, opens: bool, waits: bool) -> Sequence[Body] | None:
    """The anomaly that the window from ``start`` to ``end`` (RFC 3339) was part of: ``opens``, it opened with it;
    ``waits``, it opened later and counts it as its first."""
    for events in anomalies.values():
        first, last = events[0], events[-1]
        decided = first["decided_time"] if first["transition"] == "opened" else ""
        goes_on = last["transition"] not in ("ended", "withdrawn") or last["decided_time"] >= end
        if opens and decided == end:
            return events
        if waits and decided > end and first["onset_time"] <= start:
            return events
        if not opens and not waits and decided < end and first["onset_time"] < end and goes_on:
            return events
    return None


# -- an anomaly --------------------------------------------------------------------------------------------------------


def life_of_anomaly(events: Sequence[Body], incidents: ById, suppressions: Sequence[Body]) -> list[Told]:
    """The transitions of an anomaly, what suppressed it, and the incident that it is in; by event time."""
    told = [_transition(event, events[0]) for event in events]
    told += [_suppressed(each) for each in suppressions]
    told += _joined(events[0]["id"], incidents)
    if len(told) == len(events):
        told.append(_nothing_written(events, incidents))
    return sorted(told, key=lambda each: each.time)  # stable: what is decided at one time stays in this order


def _transition(event: Body, first: Body) -> Told:
    expected, unit = event["expected"], unit_of(event["signal"]["unit"])
    needed = "" if event.get("threshold") is None else f", {event['threshold']:.3g} was needed"
    peak = (
        f"{value(event['observed'], unit)} at {moment(event['peak_time'])}, expected "
        f"{value(expected['value'], unit)} ({value(expected['lower'])} … {value(expected['upper'])}), surprise "
        f"{event['surprise']:.3g}{needed}"
    )
    words = {
        "opened": f"anomaly {event['id']} opened, since {moment(event['onset_time'])}: {peak}: {event['why']}",
        "updated": f"anomaly {event['id']} got much worse: {peak}: {event['why']}",
        "ended": f"anomaly {event['id']} ended after {count(event['unlikely_windows'], 'unlikely window')}, the last "
        f"until {moment(event['last_seen_time'])}: {event['why']}",
        "withdrawn": f"anomaly {event['id']} was wrong and is withdrawn: {event['why']}",
    }.get(str(event["transition"]), "")
    judged = f"; policy {event['policy']['version']}" if event is first else ""
    return Told(event["decided_time"], f"anomaly_{event['transition']}", words + judged, revision=event["revision"])


def _suppressed(event: Body) -> Told:
    return Told(event["decided_time"], "suppressed", suppression_words(event), revision=event["revision"])


def suppression_words(event: Body) -> str:
    """Why an anomaly started no incident, or is not told."""
    if event["reason"] == "owner_budget":
        budget, used = event["owner_budget"], event["owner_budget_used"]
        why = (
            f"its owner {event['owner']} may start {count(budget, 'incident')} a week, of which {used:.3g} were spent; "
            f"one more would be {used + 1:.3g}, and {max(1.0, budget):g} at once is the most"
        )
    elif event["reason"] == "false_discovery":
        rate = event["false_discovery_rate"]
        why = f"among all signals of its step it is likely to be a false one (surprise {event['surprise']:.3g}"
        why += ")" if rate is None else f"; of those that start incidents at most a share of {rate:g} may be false)"
    elif event["reason"] == "light_weight":
        why = "the alerts that came with it weigh too little together: it takes two types that seldom come"
    elif event["reason"] == "not_felt":
        workload = event["signal"]["workload"]
        why = (
            f"callers of {workload} feel nothing: its requests take as long, and fail as often, as is usual. It would "
            f"have started one had requests of {workload} taken {felt.LEAST_SLOWER:.0%} (and "
            f"{1000 * felt.LEAST_SECONDS:g} ms) longer, or {felt.LEAST_FAILED:.0%} more of them failed, for some "
            "windows; had data stopped coming, or something been nearly full for the first time; or were it a business "
            "signal. It joins what is open near it"
        )
    elif event["reason"] == "put_aside":
        why = "it belongs to alerts whose incident somebody has resolved"
    elif event["reason"] in ("silence", "maintenance"):
        until = moment(event["held_until"] or "")
        held = ", ".join(event["held_by"])
        known = f" as {event['incident']}" if event.get("incident") else ""
        return f"held back ({event['reason']}): {held} until {until}; what goes on then is told then{known}"
    elif event["reason"] in ("transient", "frequent", "periodic"):
        told = f"it is told as {event['incident']} if it gets worse or goes on until"
        return f"held back ({event['reason']}): {event['why']}; {told} {moment(event['held_until'] or '')}"
    elif event["reason"] == "flapping":
        return f"not told at once (flapping): it is in incident {event['incident']}: {event['why']}"
    elif event["reason"] == "no_news":
        return f"not told at once (no_news): it is in incident {event['incident']}, which was told of the like before"
    else:
        why = "this version does not know that reason"
    return f"suppressed ({event['reason']}): it started no incident, for {why}"


def _joined(anomaly: str, incidents: ById) -> Iterator[Told]:
    for events in incidents.values():
        found = next(((event, member) for event in events if (member := _member(event, anomaly)) is not None), None)
        if found is None:
            continue
        event, member = found
        if member["joined_by"] == "first member" and event["revision"] == 1:
            words = f"it started incident {event['id']}"
        else:
            words = f"it is in incident {event['id']}: {member['joined_by']}"
        words += f"; that one is {events[-1]['state']} ({events[-1]['title']})"
        yield Told(event["updated_time"], "in_incident", words, event["id"], event["revision"])


def _member(event: Body, anomaly: str) -> Body | None:
    return next((member for member in event["members"] if member["anomaly_id"] == anomaly), None)


def _nothing_written(events: Sequence[Body], incidents: ById) -> Told:
    """Neither in an incident nor suppressed, as far as events say."""
    decided, scope = events[0]["decided_time"], events[0]["scope"]
    large = [
        told[-1]["id"]
        for told in incidents.values()
        if told[-1]["scope"] == scope
        and told[0]["detected_time"] <= events[-1]["decided_time"]
        and (told[-1]["state"] not in ("resolved", "merged", "withdrawn") or decided <= told[-1]["updated_time"])
        and told[-1]["member_count"] > len(told[-1]["members"])
    ]
    if large:
        words = (
            f"it is in incident {' or '.join(large)}, which had more members than its events write out: none names it, "
            "and none says that it was suppressed"
        )
        return Told(decided, "in_incident", words, large[0] if len(large) == 1 else None)
    words = (
        "no event says yet whether it is in an incident or was suppressed: the role correlate decides when every "
        f"partition of calm.signals has passed {moment(decided)}, and events are kept for some days only"
    )
    return Told(decided, "unknown", words)


# -- an incident -------------------------------------------------------------------------------------------------------


def life_of_incident(events: Sequence[Body]) -> list[Told]:
    """Why each of its transitions came."""
    told: list[Told] = []
    known: dict[str, Body] = {}
    for event in events:
        end = {"resolved": _resolved, "withdrawn": _withdrawn}.get(str(event["transition"]))
        words = "; ".join(_said(event, known)) if end is None else end(event)
        known = {member["anomaly_id"]: member for member in event["members"]} | {"": event}
        told.append(
            Told(event["updated_time"], str(event["transition"]), words, str(event["id"]), int(event["revision"]))
        )
    return told


def _said(event: Body, known: Mapping[str, Body]) -> Iterator[str]:
    """Of a transition that is no end: who ordered it, what it is, and what is new."""
    if event["by"] is not None:
        yield f"by {event['by']}" + (f": {event['comment']}" if event["comment"] else "")
    elif event["transition"] == "updated" and event["comment"]:
        yield event["comment"]
    if event["merged_into"] is not None:
        yield f"its members go on in {event['merged_into']}"
    if event["split_from"] is not None and event["revision"] == 1:
        yield f"split from {event['split_from']}"
    if event["transition"] == "suppressed":
        yield "all its members that go on are held back by silences or maintenance windows"
    if event.get("flapping") and not known.get("", {}).get("flapping"):
        yield "it comes and goes: from now on it stays open until it was quiet for twice as long as it rested"
    if event["revision"] == 1 and event.get("suppressed_counts"):
        yield f"held back until then: {counts_words(event['suppressed_counts'])}"
    news = list(_news(event, known))
    if event["transition"] == "updated" and not news and event["by"] is None and not event["comment"]:
        news = ["what is known of its members has changed"]
    yield from news


def _resolved(event: Body) -> str:
    if event["by"] is not None:
        return f"by {event['by']}: {event['close_reason']}" + (f" ({event['comment']})" if event["comment"] else "")
    ended = f"{event['close_reason']} ({event['member_count']}), the last one at {moment(event['resolved_time'] or '')}"
    return f"{ended}, and nothing new came until {moment(event['updated_time'])}"


def _withdrawn(event: Body) -> str:
    members = "; ".join(f"{who(member['signal'])}: {member['why']}" for member in event["members"][:3])
    more = event["member_count"] - min(len(event["members"]), 3)
    return f"nothing of it is left: {members}" + (f"; and {more} more" if more > 0 else "")


def _news(event: Body, known: Mapping[str, Body]) -> Iterator[str]:
    """What is in an event that was not in the one before."""
    shown = 0
    for member in event["members"]:
        before = known.get(member["anomaly_id"])
        if before is None:
            yield f"{who(member['signal'])} joined ({member['joined_by']})"
            shown += 1
        elif member["end_time"] is not None and before["end_time"] is None:
            yield f"{who(member['signal'])} ended at {moment(member['end_time'])}"
        elif member["surprise"] > before["surprise"]:
            yield f"{who(member['signal'])} got worse (surprise {before['surprise']:.3g} → {member['surprise']:.3g})"
    more = event["member_count"] - (known[""]["member_count"] if known else 0) - shown
    if more > 0:
        yield f"{count(more, 'more member')} joined that {'is' if more == 1 else 'are'} not written out"


def member_words(member: Body, anomaly: Body | None) -> str:
    """A member in short; ``anomaly`` is its newest event, where it is kept still."""
    expected, unit = member["expected"], unit_of(member["signal"]["unit"])
    needed = ""
    if anomaly is not None:
        threshold = anomaly.get("threshold")
        needed = "" if threshold is None else f", {threshold:.3g} was needed"
        needed += f"; policy {anomaly['policy']['version']}"
    until = "goes on" if member["end_time"] is None else f"until {moment(member['end_time'])}"
    return (
        f"{who(member['signal'])}: {value(member['observed'], unit)}, expected {value(expected['value'], unit)} "
        f"({value(expected['lower'])} … {value(expected['upper'])}), surprise {member['surprise']:.3g}{needed}; "
        f"{member['why']}; since {moment(member['onset_time'])}, {until}; {member['joined_by']}"
    )


def counts_words(counts: Body) -> str:
    """By reason, how many anomalies were not told at once."""
    return ", ".join(f"{count(number, 'anomaly', 'anomalies')} ({reason})" for reason, number in sorted(counts.items()))


def past_words(incident: Body) -> Iterator[str]:
    """What the past says of an incident, and what was not told of it at once; nothing where an event does not say."""
    if incident.get("flapping"):
        active = incident["active_count"]
        yield f"it comes and goes; as of its newest event {f'{active} of it went on' if active else 'nothing went on'}"
    if incident.get("rarity"):
        yield f"{incident['rarity']['word']}: {incident['rarity']['why']}"
    if incident.get("suppressed_counts"):
        yield f"not told at once: {counts_words(incident['suppressed_counts'])}"
    for each in incident.get("similar_past", ()):
        yield f"like {similar_words(each)}"


def similar_words(past: Body) -> str:
    """An incident of the past that was like this one."""
    cause = f", likely to have started at {past['root_cause']}" if past["root_cause"] else ""
    return (
        f"{past['id']}: {past['similarity']:.0%} of the same places, {past['severity']}, from "
        f"{moment(past['onset_time'])} to {moment(past['resolved_time'])}, {past['close_reason']}{cause}"
    )


def beside_words(happened: Body, incident: Body) -> str:
    """A change or an event that stands beside an incident, and why it does."""
    what = happened.get("kind") or happened.get("type")
    names = [f"{name} {happened[name]}" for name in ("version", "title", "text") if happened.get(name)]
    ours = {name_of(member["signal"]["workload"]) for member in incident["members"]}
    near = "a workload of the incident" if name_of(happened["workload"]) in ours else "another workload of its scope"
    apart = (_time(incident["onset_time"]) - _time(happened["ts"])).total_seconds()
    when = f"{abs(apart):g} s {'before' if apart >= 0 else 'after'} the incident's onset"
    said = f" ({', '.join(names)})" if names else ""
    return f"{what}{said} of {happened['workload']} at {moment(happened['ts'])}: {near}, {when}"


# -- words -------------------------------------------------------------------------------------------------------------


def who(signal: Body) -> str:
    """The signal as people call it."""
    attributes = ",".join(f"{name}={text}" for name, text in signal["attributes"].items())
    label = f"{signal['name']}{{{attributes}}}" if attributes else signal["name"]
    return f"{label} of {signal['workload']} {signal['instance']}".rstrip()


def moment(rfc3339: str) -> str:
    """Without a fraction that says nothing."""
    return rfc3339.replace(".000000Z", "Z") or "–"


def value(number: float | None, unit: str = "") -> str:
    """Four digits that matter; a dash for what is not known."""
    return "–" if number is None else f"{number:.4g}{unit}"


def unit_of(unit: str) -> str:
    """A unit after a number."""
    return "" if unit in ("", "1") else f" {unit}"


def count(number: float, noun: str, many: str | None = None) -> str:
    """``1 window``, ``2 windows``; ``many``: where the plural is not that."""
    return f"{number:g} {noun if number == 1 else many or f'{noun}s'}"


def _time(rfc3339: str) -> datetime:
    return datetime.fromisoformat(rfc3339)
