"""A candidate for the cause of an incident: which workload, by which of its signals, and what speaks for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """``entity`` is the name of a workload, ``signal`` the name of the signal that speaks most for it, or "" when none
    stands out. ``score`` tells how strongly, in the unit of the method that ranked: greater is more likely, and only
    candidates of one ranking compare. ``evidence`` is what speaks for it, in words and numbers, the strongest first.
    """

    entity: str
    signal: str
    score: float
    evidence: tuple[str, ...] = ()
