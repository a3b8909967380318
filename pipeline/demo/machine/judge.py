"""Judges the demo: did each disturbance become one incident, in time, with the right signal on top?

Guarantee: a pure function of when each disturbance began and ended and of the incident transitions received. All times
are seconds since the epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.demo.transitions import Check, Transition, at_most, opens_after, seconds

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
class Trial:
    """One disturbance, from when to when."""

    name: str
    sought: Sought
    began: float
    ended: float


def judge(trials: Iterable[Trial], transitions: Sequence[Transition]) -> list[Check]:
    """Four checks for each disturbance."""
    return [check for trial in trials for check in _checks(trial, transitions)]


def of_trial(trial: Trial, transitions: Sequence[Transition]) -> list[str]:
    """The incidents that name the process, were told since it was disturbed, and are not older than that."""
    named = dict.fromkeys(t.incident for t in transitions if t.received >= trial.began and t.rank(trial.sought))
    return [incident for incident in named if opens_after(transitions, incident, trial.began)]


def _checks(trial: Trial, transitions: Sequence[Transition]) -> list[Check]:
    found = of_trial(trial, transitions)
    its = [t for t in transitions if t.incident in found[:1] and t.received >= trial.began]
    ranks = [t.rank(trial.sought) for t in its]
    place = next((rank for rank in reversed(ranks) if rank), None)
    opened = next((t.received - trial.began for t in its if t.opens), None)
    resolved = next((t.received - trial.ended for t in reversed(its) if t.what == "resolved"), None)
    in_top, in_time = place is not None and place <= FIRST_MEMBERS, at_most(opened, OPEN_WITHIN_SECONDS)
    over_in_time = at_most(resolved, RESOLVE_WITHIN_SECONDS)
    verdicts = [
        ("became one incident", f"{len(found)}", len(found) == 1),
        (
            f"{trial.sought.metric} is among its first {FIRST_MEMBERS} members",
            f"place {place}" if place else "no",
            in_top,
        ),
        (f"opened at most {OPEN_WITHIN_SECONDS:g} s after the start", seconds(opened), in_time),
        (f"resolved at most {RESOLVE_WITHIN_SECONDS:g} s after the end", seconds(resolved), over_in_time),
    ]
    return [Check(trial.name, what, seen, passed) for what, seen, passed in verdicts]
