"""What every row detector offers, and the state it keeps.

Guarantee of a row detector: the score of a row depends on the history of that row alone, not on the order of rows,
nor on which other rows are there; the score of a window is given before the window is learned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class StateVersionError(ValueError):
    """Saved state has a version or arrays that this detector cannot read."""


@dataclass(slots=True)
class State:
    """Named arrays, first axis (rows,), and the version of their meaning."""

    version: str
    arrays: dict[str, npt.NDArray[Any]]

    @property
    def rows(self) -> int:
        return len(next(iter(self.arrays.values())))

    def take(self, rows: npt.NDArray[np.integer[Any]] | Mask | slice) -> "State":
        """A copy of some rows, in the order asked for."""
        return State(self.version, {name: array[rows].copy() for name, array in self.arrays.items()})

    def grown(self, more: "State") -> "State":
        """These rows followed by the rows of ``more``."""
        if more.version != self.version:
            raise StateVersionError(f"cannot join state of version {more.version} to version {self.version}")
        return State(self.version, {n: np.concatenate([a, more.arrays[n]]) for n, a in self.arrays.items()})


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one window of every row, shapes (rows,); NaN where the mask was false or the value was not finite.

    ``expected``, ``lower``, ``upper`` are in the signal's unit; ``surprise`` is −log10 of the two-sided tail
    probability, never negative, 0 while the row is cold.
    """

    expected: Floats
    lower: Floats
    upper: Floats
    surprise: Floats


class RowDetector(Protocol):
    """A detector of single signals. ``fields`` are the state arrays and types, ``slow`` those that rarely change."""

    @property
    def version(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, npt.DTypeLike]: ...
    @property
    def slow(self) -> frozenset[str]: ...

    def empty(self, rows: int) -> State:
        """State of rows that were never seen."""
        ...

    def step(self, state: State, values: Floats, mask: Mask, now: float) -> Scores:
        """Score one window of every row where ``mask`` is true, then learn it into ``state``.

        ``now`` is the end of the window, seconds since the epoch. ``values`` (rows,) and ``mask`` are not changed; a
        value that is not finite is a gap.
        """
        ...
