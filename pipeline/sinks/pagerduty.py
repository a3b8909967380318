"""PagerDuty's Events API v2, ``POST /v2/enqueue``.

Guarantee: an incident has one ``dedup_key``; a trigger follows a resolve only where the incident was reopened, for
PagerDuty makes a new alert of it. Limits: ``dedup_key`` 255 characters, ``summary`` 1024, an event 512 KB. Source:
PagerDuty's documentation, "Send an alert event".
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.sinks import protocol
from pipeline.sinks.protocol import Answer, Incident, Kept, Outcome, Request, Summary
from pipeline.sinks.wording import Wording, fields

URL = "https://events.pagerduty.com/v2/enqueue"
_MOST_KEY, _MOST_SUMMARY, _MOST_BYTES = 255, 1024, 512 * 1000
_SEVERITIES = frozenset({"critical", "error", "warning", "info"})


@dataclass(frozen=True)
class PagerDuty:
    """routing_key: of an integration "Events API V2"."""

    routing_key: str = field(repr=False)
    url: str = URL
    wording: Wording = field(default_factory=Wording)
    renew_seconds: float | None = None

    def tell(self, incident: Incident, kept: Kept, now: float) -> Request | None:
        """An incident that was over before anything was told of it opens nothing there, nor does an end twice."""
        if protocol.is_told(incident, kept):
            return None
        if not protocol.goes_on(incident):
            return self._event("resolve", key_of(incident)) if kept.get("open") else None
        if incident["transition"] == "acknowledged" and kept.get("open"):
            return self._event("acknowledge", key_of(incident))
        return self._event("trigger", key_of(incident), self._payload(incident))

    def _payload(self, incident: Incident) -> dict[str, Any]:
        severity = incident["severity"]
        affected = incident.get("affected") or [incident["scope"] or "calmstream"]
        return {
            "summary": protocol.cut(self.wording.title_of(incident) or incident["id"], _MOST_SUMMARY),
            "source": protocol.cut(str(affected[0]), _MOST_SUMMARY),
            "severity": severity if severity in _SEVERITIES else "warning",
            "timestamp": incident["onset_time"],
            "group": protocol.cut(incident["scope"], _MOST_KEY),
            "class": "calmstream incident",
            "custom_details": {"text": self.wording.body_of(incident), **fields(incident)},
        }

    def summarise(self, summary: Summary, now: float) -> Request:
        payload = {
            "summary": protocol.cut(summary.text(), _MOST_SUMMARY),
            "source": "calmstream",
            "severity": "info",
            "timestamp": protocol.moment(summary.since),
            "custom_details": {"incidents": list(summary.titles)},
        }
        return self._event("trigger", f"calmstream-summary-{summary.id}", payload)

    def renew(self, kept: Sequence[Kept], now: float) -> None:
        return None

    def judge(self, answer: Answer, incident: Incident | None, kept: Kept) -> Outcome:
        if incident is None:
            return protocol.judged(answer, kept)
        return protocol.judged(answer, {"revision": incident["revision"], "open": protocol.goes_on(incident)})

    def _event(self, action: str, key: str, payload: dict[str, Any] | None = None) -> Request:
        event: dict[str, Any] = {"routing_key": self.routing_key, "event_action": action}
        event["dedup_key"] = key if len(key) <= _MOST_KEY else hashlib.sha256(key.encode()).hexdigest()
        if payload is not None:
            event |= {"payload": payload, "client": "calmstream"}
        body = msgspec.json.encode(event)
        if len(body) > _MOST_BYTES and payload is not None:
            body = msgspec.json.encode(event | {"payload": payload | {"custom_details": {"text": "too long"}}})
        return Request("POST", self.url, (("Content-Type", "application/json"),), body)


def key_of(incident: Incident) -> str:
    return str(incident["dedup_key"])
