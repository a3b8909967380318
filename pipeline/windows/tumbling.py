"""Rows held back by the end of their tumbling window until the watermark passes it.

Guarantee: ``close`` gives a window's rows sorted by (row, time) without repeats, the same for every order of arrival;
of points with the same row and time the first by (source, offset) stays. Shapes are (points,) throughout.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.records import HistogramPoint

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Raw points of one block, already reduced to what belongs here. ``source`` orders equal points."""

    row: Ints
    time_us: Ints
    value: npt.NDArray[np.float64]
    start_us: Ints
    offset: Ints
    source: str
    histograms: dict[int, HistogramPoint] = field(default_factory=dict)

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
    """Rows by window end."""

    def __init__(self) -> None:
        self._chunks: dict[int, list[Rows]] = {}

    def __len__(self) -> int:
        return sum(rows.row.size for chunks in self._chunks.values() for rows in chunks)

    def hold(self, rows: Rows, ends: Ints) -> int:
        """Keep each row until its window's end passes; returns the greatest end held (0 for no rows)."""
        if not ends.size:
            return 0
        first = int(ends[0])
        if (ends == first).all():
            self._chunks.setdefault(first, []).append(rows)
            return first
        for end in np.unique(ends).tolist():
            self._chunks.setdefault(end, []).append(rows.take(ends == end))
        return max(int(ends.max()), 0)

    def rows(self) -> Ints:
        """The rows that wait, distinct."""
        waiting = [rows.row for chunks in self._chunks.values() for rows in chunks]
        return np.unique(np.concatenate(waiting)) if waiting else np.empty(0, np.int64)

    def due(self, watermark_us: int) -> list[int]:
        """Window ends at or before the watermark that hold rows, in order."""
        return sorted(end for end in self._chunks if end <= watermark_us)

    def close(self, end_us: int) -> ClosedWindow:
        chunks = sorted(self._chunks.pop(end_us, ()), key=lambda rows: rows.source)
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
