"""What an SRE decides about detection: direction, how big a deviation must be, how sure, and for how long.

Guarantee: a policy that exists is valid; anything else raises ``ValueError`` naming the field and the right form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Direction = Literal["both", "up", "down"]

#: Deviations below these are never anomalies, by UCUM unit of the window's value (a counter's rate has "<unit>/s").
MIN_ABSOLUTE_BY_UNIT: Mapping[str, float] = {"1": 0.05, "%": 5.0, "By/s": 1e6, "s": 0.005, "ms": 5.0}


@dataclass(frozen=True, slots=True)
class DetectorPolicy:
    """One set of knobs for every signal.

    ``threshold_surprise`` is −log10 of the tail probability at which a window counts as unlikely; an anomaly opens
    when ``open_windows`` of the last ``of_windows`` were unlikely and ends after ``close_windows`` windows in a row
    whose surprise is below half the threshold. ``min_absolute`` is in the signal's unit and is used for units that
    ``min_absolute_by_unit`` does not name; ``min_relative`` is a share of the expected value.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    direction: Direction = "both"
    threshold_surprise: float = 4.0
    min_absolute: float = 0.0
    min_absolute_by_unit: Mapping[str, float] = field(default_factory=lambda: dict(MIN_ABSOLUTE_BY_UNIT))
    min_relative: float = 0.1
    min_history_windows: int = 20
    open_windows: int = 2
    of_windows: int = 3
    close_windows: int = 3

    def __post_init__(self) -> None:
        if self.direction not in ("both", "up", "down"):
            raise ValueError(f"detection.direction is {self.direction!r}; use both, up or down")
        if not self.threshold_surprise > 0:
            raise ValueError(f"detection.threshold_surprise is {self.threshold_surprise}; it must be above 0")
        if not 1 <= self.open_windows <= self.of_windows <= 8:
            raise ValueError(
                "detection.open_windows and of_windows must satisfy 1 <= open_windows <= of_windows <= 8, "
                f"not {self.open_windows} of {self.of_windows}"
            )
        if not 1 <= self.close_windows <= 255:
            raise ValueError(f"detection.close_windows is {self.close_windows}; use 1 to 255")
        if self.min_history_windows < 5:
            raise ValueError(f"detection.min_history_windows is {self.min_history_windows}; use 5 or more")
        if min(self.min_absolute, self.min_relative, *self.min_absolute_by_unit.values()) < 0:
            raise ValueError("detection.min_absolute, min_relative and min_absolute_by_unit must not be negative")

    def least_deviation(self, unit: str) -> float:
        """The smallest absolute deviation that counts, for a signal of this unit."""
        return self.min_absolute_by_unit.get(unit, self.min_absolute)
