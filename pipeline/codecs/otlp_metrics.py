"""OTLP metrics: what the OpenTelemetry collector writes to Kafka, protobuf or JSON, as columns of points.

Guarantee: the same message gives the same rows, whatever was decoded before. A message that is empty or cannot be
parsed is refused; of any other only the points that cannot be used. There is at most one rejection for each message
and reason.
"""

from collections.abc import Callable, Sequence
from itertools import count
from math import isfinite, nan
from typing import Any, NamedTuple, cast

import numpy as np

from pipeline.codecs.otlp_attributes import Pairs, check_size, point_attributes, resource_attributes
from pipeline.codecs.otlp_histograms import explicit_histogram, exponential_histogram, whole_range
from pipeline.codecs.otlp_schema import read_metrics
from pipeline.codecs.series_table import BadPoint, Limits, SeriesTable
from pipeline.records import HistogramPoint, Kind, Message, PointColumns, Rejection, Series

#: More quantiles than anybody looks at; each is a series.
MAX_QUANTILES = 32

_NO_RECORDED_VALUE = 1  # the bit in a point's flags
_DELTA, _CUMULATIVE = 1, 2  # aggregation temporality; 0 is unspecified
_QUANTILE_NAMES = {0.0: "min", 1.0: "max"}
_HistogramReader = Callable[[Any], HistogramPoint]
_HISTOGRAMS: dict[str, _HistogramReader] = {
    "histogram": explicit_histogram,
    "exponential_histogram": exponential_histogram,
}


class OtlpMetrics:
    """Decodes ExportMetricsServiceRequest messages.

    A series is found by a number for its resource, name, unit and kind, and the bytes of its point attributes. The
    same attributes in another order are another row of the table, with an equal Series.
    """

    def __init__(self, limits: Limits) -> None:
        self.table = SeriesTable(limits)
        self._families: dict[tuple[bytes, str, str, Kind], _Family] = {}
        self._family_numbers = count()  # never used again, so families may be forgotten while their series are known

    def decode(self, messages: Sequence[Message]) -> PointColumns:
        """Columns of all points; a summary gives a histogram row and a gauge row for each quantile."""
        self.table.forget_if_full()
        if len(self._families) >= self.table.limits.max_series:
            self._families.clear()
        rows = _Rows()
        for message in messages:
            try:
                for resource_metrics in read_metrics(message.value):
                    self._add_resource(rows, resource_metrics)
            except BadPoint as error:
                rows.refuse(error)
            rows.end_message()
        return rows.columns()

    def _add_resource(self, rows: "_Rows", resource_metrics: Any) -> None:
        resource = _Resource(resource_metrics.resource, self.table.limits)
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics[:]:
                try:
                    self._add_metric(rows, resource, metric)
                except BadPoint as error:
                    rows.refuse(error)

    def _add_metric(self, rows: "_Rows", resource: "_Resource", metric: Any) -> None:
        """Adds a metric's points; raises BadPoint when none of them can be used."""
        form = metric.WhichOneof("data")
        data = getattr(metric, form) if form else None
        points = [] if data is None else data.data_points[:]
        if not points:
            return
        if form == "summary":
            self._add_summary(rows, resource, metric, points)
            return
        family = self._family(resource, metric.name, metric.unit, _kind(metric, form, data))
        series = self._series(rows, resource, family, points)
        if form in _HISTOGRAMS:
            rows.add_histograms(series, points, _HISTOGRAMS[form])
        else:
            rows.add_numbers(series, points, with_start=family.kind is not Kind.GAUGE)

    def _add_summary(self, rows: "_Rows", resource: "_Resource", metric: Any, points: list[Any]) -> None:
        whole = self._family(resource, metric.name, metric.unit, Kind.HISTOGRAM)
        for point in points:
            rows.add_histograms(self._series(rows, resource, whole, [point]), [point], _summary)
            if len(point.quantile_values) > MAX_QUANTILES:
                rows.refuse(BadPoint("bad_quantile", f"a summary may have at most {MAX_QUANTILES} quantiles"))
                continue
            for quantile in point.quantile_values:
                try:
                    name = f"{metric.name}.{_quantile_name(quantile.quantile)}"
                    family = self._family(resource, name, metric.unit, Kind.GAUGE)
                except BadPoint as error:
                    rows.refuse(error)
                else:
                    series = self._series(rows, resource, family, [point])
                    rows.add(series, [point], [quantile.value], with_start=False)

    def _family(self, resource: "_Resource", name: str, unit: str, kind: Kind) -> "_Family":
        """What the points of a metric share; raises BadPoint when it spoils them all."""
        key = (resource.raw, name, unit, kind)
        family = self._families.get(key)
        if family is None:
            check_size(name, self.table.limits)
            check_size(unit, self.table.limits)
            resource.attributes()
            family = self._families[key] = _Family(next(self._family_numbers), name, unit, kind)
        return family

    def _series(self, rows: "_Rows", resource: "_Resource", family: "_Family", points: list[Any]) -> list[int]:
        """The number of each point's series, −1 for a point that is refused."""
        find, prefix = self.table.index.get, family.number
        # Slicing is the fastest way to the items of a repeated field: twice as fast as iterating.
        found = [find((prefix, *point.attributes[:])) for point in points]
        if None in found:
            for place, number in enumerate(found):
                if number is None:
                    found[place] = self._new_series(rows, resource, family, points[place].attributes[:])
        return cast(list[int], found)

    def _new_series(self, rows: "_Rows", resource: "_Resource", family: "_Family", attributes: list[bytes]) -> int:
        key = (family.number, *attributes)
        number = self.table.index.get(key)  # an earlier point of the same metric may have brought it
        if number is not None:
            return number
        try:
            merged = resource.attributes() | point_attributes(attributes, self.table.limits)
            return self.table.add(key, Series(family.name, family.unit, family.kind, tuple(sorted(merged.values()))))
        except BadPoint as error:
            rows.refuse(error)
            return -1


