"""What every row detector offers, and the state it keeps.

Guarantee of a row detector: the score of a row depends on the history of that row alone, not on the order of rows,
nor on which other rows are there; the score of a window is given before the window is learned. A *pool* looks across
rows by design; its docstring says who its members are.
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
    """Scores each row by its own history. ``fields`` names the arrays of the state and their types; a type may be a
    sub-array such as ``("f4", (8,))``, and then the array has the shape (rows, 8).

    ``seen`` (int64, windows with data so far) must be among the fields. ``slow`` are the fields that few windows
    change; they are saved apart.
    """

    @property
    def version(self) -> str: ...

    @property
    def fields(self) -> Mapping[str, npt.DTypeLike]: ...

    @property
    def slow(self) -> frozenset[str]: ...

    def empty(self, rows: int) -> State:
        """The state of rows that have seen nothing: zeros."""
        ...

    def step(self, state: State, values: Floats, mask: Mask, now: float) -> Scores:
        """Score and then learn one window of every row.

        ``values`` and ``mask`` have shape (rows,); rows whose mask is false or whose value is not finite keep their
        state. ``now`` is the end of the window in epoch seconds. ``state`` is changed in place.
        """
        ...


def empty_state(version: str, fields: Mapping[str, npt.DTypeLike], rows: int) -> State:
    """Zeros in every array of ``fields``."""
    return State(version, {name: np.zeros(rows, dtype) for name, dtype in fields.items()})


def check_state(version: str, fields: Mapping[str, npt.DTypeLike], state: State) -> None:
    """Raises StateVersionError when ``state`` is not of this version, or its arrays are not those of ``fields``."""
    if state.version != version or state.arrays.keys() != fields.keys():
        raise StateVersionError(
            f"state of version {state.version} with {sorted(state.arrays)} cannot be read by {version}, "
            f"which needs {sorted(fields)}"
        )
