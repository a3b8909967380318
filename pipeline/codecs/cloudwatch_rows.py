"""What both formats of CloudWatch Metric Streams share: from the statistics of a metric's minute to points.

Guarantee: the same statistics give the same points, whichever format they came in; memory is bounded by
``Limits.max_series``.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from pipeline.codecs.cloudwatch_names import Metric, statistic_name
from pipeline.codecs.point_rows import PointRows
from pipeline.codecs.series_table import BadPoint, Limits, SeriesTable
from pipeline.records import PointColumns

K = TypeVar("K", bound=Hashable)

_TOTAL, _MEAN = "sum", "mean"


@dataclass(slots=True)
class KnownMetric:
    """A metric, and the series of its statistics that were seen."""

    metric: Metric
    numbers: dict[str, int] = field(default_factory=dict)


class KnownMetrics(Generic[K]):
    """Metrics by what was sent of them; ``read`` makes one of it or raises BadPoint."""

    def __init__(self, limits: Limits, read: Callable[[K], Metric]) -> None:
        self.table = SeriesTable(limits)
        self._read = read
        self._known: dict[K, KnownMetric] = {}
        self._generation = 0

    def begin_batch(self) -> "CloudwatchRows":
        """Where the points of a batch go."""
        self.table.forget_if_full()
        if self.table.generation != self._generation or len(self._known) >= self.table.limits.max_series:
            self._known.clear()
            self._generation = self.table.generation
        return CloudwatchRows(self.table)

    def find(self, sent: K) -> KnownMetric:
        """Raises BadPoint when it cannot be used."""
        known = self._known.get(sent)
        if known is None:
            known = self._known[sent] = KnownMetric(self._read(sent))
        return known


class CloudwatchRows:
    """The columns of a batch while it is read."""

    def __init__(self, table: SeriesTable) -> None:
        self.rows = PointRows()
        self._table = table
        self._numbers: list[int] = []
        self._values: list[float] = []
        self._starts: list[int] = []  # only a delta has a start time
        self._messages: list[int] = []  # these for each minute of a metric
        self._times: list[int] = []
        self._sizes: list[int] = []

    def add(
        self,
        known: KnownMetric,
        message: int,
        start_us: int,
        end_us: int,
        total: float | None,
        count: float | None,
        statistics: Iterable[tuple[str, float | None]],
    ) -> None:
        """The statistics of a minute: its sum, the number of values, and minimum, maximum and percentiles by name."""
        before = len(self._values)
        if known.metric.summed and total is not None:
            self._add(known, _TOTAL, total, start_us, message)
        if known.metric.measured:
            if total is not None and count:
                self._add(known, _MEAN, total / count, 0, message)
            for name, value in statistics:
                if value is not None:
                    self._add(known, name, value, 0, message)
        self._messages.append(message)
        self._times.append(end_us)
        self._sizes.append(len(self._values) - before)

    def _add(self, known: KnownMetric, name: str, value: float, start_us: int, message: int) -> None:
        number = known.numbers.get(name)
        if number is None:
            try:
                number = known.numbers[name] = self._number(known.metric, name)
            except BadPoint as error:
                self.rows.refuse(message, error)
                return
        self._numbers.append(number)
        self._values.append(value)
        self._starts.append(start_us)

    def _number(self, metric: Metric, name: str) -> int:
        series = metric.total() if name == _TOTAL else metric.statistic(statistic_name(name))
        number = self._table.index.get(series)
        return self._table.add(series, series) if number is None else number

    def columns(self) -> PointColumns:
        return self.rows.columns(
            np.repeat(np.array(self._messages, np.int32), self._sizes),
            np.array(self._numbers, np.int32),
            np.repeat(np.array(self._times, np.int64), self._sizes),
            np.array(self._values, np.float64),
            np.array(self._starts, np.int64),
        )
