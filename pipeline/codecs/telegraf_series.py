"""The series of Telegraf's measurements: found by the text of a measurement and its tags, then by the field's name.

Guarantee: what a measurement becomes depends on its text alone; memory is bounded by ``Limits.max_series``.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from pipeline.codecs.point_rows import PointRows
from pipeline.codecs.series_table import BadPoint, Limits, SeriesTable
from pipeline.codecs.telegraf_names import Measurement, series_of

K = TypeVar("K", bound=Hashable)

#: The number of a series that is refused.
REFUSED = -1


class TelegrafSeries(Generic[K]):
    """``read`` turns a text into a Measurement or raises BadPoint; ``known`` are those that it made."""

    def __init__(self, limits: Limits, read: Callable[[K], Measurement]) -> None:
        self.table = SeriesTable(limits)
        self._read = read
        self.known: dict[K, Measurement] = {}
        self._generation = 0

    def begin_batch(self) -> None:
        """Call before each batch."""
        self.table.forget_if_full()
        if self.table.generation != self._generation or len(self.known) >= self.table.limits.max_series:
            self.known.clear()
            self._generation = self.table.generation

    def measurement(self, text: K) -> Measurement:
        """Raises BadPoint when it cannot be used."""
        found = self.known.get(text)
        if found is None:
            found = self.known[text] = self._read(text)
        return found

    def add(self, text: K, measurement: Measurement, field: str, message: int, rows: PointRows) -> int:
        """The number of a field that the measurement does not know yet."""
        key = (text, field)
        number = self.table.index.get(key)
        if number is None:
            try:
                number = self.table.add(key, series_of(measurement, field))
            except BadPoint as error:
                rows.refuse(message, error)
                return REFUSED
        measurement.numbers[field] = number
        return number
