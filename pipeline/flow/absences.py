"""Sparse deltas of a shard: the windows in which nothing came of one and that means 0.

Guarantee: a zero stands only where the topic that a signal comes from told of later event times, so that what there was
of the window is there; and what came decides, never when. Windows that hold nothing but zeros are windows too. A topic
that was idle while the others went on leaves a gap.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.flow.intake import Intake
from pipeline.records import NO_TIME
from pipeline.scoring.table import Table
from pipeline.signals import rates, sparse_deltas
from pipeline.windows.tumbling import ClosedWindow

Array = npt.NDArray[Any]


class Absences:
    """``table`` has the groups ``signal`` and ``rates``."""

    def __init__(self, table: Table, intake: Intake) -> None:
        self._table = table
        self._intake = intake

    def ends(self, due: Sequence[int], until_us: int) -> Iterator[int]:
        """Window ends up to ``until_us`` in order: those ``due``, and in between those that may have zeros. A window
        is to be closed before the next end is asked for."""
        after_us = max(self._intake.closed_us, 0)
        for end_us in (*due, None):
            last_us = until_us if end_us is None else end_us - 1
            while (zeros_us := self._next(after_us)) <= last_us:
                yield zeros_us
                after_us = zeros_us
            if end_us is not None:
                yield end_us
                after_us = max(end_us, 0)

    def _next(self, after_us: int) -> int:
        """The end of the next window in which there may be zeros; NEVER where there is none."""
        row = self._rows()
        if not row.size:
            return sparse_deltas.NEVER
        length = self._table.groups["signal"]["window_us"][row]
        ends = sparse_deltas.next_absent(row, length, after_us, self._table.groups["rates"])
        return int(np.min(ends[ends <= self._told_us(row)], initial=sparse_deltas.NEVER))

    def values(self, window: ClosedWindow, points: rates.SortedPoints) -> rates.WindowValues:
        """Of the sparse deltas that have ``points`` or zeros in the window."""
        group, state = self._table.groups["signal"], self._table.groups["rates"]
        if points.row.size:
            for source, row in window.sources:
                group["topic"][row[group["kind"][row] == rates.SPARSE_DELTA]] = _topic(source)
            self._table.touch(points.row)
        row = self._rows()
        if not row.size:
            return rates.delta_rates(points, state)
        row = row[window.end_us % np.maximum(group["window_us"][row], 1) == 0]
        row = row[self._told_us(row) >= window.end_us]
        zeros = sparse_deltas.absent(points, row, group["window_us"][row], window.end_us, state)
        return sparse_deltas.sparse_delta_rates(points, zeros, state)

    def _rows(self) -> Array:
        return np.flatnonzero(self._table.groups["signal"]["kind"] == rates.SPARSE_DELTA)

    def _told_us(self, row: Array) -> Array:
        """The greatest event time that the topic of each of these rows told of."""
        topics, found = self._table.groups["signal"]["topic"][row], np.full(row.size, NO_TIME)
        for source, told_us in self._intake.told_us().items():
            found[topics == _topic(source)] = np.maximum(found[topics == _topic(source)], told_us)
        return found


def _topic(source: str) -> int:
    """A number for the topic of an input partition: any partition of it may hold what comes next."""
    return zlib.crc32(source.rpartition("/")[0].encode())
