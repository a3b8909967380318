"""Alertmanager's API v2, ``POST /api/v2/alerts``.

Guarantee: the labels of an incident, and so its fingerprint, are the same over its whole life; what changes stands in
annotations. An alert ends by itself if nobody renews it: ``endsAt`` is four times ``renew_seconds`` ahead, whatever
``resolve_timeout`` Alertmanager has. Source: Alertmanager's api/v2/openapi.yaml.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.sinks import protocol
from pipeline.sinks.protocol import Answer, Incident, Kept, Outcome, Request, Summary
from pipeline.sinks.wording import Wording

_SUMMARY_SECONDS = 3600.0


@dataclass(frozen=True)
class Alertmanager:
    """url: of the server, without ``/api/v2``."""

    url: str
    wording: Wording = field(default_factory=Wording)
    token: str = field(default="", repr=False)
    renew_seconds: float | None = 300.0

    def tell(self, incident: Incident, kept: Kept, now: float) -> Request | None:
        if protocol.is_told(incident, kept):
            return None
        return self._post([self._lasting(alert_of(incident, self.wording), incident, now)])

    def _lasting(self, alert: dict[str, Any], incident: Incident, now: float) -> dict[str, Any]:
        if protocol.goes_on(incident):
            return alert | {"endsAt": self._ahead(now)}
        # Not before its start, and not ahead: it would fire until then.
        ended = incident.get("resolved_time") or incident["updated_time"]
        return alert | {"endsAt": max(ended, alert["startsAt"])}

    def _ahead(self, now: float) -> str:
        return protocol.moment(now + 4 * (self.renew_seconds or 300.0))

    def summarise(self, summary: Summary, now: float) -> Request:
        labels = {"alertname": "CalmstreamSummary", "severity": "info", "summary_id": summary.id}
        annotations = {"summary": summary.text(), "description": "\n".join(summary.titles)}
        alert = {"labels": labels, "annotations": annotations, "startsAt": protocol.moment(now)}
        return self._post([alert | {"endsAt": protocol.moment(now + _SUMMARY_SECONDS)}])

    def renew(self, kept: Sequence[Kept], now: float) -> Request | None:
        ends = self._ahead(now)
        alerts = [dict(each["alert"]) | {"endsAt": ends} for each in kept if "alert" in each]
        return self._post(alerts) if alerts else None

    def judge(self, answer: Answer, incident: Incident | None, kept: Kept) -> Outcome:
        if incident is None:
            return protocol.judged(answer, kept)
        told: dict[str, Any] = {"revision": incident["revision"]}
        if protocol.goes_on(incident):
            told["alert"] = alert_of(incident, self.wording)
        return protocol.judged(answer, told)

    def _post(self, alerts: list[dict[str, Any]]) -> Request:
        headers = (("Content-Type", "application/json"), *bearer(self.token))
        return Request("POST", f"{self.url.rstrip('/')}/api/v2/alerts", headers, msgspec.json.encode(alerts))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The header for a token, none without one."""
    return (("Authorization", f"Bearer {token}"),) if token else ()


def alert_of(incident: Incident, wording: Wording) -> dict[str, Any]:
    """Labels, annotations and start of an incident's alert."""
    return {
        "labels": labels_of(incident),
        "annotations": {
            "summary": wording.title_of(incident),
            "description": wording.body_of(incident),
            "severity": incident["severity"],
            "state": incident["state"],
        },
        "startsAt": incident["onset_time"],
    }


def labels_of(incident: Incident) -> dict[str, str]:
    """What never changes of an incident."""
    labels = {"alertname": "CalmstreamIncident", "incident": incident["id"], "scope": incident["scope"]}
    return {name: value for name, value in labels.items() if value}
