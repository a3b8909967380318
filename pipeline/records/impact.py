"""Who suffers from an incident, and what was lost: the part of it that is for people who run a business."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lost:
    """``amount`` is an estimate, in ``unit``, of how much less (or more, where ``more``) came than was expected, from
    ``since_us`` to ``until_us``. Of that ``counted`` was measured, up to ``counted_us``; after it things are taken to
    go on as before. ``words`` say the same."""

    amount: float
    unit: str
    more: bool
    since_us: int
    until_us: int
    counted: float
    counted_us: int
    words: str


@dataclass(frozen=True, slots=True)
class Impacted:
    """``entity`` is the name of a workload, ``signal`` the label of the signal that says so, or "" where none does.
    ``role`` is ``users`` or ``business``. ``felt``: seen in its own signals, and in this incident; else it is only
    likely, for the reason in ``why``."""

    entity: str
    signal: str
    role: str
    felt: bool
    why: str
    lost: Lost | None = None
