"""OTLP metrics: what the OpenTelemetry collector writes to Kafka, protobuf or JSON, as columns of points.

Guarantee: the same message gives the same rows, whatever was decoded before. A message that is empty or cannot be
parsed is refused; of any other only the points that cannot be used, and a damaged resource also without points. There
is at most one rejection for each message and reason. Number points are read by a compiled scanner (``otlp_scan``);
histograms, summaries, JSON and unusual messages go the slow way through the official classes, to the same rows.
"""

from collections.abc import Callable, Sequence
from math import isfinite, nan
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from pipeline.codecs import otlp_scan as scan
from pipeline.codecs.byte_table import ByteTable
from pipeline.codecs.otlp_attributes import Pairs, check_size, point_attributes, resource_attributes
from pipeline.codecs.otlp_histograms import explicit_histogram, exponential_histogram, whole_range
from pipeline.codecs.otlp_schema import looks_like_json, read_metric, read_metrics, read_number_attributes
from pipeline.codecs.runs import runs
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
#: As otlp_scan numbers them, and what it does not read.
_CODES = {Kind.GAUGE: 0, Kind.COUNTER: 1, Kind.DELTA: 2, Kind.HISTOGRAM: 3, Kind.HISTOGRAM_DELTA: 4}
_KINDS = tuple(_CODES)
_MOST_KEPT_BYTES = 512 * 2**20  # of series' bytes, before everything is forgotten
_Arrays = npt.NDArray[Any]


