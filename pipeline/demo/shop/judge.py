"""Judges the shop's demo: was there one incident, does it name the changed service and the change, and was it in time?

Guarantee: a pure function of what was deployed when and of the incident transitions received. All times are seconds
since the epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.demo.shop.town import Deployment
from pipeline.demo.transitions import Check, Transition, at_most, seconds

OPEN_WITHIN_SECONDS = 30.0
RESOLVE_WITHIN_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class Release:
    """A deployment and its way back: both times are those at which the process was replaced."""

    deployment: Deployment
    deployed: float
    rolled_back: float

    @property
    def workload(self) -> str:
        """How signals name the service."""
        return f"service:{self.deployment.service}"

    def is_of(self, member: dict[str, Any]) -> bool:
        """Whether a member of an incident is a signal of the changed service."""
        return bool(member["signal"]["workload"] == self.workload)

    def is_in(self, transition: Transition) -> bool:
        """Whether the changed service is in this incident; of many members only the first are written out."""
        affected = (str(entity).partition(" ")[0] for entity in transition.body["affected"])
        return transition.rank(self) is not None or self.workload in affected

    def is_evidence(self, change: dict[str, Any]) -> bool:
        """Whether a change that an incident names is the deployment."""
        wanted = {"kind": "deployment", "version": self.deployment.version}
        return {name: change.get(name) for name in wanted} == wanted


def judge(release: Release, transitions: Sequence[Transition]) -> list[Check]:
    """The verdict, line by line."""
    service, version = release.deployment.service, release.deployment.version
    before = [t for t in transitions if t.opens and t.received < release.deployed]
    since = opened_since(release, transitions)
    its = of_release(release, transitions)
    opened = next((t.received - release.deployed for t in its if t.opens), None)
    resolved = next((t.received - release.rolled_back for t in reversed(its) if t.what == "resolved"), None)
    changes = [change for t in its for change in evidence(t)]
    verdicts = [
        ("no incident before it", f"{len(before)}", not before),
        ("one incident since", f"{len(since)}", len(since) == 1),
        (f"{service} is a member", _where(release, its), bool(its)),
        (f"the change to {version} is in its evidence", *_among(release, changes)),
        (f"opened at most {OPEN_WITHIN_SECONDS:g} s after it", seconds(opened), at_most(opened, OPEN_WITHIN_SECONDS)),
        (
            f"resolved at most {RESOLVE_WITHIN_SECONDS:g} s after the rollback",
            seconds(resolved),
            resolved is not None and 0 <= resolved <= RESOLVE_WITHIN_SECONDS,
        ),
    ]
    return [Check(f"{service} {version}", what, seen, passed) for what, seen, passed in verdicts]


def opened_since(release: Release, transitions: Sequence[Transition]) -> list[str]:
    """The incidents that opened since the deployment, or came back."""
    found = dict.fromkeys(t.incident for t in transitions if t.opens and t.received >= release.deployed)
    return list(found)


def of_release(release: Release, transitions: Sequence[Transition]) -> list[Transition]:
    """The transitions of the first incident since the deployment that has the changed service among its members."""
    for incident in opened_since(release, transitions):
        its = [t for t in transitions if t.incident == incident and t.received >= release.deployed]
        if any(release.is_in(t) for t in its):
            return its
    return []


def evidence(transition: Transition) -> list[dict[str, Any]]:
    """The changes that an incident names."""
    return list(transition.body.get("changes", ()))


def _where(release: Release, its: Sequence[Transition]) -> str:
    places = [place for t in its if (place := t.rank(release))]
    if places:
        return f"place {places[-1]}"
    return "yes" if its else "no"


def _among(release: Release, changes: Sequence[dict[str, Any]]) -> tuple[str, bool]:
    found = any(release.is_evidence(change) for change in changes)
    named = dict.fromkeys(f"{change.get('kind')} {change.get('version')}" for change in changes)
    return ("yes" if found else ", ".join(named) or "no change"), found
