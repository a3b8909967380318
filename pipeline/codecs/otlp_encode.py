"""Builds OTLP metrics from plain Python values, as an OpenTelemetry SDK would send them.

Guarantee: the bytes are a valid ExportMetricsServiceRequest. An int value is written as an int, any other number as a
double; times are microseconds since the epoch.
"""

from collections.abc import Iterable, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

Scalar = str | bool | int | float
Attributes = Mapping[str, Scalar | list[Scalar]]
#: Event time in microseconds, value, attributes of the point.
Point = tuple[int, float, Attributes]


def metrics_request(*resources: ResourceMetrics) -> bytes:
    """The value of a message on ``otlp_metrics``."""
    return MetricsData(resource_metrics=resources).SerializeToString()


def resource_metrics(attributes: Attributes, metrics: Iterable[Metric]) -> ResourceMetrics:
    """The metrics of one resource (a process, a pod, a host)."""
    resource = Resource(attributes=key_values(attributes))
    return ResourceMetrics(resource=resource, scope_metrics=[ScopeMetrics(metrics=metrics)])


def gauge(name: str, points: Iterable[Point], unit: str = "") -> Metric:
    """A value as it is now."""
    return Metric(name=name, unit=unit, gauge=Gauge(data_points=[_number(point, 0) for point in points]))


def cumulative_sum(
    name: str, points: Iterable[Point], start_us: int, unit: str = "", *, monotonic: bool = True
) -> Metric:
    """A total since ``start_us``; a counter when monotonic, else a level such as connections in use."""
    total = Sum(
        data_points=[_number(point, start_us) for point in points],
        aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE,
        is_monotonic=monotonic,
    )
    return Metric(name=name, unit=unit, sum=total)


def key_values(attributes: Attributes) -> list[KeyValue]:
    """Attributes in OTLP's form, in the order given."""
    return [KeyValue(key=name, value=_any_value(value)) for name, value in attributes.items()]


def _number(point: Point, start_us: int) -> NumberDataPoint:
    time_us, value, attributes = point
    made = NumberDataPoint(
        time_unix_nano=time_us * 1000, start_time_unix_nano=start_us * 1000, attributes=key_values(attributes)
    )
    if isinstance(value, int):
        made.as_int = value
    else:
        made.as_double = value
    return made


def _any_value(value: Scalar | list[Scalar]) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[_any_value(one) for one in value]))
