"""Incidents on ``calm.incidents``: CloudEvents 1.0, Kafka binary mode, one event per transition.

Guarantee: two encodings of the same transition are equal byte for byte, headers included, so a repeat is recognised.
"""

from typing import Any

import msgspec

from pipeline.codecs import own_forms
from pipeline.codecs.anomaly_event import signal_body
from pipeline.records import US, Candidate, Happened, Impacted, Incident, Lost, Member, Message, Rarity, Similar, iso

_json = msgspec.json.Encoder()

SOURCE = "/calmstream"
TYPE_PREFIX = "dev.calmstream.incident."


def body(incident: Incident, *, shadow: bool = False) -> dict[str, Any]:
    """The JSON data of an incident event; see docs/schema/incident.json. ``shadow``: policies in the shadow made it."""
    return {
        "id": incident.id,
        "dedup_key": incident.id,
        "revision": incident.revision,
        "transition": incident.transition,
        "state": incident.state,
        "scope": incident.scope,
        "title": incident.title,
        "severity": incident.severity,
        "severity_reasons": list(incident.severity_reasons),
        "burn_rate": incident.burn_rate,
        "onset_time": iso(incident.onset_us),
        "detected_time": iso(incident.detected_us),
        "updated_time": iso(incident.step_us),
        "resolved_time": None if incident.resolved_us is None else iso(incident.resolved_us),
        "close_reason": incident.close_reason,
        "acknowledged_by": incident.acknowledged_by,
        "by": incident.by,
        "comment": incident.comment,
        "merged_into": incident.merged_into,
        "split_from": incident.came_from,
        "surprise": incident.surprise,
        "score": incident.surprise / (1 + incident.surprise),
        "member_count": incident.member_count,
        "ended_count": incident.ended_count,
        "active_count": incident.member_count - incident.ended_count,
        "flapping": incident.flapping,
        "members": [_member(member) for member in incident.members],
        "affected": list(incident.affected),
        "impacted": [_impacted(each) for each in incident.impacted],
        "root_cause_candidates": [_candidate(cause) for cause in incident.causes],
        "changes": [{**_happened(each), "score": each.score, "why": each.why} for each in incident.changes],
        "events": [_happened(each) for each in incident.events],
        "rarity": _rarity(incident.rarity),
        "similar_past": [_similar(each) for each in incident.similar],
        "suppressed_counts": dict(incident.suppressed),
        "detector": {"version": incident.detector},
        "shadow": shadow,
    }


def _rarity(rarity: Rarity) -> dict[str, Any]:
    return {
        "word": rarity.word,
        "share": rarity.share,
        "of_kind": rarity.of_kind,
        "of_all": rarity.of_all,
        "period_seconds": None if rarity.every_us is None else rarity.every_us / US,
        "why": rarity.why,
    }


def _similar(similar: Similar) -> dict[str, Any]:
    return {
        "id": similar.id,
        "onset_time": iso(similar.onset_us),
        "resolved_time": iso(similar.resolved_us),
        "severity": similar.severity,
        "close_reason": similar.close_reason,
        "root_cause": similar.cause or None,
        "similarity": similar.similarity,
    }


def _impacted(impacted: Impacted) -> dict[str, Any]:
    return {
        "entity": impacted.entity,
        "signal": impacted.signal or None,
        "role": impacted.role,
        "felt": impacted.felt,
        "why": impacted.why,
        "lost": None if impacted.lost is None else _lost(impacted.lost),
    }


def _lost(lost: Lost) -> dict[str, Any]:
    return {
        "amount": lost.amount,
        "unit": lost.unit,
        "more": lost.more,
        "since_time": iso(lost.since_us),
        "until_time": iso(lost.until_us),
        "counted": lost.counted,
        "counted_until_time": iso(lost.counted_us),
        "words": lost.words,
    }


def _candidate(cause: Candidate) -> dict[str, Any]:
    return {
        "entity": cause.entity,
        "signal": cause.signal,
        "score": cause.score,
        "evidence": list(cause.evidence),
    }


def _happened(happened: Happened) -> dict[str, Any]:
    """An event or a change as its own schema has it, with whom we know it to be of."""
    _, form = own_forms.form_of(happened.what)
    return {**form, "workload": happened.workload, "instance": happened.instance}


def _member(member: Member) -> dict[str, Any]:
    anomaly = member.anomaly
    return {
        "anomaly_id": anomaly.id,
        "signal": signal_body(anomaly),
        "observed": anomaly.value,
        "expected": {"value": anomaly.expected, "lower": anomaly.lower, "upper": anomaly.upper},
        "surprise": anomaly.surprise,
        "onset_time": iso(anomaly.onset_us),
        "peak_time": iso(anomaly.peak_us),
        "end_time": None if anomaly.end_us is None else iso(anomaly.end_us),
        "joined_by": member.joined_by,
        "why": anomaly.why,
    }


def encode(incident: Incident, *, shadow: bool = False) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers."""
    attributes = {
        "specversion": "1.0",
        "id": f"{incident.id}/{incident.revision}",
        "source": SOURCE,
        "type": TYPE_PREFIX + incident.transition,
        "time": iso(incident.step_us),
        "subject": incident.id,
    }
    headers = [("content-type", b"application/json")]
    headers += [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
    headers.append(("calm_decided_us", str(incident.step_us).encode()))
    return _json.encode(body(incident, shadow=shadow)), tuple(headers)


def decode(message: Message) -> dict[str, Any]:
    """The data of an event in binary or structured mode. Raises ValueError when it is neither."""
    content_type = dict(message.headers).get("content-type") or b""
    try:
        found = msgspec.json.decode(message.value or b"")
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a JSON event: {error}") from error
    structured = content_type.startswith(b"application/cloudevents+json") and isinstance(found, dict)
    data = found.get("data") if structured else found
    if not isinstance(data, dict) or "revision" not in data:
        raise ValueError("not an incident event: it has no data with a revision")
    return data
