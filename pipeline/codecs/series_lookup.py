"""Finds the number of a series by what its producer wrote, and remembers also what is left out or refused.

Guarantee: what a key becomes depends on the key alone; a key is worked out once, then found in one look. Memory is
bounded by ``Limits.max_series`` and the keys of one batch.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from pipeline.codecs.point_rows import PointRows
from pipeline.codecs.series_table import BadPoint, SeriesTable
from pipeline.records import Series

K = TypeVar("K", bound=Hashable)

#: The number of a series that is left out or refused.
NONE = -1


class LeftOut(NamedTuple):
    """A series that nobody wants: its points are counted under ``reason`` and need no dead letter."""

    reason: str


class SeriesLookup(Generic[K]):
    """``make`` turns a key into a Series or LeftOut, or raises BadPoint."""

    def __init__(self, table: SeriesTable, make: Callable[[K], Series | LeftOut]) -> None:
        self._table = table
        self._make = make
        self._left_out: dict[K, str] = {}
        self._refused: dict[K, BadPoint] = {}

    def begin_batch(self) -> None:
        """Call before each batch."""
        self._table.forget_if_full()
        self._refused.clear()
        if len(self._left_out) >= self._table.limits.max_series:
            self._left_out.clear()

    def numbers(self, keys: Sequence[K], owner: Any, rows: PointRows) -> list[int]:
        """The number of each key's series; ``owner`` is the message of each, (keys,)."""
        found = list(map(self._table.index.get, keys))
        if None in found:
            for row, number in enumerate(found):
                if number is None:
                    found[row] = self._find(keys[row], owner[row], rows)
        return found  # type: ignore[return-value]

    def number(self, key: K, message: int, rows: PointRows) -> int:
        """The number of one key's series."""
        number = self._table.index.get(key)
        return self._find(key, message, rows) if number is None else number

    def _find(self, key: K, message: int, rows: PointRows) -> int:
        if (reason := self._left_out.get(key)) is not None:
            rows.dropped[reason] += 1
            return NONE
        if (error := self._refused.get(key)) is not None:
            rows.refuse(message, error)
            return NONE
        number = self._table.index.get(key)  # an earlier row may have brought it
        return self._new(key, message, rows) if number is None else number

    def _new(self, key: K, message: int, rows: PointRows) -> int:
        try:
            made = self._make(key)
            if isinstance(made, Series):
                return self._table.add(key, made)
        except BadPoint as error:
            self._refused[key] = error
            rows.refuse(message, error)
            return NONE
        self._left_out[key] = made.reason
        rows.dropped[made.reason] += 1
        return NONE
