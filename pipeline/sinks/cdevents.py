"""CDEvents on a topic of Kafka: ``incident.detected`` and ``incident.resolved``, as CloudEvents in binary mode.

Guarantee: CDEvents has no word for an update, so only what begins, comes back and ends is told; the same transition has
the same id. Source: CDEvents 0.4, continuous operations, and the Kafka protocol binding of CloudEvents 1.0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.sinks import protocol
from pipeline.sinks.protocol import Answer, Incident, Kept, Outcome, Publication, Summary
from pipeline.sinks.wording import Wording

_SOURCE = "/calmstream"
_VERSION = "0.4.1"


@dataclass(frozen=True)
class CDEvents:
    """topic: its full name."""

    topic: str
    wording: Wording = field(default_factory=Wording)
    renew_seconds: float | None = None

    def tell(self, incident: Incident, kept: Kept, now: float) -> Publication | None:
        on = protocol.goes_on(incident)
        if protocol.is_told(incident, kept) or on == bool(kept.get("open")):
            return None
        affected = incident.get("affected") or [incident["scope"] or "unknown"]
        content: dict[str, Any] = {
            "description": self.wording.title_of(incident),
            "environment": {"id": incident["scope"] or "unknown"},
            "service": {"id": str(affected[0])},
        }
        what, id_ = "detected" if on else "resolved", f"{incident['id']}/{incident['revision']}"
        return self._event(what, id_, incident["id"], incident["updated_time"], content)

    def summarise(self, summary: Summary, now: float) -> Publication:
        content = {"description": summary.text(), "environment": {"id": "unknown"}}
        subject = f"summary-{summary.id}"
        return self._event("reported", f"summary/{summary.id}", subject, protocol.moment(summary.until), content)

    def renew(self, kept: Sequence[Kept], now: float) -> None:
        return None

    def judge(self, answer: Answer, incident: Incident | None, kept: Kept) -> Outcome:
        told = kept if incident is None else {"revision": incident["revision"], "open": protocol.goes_on(incident)}
        return protocol.judged(answer, told)

    def _event(self, what: str, id_: str, subject: str, time: str, content: dict[str, Any]) -> Publication:
        kind = f"dev.cdevents.incident.{what}.0.2.0"
        context = {"version": _VERSION, "id": id_, "source": _SOURCE, "type": kind, "timestamp": time}
        subject_body = {"id": subject, "source": _SOURCE, "type": "incident", "content": content}
        attributes = {"specversion": "1.0", "id": id_, "source": _SOURCE, "type": kind, "time": time}
        headers = [("content-type", b"application/json")]
        headers += [(f"ce_{name}", text.encode()) for name, text in (*attributes.items(), ("subject", subject))]
        value = msgspec.json.encode({"context": context, "subject": subject_body})
        return Publication(self.topic, subject.encode(), tuple(headers), value)
