"""A silence: nothing is told of what it means, from its start to its end.

Guarantee: a silence that exists is valid; anything else raises PolicyError naming the key and the right form. What it
answers depends on the silence and the event time alone.
"""

from dataclasses import dataclass, replace

from pipeline.policies.matcher import Matcher
from pipeline.policies.said import (
    MOST_AUTHOR,
    checked_author,
    checked_comment,
    checked_id,
    checked_match,
    checked_order_of_times,
    checked_text,
    checked_time,
    checked_time_or_none,
    means,
)
from pipeline.records import NO_TIME, US, Signal

#: The longest silence.
MOST_US = 366 * 86_400 * US
_INSTEAD = "for what comes back use a maintenance window, for what never matters a policy"


@dataclass(frozen=True, slots=True)
class Silence:
    """For the signals that every condition means, event times in microseconds: from ``starts_us`` (NO_TIME = from when
    it is heard) up to and without ``expires_us``. ``created_us`` is when its author said it, by the author's clock.
    ``expired_by`` is who ended it early, empty where nobody did."""

    id: str
    match: tuple[Matcher, ...]
    author: str
    comment: str
    created_us: int
    expires_us: int
    starts_us: int = NO_TIME
    expired_by: str = ""

    def __post_init__(self) -> None:
        checked_id("id", self.id)
        object.__setattr__(self, "match", checked_match(self.match))
        checked_author(self.author)
        checked_comment(self.comment)
        checked_time("created", self.created_us)
        checked_time_or_none("starts", self.starts_us)
        checked_time("expires", self.expires_us)
        checked_text("expired_by", self.expired_by, MOST_AUTHOR, "say who ended it", needed=False)
        ended = bool(self.expired_by)
        checked_order_of_times(self.starts_us, self.expires_us, MOST_US, ended=ended, instead=_INSTEAD)
        if self.starts_us == NO_TIME and not ended:
            checked_order_of_times(self.created_us, self.expires_us, MOST_US, ended=False, instead=_INSTEAD)

    def active(self, at_us: int) -> bool:
        """Does it hold back at this event time?"""
        return self.starts_us <= at_us < self.expires_us

    def until_us(self, at_us: int) -> int | None:
        """Its end while it is active, else None."""
        return self.expires_us if self.active(at_us) else None

    def next_change_us(self, after_us: int) -> int | None:
        """The first time above ``after_us`` at which it begins or ends; None when it is over."""
        if self.starts_us >= self.expires_us:
            return None
        times = (self.starts_us, self.expires_us)
        return next((each for each in times if each > after_us and each != NO_TIME), None)

    def matches(self, signal: Signal, severity: str = "") -> bool:
        """Is the signal meant, in an incident of this severity?"""
        return means(self.match, signal, severity)

    def expired(self, at_us: int, author: str) -> "Silence":
        """The same, ended at this event time by somebody; unchanged where it is over by then."""
        if self.expires_us <= at_us:
            return self
        return replace(self, starts_us=min(self.starts_us, at_us), expires_us=at_us, expired_by=author)
