"""Signals of a shard by array row.

Guarantee: a row belongs to one signal until that one is removed; two different signals with the same 64-bit id are
never taken for one: the second is refused. The lowest row that is free is taken first.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from pipeline.records import Kind, Signal
from pipeline.scoring.table import PART_ROWS

#: Signals that came since the ids were sorted, and share of all, beyond which they are sorted anew.
_MOST_UNSORTED, _UNSORTED_SHARE = 1024, 8
#: What stands in a row that is free.
VACANT = Signal(0, "", "", Kind.GAUGE, "", "", "", ())


class IdCollision(ValueError):
    """Two different signals have the same id."""


class Catalogue:
    """``signals[row]`` is the signal of a row, VACANT where there is none; ``heard`` is called with each new one."""

    def __init__(self, signals: Iterable[Signal] = ()) -> None:
        self.signals: list[Signal] = []
        self.heard: Callable[[Signal], None] | None = None
        self.changed: set[int] = set()  # parts of the table's checkpoints with other signals than before
        self._row: dict[int, int] = {}
        self._free: list[int] = []  # a heap
        self._sorted = np.empty(0, np.uint64)  # the ids of the first signals,
        self._order = np.empty(0, np.int64)  # and the row of each
        for signal in signals:
            self.add(signal)

    def __len__(self) -> int:
        """Signals that are known."""
        return len(self._row)

    def __iter__(self) -> Iterator[Signal]:
        """Signals that are known, by row."""
        return (signal for signal in self.signals if signal.id in self._row)

    def __contains__(self, id_: int) -> bool:
        return id_ in self._row

    def free(self) -> npt.NDArray[np.int64]:
        """Rows without a signal."""
        return np.array(sorted(self._free), np.int64)

    def add(self, signal: Signal) -> int:
        """The row of a signal, a new one if it was not known. Raises IdCollision."""
        row = self._row.get(signal.id)
        if row is None:
            row = self._place(signal)
            self.changed.add(row // PART_ROWS)
            self._row[signal.id] = row
            if self.heard is not None:
                self.heard(signal)
        elif self.signals[row] != signal:
            raise IdCollision(f"signals {self.signals[row]} and {signal} have the same id")
        return row

    def _place(self, signal: Signal) -> int:
        if self._free:
            row = heapq.heappop(self._free)
            self.signals[row] = signal
            return row
        self.signals.append(signal)
        return len(self.signals) - 1

    def remove(self, rows: Iterable[int]) -> list[Signal]:
        """Forget the signals of these distinct rows, which are free then; returns them."""
        gone = []
        for row in rows:
            gone.append(self.signals[row])
            del self._row[self.signals[row].id]
            self.signals[row] = VACANT
            heapq.heappush(self._free, row)
            self.changed.add(row // PART_ROWS)
        self._sorted, self._order = np.empty(0, np.uint64), np.empty(0, np.int64)
        return gone

    def load(self, signals: Iterable[Signal]) -> None:
        """Become a catalogue that had these ``signals``. Raises IdCollision."""
        self.signals, self._row, self._free = [], {}, []
        self._sorted, self._order = np.empty(0, np.uint64), np.empty(0, np.int64)
        for row, signal in enumerate(signals):
            if signal == VACANT:
                self.signals.append(signal)
                self._free.append(row)
            elif signal.id in self._row:
                raise IdCollision(f"{signal} is there twice")
            else:
                self.signals.append(signal)
                self._row[signal.id] = row

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
        ids, rows = np.fromiter(self._row, np.uint64, len(self)), np.fromiter(self._row.values(), np.int64, len(self))
        order = np.argsort(ids)
        self._sorted, self._order = ids[order], rows[order]

    def _looked_up(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        known = self._row
        return np.fromiter((known.get(i, -1) for i in ids.tolist()), np.int64, ids.size)
