"""Policies that change while people watch: what is in force, what waits for its time, and what was heard before.

Guarantee: a function of the control records in their order and of the event time when each arrived. A change counts
from the greater of its own ``effective_us`` and that time. The newest change of a name (by its offset on
``calm.control``) stands, also where an older one still waits; what is heard again, or is older, changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pipeline.policies.detector import DetectorPolicy
from pipeline.policies.form import form_of, policy_of
from pipeline.policies.table import Policy, PolicyTable
from pipeline.records import NO_TIME

#: What the keys of policies in the shadow begin with.
_SHADOW = "shadow/"


@dataclass(frozen=True, slots=True)
class Change:
    """``policy`` from ``calm.control`` at ``offset``; None = the policy of this name was removed. ``shadow``: it is
    only tried, beside what counts."""

    offset: int
    name: str
    policy: Policy | None
    shadow: bool = False

    @property
    def key(self) -> str:
        """Tells a live policy from one of the same name in the shadow; no name has a ``/``."""
        return f"{_SHADOW}{self.name}" if self.shadow else self.name


@dataclass(frozen=True, slots=True)
class Control:
    """Changes in the order of their offsets, all below ``end``. ``complete``: these are all policies that are live
    below ``end``, so one that is not named is gone; else they are only what is new."""

    end: int
    changes: tuple[Change, ...]
    complete: bool = False


@dataclass(frozen=True, slots=True)
class _Heard:
    """The newest change of one name: its offset, what is in force, and what waits until when."""

    offset: int
    policy: Policy | None = None
    waiting: tuple[int, Policy | None] | None = None


class LivePolicies:
    """``table`` is what is in force. Live policies go before those of the configuration with the same name.

    Those in the shadow count only with ``shadow``, and there go before live ones with the same name: then what is in
    force is what would be, had they been applied live.
    """

    def __init__(self, base: DetectorPolicy, configured: Iterable[Policy] = (), *, shadow: bool = False) -> None:
        self._base = base
        self._shadow = shadow
        self._configured = {policy.name: policy for policy in configured}
        self._heard: dict[str, _Heard] = {}
        self._reached_us = NO_TIME
        self.table = self._in_force()

    def take(self, control: Control, now_us: int) -> int:
        """Hear a control record that arrives at this event time; returns how many of its changes were heard before."""
        repeated = 0
        for change in self._ours(control):
            heard = self._heard.get(change.key, _Heard(-1))
            if change.offset <= heard.offset:
                repeated += 1
                continue
            at_us = max(now_us, change.policy.effective_us if change.policy is not None else NO_TIME)
            self._heard[change.key] = replace(heard, offset=change.offset, waiting=(at_us, change.policy))
        if control.complete:
            self._miss(control, now_us)
        return repeated

    def _ours(self, control: Control) -> list[Change]:
        return [change for change in control.changes if self._shadow or not change.shadow]

    def _miss(self, control: Control, now_us: int) -> None:
        """What is not among all live policies was removed, though nobody said so."""
        named = {change.key for change in self._ours(control)}
        for key, heard in self._heard.items():
            is_there = heard.policy is not None or (heard.waiting is not None and heard.waiting[1] is not None)
            if key not in named and heard.offset < control.end and is_there:
                self._heard[key] = replace(heard, offset=control.end - 1, waiting=(now_us, None))

    def next_us(self) -> int | None:
        """The event time from which on the next change counts; None when nothing waits."""
        times = [heard.waiting[0] for heard in self._heard.values() if heard.waiting is not None]
        times += [p.effective_us for p in self._configured.values() if p.effective_us > self._reached_us]
        return min(times, default=None)

    def advance(self, until_us: int) -> PolicyTable:
        """Put in force what counts at this event time."""
        self._reached_us = max(self._reached_us, until_us)
        for key, heard in self._heard.items():
            if heard.waiting is not None and heard.waiting[0] <= until_us:
                self._heard[key] = _Heard(heard.offset, heard.waiting[1])
        self.table = self._in_force()
        return self.table

    def _in_force(self) -> PolicyTable:
        chosen = {name: p for name, p in self._configured.items() if p.effective_us <= self._reached_us}
        for tried in (False, True):
            heard = {key: one.policy for key, one in self._heard.items() if key.startswith(_SHADOW) == tried}
            chosen |= {policy.name: policy for policy in heard.values() if policy is not None}
        return PolicyTable(self._base, tuple(chosen.values()))

    def dump(self) -> list[Any]:
        """Plain values for a checkpoint."""
        heard = [
            [key, one.offset, _form(one.policy), one.waiting and [one.waiting[0], _form(one.waiting[1])]]
            for key, one in sorted(self._heard.items())
        ]
        return [self._reached_us, heard]

    def load(self, dumped: list[Any]) -> None:
        """The inverse of ``dump``; the configuration may be another one. Raises ValueError or TypeError."""
        self._reached_us, heard = dumped
        self._heard = {
            key: _Heard(offset, _policy(form), waiting and (waiting[0], _policy(waiting[1])))
            for key, offset, form, waiting in heard
        }
        self.table = self._in_force()


def _form(policy: Policy | None) -> dict[str, Any] | None:
    return None if policy is None else form_of(policy)


def _policy(form: dict[str, Any] | None) -> Policy | None:
    return None if form is None else policy_of(form)
