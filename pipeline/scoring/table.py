"""Named arrays that grow with the signals of a shard, and know which rows changed since the last checkpoint.

Guarantee: row i of every array is signal i; a new row is zero in every array; a snapshot taken after ``clean`` holds
exactly the parts that changed since. An array may have more axes (a sub-array type); the first one is the row.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Rows in one part of a checkpoint.
PART_ROWS = 1024


class Table:
    """Groups of arrays (``detector``, ``episodes`` …) over the same rows; some are marked as slow to change."""

    def __init__(self, groups: Mapping[str, Mapping[str, npt.DTypeLike]], slow: frozenset[tuple[str, str]]) -> None:
        self._slow = slow
        self.rows = 0
        self.groups: dict[str, dict[str, Array]] = {
            group: {name: np.zeros(PART_ROWS, dtype) for name, dtype in fields.items()}
            for group, fields in groups.items()
        }
        self._dirty = {"fast": np.zeros(1, np.bool_), "slow": np.zeros(1, np.bool_)}

    @property
    def capacity(self) -> int:
        return self._dirty["fast"].size * PART_ROWS

    def grow(self, rows: int) -> None:
        """Make room for ``rows`` rows."""
        if rows > self.capacity:
            parts = max(2 * self._dirty["fast"].size, -(-rows // PART_ROWS))
            for arrays in self.groups.values():
                for name, array in arrays.items():
                    arrays[name] = np.zeros((parts * PART_ROWS, *array.shape[1:]), array.dtype)
                    arrays[name][: len(array)] = array  # what lies beyond takes no memory yet
            for speed, dirty in self._dirty.items():
                self._dirty[speed] = np.concatenate([dirty, np.zeros(parts - dirty.size, np.bool_)])
        for speed in self._dirty:
            self._dirty[speed][self.rows // PART_ROWS : -(-rows // PART_ROWS)] = True
        self.rows = max(self.rows, rows)

    def touch(self, rows: Array, *, slow: bool = False) -> None:
        """Mark rows as changed."""
        self._dirty["slow" if slow else "fast"][rows // PART_ROWS] = True

    def reset(self, rows: Array, keep: frozenset[tuple[str, str]] = frozenset()) -> None:
        """Make rows as new rows are, but for the arrays ``keep`` (group, name)."""
        for group, arrays in self.groups.items():
            for name, array in arrays.items():
                if (group, name) not in keep:
                    array[rows] = 0
        for speed in self._dirty:
            self._dirty[speed][rows // PART_ROWS] = True

    def parts(self) -> int:
        return -(-self.rows // PART_ROWS)

    def names(self) -> list[str]:
        return [f"{speed}/{part}" for speed in self._speeds() for part in range(self.parts())]

    def changed(self, *, everything: bool) -> Iterator[tuple[str, dict[str, Array]]]:
        """(part name, its arrays) of the parts that changed."""
        for speed in self._speeds():
            for part in range(self.parts()):
                if everything or self._dirty[speed][part]:
                    yield f"{speed}/{part}", self._columns(speed, part)

    def clean(self) -> None:
        for dirty in self._dirty.values():
            dirty[:] = False

    def load(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Put a saved part back. Raises ValueError when it does not hold the arrays it should."""
        speed, _, part = name.partition("/")
        targets = self._columns(speed, int(part))
        if targets.keys() != arrays.keys():
            raise ValueError(f"part {name} holds {sorted(arrays)}, but {sorted(targets)} are needed")
        for key, target in targets.items():
            target[: len(arrays[key])] = arrays[key]

    def _speeds(self) -> list[str]:
        return ["fast", "slow"] if self._slow else ["fast"]

    def _columns(self, speed: str, part: int) -> dict[str, Array]:
        inside = slice(part * PART_ROWS, min((part + 1) * PART_ROWS, self.rows))
        return {
            f"{group}.{name}": array[inside]
            for group, arrays in self.groups.items()
            for name, array in arrays.items()
            if ((group, name) in self._slow) == (speed == "slow")
        }
