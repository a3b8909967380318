"""What people order for incidents: acknowledge, resolve, reopen, merge, split.

Guarantee: an order that exists can be carried out as far as it can be told without looking at the incident; anything
else raises PolicyError naming the key and the right form.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.policies.detector import PolicyError
from pipeline.policies.said import (
    checked_author,
    checked_comment,
    checked_id,
    checked_time,
    checked_time_or_none,
    shown,
)
from pipeline.records import NO_TIME, US

Action = Literal["ack", "resolve", "reopen", "merge", "split"]
ACTIONS = get_args(Action)
#: Why somebody resolves an incident: it was mended; it was real and known beforehand; nothing was wrong; what is seen
#: is how it will be from now on; another incident tells it; none of these (the comment says what).
Reason = Literal["fixed", "expected", "false_alarm", "new_normal", "duplicate", "other"]
REASONS = get_args(Reason)
#: Members that one order splits out.
MOST_MEMBERS = 500
#: An order may wait so long for its time.
MOST_AHEAD_US = 7 * 86_400 * US


@dataclass(frozen=True, slots=True)
class Order:
    """Something that ``author`` wants done with ``incident``, once.

    ``id`` is the order's own: what is heard twice under one id is one order. ``effective_us`` is the event time from
    which on it counts, NO_TIME for as soon as it is heard; ``created_us`` is when it was given, by the author's clock.
    ``resolve`` has a ``reason`` (``other`` also needs a comment), ``merge`` names the incident ``into`` which this one
    goes, ``split`` the ``members`` (ids of anomalies) that become an incident of their own.
    """

    id: str
    action: Action
    incident: str
    author: str
    created_us: int
    effective_us: int = NO_TIME
    comment: str = ""
    reason: Reason | None = None
    into: str | None = None
    members: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_id("id", self.id)
        checked_id("incident", self.incident)
        if self.action not in ACTIONS:
            raise PolicyError("action", f"is {shown(self.action)}; use {_or(ACTIONS)}")
        checked_author(self.author)
        checked_comment(self.comment, needed=False)
        checked_time("created", self.created_us)
        checked_time_or_none("effective_at", self.effective_us)
        if self.effective_us > self.created_us + MOST_AHEAD_US:
            raise PolicyError("effective_at", "is more than 7 days ahead; give the order when it is time")
        self._check_reason()
        self._check_into()
        self._check_members()

    def _check_reason(self) -> None:
        if self.action != "resolve":
            _only(self.reason is None, "reason", "resolve")
        elif self.reason not in REASONS:
            raise PolicyError("reason", f"is {shown(self.reason)}; use {_or(REASONS)}")
        elif self.reason == "other" and not self.comment.strip():
            raise PolicyError("comment", "is empty; with the reason other say what it was")

    def _check_into(self) -> None:
        if self.action != "merge":
            _only(self.into is None, "into", "merge")
        elif checked_id("into", self.into) == self.incident:
            raise PolicyError("into", "is the incident itself; name another one")

    def _check_members(self) -> None:
        if self.action != "split":
            _only(not self.members, "members", "split")
            return
        if not 1 <= len(self.members) <= MOST_MEMBERS:
            raise PolicyError(
                "members", f"are {len(self.members)}; name 1 to {MOST_MEMBERS} of the incident's anomalies"
            )
        for number, member in enumerate(self.members):
            checked_id(f"members.{number}", member)
        object.__setattr__(self, "members", tuple(dict.fromkeys(self.members)))


def _only(absent: bool, key: str, action: str) -> None:
    if not absent:
        raise PolicyError(key, f"is given; only {action} has one")


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