class _Resource:
    """The bytes of a resource, and its attributes once they are asked for."""

    def __init__(self, raw: bytes, limits: Limits) -> None:
        self.raw = raw
        self._limits = limits
        self._found: Pairs | BadPoint | None = None

    def attributes(self) -> Pairs:
        """Raises BadPoint at each call when they cannot be used, having read them once."""
        if self._found is None:
            try:
                self._found = resource_attributes(self.raw, self._limits)
            except BadPoint as error:
                self._found = error
        if isinstance(self._found, BadPoint):
            raise BadPoint(self._found.reason, self._found.detail)
        return self._found


class _Family(NamedTuple):
    """All series of one resource, metric name, unit and kind."""

    number: int
    name: str
    unit: str
    kind: Kind


class _Rows:
    """The columns of a batch while it is read: everything as it was sent, good or not, sorted out at the end.

    One pass over many points for each column is faster than one pass for all columns.
    """

    def __init__(self) -> None:
        self._ends: list[int] = []  # rows up to the end of each message
        self._points: list[Any] = []  # of the message being read, one for each of its rows
        self._series: list[int] = []  # −1: refused
        self._times: list[int] = []  # nanoseconds
        self._starts: list[int] = []
        self._started: list[bool] = []  # whether a start time means something
        self._values: list[float] = []
        self._flags: list[int] = []
        self._unset: list[int] = []  # rows without a value
        self._histograms: dict[int, HistogramPoint] = {}
        self._refused: dict[tuple[int, str], str] = {}  # (message, reason) → detail of the first

    def refuse(self, error: BadPoint) -> None:
        self._refused.setdefault((len(self._ends), error.reason), error.detail)

    def add(self, series: list[int], points: list[Any], values: list[float], *, with_start: bool) -> None:
        self._points += points
        self._series += series
        self._values += values
        self._started += [with_start] * len(points)

    def add_numbers(self, series: list[int], points: list[Any], *, with_start: bool) -> None:
        values = [point.as_double or point.as_int for point in points]
        if 0 in values:  # really zero, or no value at all
            for row, (value, point) in enumerate(zip(values, points, strict=True), len(self._series)):
                if not value and point.WhichOneof("value") is None:
                    self._unset.append(row)
        self.add(series, points, values, with_start=with_start)

    def add_histograms(self, series: list[int], points: list[Any], read: _HistogramReader) -> None:
        for row, point in enumerate(points, len(self._series)):
            if not point.flags & _NO_RECORDED_VALUE:
                try:
                    self._histograms[row] = read(point)
                except BadPoint as error:
                    self.refuse(error)
                    series[row - len(self._series)] = -1
        values = [point.count if isfinite(point.sum) else nan for point in points]
        self.add(series, points, values, with_start=True)

    def end_message(self) -> None:
        self._times += [point.time_unix_nano for point in self._points]
        self._starts += [point.start_time_unix_nano for point in self._points]
        self._flags += [point.flags for point in self._points]
        self._points.clear()
        self._ends.append(len(self._series))

    def columns(self) -> PointColumns:
        series = np.array(self._series, np.int32)
        times = np.array(self._times, np.uint64)
        values = np.array(self._values, np.float64)
        starts = (np.array(self._starts, np.uint64) // 1000).astype(np.int64) * np.array(self._started, np.bool_)
        message = np.searchsorted(self._ends, np.arange(series.size), side="right").astype(np.int32)
        recorded = (np.array(self._flags, np.uint32) & _NO_RECORDED_VALUE) == 0
        recorded[self._unset] = False
        keep = series >= 0
        dropped = {"no_recorded_value": int((keep & ~recorded).sum())}
        keep &= recorded
        for number in np.unique(message[keep & (times == 0)]).tolist():
            self._refused.setdefault((number, "no_time"), "time_unix_nano is 0; give the time of the measurement")
        keep &= times != 0
        dropped["not_finite"] = int((keep & ~np.isfinite(values)).sum())
        keep &= np.isfinite(values)
        starts = starts[keep]
        return PointColumns(
            message=message[keep],
            series=series[keep],
            time_us=(times[keep] // 1000).astype(np.int64),
            value=values[keep],
            start_us=starts if starts.any() else None,
            histograms=self._kept_histograms(keep),
            rejections=self._rejections(set(message[keep].tolist())),
            dropped={reason: number for reason, number in dropped.items() if number},
        )

    def _kept_histograms(self, keep: Any) -> dict[int, HistogramPoint]:
        if not self._histograms:
            return {}
        place = np.cumsum(keep) - 1
        return {int(place[row]): found for row, found in self._histograms.items() if keep[row]}

    def _rejections(self, alive: set[int]) -> list[Rejection]:
        return [
            Rejection(number, reason, detail, whole=number not in alive)
            for (number, reason), detail in sorted(self._refused.items())
        ]


def _kind(metric: Any, form: str, data: Any) -> Kind:
    if form == "gauge":
        return Kind.GAUGE
    if data.aggregation_temporality not in (_DELTA, _CUMULATIVE):
        raise BadPoint(
            "no_temporality", f"{metric.name[:64]!r}: aggregation_temporality must be delta (1) or cumulative (2)"
        )
    delta = data.aggregation_temporality == _DELTA
    if form != "sum":
        return Kind.HISTOGRAM_DELTA if delta else Kind.HISTOGRAM
    if delta:
        return Kind.DELTA
    return Kind.COUNTER if data.is_monotonic else Kind.GAUGE


def _summary(point: Any) -> HistogramPoint:
    return whole_range(point.count, point.sum)


def _quantile_name(quantile: float) -> str:
    """``min``, ``max``, ``p50``, ``p99_9``."""
    if not 0 <= quantile <= 1:
        raise BadPoint("bad_quantile", f"a summary's quantile is {quantile}; it must be from 0 to 1")
    return _QUANTILE_NAMES.get(quantile) or f"p{quantile * 100:.10g}".replace(".", "_")
