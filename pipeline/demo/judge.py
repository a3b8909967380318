"""Judges the demo: did each disturbance become one incident, in time, with the right signal on top?

Guarantee: a pure function of when each disturbance began and ended and of the incident transitions received. All times
are seconds since the epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

OPEN_WITHIN_SECONDS = 20.0
RESOLVE_WITHIN_SECONDS = 30.0
FIRST_MEMBERS = 3


@dataclass(frozen=True, slots=True)
class Sought:
    """The signal in which a disturbance must be found: of which process, which metric, with which attributes."""

    instance: str
    metric: str
    attributes: tuple[tuple[str, str], ...] = ()

    def is_of(self, member: dict[str, Any]) -> bool:
        """Whether a member of an incident is this signal."""
        signal = member["signal"]
        same = (signal["instance"], signal["name"]) == (self.instance, self.metric)
        return same and dict(self.attributes).items() <= signal["attributes"].items()


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
        """``opened``, ``updated`` or ``resolved``."""
        return str(self.body["transition"])

    def rank(self, sought: Sought) -> int | None:
        """The place, from 1, of the first member that is the signal sought."""
        places = (place for place, member in enumerate(self.body["members"], 1) if sought.is_of(member))
        return next(places, None)


@dataclass(frozen=True, slots=True)
class Trial:
    """One disturbance, from when to when."""

    name: str
    sought: Sought
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the verdict."""

    trial: str
    what: str
    seen: str
    passed: bool


def judge(trials: Iterable[Trial], transitions: Sequence[Transition]) -> list[Check]:
    """Four checks for each disturbance."""
    return [check for trial in trials for check in _checks(trial, transitions)]


def of_trial(trial: Trial, transitions: Sequence[Transition]) -> list[str]:
    """The incidents that name the process, were told since it was disturbed, and are not older than that."""
    named = dict.fromkeys(t.incident for t in transitions if t.received >= trial.began and t.rank(trial.sought))
    return [incident for incident in named if first(transitions, incident, "opened", after=trial.began)]


def first(transitions: Sequence[Transition], incident: str, what: str, after: float = 0.0) -> Transition | None:
    """The first transition of this kind."""
    found = (t for t in transitions if t.incident == incident and t.what == what and t.received >= after)
    return next(found, None)


def still_open(transitions: Sequence[Transition]) -> dict[str, Transition]:
    """The newest transition of each incident that has not resolved."""
    newest = {t.incident: t for t in transitions}
    return {incident: t for incident, t in newest.items() if t.what != "resolved"}


def within_reach(transitions: Sequence[Transition], onset: float, join_seconds: float) -> bool:
    """Would an anomaly that begins at ``onset`` join an incident that is open?"""
    members = (m for t in still_open(transitions).values() for m in t.body["members"])
    newest = max((datetime.fromisoformat(m["onset_time"]).timestamp() for m in members), default=None)
    return newest is not None and onset - newest <= join_seconds


def _checks(trial: Trial, transitions: Sequence[Transition]) -> list[Check]:
    found = of_trial(trial, transitions)
    its = [t for t in transitions if t.incident in found[:1]]
    ranks = [t.rank(trial.sought) for t in its]
    place = next((rank for rank in reversed(ranks) if rank), None)
    opened = next((t.received - trial.began for t in its if t.what == "opened"), None)
    resolved = next((t.received - trial.ended for t in its if t.what == "resolved"), None)
    in_top, in_time = place is not None and place <= FIRST_MEMBERS, _at_most(opened, OPEN_WITHIN_SECONDS)
    over_in_time = _at_most(resolved, RESOLVE_WITHIN_SECONDS)
    verdicts = [
        ("became one incident", f"{len(found)}", len(found) == 1),
        (
            f"{trial.sought.metric} is among its first {FIRST_MEMBERS} members",
            f"place {place}" if place else "no",
            in_top,
        ),
        (f"opened at most {OPEN_WITHIN_SECONDS:g} s after the start", _seconds(opened), in_time),
        (f"resolved at most {RESOLVE_WITHIN_SECONDS:g} s after the end", _seconds(resolved), over_in_time),
    ]
    return [Check(trial.name, what, seen, passed) for what, seen, passed in verdicts]


def _at_most(seen: float | None, most: float) -> bool:
    return seen is not None and seen <= most


def _seconds(seen: float | None) -> str:
    return "never" if seen is None else f"{seen:.1f} s"
