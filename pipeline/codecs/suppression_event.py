"""Suppressions on ``calm.suppressions``: CloudEvents 1.0, Kafka binary mode, JSON: why an anomaly started
no incident, or is held back with its incident.

Guarantee: two encodings of the same suppression are equal byte for byte, headers included. Id and revision are those of
the anomaly's transition, so a repeat is recognised as one of an anomaly is: drop what is not above the last revision.
"""

from typing import Any

import msgspec

from pipeline.codecs.anomaly_event import signal_body
from pipeline.records import Message, Suppression, iso

_json = msgspec.json.Encoder()

SOURCE = "/calmstream"
TYPE = "dev.calmstream.suppression"


def body(suppression: Suppression) -> dict[str, Any]:
    """The JSON object of a suppression; see docs/schema/suppression.json."""
    anomaly = suppression.anomaly
    return {
        "id": anomaly.id,
        "revision": anomaly.revision,
        "reason": suppression.reason,
        "scope": anomaly.signal.scope,
        "signal": signal_body(anomaly),
        "decided_time": iso(suppression.step_us),
        "onset_time": iso(anomaly.onset_us),
        "surprise": anomaly.surprise,
        "held_by": list(suppression.by),
        "held_until": None if suppression.until_us is None else iso(suppression.until_us),
        "incident": suppression.incident,
        "why": suppression.why,
        "owner": anomaly.owner,
        "owner_budget": anomaly.owner_budget,
        "owner_budget_used": suppression.used,
        "false_discovery_rate": anomaly.false_discovery_rate,
        "policy": {"version": anomaly.policy},
    }


def encode(suppression: Suppression) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers."""
    anomaly = suppression.anomaly
    attributes = {
        "specversion": "1.0",
        "id": f"{anomaly.id}/{anomaly.revision}",
        "source": SOURCE,
        "type": TYPE,
        "time": iso(suppression.step_us),
        "subject": anomaly.id,
    }
    headers = [("content-type", b"application/json")]
    headers += [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
    return _json.encode(body(suppression)), tuple(headers)


def decode(message: Message) -> dict[str, Any]:
    """The object of a record. Raises ValueError for one that is not ours."""
    try:
        found = msgspec.json.decode(message.value or b"")
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a JSON event: {error}") from error
    kinds = {"id": str, "revision": int, "reason": str}
    if not isinstance(found, dict) or not all(isinstance(found.get(name), kind) for name, kind in kinds.items()):
        raise ValueError("not a suppression: it has no id, revision and reason")
    return found
