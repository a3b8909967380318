"""What is common to everything that people say about incidents: how it is named, who said it, and what it means.

Guarantee: each check either gives the value back or raises PolicyError, which names the key and says what would be
right. Nothing here reads a clock: who says something brings its times along.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from pipeline.policies.detector import PolicyError
from pipeline.policies.form import LAST_US
from pipeline.policies.matcher import Matcher, parse, value_of
from pipeline.records import NO_TIME, Signal

#: Characters of an author, of a comment, and of one condition; conditions of one silence or window.
MOST_AUTHOR, MOST_COMMENT, MOST_CONDITION, MOST_CONDITIONS = 100, 1000, 500, 20
#: What conditions may name beside the fields and attributes of a signal: its workload with its instance, and how bad
#: the incident is.
ENTITY, SEVERITY = "entity", "severity"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHOWN = 100


class Holding(Protocol):
    """What holds incidents back for a time: a silence, or a maintenance window. Times are event times in microseconds.

    ``active`` is true from each beginning up to and without each end; it turns at ``next_change_us`` and nowhere
    between.
    """

    @property
    def id(self) -> str: ...
    @property
    def match(self) -> tuple[Matcher, ...]: ...
    @property
    def starts_us(self) -> int: ...
    @property
    def expires_us(self) -> int: ...

    def active(self, at_us: int) -> bool: ...

    def until_us(self, at_us: int) -> int | None:
        """The end of what is active then; None where it is not."""
        ...

    def next_change_us(self, after_us: int) -> int | None:
        """The first time above ``after_us`` at which it begins or ends; None where it is over for good."""
        ...

    def matches(self, signal: Signal, severity: str = "") -> bool: ...


def means(match: Iterable[Matcher], signal: Signal, severity: str = "") -> bool:
    """Do all conditions hold? ``severity`` is that of the incident, empty where there is none."""
    values = Values(signal, severity)
    return all(matcher.accepts(values[matcher.name]) for matcher in match)


class Values(dict[str, str]):
    """What conditions may name of a signal in an incident; each looked up once, where there are many conditions."""

    def __init__(self, signal: Signal, severity: str) -> None:
        super().__init__({SEVERITY: severity, ENTITY: signal.entity})
        self._signal = signal

    def __missing__(self, name: str) -> str:
        found = self[name] = value_of(self._signal, name)
        return found


def id_of(*content: Any) -> str:
    """A name made of what is said, for whoever gives none: the same for the same."""
    text = json.dumps(content, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def checked_id(key: str, value: Any) -> str:
    """Letters, digits, ``.``, ``_`` and ``-``."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise PolicyError(key, f"is {shown(value)}; use letters, digits, '.', '_' and '-', at most 100")
    return value


def checked_text(key: str, value: Any, most: int, example: str, *, needed: bool = True) -> str:
    """Text that can be written, of at most ``most`` characters."""
    if not isinstance(value, str) or (needed and not value.strip()):
        raise PolicyError(key, f"is {shown(value)}; {example}")
    if len(value) > most:
        raise PolicyError(key, f"has {len(value)} characters; at most {most} are taken")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise PolicyError(key, "has bytes in it that are no UTF-8")
    return value


def checked_author(value: Any) -> str:
    return checked_text("author", value, MOST_AUTHOR, "say who says it, for instance ann")


def checked_comment(value: Any, *, needed: bool = True) -> str:
    return checked_text("comment", value, MOST_COMMENT, "say why, for whoever wonders later", needed=needed)


def checked_time(key: str, value: Any) -> int:
    """An event time from 1970 to 9999, in microseconds."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LAST_US:
        raise PolicyError(key, f"is {shown(value)}; it must be a time, for instance 2026-01-31T14:00:00Z")
    return value


def checked_time_or_none(key: str, value: Any) -> int:
    """The same, or NO_TIME."""
    return NO_TIME if isinstance(value, int) and value == NO_TIME else checked_time(key, value)


def checked_match(match: Sequence[Matcher]) -> tuple[Matcher, ...]:
    """Conditions that all must hold; at least one, for nobody means everything by saying nothing."""
    if not match:
        raise PolicyError("match", "is empty; name at least one condition, scope=~.* where everything is meant")
    if len(match) > MOST_CONDITIONS:
        raise PolicyError("match", f"has {len(match)} conditions; at most {MOST_CONDITIONS} are taken")
    for number, matcher in enumerate(match):
        key, text = f"match.{number}", str(matcher)
        checked_text(key, text, MOST_CONDITION, "write name=value, name!=value or name=~regex")
        if parse(text) != matcher:
            raise PolicyError(
                key, f"is {shown(text)}, which is read as {parse(text)}; use name=~regex for such a value"
            )
    return tuple(match)


def checked_order_of_times(starts_us: int, expires_us: int, most_us: int, *, ended: bool, instead: str) -> None:
    """``starts_us`` before ``expires_us`` (the same, where it was ended before it began), no more than ``most_us``."""
    if expires_us < starts_us or (expires_us == starts_us and not ended):
        raise PolicyError("expires", "is not after starts; give a later time")
    if starts_us != NO_TIME and expires_us - starts_us > most_us:
        raise PolicyError("expires", f"is more than {most_us // 86_400_000_000} days after starts; {instead}")


def shown(value: Any) -> str:
    """What was given, for a message: never very long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
