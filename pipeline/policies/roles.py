"""Which signals have which role, as people say it: what the business lives by, what users feel, and golden signals
whose names do not tell.

Guarantee: conditions that exist are valid; anything else raises PolicyError that names the key and the right form. What
a signal is depends on it alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.policies.detector import PolicyError
from pipeline.policies.form import matchers_of
from pipeline.policies.matcher import Matcher, matches_all
from pipeline.records import Signal

BUSINESS, USERS = "business", "users"
#: Roles of which a signal has one; the first that is said counts.
GOLDEN = ("errors", "latency", "saturation", "traffic", "other")


@dataclass(frozen=True, slots=True)
class Meant:
    """Conditions that must all hold."""

    match: tuple[Matcher, ...]

    def matches(self, signal: Signal) -> bool:
        return matches_all(self.match, signal)

    def written(self) -> list[str]:
        """As one would write it."""
        return [str(matcher) for matcher in self.match]


def meant_of(written: Any) -> Meant:
    """One condition, or a list of conditions that must all hold. Raises PolicyError."""
    if isinstance(written, Meant):
        return written
    texts = [written] if isinstance(written, str) else written
    if not isinstance(texts, list | tuple) or not texts:
        wanted = "write one condition, as name=shop.orders, or a list of those that must all hold"
        raise PolicyError("match", f"is {written!r}; {wanted}")
    return Meant(matchers_of(texts))


@dataclass(frozen=True, slots=True)
class GivenRoles:
    """By role, what is meant; a signal has it where one of these fits."""

    by_role: Mapping[str, tuple[Meant, ...]] = field(default_factory=dict)

    def has(self, role: str, signal: Signal) -> bool:
        """Is it said that the signal has this role?"""
        return any(meant.matches(signal) for meant in self.by_role.get(role, ()))

    def golden(self, signal: Signal) -> str | None:
        """The golden role that it is said to have; None where nobody says."""
        return next((role for role in GOLDEN if self.has(role, signal)), None)
