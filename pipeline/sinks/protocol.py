"""What every destination is: what it is to be told, as a request, and what its answer means.

Guarantee: destinations are pure. ``tell`` is asked again with what was kept until it has no more to say, so a step that
was acknowledged and saved is never done twice.
"""

import email.utils
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from pipeline.records.escaping import plain

#: Data of an event on ``calm.incidents``; docs/schema/incident.json.
Incident = Mapping[str, Any]
#: What a destination is remembered by, for one incident: ``revision`` is the last one that it was told whole.
Kept = Mapping[str, Any]

#: States in which an incident goes on.
GOES_ON = frozenset({"open", "acknowledged", "suppressed"})
#: Statuses that speak of the set-up or of the moment, not of what was sent.
_FOR_NOW = frozenset({401, 403, 404, 407, 408, 425, 429})
_MOST_SECONDS = 3600.0
_DETAIL_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes


@dataclass(frozen=True, slots=True)
class Publication:
    """A record for a topic of Kafka (its full name)."""

    topic: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """Acknowledged."""

    kept: Kept


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Not now. ``after_seconds``: where the destination says when."""

    reason: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: what was sent is wrong for this destination."""

    reason: str
    detail: str


Outcome = Delivered | TryAgain | Refused
Message = Request | Publication


@dataclass(frozen=True, slots=True)
class Summary:
    """What was held back: how many transitions of each kind, and the titles of some incidents.

    id: the same for the same first transition that it has, so that a repeat can be recognised.
    """

    id: str
    counts: Mapping[str, int]
    titles: Sequence[str]
    since: float
    until: float

    def text(self) -> str:
        """In one sentence."""
        said = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items()))
        return f"{sum(self.counts.values())} transitions of incidents were held back: {said}"


class Destination(Protocol):
    """One destination. Times are seconds since 1970."""

    #: How often those told to go on are told again; None where that is not needed.
    @property
    def renew_seconds(self) -> float | None: ...

    def tell(self, incident: Incident, kept: Kept, now: float) -> Message | None:
        """The next thing to say of this revision; None when all is said."""
        ...

    def summarise(self, summary: Summary, now: float) -> Message:
        """One message for what was held back."""
        ...

    def renew(self, kept: Sequence[Kept], now: float) -> Message | None:
        """Say again that these go on."""
        ...

    def judge(self, answer: Answer, incident: Incident | None, kept: Kept) -> Outcome:
        """What the answer means; without an incident it is that to a summary or a renewal."""
        ...


def goes_on(incident: Incident) -> bool:
    """Is it not over?"""
    return incident["state"] in GOES_ON


def is_told(incident: Incident, kept: Kept) -> bool:
    """Was this revision, or a later one, told whole?"""
    return int(kept.get("revision", 0)) >= int(incident["revision"])


def judged(answer: Answer, kept: Kept) -> Outcome:
    """By the status of HTTP, as most have it."""
    if 200 <= answer.status < 300:
        return Delivered(kept)
    if answer.status in _FOR_NOW or answer.status >= 500 or answer.status < 200:
        return TryAgain(f"status {answer.status}", retry_after(answer))
    return Refused(f"status_{answer.status}", detail_of(answer))


def detail_of(answer: Answer) -> str:
    """The beginning of what it says, safe to be shown."""
    return plain(answer.body[: 4 * _DETAIL_CHARACTERS].decode(errors="replace"), _DETAIL_CHARACTERS)


def retry_after(answer: Answer) -> float | None:
    """Seconds of the header Retry-After, or its moment as far as the answer's own Date says how far that is; at most an
    hour."""
    given = answer.headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return min(float(given[:6]), _MOST_SECONDS)
    try:
        moment = email.utils.parsedate_to_datetime(given)
        date = email.utils.parsedate_to_datetime(answer.headers.get("date", ""))
        return min(max((moment - date).total_seconds(), 0.0), _MOST_SECONDS)
    except (ValueError, TypeError):
        return None


def moment(seconds: float) -> str:
    """As RFC 3339 has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cut(text: str, characters: int) -> str:
    """Not longer than that."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