class OtlpMetrics:
    """Decodes ExportMetricsServiceRequest messages.

    A series is found by a number for its resource, name, unit and kind, and the bytes of its point attributes. The
    same attributes in another order are another row of the table, with an equal Series.
    """

    def __init__(self, limits: Limits) -> None:
        self.table = SeriesTable(limits)
        self._forget()

    def _forget(self) -> None:
        self._resources, self._families, self._index = ByteTable(), ByteTable(), ByteTable()
        self._resource_of: dict[bytes, _Resource] = {}
        self._family_of: dict[tuple[int, str, str, Kind], _Family] = {}
        self._number_of: dict[tuple[Any, ...], int] = {}  # of series that went the slow way, by family and attributes

    def decode(self, messages: Sequence[Message]) -> PointColumns:
        """Columns of all points; a summary gives a histogram row and a gauge row for each quantile."""
        generation = self.table.generation
        if (
            self._index.kept_bytes > _MOST_KEPT_BYTES
            or max(len(self._families), len(self._resource_of)) >= self.table.limits.max_series
        ):
            self.table.forget()
        self.table.forget_if_full()
        if self.table.generation != generation:
            self._forget()
        rows = _Rows()
        for first, last in runs(messages):
            self._decode_some(rows, messages, first, last)
        return rows.columns()

    def _decode_some(self, rows: "_Rows", messages: Sequence[Message], first: int, last: int) -> None:
        values = [messages[number].value or b"" for number in range(first, last)]
        scanned = [b"" if looks_like_json(value) else value for value in values]
        data, sizes = b"".join(scanned), np.array([len(value) for value in scanned], np.int64)
        found = scan.scan(data, sizes, self._resources.slots, self._families.slots, self._index.slots)
        self._add_others(rows, data, found, first)
        self._check_new_resources(rows, data, found, first)
        self._add_scanned(rows, data, found, first)
        for message in np.flatnonzero(~found.taken).tolist():
            self._add_slowly(rows, first + message, values[message])

    def _add_others(self, rows: "_Rows", data: bytes, found: scan.Found, first: int) -> None:
        """Metrics that are no number points, one by one. A message in which one is damaged goes the slow way."""
        others = found.metrics[found.metrics[:, scan.KIND] == scan.OTHER]
        read = []
        for message, begin, end, resource_at, resource_end, *_ in others.tolist():
            if found.taken[message]:
                try:
                    read.append((message, begin, data[resource_at:resource_end], read_metric(data[begin:end])))
                except BadPoint:
                    found.taken[message] = False
        for message, begin, resource, metric in read:
            if found.taken[message]:
                rows.begin(first + message, begin)
                self._add_metric(rows, self._resource(resource), metric)

    def _check_new_resources(self, rows: "_Rows", data: bytes, found: scan.Found, first: int) -> None:
        """Read the resources that the scanner did not know: those that can be used it knows from now on."""
        metrics = found.metrics
        unknown = (metrics[:, scan.RESOURCE] < 0) & (metrics[:, scan.RESOURCE_END] > metrics[:, scan.RESOURCE_AT])
        unknown &= found.taken[metrics[:, scan.MESSAGE]]
        places = metrics[unknown][:, [scan.MESSAGE, scan.RESOURCE_AT, scan.RESOURCE_END]]
        for message, at, end in dict.fromkeys(map(tuple, places.tolist())):
            self._check_resource(rows, first + message, at, self._resource(data[at:end]))

    def _check_resource(self, rows: "_Rows", message: int, place: int, resource: "_Resource") -> None:
        rows.begin(message, place)
        if resource.unusable is not None:
            rows.refuse(resource.unusable)

    def _add_scanned(self, rows: "_Rows", data: bytes, found: scan.Found, first: int) -> None:
        """Rows that the scanner read; those of series that it did not know get their number now."""
        message = found.metrics[found.rows[:, scan.METRIC], scan.MESSAGE]
        row = found.rows if found.taken.all() else found.rows[found.taken[message]]
        self._number_new(rows, data, found.metrics, row, first)
        metric = found.metrics[row[:, scan.METRIC]]
        form, bits = row[:, scan.FORM], np.ascontiguousarray(row[:, scan.BITS])
        rows.scanned(
            (metric[:, scan.MESSAGE] + first).astype(np.int32),
            row[:, scan.AT],
            row[:, scan.SERIES].astype(np.int32),
            row[:, scan.TIME].astype(np.uint64),
            np.where(metric[:, scan.KIND] == scan.GAUGE, 0, row[:, scan.START]).astype(np.uint64),
            np.where(form == scan.INTEGER, bits.astype(np.float64), bits.view(np.float64)),
            (row[:, scan.FLAGS] & _NO_RECORDED_VALUE == 0) & (form != scan.UNSET),
        )

    def _number_new(self, rows: "_Rows", data: bytes, metrics: _Arrays, row: _Arrays, first: int) -> None:
        """Number the series that the scanner did not know, and will from now on; −1 stays where one is refused."""
        families: dict[int, _Family | None] = {}
        fresh: dict[tuple[Any, ...], int] = {}
        for place in np.flatnonzero(row[:, scan.SERIES] < 0).tolist():
            metric, at, end = row[place, [scan.METRIC, scan.AT, scan.END]].tolist()
            rows.begin(first + int(metrics[metric, scan.MESSAGE]), at)
            if metric not in families:
                families[metric] = self._family_at(rows, data, metrics[metric].tolist())
            family = families[metric]
            if family is not None:
                attributes = read_number_attributes(data[at:end])
                key = (family.number, *attributes)
                number = fresh.get(key, -1)
                if number < 0:
                    known = self._number_of.get(key)
                    number = self._new_series(rows, family, attributes) if known is None else known
                    if number >= 0:
                        fresh[key] = number
                row[place, scan.SERIES] = number
        self._index.add_all(list(fresh), list(fresh.values()))

    def _family_at(self, rows: "_Rows", data: bytes, metric: list[int]) -> "_Family | None":
        """The family of a metric that the scanner saw, None where it is refused."""
        try:
            resource = self._resource(data[metric[scan.RESOURCE_AT] : metric[scan.RESOURCE_END]])
            name = data[metric[scan.NAME_AT] : metric[scan.NAME_END]].decode()
            unit = data[metric[scan.UNIT_AT] : metric[scan.UNIT_END]].decode()
            return self._family(resource, name, unit, _KINDS[metric[scan.KIND]])
        except BadPoint as error:
            rows.refuse(error)
            return None

    def _add_slowly(self, rows: "_Rows", message: int, value: bytes) -> None:
        """A message through the official classes."""
        rows.begin(message, 0)
        try:
            for resource_metrics in read_metrics(value):
                resource = self._resource(resource_metrics.resource)
                self._check_resource(rows, message, 0, resource)
                for scope_metrics in resource_metrics.scope_metrics:
                    for metric in scope_metrics.metrics[:]:
                        self._add_metric(rows, resource, metric)
        except BadPoint as error:
            rows.refuse(error)

    def _add_metric(self, rows: "_Rows", resource: "_Resource", metric: Any) -> None:
        """Adds a metric's points; what is wrong with all of them is refused."""
        form = metric.WhichOneof("data")
        data = getattr(metric, form) if form else None
        points = [] if data is None else data.data_points[:]
        if not points:
            return
        try:
            if form == "summary":
                self._add_summary(rows, resource, metric, points)
                return
            family = self._family(resource, metric.name, metric.unit, _kind(metric, form, data))
        except BadPoint as error:
            rows.refuse(error)
            return
        series = self._series(rows, family, points)
        if form in _HISTOGRAMS:
            rows.add_histograms(series, points, _HISTOGRAMS[form])
        else:
            rows.add_numbers(series, points, with_start=family.kind is not Kind.GAUGE)

    def _add_summary(self, rows: "_Rows", resource: "_Resource", metric: Any, points: list[Any]) -> None:
        whole = self._family(resource, metric.name, metric.unit, Kind.HISTOGRAM)
        for point in points:
            rows.add_histograms(self._series(rows, whole, [point]), [point], _summary)
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
                    series = self._series(rows, family, [point])
                    rows.add(series, [point], [quantile.value], with_start=False)

    def _resource(self, raw: bytes) -> "_Resource":
        resource = self._resource_of.get(raw)
        if resource is None:
            resource = self._resource_of[raw] = _Resource(len(self._resource_of), raw, self.table.limits)
            if resource.unusable is None:
                self._resources.add(0, [raw], resource.number)
        return resource

    def _family(self, resource: "_Resource", name: str, unit: str, kind: Kind) -> "_Family":
        """What the points of a metric share; raises BadPoint when it spoils them all."""
        key = (resource.number, name, unit, kind)
        family = self._family_of.get(key)
        if family is None:
            check_size(name, self.table.limits)
            check_size(unit, self.table.limits)
            resource.attributes()
            family = self._family_of[key] = _Family(len(self._family_of), resource, name, unit, kind)
            prefix = resource.number * scan.KINDS + _CODES[kind]
            self._families.add(prefix, [name.encode(), unit.encode()], family.number)
        return family

    def _series(self, rows: "_Rows", family: "_Family", points: list[Any]) -> list[int]:
        """The number of each point's series, −1 for a point that is refused."""
        # Slicing is the fastest way to the items of a repeated field: twice as fast as iterating.
        keys = [(family.number, *point.attributes[:]) for point in points]
        found = list(map(self._number_of.get, keys))
        for place, number in enumerate(found):
            if number is None:
                number = self._number_of.get(keys[place])  # an earlier point of the metric may have brought it
                if number is None:
                    number = self._new_series(rows, family, list(keys[place][1:]))
                    if number >= 0:
                        self._number_of[keys[place]] = number
                found[place] = number
        return cast(list[int], found)

    def _new_series(self, rows: "_Rows", family: "_Family", attributes: list[bytes]) -> int:
        try:
            merged = family.resource.attributes() | point_attributes(attributes, self.table.limits)
            return self.table.append(Series(family.name, family.unit, family.kind, tuple(sorted(merged.values()))))
        except BadPoint as error:
            rows.refuse(error)
            return -1


