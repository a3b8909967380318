"""What demos judge by: incident transitions as they were received, and the lines of a verdict.

Guarantee: pure values and functions. All times are seconds since the epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


class Sought(Protocol):
    """What a demo looks for among the members of an incident."""

    def is_of(self, member: dict[str, Any]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition of an incident as it was received: ``body`` is the event's data (docs/schema/incident.json)."""

    received: float
    decided: float
    body: dict[str, Any]

    @property
    def incident(self) -> str:
        return str(self.body["id"])

    @property
    def what(self) -> str:
        """``opened``, ``updated``, ``resolved`` and so on (docs/incidents.md)."""
        return str(self.body["transition"])

    @property
    def opens(self) -> bool:
        """Is it open from then on, and was it not before?"""
        return self.what in ("opened", "reopened")

    def rank(self, sought: Sought) -> int | None:
        """The place, from 1, of the first member that is the one sought."""
        places = (place for place, member in enumerate(self.body["members"], 1) if sought.is_of(member))
        return next(places, None)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verdict: about what, what was expected, what was seen."""

    about: str
    what: str
    seen: str
    passed: bool


def opens_after(transitions: Sequence[Transition], incident: str, after: float) -> bool:
    """Was it opened, or opened again, since then?"""
    return any(t.incident == incident and t.opens and t.received >= after for t in transitions)


def still_open(transitions: Sequence[Transition]) -> dict[str, Transition]:
    """The newest transition of each incident that has not resolved."""
    newest = {t.incident: t for t in transitions}
    return {incident: t for incident, t in newest.items() if t.what not in ("resolved", "withdrawn")}


def within_reach(transitions: Sequence[Transition], onset: float, join_seconds: float) -> bool:
    """Would an anomaly that begins at ``onset`` join an incident that is open?"""
    members = (m for t in still_open(transitions).values() for m in t.body["members"])
    newest = max((datetime.fromisoformat(m["onset_time"]).timestamp() for m in members), default=None)
    return newest is not None and onset - newest <= join_seconds


def at_most(seen: float | None, most: float) -> bool:
    """Whether something was seen, and in time."""
    return seen is not None and seen <= most


def seconds(seen: float | None) -> str:
    """A span of time as the verdict writes it."""
    return "never" if seen is None else f"{seen:.1f} s"
