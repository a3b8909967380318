"""What is held back at an event time, by which silence or maintenance window, and until when.

Guarantee: what is answered depends on the newest record of each silence and window (by its offset on ``calm.control``)
and the event time asked for, not on the order in which records were heard, nor on how often. Memory is bounded: at most
MOST_HELD are kept, each at most REMEMBERED_US after its end; of what is forgotten nothing older is believed again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from pipeline.policies.control import MAINTENANCE, ORDER, SILENCE, SaidControl
from pipeline.policies.maintenance import Maintenance
from pipeline.policies.said import Holding, Values
from pipeline.policies.said_forms import maintenance_form, maintenance_of, silence_form, silence_of
from pipeline.policies.silence import Silence
from pipeline.records import NO_TIME, US, Signal

#: Silences and windows that are kept at once, and how long after their end.
MOST_HELD, REMEMBERED_US = 10_000, 86_400 * US
#: Ends are looked for so far ahead, where one silence or window follows upon the other.
MOST_AHEAD_US = 31 * 86_400 * US
#: Answers that are kept at hand until the next change.
_MOST_ANSWERS = 100_000
#: Beyond every event time.
_FAR_US = 2**62


@dataclass(frozen=True, slots=True)
class Held:
    """Held back by these now (``silence/<id>``, ``maintenance/<id>``, sorted), and by what follows upon them without
    a gap until ``until_us``, which is looked for up to MOST_AHEAD_US after the end of these. ``reason`` is ``silence``
    where any of them is one, else ``maintenance``."""

    by: tuple[str, ...]
    until_us: int

    @property
    def reason(self) -> str:
        return "silence" if any(key.startswith(SILENCE) for key in self.by) else "maintenance"


#: Its key, what it is, and until when it is active.
_Active = tuple[str, Holding, int]


@dataclass(frozen=True, slots=True)
class Heard:
    """Of a said record: how many silences and windows were heard before, and how many were too many to be kept."""

    repeated: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class _Kept:
    """The newest record of a key; None = it was taken away, when event time was ``heard_us``."""

    offset: int
    heard_us: int
    what: Holding | None

    @property
    def over_us(self) -> int:
        """The event time from which on it holds nothing back any more."""
        return self.heard_us if self.what is None else max(self.what.expires_us, self.heard_us)


class Quieted:
    """Hear what was said in the order of the log, ask at any event time."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        #: What is not kept and has an offset up to this was heard and forgotten.
        self._forgotten = -1
        self._from_us, self._until_us = _FAR_US, NO_TIME
        #: By event time, what is active then and until when.
        self._there: dict[int, tuple[_Active, ...]] = {}
        self._answers: dict[tuple[int, str], Held | None] = {}
        #: By key, what was dumped last, and how it is written.
        self._forms: dict[str, tuple[_Kept, dict[str, Any] | None]] = {}

    def hear(self, control: SaidControl, now_us: int) -> Heard:
        """Take what is new; orders are passed over. ``now_us`` is how far event time is, where the record stands."""
        repeated = refused = 0
        named = set()
        for said in control.said:
            if said.key.startswith(ORDER):
                continue
            named.add(said.key)
            known = self._kept.get(said.key)
            if said.offset <= (known.offset if known is not None else -1 if control.complete else self._forgotten):
                repeated += 1
            elif known is None and len(self._kept) >= MOST_HELD and not self._make_room(now_us):
                refused += 1
            else:
                self._kept[said.key] = _Kept(said.offset, now_us, cast(Holding | None, said.what))
        for key, kept in self._kept.items():  # what is not among all that there are was taken away unheard
            if kept.what is not None and key not in named and kept.offset < control.end and control.covers(key):
                self._kept[key] = _Kept(control.end - 1, now_us, None)
        self._forget_answers()
        return Heard(repeated, refused)

    def held(self, signal: Signal, at_us: int, severity: str = "") -> Held | None:
        """What holds a signal back at this event time, in an incident of this severity; None where nothing does."""
        self._turn_to(at_us)
        if not self._active(self._from_us):
            return None
        asked = (signal.id, severity)
        if asked not in self._answers:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()
            self._answers[asked] = self._answer(signal, severity)
        return self._answers[asked]

    def held_all(self, signals: Iterable[Signal], at_us: int, severity: str = "") -> Held | None:
        """What holds back an incident with these signals: each of them must be held back, and the first one that is
        free again frees it. None where one is free, or there is none."""
        by: set[str] = set()
        until_us = _FAR_US
        for signal in signals:
            held = self.held(signal, at_us, severity)
            if held is None:
                return None
            by.update(held.by)
            until_us = min(until_us, held.until_us)
        return Held(tuple(sorted(by)), until_us) if by else None

    def next_us(self, after_us: int) -> int | None:
        """The first event time above this one at which an answer may change; None while nothing is to come."""
        self._turn_to(after_us)
        return None if self._until_us == _FAR_US else self._until_us

    def forget(self, now_us: int) -> int:
        """Drop what has been over for REMEMBERED_US; returns how many that were."""
        over = [key for key, kept in self._kept.items() if kept.over_us <= now_us - REMEMBERED_US]
        self._drop(over)
        return len(over)

    def __len__(self) -> int:
        return len(self._kept)

    def dump(self) -> list[Any]:
        """Plain values for a checkpoint."""
        known = self._forms  # most are those of the last checkpoint
        self._forms = {
            key: known[key] if key in known and known[key][0] is one else (one, _form(one.what))
            for key, one in self._kept.items()
        }
        kept = [[key, one.offset, one.heard_us, self._forms[key][1]] for key, one in sorted(self._kept.items())]
        return [self._forgotten, kept]

    def load(self, dumped: list[Any]) -> None:
        """The inverse of ``dump``. Raises ValueError or TypeError."""
        self._forgotten, kept = dumped
        self._kept = {key: _Kept(offset, heard_us, _what(key, form)) for key, offset, heard_us, form in kept}
        self._forget_answers()

    # -- the rest ------------------------------------------------------------------------------------------------

    def _make_room(self, now_us: int) -> bool:
        """What is over gives way; is there room now?"""
        over = sorted((kept.over_us, key) for key, kept in self._kept.items() if kept.over_us <= now_us)
        self._drop([key for _, key in over[: max(len(over) // 2, 1)]])
        return len(self._kept) < MOST_HELD

    def _drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._forgotten = max(self._forgotten, self._kept.pop(key).offset)

    def _turn_to(self, at_us: int) -> None:
        """Find out what is active at this event time, unless that is known: it is the same up to the next change."""
        if self._from_us <= at_us < self._until_us:
            return
        said = [kept.what for kept in self._kept.values() if kept.what is not None]
        changes = [change for what in said if (change := what.next_change_us(at_us)) is not None]
        self._from_us, self._until_us = at_us, min(changes, default=_FAR_US)
        self._there.clear()
        self._answers.clear()

    def _active(self, at_us: int) -> tuple[_Active, ...]:
        """What is active at an event time; remembered until the next change."""
        if at_us not in self._there:
            said = ((key, kept.what) for key, kept in sorted(self._kept.items()) if kept.what is not None)
            found = ((key, what, what.until_us(at_us)) for key, what in said)
            self._there[at_us] = tuple((key, what, until) for key, what, until in found if until is not None)
        return self._there[at_us]

    def _answer(self, signal: Signal, severity: str) -> Held | None:
        values = Values(signal, severity)
        meant = self._meant(values, self._from_us)
        if not meant:
            return None
        by, end = tuple(meant), max(meant.values())
        far = end + MOST_AHEAD_US
        while end < far and (following := self._meant(values, end)):
            end = max(following.values())
        return Held(by, end)

    def _meant(self, values: Values, at_us: int) -> dict[str, int]:
        """What holds a signal back then, and until when."""
        return {
            key: until
            for key, what, until in self._active(at_us)
            if all(matcher.accepts(values[matcher.name]) for matcher in what.match)
        }

    def _forget_answers(self) -> None:
        self._from_us, self._until_us = _FAR_US, NO_TIME


def _form(what: Holding | None) -> dict[str, Any] | None:
    if what is None:
        return None
    return silence_form(what) if isinstance(what, Silence) else maintenance_form(cast(Maintenance, what))


def _what(key: str, form: dict[str, Any] | None) -> Holding | None:
    if form is None:
        return None
    return maintenance_of(form) if key.startswith(MAINTENANCE) else silence_of(form)
