"""Rows held back by the end of their tumbling window until the watermark passes it.

Guarantee: ``close`` gives a window's rows sorted by (row, time) without repeats, the same for every order of arrival;
of points with the same row and time the first by (source, offset) stays. Shapes are (points,) throughout. With a bound
on rows, those of the latest windows are let go, and it is known from which window on they are missing.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.records import HistogramPoint
from pipeline.windows.held import Held

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Raw points of one block, already reduced to what belongs here. ``source`` orders equal points. ``late``: they
    came after their windows, and wait for another time."""

    row: Ints
    time_us: Ints
    value: npt.NDArray[np.float64]
    start_us: Ints
    offset: Ints
    source: str
    histograms: dict[int, HistogramPoint] = field(default_factory=dict)
    late: bool = False

    def take(self, mask: npt.NDArray[np.bool_]) -> "Rows":
        histograms = {}
        if self.histograms:
            place = np.cumsum(mask) - 1
            histograms = {int(place[i]): point for i, point in self.histograms.items() if mask[i]}
        return Rows(
            self.row[mask],
            self.time_us[mask],
            self.value[mask],
            self.start_us[mask],
            self.offset[mask],
            self.source,
            histograms,
            self.late,
        )


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """All points of the windows that end at ``end_us``; ``histograms`` by position, ``sources`` are the rows of each
    source, repeats and all."""

    end_us: int
    row: Ints
    time_us: Ints
    value: npt.NDArray[np.float64]
    start_us: Ints
    histograms: dict[int, HistogramPoint]
    duplicates: int
    sources: tuple[tuple[str, Ints], ...] = ()


class Pending:
    """Rows by window end; at most ``most_rows`` of them, but for the windows up to ``horizon_us``."""

    def __init__(self, most_rows: int | None = None) -> None:
        self._held: Held[Rows] = Held(most_rows)
        self._let_go = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def horizon_us(self) -> int | None:
        """The last window end of which all rows are and will be here; None while that is so of every one."""
        return self._held.horizon_us

    @property
    def whole(self) -> bool:
        """Was nothing let go?"""
        return self._held.whole

    def hold(self, rows: Rows, ends: Ints) -> int:
        """Keep each row until its window's end passes, or let it go; returns the greatest end (0 for no rows)."""
        if not ends.size:
            return 0
        last = int(ends.max())
        near = self._held.near(ends)
        if near is not None:
            self._let_go = np.union1d(self._let_go, rows.row[~near])
            rows, ends = rows.take(near), ends[near]
        first = int(ends[0]) if ends.size else 0
        if (ends == first).all():
            if ends.size:
                self._held.put(first, rows, rows.row.size, rows.row.size)
        else:
            for end in np.unique(ends).tolist():
                inside = rows.take(ends == end)
                self._held.put(end, inside, inside.row.size, inside.row.size)
        if gone := self._held.bound():
            self._let_go = np.unique(np.concatenate([self._let_go, *(rows.row for rows in gone)]))
        return max(last, 0)

    def clear(self) -> None:
        """Nothing is held, and nothing was let go."""
        self._held.clear()
        self._let_go = np.empty(0, np.int64)

    def rows(self) -> Ints:
        """The rows that wait, distinct; those let go wait too."""
        waiting = [rows.row for rows in self._held.chunks()]
        return np.unique(np.concatenate([self._let_go, *waiting]))

    def due(self, watermark_us: int) -> list[int]:
        """Window ends at or before the watermark that hold rows, in order; but for late ones."""
        return self._due(watermark_us, late=False)

    def due_late(self, until_us: int) -> list[int]:
        """Times up to then at which late rows count, in order."""
        return self._due(until_us, late=True)

    def _due(self, until_us: int, *, late: bool) -> list[int]:
        ends = (end for end in self._held.ends() if end <= until_us)
        return sorted(end for end in ends if any(rows.late is late for rows in self._held.at(end)))

    def late(self, at_us: int) -> list[Rows]:
        """The late rows that count then; they are held no more."""
        return self._pop(at_us, late=True)

    def _pop(self, end_us: int, *, late: bool) -> list[Rows]:
        """What waits for that time and is late, or not; the rest goes on waiting."""
        chunks = self._held.pop(end_us)
        for rows in chunks:
            if rows.late is not late:
                self._held.put(end_us, rows, rows.row.size, rows.row.size)
        return [rows for rows in chunks if rows.late is late]

    def close(self, end_us: int) -> ClosedWindow:
        chunks = sorted(self._pop(end_us, late=False), key=lambda rows: rows.source)
        if not chunks:
            none = np.empty(0, np.int64)
            return ClosedWindow(end_us, none, none, np.empty(0), none, {}, 0)
        histograms: dict[int, HistogramPoint] = {}
        at = 0
        for rows in chunks:
            histograms.update({at + i: point for i, point in rows.histograms.items()})
            at += rows.row.size
        row = np.concatenate([rows.row for rows in chunks])
        time_us = np.concatenate([rows.time_us for rows in chunks])
        order = _order(row, time_us, chunks, end_us)
        row, time_us = row[order], time_us[order]
        fresh = np.ones(row.size, np.bool_)
        fresh[1:] = (row[1:] != row[:-1]) | (time_us[1:] != time_us[:-1])
        keep = order[fresh]
        value = np.concatenate([rows.value for rows in chunks])[keep]
        start_us = np.concatenate([rows.start_us for rows in chunks])[keep]
        if histograms:
            histograms = {i: histograms[old] for i, old in enumerate(keep.tolist()) if old in histograms}
        duplicates, sources = int(row.size - keep.size), tuple((rows.source, rows.row) for rows in chunks)
        return ClosedWindow(end_us, row[fresh], time_us[fresh], value, start_us, histograms, duplicates, sources)


def _order(row: Ints, time_us: Ints, chunks: list[Rows], end_us: int) -> npt.NDArray[np.intp]:
    """Sort by (row, time); when points repeat, also by (source, offset), so that the first one is always the same."""
    back = end_us - time_us  # 1 … window length
    bits = int(back.max()).bit_length()
    if int(row.max()).bit_length() + bits > 62:  # cannot be one key: sort by two
        order = np.lexsort((time_us, row))
    else:
        key = (row << bits) | ((1 << bits) - 1 - back)
        order = np.argsort(key)
        key = key[order]
        if not (key[1:] == key[:-1]).any():
            return order
    offset = np.concatenate([rows.offset for rows in chunks])
    source = np.repeat(np.arange(len(chunks)), [rows.row.size for rows in chunks])
    rank = _source_rank(chunks)[source]
    return np.lexsort((offset, rank, time_us, row))


def _source_rank(chunks: list[Rows]) -> npt.NDArray[np.int64]:
    """Number chunks by source name; chunks of one source share a number."""
    names = sorted({rows.source for rows in chunks})
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[rows.source] for rows in chunks], np.int64)
