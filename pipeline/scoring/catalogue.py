"""Signals of a shard by array row.

Guarantee: a row belongs to one signal as long as the shard lives; two different signals with the same 64-bit id are
never taken for one: the second is refused.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.records import Signal

#: Signals that came since the ids were sorted, and share of all, beyond which they are sorted anew.
_MOST_UNSORTED, _UNSORTED_SHARE = 1024, 8


class IdCollision(ValueError):
    """Two different signals have the same id."""


class Catalogue:
    """``signals[row]`` is the signal of a row."""

    def __init__(self, signals: Iterable[Signal] = ()) -> None:
        self.signals: list[Signal] = []
        self._row: dict[int, int] = {}
        self._sorted = np.empty(0, np.uint64)  # the ids of the first signals,
        self._order = np.empty(0, np.int64)  # and the row of each
        for signal in signals:
            self.add(signal)

    def __len__(self) -> int:
        return len(self.signals)

    def add(self, signal: Signal) -> int:
        """The row of a signal, a new one if it was not known. Raises IdCollision."""
        row = self._row.get(signal.id)
        if row is None:
            row = self._row[signal.id] = len(self.signals)
            self.signals.append(signal)
        elif self.signals[row] != signal:
            raise IdCollision(f"signals {self.signals[row]} and {signal} have the same id")
        return row

    def rows(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Rows of ids; −1 where an id was never described."""
        if len(self) - self._order.size > max(_MOST_UNSORTED, self._order.size // _UNSORTED_SHARE):
            self._sort()
        if not self._order.size:
            return self._looked_up(ids)
        at = np.minimum(np.searchsorted(self._sorted, ids), self._order.size - 1)
        rows = self._order[at]
        missed = np.flatnonzero(self._sorted[at] != ids)
        rows[missed] = self._looked_up(ids[missed])
        return rows

    def _sort(self) -> None:
        """Many look-ups in a sorted array cost a fifth of those in a dictionary."""
        ids = np.fromiter(self._row, np.uint64, len(self))
        self._order = np.argsort(ids)
        self._sorted = ids[self._order]

    def _looked_up(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        known = self._row
        return np.fromiter((known.get(i, -1) for i in ids.tolist()), np.int64, ids.size)
