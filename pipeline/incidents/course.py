"""What an open incident has been through, as far as its members do not tell: pauses, rests, what was not told.

Guarantee: a course that was saved is the one that was not.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pipeline.incidents.flapping import Flapping
from pipeline.records import NO_TIME


@dataclass(frozen=True, slots=True)
class Pause:
    """It is not told until ``until_us``, unless it gets worse, for a ``reason`` of the past; ``why`` in words."""

    reason: str
    until_us: int
    why: str


@dataclass(slots=True)
class Course:
    """``seen_us``: when it was decided first that there is something. ``begun``: workload and name of the signal that
    it began at, as was said when it was first asked for. ``held``: by reason, anomalies of it that were not told at
    once. ``acknowledged``: ever. ``severity``: the worst so far. ``cause``: the likeliest entity, as told last."""

    seen_us: int = NO_TIME
    begun: tuple[str, str] | None = None
    pause: Pause | None = None
    held: Counter[str] = field(default_factory=Counter)
    flapping: Flapping = field(default_factory=Flapping)
    acknowledged: bool = False
    severity: str = ""
    cause: str = ""

    def dump(self) -> list[Any]:
        """Plain values for a checkpoint."""
        pause = None if self.pause is None else [self.pause.reason, self.pause.until_us, self.pause.why]
        return [
            self.seen_us, self.begun, pause, sorted(self.held.items()), self.flapping.dump(), self.acknowledged,
            self.severity, self.cause,
        ]  # fmt: skip

    @classmethod
    def load(cls, dumped: list[Any]) -> "Course":
        """The inverse of ``dump``. Raises ValueError or TypeError."""
        seen_us, begun, pause, held, flapping, acknowledged, severity, cause = dumped
        return cls(
            seen_us,
            None if begun is None else (begun[0], begun[1]),
            None if pause is None else Pause(*pause),
            Counter({reason: number for reason, number in held}),
            Flapping.load(flapping),
            acknowledged,
            severity,
            cause,
        )
