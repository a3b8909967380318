"""Signals of a shard by array row.

Guarantee: a row belongs to one signal as long as the shard lives; two different signals with the same 64-bit id are
never taken for one: the second is refused.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.records import Signal


class IdCollision(ValueError):
    """Two different signals have the same id."""


class Catalogue:
    """``signals[row]`` is the signal of a row."""

    def __init__(self, signals: Iterable[Signal] = ()) -> None:
        self.signals: list[Signal] = []
        self._row: dict[int, int] = {}
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
        known = self._row
        return np.fromiter((known.get(i, -1) for i in ids.tolist()), np.int64, ids.size)
