"""CloudWatch Metric Streams in the OpenTelemetry 1.0 format: summaries, with the length before each request.

Guarantee: gives the same series, values and times as the JSON format of the same stream. A message is used whole or
refused whole, except that single metrics and points may be refused. A damaged resource is refused also where it has no
points.

Requests that stand one after the other, lengths taken out, are one request: protobuf joins repeated fields.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from pipeline.codecs.cloudwatch_names import Metric, metric_of
from pipeline.codecs.cloudwatch_rows import CloudwatchRows, KnownMetrics
from pipeline.codecs.json_records import BAD_JSON
from pipeline.codecs.otlp_attributes import point_attributes, resource_attributes
from pipeline.codecs.otlp_schema import looks_like_json, read_metrics
from pipeline.codecs.resource_table import ResourceTable
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Message, PointColumns
from pipeline.records.signal import Attributes

#: More quantiles than anybody looks at; each is a series.
MAX_QUANTILES = 32
#: A resource, name and unit, and the point's attributes as sent.
_Key = tuple[bytes, str, str, tuple[bytes, ...]]

_PREFIX = "amazonaws.com/"
_REQUEST = b"\n"  # what a request begins with: the tag of resource_metrics
_NO_RECORDED_VALUE = 1  # the bit in a point's flags
_QUANTILE_NAMES = {0.0: "min", 1.0: "max"}
_dimensions = msgspec.json.Decoder(dict[str, str])


class CloudwatchOtlp:
    """Decodes Metric Streams' ``opentelemetry1.0`` output format."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._metrics: KnownMetrics[_Key] = KnownMetrics(limits, self._read_metric)
        self._resources: ResourceTable[bytes] = ResourceTable(limits, self._read_resource, len)
        self.table = self._metrics.table

    def decode(self, messages: Sequence[Message]) -> PointColumns:
        """Columns of all statistics that are taken."""
        found = self._metrics.begin_batch()
        self._resources.begin_batch()
        for number, message in enumerate(messages):
            try:
                for resource_metrics in read_metrics(_joined(message.value)):
                    self._add_resource(resource_metrics, number, found)
            except BadPoint as error:
                found.rows.refuse(number, error)
        return found.columns()

    def _add_resource(self, resource_metrics: Any, message: int, found: CloudwatchRows) -> None:
        try:
            self._resources.number(resource_metrics.resource)
        except BadPoint as error:
            found.rows.refuse(message, error)
            return
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics[:]:
                self._add(resource_metrics.resource, metric, message, found)

    def _read_resource(self, raw: bytes) -> Attributes:
        return tuple(resource_attributes(raw, self._limits).values())

    def _add(self, resource: bytes, metric: Any, message: int, found: CloudwatchRows) -> None:
        if metric.WhichOneof("data") != "summary":
            found.rows.refuse(message, _foreign(metric.name))
            return
        for point in metric.summary.data_points[:]:
            try:
                self._add_point(resource, metric, point, message, found)
            except BadPoint as error:
                found.rows.refuse(message, error)

    def _add_point(self, resource: bytes, metric: Any, point: Any, message: int, found: CloudwatchRows) -> None:
        if point.flags & _NO_RECORDED_VALUE:
            found.rows.dropped["no_recorded_value"] += 1
            return
        if not point.time_unix_nano:
            raise BadPoint("no_time", "time_unix_nano is 0; give the end of the minute")
        if len(point.quantile_values) > MAX_QUANTILES:
            raise BadPoint("bad_quantile", f"a summary may have at most {MAX_QUANTILES} quantiles")
        known = self._metrics.find((resource, metric.name, metric.unit, tuple(point.attributes[:])))
        statistics = [(_quantile_name(one.quantile), one.value) for one in point.quantile_values[:]]
        start_us, end_us = point.start_time_unix_nano // 1000, point.time_unix_nano // 1000
        found.add(known, message, start_us, end_us, point.sum, point.count, statistics)

    def _read_metric(self, key: _Key) -> Metric:
        resource, full_name, unit, raw = key
        of_resource, of_point = resource_attributes(resource, self._limits), point_attributes(raw, self._limits)
        namespace, name, dimensions, account, region = (
            pairs[attribute][1] if attribute in pairs else ""
            for pairs, attribute in (
                (of_point, "Namespace"),
                (of_point, "MetricName"),
                (of_point, "Dimensions"),
                (of_resource, "cloud.account.id"),
                (of_resource, "cloud.region"),
            )
        )
        if not name or full_name != f"{_PREFIX}{namespace}/{name}":
            raise _foreign(full_name)
        try:
            by_name = _dimensions.decode(dimensions) if dimensions else {}
        except BAD_JSON as error:
            raise BadPoint("bad_attributes", f"Dimensions must be texts by name: {error}"[:300]) from None
        return metric_of(namespace, name, unit, by_name, account, region)


def _foreign(name: str) -> BadPoint:
    detail = f"{name[:64]!r} is no summary of CloudWatch ({_PREFIX}…); other metrics belong on a topic of otlp_metrics"
    return BadPoint("bad_name", detail)


def _quantile_name(quantile: float) -> str:
    """As the JSON format calls it: ``min``, ``max``, ``p99.9``."""
    if not 0 <= quantile <= 1:
        raise BadPoint("bad_quantile", f"a summary's quantile is {quantile}; it must be from 0 to 1")
    return _QUANTILE_NAMES.get(quantile) or f"p{quantile * 100:.10g}"


def _joined(value: bytes | None) -> bytes | None:
    """The requests without the lengths before them; the message as it is where it has none. Raises BadPoint."""
    if not value:
        return value
    parts: list[bytes] = []
    at = 0
    while at < len(value):
        length, at = _varint(value, at)
        if not 0 < length <= len(value) - at:
            return _without_length(value)
        parts.append(value[at : at + length])
        at += length
    return b"".join(parts)


def _without_length(value: bytes) -> bytes:
    """One request. Protobuf would take much else for one, with fields that it does not know."""
    if value.startswith(_REQUEST) or looks_like_json(value):
        return value
    raise BadPoint("undecodable", "neither requests with their lengths before them nor a request; was it cut off?")


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """The unsigned number at a place, and the place after it; 0 where there is none of at most 32 bits."""
    number = 0
    for shift in range(0, 35, 7):
        if at >= len(value):
            break
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    return 0, at
