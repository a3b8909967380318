"""Slack: with a bot's token one message an incident, kept up to date, and what is new in its thread; or an incoming
webhook, which can only say one thing after the other.

Guarantee: what telemetry brings along is text, never markup or a mention. Limits: a header 150 characters, a section
3000. Source: Slack's documentation of chat.postMessage, chat.update, rate limits and formatting.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.sinks import alertmanager, protocol
from pipeline.sinks.protocol import Answer, Delivered, Incident, Kept, Outcome, Refused, Request, Summary, TryAgain
from pipeline.sinks.wording import Wording

URL = "https://slack.com/api"
_MOST_HEADER, _MOST_SECTION = 150, 3000
_SIGNS = {"critical": ":red_circle:", "error": ":large_orange_circle:", "warning": ":large_yellow_circle:"}
#: Errors of the set-up or of the moment; others are about what was sent.
_FOR_NOW = frozenset(
    {
        *("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"),
        *("team_added_to_org", "accesslimited", "account_inactive", "invalid_auth", "not_authed", "token_expired"),
        *("token_revoked", "missing_scope", "channel_not_found", "not_in_channel", "is_archived"),
    }
)
#: The message is no longer there: a new one is written.
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})


@dataclass(frozen=True)
class Slack:
    """channel and token, or url of an incoming webhook (``webhook``)."""

    url: str = URL
    channel: str = ""
    token: str = field(default="", repr=False)
    wording: Wording = field(default_factory=Wording)
    renew_seconds: float | None = None

    def tell(self, incident: Incident, kept: Kept, now: float) -> Request | None:
        if protocol.is_told(incident, kept):
            return None
        if not self.token:
            return self._post("", self._message(incident))
        if "ts" not in kept:
            return self._post("chat.postMessage", self._message(incident) | {"channel": self.channel})
        where = {"channel": kept["channel"]}
        if kept.get("updated", 0) < incident["revision"]:
            return self._post("chat.update", self._message(incident) | where | {"ts": kept["ts"]})
        news = f"{incident['transition']}: {self.wording.body_of(incident)}"
        text = protocol.cut(escaped(news), _MOST_SECTION)
        return self._post("chat.postMessage", where | {"thread_ts": kept["ts"], "text": text})

    def _message(self, incident: Incident) -> dict[str, Any]:
        title, body = self.wording.title_of(incident), self.wording.body_of(incident)
        sign = _SIGNS.get(incident["severity"], "") if protocol.goes_on(incident) else ":white_check_mark:"
        return _blocks(title or incident["id"], f"{sign} {escaped(body)}")

    def summarise(self, summary: Summary, now: float) -> Request:
        message = _blocks(summary.text(), "\n".join(f"• {escaped(title)}" for title in summary.titles) or "–")
        return (
            self._post("chat.postMessage", message | {"channel": self.channel})
            if self.token
            else self._post("", message)
        )

    def renew(self, kept: Sequence[Kept], now: float) -> None:
        return None

    def judge(self, answer: Answer, incident: Incident | None, kept: Kept) -> Outcome:
        told = kept if incident is None else {"revision": incident["revision"]}
        if not self.token or not 200 <= answer.status < 300:
            return protocol.judged(answer, told)
        try:
            said = msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            said = None
        if not isinstance(said, dict):
            return TryAgain("the answer is not JSON")
        if said.get("ok") is not True:
            return self._error(str(said.get("error")), answer, kept)
        if incident is None:
            return Delivered(kept)
        if "ts" not in kept:
            return Delivered({**told, "ts": said["ts"], "channel": said["channel"], "updated": incident["revision"]})
        if kept.get("updated", 0) < incident["revision"]:
            return Delivered({**kept, "updated": incident["revision"]})
        return Delivered({**kept, "revision": incident["revision"]})

    def _error(self, error: str, answer: Answer, kept: Kept) -> Outcome:
        if error in _GONE:
            return Delivered({key: value for key, value in kept.items() if key not in ("ts", "updated")})
        if error in _FOR_NOW:
            return TryAgain(f"Slack says {error}", protocol.retry_after(answer))
        return Refused("slack_error", protocol.detail_of(answer))

    def _post(self, method: str, message: dict[str, Any]) -> Request:
        url = f"{self.url.rstrip('/')}/{method}" if method else self.url
        headers = (("Content-Type", "application/json; charset=utf-8"), *alertmanager.bearer(self.token))
        return Request("POST", url, headers, msgspec.json.encode(message))


def escaped(text: str) -> str:
    """No markup, link or mention is left: Slack reads only these three, and marks of emphasis, as more than text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _blocks(title: str, text: str) -> dict[str, Any]:
    """Header and section, and the text that notifications show."""
    header = {"type": "plain_text", "text": protocol.cut(title, _MOST_HEADER), "emoji": False}
    section = {"type": "mrkdwn", "text": protocol.cut(text, _MOST_SECTION), "verbatim": True}
    blocks = [{"type": "header", "text": header}, {"type": "section", "text": section}]
    return {"text": escaped(protocol.cut(title, _MOST_HEADER)), "blocks": blocks}
