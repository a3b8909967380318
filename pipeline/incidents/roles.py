"""What a signal is to people: a golden signal, something that the business lives by, something that users feel.

Guarantee: depends on the signal alone, so that an answer never changes while a shard runs.
"""

from dataclasses import dataclass
from typing import Protocol

from pipeline.records import Signal

LATENCY, TRAFFIC, ERRORS, SATURATION, OTHER = "latency", "traffic", "errors", "saturation", "other"


@dataclass(frozen=True, slots=True)
class Part:
    """``golden`` is one of the names above. ``share``: its values are shares of what was asked, from 0 to 1, or of 100
    where its unit is ``%``."""

    golden: str = OTHER
    business: bool = False
    users: bool = False
    share: bool = False


class Roles(Protocol):
    """What signals are."""

    def of(self, signal: Signal) -> Part: ...


class NoRoles:
    """Nothing is known of signals."""

    def of(self, signal: Signal) -> Part:
        return _NO_PART


_NO_PART = Part()
NO_ROLES: Roles = NoRoles()
