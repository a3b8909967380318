"""OTLP messages as they arrive, and decoded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from pipeline.codecs.otlp_encode import metrics_request, resource_metrics
from pipeline.codecs.otlp_metrics import OtlpMetrics
from pipeline.codecs.series_table import Limits
from pipeline.records import PointColumns, Series

T = 1_700_000_000_000_000
NANO = T * 1000
CHECKOUT: Mapping[str, Any] = {"service.name": "checkout"}
DELTA, CUMULATIVE = 1, 2
FORMS = ["gauge", "sum", "histogram", "exponential_histogram", "summary"]


@dataclass(frozen=True)
class Sent:
    value: bytes | None
    key: bytes | None = None
    offset: int = 0
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def decode(*values: bytes | None, codec: OtlpMetrics | None = None) -> tuple[PointColumns, list[Series]]:
    """Columns, and the series of each row."""
    codec = codec or OtlpMetrics(Limits())
    columns = codec.decode([Sent(value) for value in values])
    return columns, [codec.table.series[number] for number in columns.series.tolist()]


def of_metric(metric: Metric, attributes: Mapping[str, Any] = CHECKOUT) -> bytes:
    return metrics_request(resource_metrics(attributes, [metric]))


def with_point(form: str, **fields: Any) -> Metric:
    """A metric of any form with one point at T."""
    metric = Metric(name="m")
    getattr(metric, form).data_points.add(**{"time_unix_nano": NANO, **fields})
    if form not in ("gauge", "summary"):
        getattr(metric, form).aggregation_temporality = CUMULATIVE
    return metric
