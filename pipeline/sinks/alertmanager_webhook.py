"""Alertmanager's webhook, version 4, for programs that take what an Alertmanager sends.

Guarantee: one notification is one incident; its fingerprint and group key are the same over its whole life. Source:
Prometheus' documentation, configuration of ``webhook_config``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.sinks import alertmanager, protocol
from pipeline.sinks.protocol import Answer, Incident, Kept, Outcome, Request, Summary
from pipeline.sinks.wording import Wording

#: What Go has for a time that is not set.
_NO_TIME = "0001-01-01T00:00:00Z"


@dataclass(frozen=True)
class AlertmanagerWebhook:
    """url: where notifications go. receiver: the name of the sink."""

    url: str
    receiver: str
    wording: Wording = field(default_factory=Wording)
    token: str = field(default="", repr=False)
    renew_seconds: float | None = None

    def tell(self, incident: Incident, kept: Kept, now: float) -> Request | None:
        if protocol.is_told(incident, kept):
            return None
        alert = alertmanager.alert_of(incident, self.wording)
        on = protocol.goes_on(incident)
        alert["endsAt"] = _NO_TIME if on else incident.get("resolved_time") or incident["updated_time"]
        return self._notification(alert, "firing" if on else "resolved")

    def summarise(self, summary: Summary, now: float) -> Request:
        labels = {"alertname": "CalmstreamSummary", "severity": "info", "summary_id": summary.id}
        annotations = {"summary": summary.text(), "description": "\n".join(summary.titles)}
        times = {"startsAt": protocol.moment(summary.since), "endsAt": protocol.moment(summary.until)}
        return self._notification({"labels": labels, "annotations": annotations, **times}, "resolved")

    def renew(self, kept: Sequence[Kept], now: float) -> None:
        return None

    def judge(self, answer: Answer, incident: Incident | None, kept: Kept) -> Outcome:
        return protocol.judged(answer, kept if incident is None else {"revision": incident["revision"]})

    def _notification(self, alert: dict[str, Any], status: str) -> Request:
        labels = alert["labels"]
        print_of = hashlib.sha256(msgspec.json.encode(labels, order="sorted")).hexdigest()[:16]
        whole = {
            "version": "4",
            "groupKey": f"calmstream:{print_of}",
            "truncatedAlerts": 0,
            "status": status,
            "receiver": self.receiver,
            "groupLabels": labels,
            "commonLabels": labels,
            "commonAnnotations": alert["annotations"],
            "externalURL": "",
            "alerts": [alert | {"status": status, "generatorURL": "", "fingerprint": print_of}],
        }
        headers = (("Content-Type", "application/json"), *alertmanager.bearer(self.token))
        return Request("POST", self.url, headers, msgspec.json.encode(whole))
