"""A signed webhook, as Standard Webhooks has it: ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``.

Guarantee: ``webhook-id`` is the same whenever the same transition is sent again. Every secret signs, the newest first,
so that a receiver may change from one to the next. Source: standardwebhooks.com, specification.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.sinks import protocol
from pipeline.sinks.protocol import Answer, Incident, Kept, Outcome, Request, Summary
from pipeline.sinks.wording import Wording

_PREFIX = "whsec_"


@dataclass(frozen=True)
class Webhook:
    """secrets: each ``whsec_`` and base64, or any text. Raises ValueError."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)
    wording: Wording = field(default_factory=Wording)
    renew_seconds: float | None = None

    def __post_init__(self) -> None:
        for secret in self.secrets:
            key_of(secret)

    def tell(self, incident: Incident, kept: Kept, now: float) -> Request | None:
        if protocol.is_told(incident, kept):
            return None
        words = {"title": self.wording.title_of(incident), "text": self.wording.body_of(incident)}
        id_ = f"{incident['id']}/{incident['revision']}"
        return self._signed(id_, f"incident.{incident['transition']}", dict(incident), words, now)

    def summarise(self, summary: Summary, now: float) -> Request:
        data = {"counts": dict(summary.counts), "incidents": list(summary.titles)}
        return self._signed(f"summary/{summary.id}", "incidents.summary", data, {"text": summary.text()}, now)

    def renew(self, kept: Sequence[Kept], now: float) -> None:
        return None

    def judge(self, answer: Answer, incident: Incident | None, kept: Kept) -> Outcome:
        return protocol.judged(answer, kept if incident is None else {"revision": incident["revision"]})

    def _signed(self, id_: str, what: str, data: dict[str, Any], words: dict[str, str], now: float) -> Request:
        timestamp = str(int(now))
        body = msgspec.json.encode({"type": what, "timestamp": protocol.moment(now), "data": data, "words": words})
        signature = " ".join(signed(secret, id_, timestamp, body) for secret in self.secrets)
        headers = {"Content-Type": "application/json", "webhook-id": id_, "webhook-timestamp": timestamp}
        return Request("POST", self.url, (*headers.items(), ("webhook-signature", signature)), body)


def key_of(secret: str) -> bytes:
    """The key in a secret. Raises ValueError."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a secret that begins with whsec_ must go on in base64") from None


def signed(secret: str, id_: str, timestamp: str, body: bytes) -> str:
    """One signature."""
    digest = hmac.new(key_of(secret), f"{id_}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
