"""What the codecs of spans do alike: scan what is usual, and take the rest one message after the other.

Guarantee: whichever way a message goes, its spans are the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.codecs.byte_table import Slots
from pipeline.codecs.runs import runs
from pipeline.codecs.series_table import BadPoint
from pipeline.codecs.span_rows import SpanRows
from pipeline.codecs.span_scan import Found
from pipeline.codecs.span_table import SpanTable
from pipeline.records import Message, Resources, SpanColumns, SpanShape

_Scan = Callable[[bytes, npt.NDArray[np.int64], Slots, Slots], Found]


class ScannedSpans(ABC):
    """``scan`` reads messages that stand one after the other, of the sizes given."""

    def __init__(self, table: SpanTable, scan: _Scan) -> None:
        self.table = table
        self._scan = scan

    @property
    def resources(self) -> Resources:
        """Resources by number, until ``generation`` changes."""
        return self.table.resources

    @property
    def shapes(self) -> list[SpanShape]:
        """Shapes by number, until ``generation`` changes."""
        return self.table.shapes

    @property
    def generation(self) -> int:
        """Grows when the tables start over, which they do before a batch, never inside one."""
        return self.table.generation

    def forget_soon(self) -> None:
        """Forget what is known, before the next batch."""
        self.table.forget_soon()

    def decode(self, messages: Sequence[Message]) -> SpanColumns:
        """Columns of all spans."""
        self.table.forget_if_full()
        rows = SpanRows()
        for first, last in runs(messages):
            values = [messages[number].value or b"" for number in range(first, last)]
            self._decode_some(rows, values, first)
        return rows.columns()

    def _decode_some(self, rows: SpanRows, values: Sequence[bytes], first: int) -> None:
        scanned = [b"" if self._is_unusual(value) else value for value in values]
        data, sizes = b"".join(scanned), np.array([len(value) for value in scanned], np.int64)
        found: Any = self._scan(data, sizes, self.table.resource_slots, self.table.shape_slots)
        for message, at, end in dict.fromkeys(map(tuple, found.resources.tolist())):
            self._check_resource(rows, first + message, at, data[at:end])
        rows.add_scanned(data, found, first, self.table)
        for message in np.flatnonzero(~found.taken).tolist():
            self._add_slowly(rows, first + message, values[message])

    def _check_resource(self, rows: SpanRows, message: int, place: int, raw: bytes) -> None:
        """Refuse a resource that cannot be used, whether it has spans or not."""
        try:
            self.table.check_resource(raw)
        except BadPoint as error:
            rows.refuse(message, place, error)

    def _is_unusual(self, value: bytes) -> bool:
        """Is a message not to be scanned at all?"""
        return False

    @abstractmethod
    def _add_slowly(self, rows: SpanRows, message: int, value: bytes) -> None:
        """A message through classes of its format."""
