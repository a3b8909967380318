"""Which policy a signal has: a base for all, and policies chosen by matchers that change some of its keys.

Guarantee: what a signal gets depends on the signal and the policies alone. All policies that match apply over the base
in the order of (priority, name), later ones win; a policy for one signal is one that matches ``id=…``. ``version``
names what applied, with a hash of its content, so that two tables that say the same have the same versions.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.policies.detector import DetectorPolicy, PolicyError
from pipeline.policies.matcher import Matcher, matches_all, reader, value_of
from pipeline.records import NO_TIME, Signal

#: The attribute whose value owns a signal. A budget of a policy that names it is for all that the owner has.
OWNER = "owner"
#: How the base is called in versions.
BASE = "default"

_UNITS = "min_absolute_by_unit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: Reads a value of a signal; the values that matchers tell apart (None: every value may matter).
_Look = tuple[Callable[[Signal], str], frozenset[str] | None]
#: Distinct combinations of values that are remembered at once.
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Policy:
    """``changes`` (keys of DetectorPolicy) for the signals that every matcher means.

    ``effective_us``: event time from which on it counts (NO_TIME = at once). Raises PolicyError where something is
    wrong. Where a matcher names the owner, ``owner_budget`` is its ``alert_budget``, and ``own`` are the other changes.
    """

    name: str
    match: tuple[Matcher, ...]
    changes: Mapping[str, Any]
    priority: int = 0
    effective_us: int = NO_TIME
    owner_budget: float | None = field(init=False, default=None)
    own: Mapping[str, Any] = field(init=False, repr=False, default_factory=dict)
    version: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or self.name == BASE:
            right = f"use letters, digits, '.', '_' and '-', at most 100, and not {BASE!r}"
            raise PolicyError("name", f"is {self.name!r}; {right}")
        if not isinstance(self.priority, int) or isinstance(self.priority, bool) or abs(self.priority) > 1_000_000:
            raise PolicyError("priority", f"is {self.priority!r}; it must be a whole number, the greatest wins")
        if not self.changes:
            raise PolicyError("detection", "is empty; name what is to be different, for instance alert_budget: 0.1")
        for_owner = any(matcher.name == OWNER for matcher in self.match)
        own = {key: value for key, value in self.changes.items() if not (for_owner and key == "alert_budget")}
        budget = {key: value for key, value in self.changes.items() if key not in own}
        own, budget = _checked(own), _checked(budget)
        object.__setattr__(self, "changes", {**own, **budget})
        object.__setattr__(self, "own", own)
        object.__setattr__(self, "owner_budget", budget.get("alert_budget"))
        content = [[str(matcher) for matcher in self.match], self.changes, self.priority]
        object.__setattr__(self, "version", f"{self.name}@{_hash(content)}")

    def matches(self, signal: Signal) -> bool:
        """Is the signal meant?"""
        return matches_all(self.match, signal)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What one signal has. ``version`` names the policies that applied, the strongest first, and the base.

    ``owner`` is the value of its attribute ``owner``; ``owner_budget`` is how many anomalies a week may start incidents
    for that owner as a whole, None where no policy says so.
    """

    policy: DetectorPolicy
    version: str
    owner: str | None = None
    owner_budget: float | None = None


@dataclass(frozen=True)
class PolicyTable:
    """``resolve`` remembers by the values that matchers look at, so that a million signals are quick."""

    base: DetectorPolicy = field(default_factory=DetectorPolicy)
    policies: tuple[Policy, ...] = ()
    version: str = field(init=False, compare=False)
    _looks: tuple[_Look, ...] = field(init=False, repr=False, compare=False)
    _known: dict[Any, Resolved] = field(init=False, repr=False, compare=False, default_factory=dict)
    _made: dict[Any, Resolved] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.policies, key=lambda policy: (policy.priority, policy.name)))
        if twice := sorted({one.name for one in ordered if sum(each.name == one.name for each in ordered) > 1}):
            raise PolicyError("name", f"{twice[0]!r} is given twice; every policy needs a name of its own")
        object.__setattr__(self, "policies", ordered)
        versions = [self.base_version, *(policy.version for policy in ordered)]
        object.__setattr__(self, "version", f"policies@{_hash(versions)}")
        object.__setattr__(self, "_looks", _looked_at(ordered))

    @property
    def base_version(self) -> str:
        return f"{BASE}@{_hash(asdict(self.base))}"

    def resolve(self, signal: Signal) -> Resolved:
        """The policy of a signal; the same object for signals that have the same one."""
        key = []
        for read, named in self._looks:
            value = read(signal)
            key.append(value if named is None or value in named else None)
        found = self._known.get(looked := tuple(key))
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[looked] = self._resolve(signal)
        return found

    def _resolve(self, signal: Signal) -> Resolved:
        applying = [policy for policy in self.policies if policy.matches(signal)]
        owner = value_of(signal, OWNER) or None
        made = (owner, *(policy.name for policy in applying))
        if made not in self._made:
            if len(self._made) >= _REMEMBERED:
                self._made.clear()
            self._made[made] = self._apply(applying, owner)
        return self._made[made]

    def _apply(self, applying: Iterable[Policy], owner: str | None) -> Resolved:
        policy, versions, budget = self.base, [self.base_version], None
        for each in applying:
            policy = policy.changed(each.own)
            versions.append(each.version)
            budget = budget if each.owner_budget is None else each.owner_budget
        return Resolved(policy, "+".join(reversed(versions)), owner, budget if owner else None)


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with the types that they have in a DetectorPolicy. Raises PolicyError."""
    valid = DetectorPolicy().changed(changes)
    found = {key: getattr(valid, key) for key in changes}
    if _UNITS in found:  # without the units that were there before
        found[_UNITS] = {unit: found[_UNITS][unit] for unit in changes[_UNITS]}
    return found


def _looked_at(policies: Iterable[Policy]) -> tuple[_Look, ...]:
    """What matchers look at, and the values of it that they tell apart (None where every value may matter)."""
    found: dict[str, set[str] | None] = {OWNER: None}
    for matcher in (matcher for policy in policies for matcher in policy.match):
        named = found.setdefault(matcher.name, set())
        if matcher.operator == "=~":
            found[matcher.name] = None
        elif named is not None:
            named.add(matcher.value)
    return tuple((reader(name), named if named is None else frozenset(named)) for name, named in found.items())


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