class _Resource:
    """The attributes of a resource, or why they are ``unusable``."""

    def __init__(self, number: int, raw: bytes, limits: Limits) -> None:
        self.number = number
        self.unusable: BadPoint | None = None
        self._found: Pairs = {}
        try:
            self._found = resource_attributes(raw, limits)
        except BadPoint as error:
            self.unusable = error

    def attributes(self) -> Pairs:
        """Raises BadPoint at each call when they cannot be used."""
        if self.unusable is not None:
            raise BadPoint(self.unusable.reason, self.unusable.detail)
        return self._found


class _Family(NamedTuple):
    """All series of one resource, metric name, unit and kind."""

    number: int
    resource: "_Resource"
    name: str
    unit: str
    kind: Kind


class _Rows:
    """The columns of a batch while it is read: everything as it was sent, good or not, sorted out at the end.

    Rows that were scanned are arrays, the others lists. Each has its message and its place in it: at the end they are
    put into that order.
    """

    def __init__(self) -> None:
        self._scanned: list[tuple[_Arrays, ...]] = []
        self._at = (0, 0)  # message and place of what is being read
        self._messages: list[int] = []
        self._places: list[int] = []
        self._series: list[int] = []  # −1: refused
        self._times: list[int] = []  # nanoseconds
        self._starts: list[int] = []  # 0 where a start time means nothing
        self._values: list[float] = []
        self._recorded: list[bool] = []
        self._histograms: dict[int, HistogramPoint] = {}
        self._refused: dict[tuple[int, str], tuple[int, str]] = {}  # (message, reason) → place, detail of the first

    def begin(self, message: int, place: int) -> None:
        """What comes now stands in this message, at this place."""
        self._at = message, place

    def refuse(self, error: BadPoint) -> None:
        message, place = self._at
        known = self._refused.get((message, error.reason))
        if known is None or place < known[0]:
            self._refused[message, error.reason] = place, error.detail

    def scanned(self, *columns: _Arrays) -> None:
        """Rows: message, place, series, time, start (nanoseconds, 0 = none), value, recorded."""
        self._scanned.append(columns)

    def add(self, series: list[int], points: list[Any], values: list[float], *, with_start: bool) -> None:
        message, place = self._at
        self._messages += [message] * len(points)
        self._places += [place] * len(points)
        self._series += series
        self._times += [point.time_unix_nano for point in points]
        self._starts += [point.start_time_unix_nano if with_start else 0 for point in points]
        self._values += values
        self._recorded += [not point.flags & _NO_RECORDED_VALUE for point in points]

    def add_numbers(self, series: list[int], points: list[Any], *, with_start: bool) -> None:
        first = len(self._series)
        self.add(series, points, [point.as_double or point.as_int for point in points], with_start=with_start)
        for row, point in enumerate(points, first):
            if point.WhichOneof("value") is None:
                self._recorded[row] = False

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

    def columns(self) -> PointColumns:
        message, series, times, starts, values, recorded, order = self._all()
        keep = series >= 0
        dropped = {"no_recorded_value": int((keep & ~recorded).sum())}
        keep &= recorded
        for number in np.unique(message[keep & (times == 0)]).tolist():
            self._refused.setdefault((number, "no_time"), (0, "time_unix_nano is 0; give the time of the measurement"))
        keep &= times != 0
        dropped["not_finite"] = int((keep & ~np.isfinite(values)).sum())
        keep &= np.isfinite(values)
        start_us = (starts[keep] // 1000).astype(np.int64)
        return PointColumns(
            message=message[keep],
            series=series[keep],
            time_us=(times[keep] // 1000).astype(np.int64),
            value=values[keep],
            start_us=start_us if start_us.any() else None,
            histograms=self._kept_histograms(keep, order),
            rejections=self._rejections(set(np.unique(message[keep]).tolist())),
            dropped={reason: number for reason, number in dropped.items() if number},
        )

    def _all(self) -> tuple[_Arrays, ...]:
        """Message, series, time, start, value and recorded of all rows in order, and the rows that these were."""
        read = (self._messages, self._places, self._series, self._times, self._starts, self._values, self._recorded)
        kinds = (np.int32, np.int64, np.int32, np.uint64, np.uint64, np.float64, np.bool_)
        listed: tuple[_Arrays, ...] = tuple(np.array(column, kind) for column, kind in zip(read, kinds, strict=True))
        message, place, *others = (np.concatenate(parts) for parts in zip(listed, *self._scanned, strict=True))
        if len(self._scanned) == 1 and not listed[0].size:
            return message, *others, np.arange(message.size)
        order = np.lexsort((place, message))
        return message[order], *(column[order] for column in others), order

    def _kept_histograms(self, keep: _Arrays, order: _Arrays) -> dict[int, HistogramPoint]:
        if not self._histograms:
            return {}
        kept = order[keep]
        place = {row: at for at, row in enumerate(kept.tolist()) if row in self._histograms}
        return {place[row]: found for row, found in self._histograms.items() if row in place}

    def _rejections(self, alive: set[int]) -> list[Rejection]:
        return [
            Rejection(number, reason, detail, whole=number not in alive)
            for (number, reason), (_, detail) in sorted(self._refused.items())
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
