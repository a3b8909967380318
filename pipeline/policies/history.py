"""What was in force before: the earlier states of a policy, so that a change of it can be taken back.

Guarantee: bounded; a state is a policy, or that there was none of this name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.policies.table import Policy

#: Earlier states of a policy that are kept.
MOST_STATES = 20


@dataclass(frozen=True, slots=True)
class Earlier:
    """A state that a policy had up to ``until_us`` (epoch microseconds), when ``author`` changed it; ``policy`` is None
    where none of this name was in force. ``why`` is what was done then: ``applied``, ``promoted``, ``removed`` or
    ``rolled back``, and the comment."""

    policy: Policy | None
    until_us: int
    author: str
    why: str

    @property
    def version(self) -> str:
        """As people name it."""
        return "none" if self.policy is None else self.policy.version


@dataclass(frozen=True, slots=True)
class History:
    """The earlier states of the policy ``name``, the newest first."""

    name: str
    states: tuple[Earlier, ...] = ()

    def with_state(self, state: Earlier) -> "History":
        """And this one, which is newer than all."""
        return History(self.name, (state, *self.states)[:MOST_STATES])

    def before(self, now: Policy | None, version: str | None = None) -> Earlier | None:
        """The state to go back to from ``now``: the newest that is another one, or the newest of that version (its
        beginning is enough); None where there is none."""
        for state in self.states:
            if version is not None:
                if state.version.startswith(version) or state.version.partition("@")[2].startswith(version):
                    return state
            elif state.policy != now:
                return state
        return None


def newest(histories: Sequence[History]) -> History | None:
    """The one of the policy that was changed last."""
    changed = [each for each in histories if each.states]
    return max(changed, key=lambda each: (each.states[0].until_us, each.name), default=None)
