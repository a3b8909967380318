"""A maintenance window: work that is announced, once or again and again, during which nothing is told of what it means.

Guarantee: a window that exists is valid; anything else raises PolicyError naming the key and the right form. What it
answers depends on the window and the event time alone: a window that recurs in a time zone carries the zone's offsets
from UTC with it, so that nobody needs the zone's rules again, and every reader at any time finds the same hours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from pipeline.policies.detector import PolicyError
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
    means,
    shown,
)
from pipeline.records import US, Signal

DAY_US = 86_400 * US
#: The longest window that comes once; the longest time for which one may recur, for no longer are the rules of zones
#: known; and the longest single one of those.
MOST_ONCE_US, MOST_RECURRING_US, MOST_LASTS_SECONDS = 366 * DAY_US, 3660 * DAY_US, 7 * 86_400
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Changes of a zone's offset that a window carries: some zones have four a year.
MOST_OFFSETS = 64

_EPOCH = date(1970, 1, 1).toordinal()
_MOST_OFFSET_SECONDS = 26 * 3600  # local mean times and date lines included


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Each day that fits, ``lasts_seconds`` from ``at_seconds`` after midnight by the zone's clocks.

    ``days_of_week`` (0 = Monday) and ``days_of_month`` (1 … 31, or −1 for the last, −2 for the one before …) must both
    fit; an empty one fits every day. ``offsets`` are (event time in microseconds, seconds east of UTC from then on);
    the first also counts before it. A time of day that clocks skip is counted from the offset before; one that they
    show twice is the first. ``lasts_seconds`` is time that passes, whatever clocks do meanwhile (RFC 5545).
    """

    at_seconds: int
    lasts_seconds: int
    zone: str
    offsets: tuple[tuple[int, int], ...]
    days_of_week: tuple[int, ...] = ()
    days_of_month: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _whole("recurs.at", self.at_seconds, 0, 86_399, "a time of day, for instance 02:30")
        _whole("recurs.lasts_seconds", self.lasts_seconds, 60, MOST_LASTS_SECONDS, "a minute to 7 days in seconds")
        checked_text("recurs.zone", self.zone, 100, "name a time zone, for instance Europe/Berlin or UTC")
        for day in self.days_of_week:
            _whole("recurs.days_of_week", day, 0, 6, f"days of {', '.join(DAYS)}")
        for day in self.days_of_month:
            _whole("recurs.days_of_month", day, -31, 31, "days from 1 to 31, or from -1, the last, to -31")
            if day == 0:
                raise PolicyError("recurs.days_of_month", "has a 0; days are from 1 to 31, -1 is the last one")
        object.__setattr__(self, "days_of_week", tuple(sorted(set(self.days_of_week))))
        object.__setattr__(self, "days_of_month", tuple(sorted(set(self.days_of_month))))
        object.__setattr__(self, "offsets", _checked_offsets(self.offsets))

    def begun(self, at_us: int) -> Iterator[int]:
        """Beginnings of those that go on at this event time."""
        last = _day(at_us) + 2
        for day in range(last - 4 - self.lasts_seconds // 86_400 - 1, last + 1):
            if self._fits(day) and (start := self._start_us(day)) <= at_us < start + self.lasts_seconds * US:
                yield start

    def next_start_us(self, after_us: int, until_us: int) -> int | None:
        """The first beginning above ``after_us`` and below ``until_us``."""
        for day in range(_day(after_us) - 2, _day(until_us) + 3):
            if self._fits(day) and after_us < (start := self._start_us(day)) < until_us:
                return start
        return None

    def _fits(self, day: int) -> bool:
        if self.days_of_week and (day + 3) % 7 not in self.days_of_week:  # 1970-01-01 was a Thursday
            return False
        if not self.days_of_month:
            return True
        ordinal = day + _EPOCH
        if not 0 < ordinal < date.max.toordinal() - 31:
            return False
        this = date.fromordinal(ordinal)
        following = this.replace(year=this.year + this.month // 12, month=this.month % 12 + 1, day=1)
        return this.day in self.days_of_month or ordinal - following.toordinal() in self.days_of_month

    def _start_us(self, day: int) -> int:
        local_us = day * DAY_US + self.at_seconds * US
        offset = self.offsets[0][1]
        for since_us, after in self.offsets[1:]:
            if local_us < since_us + max(offset, after) * US:
                break
            offset = after
        return local_us - offset * US


@dataclass(frozen=True, slots=True)
class Maintenance:
    """For the signals that every condition means, event times in microseconds: from ``starts_us`` up to and without
    ``expires_us``; of that, where it recurs, only the times of ``recurs``. ``created_us`` is when its author said it,
    by the author's clock; ``expired_by`` is who ended it early, empty where nobody did."""

    id: str
    match: tuple[Matcher, ...]
    author: str
    comment: str
    created_us: int
    starts_us: int
    expires_us: int
    recurs: Recurrence | None = None
    expired_by: str = ""

    def __post_init__(self) -> None:
        checked_id("id", self.id)
        object.__setattr__(self, "match", checked_match(self.match))
        checked_author(self.author)
        checked_comment(self.comment)
        for key in ("created", "starts", "expires"):
            checked_time(key, getattr(self, f"{key}_us"))
        checked_text("expired_by", self.expired_by, MOST_AUTHOR, "say who ended it", needed=False)
        once = self.recurs is None
        most_us = MOST_ONCE_US if once else MOST_RECURRING_US
        instead = "for what never matters use a policy" if once else "add it anew then: the rules of zones change"
        ended = bool(self.expired_by)
        checked_order_of_times(self.starts_us, self.expires_us, most_us, ended=ended, instead=instead)

    def active(self, at_us: int) -> bool:
        """Does it hold back at this event time?"""
        if not self.starts_us <= at_us < self.expires_us:
            return False
        return self.recurs is None or any(True for _ in self.recurs.begun(at_us))

    def until_us(self, at_us: int) -> int | None:
        """The end of what goes on then, where one follows upon the other without a gap that of the last; else None."""
        if not self.active(at_us):
            return None
        if self.recurs is None:
            return self.expires_us
        end = at_us
        while end < self.expires_us and (begun := list(self.recurs.begun(end))):
            end = max(begun) + self.recurs.lasts_seconds * US
        return min(end, self.expires_us)

    def next_change_us(self, after_us: int) -> int | None:
        """The first time above ``after_us`` at which it begins or ends; None when it is over for good."""
        if after_us < self.starts_us:
            return self._next_start_us(self.starts_us)
        return self.until_us(after_us) or self._next_start_us(after_us)

    def _next_start_us(self, from_us: int) -> int | None:
        if from_us >= self.expires_us:
            return None
        if self.active(from_us):
            return from_us
        return None if self.recurs is None else self.recurs.next_start_us(from_us, self.expires_us)

    def matches(self, signal: Signal, severity: str = "") -> bool:
        """Is the signal meant, in an incident of this severity?"""
        return means(self.match, signal, severity)

    def expired(self, at_us: int, author: str) -> "Maintenance":
        """The same, ended for good at this event time by somebody; unchanged where it is over by then."""
        if self.expires_us <= at_us:
            return self
        return replace(self, starts_us=min(self.starts_us, at_us), expires_us=at_us, expired_by=author)


def _day(at_us: int) -> int:
    """The day, counted from 1970-01-01, by UTC; a zone's is at most two away."""
    return at_us // DAY_US


def _whole(key: str, value: object, least: int, most: int, right: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise PolicyError(key, f"is {shown(value)}; it must be {right}")


def _checked_offsets(offsets: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    if not 1 <= len(offsets) <= MOST_OFFSETS:
        raise PolicyError("recurs.offsets", f"has {len(offsets)} entries; the zone needs 1 to {MOST_OFFSETS}")
    before = -1
    for since_us, seconds in offsets:
        checked_time("recurs.offsets", since_us)
        _whole("recurs.offsets", seconds, -_MOST_OFFSET_SECONDS, _MOST_OFFSET_SECONDS, "seconds east of UTC")
        if since_us <= before:
            raise PolicyError("recurs.offsets", "is not in the order of time")
        before = since_us
    return tuple((since_us, seconds) for since_us, seconds in offsets)
