"""The input formats by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pipeline.codecs.changes import Changes
from pipeline.codecs.cloudwatch_json import CloudwatchJson
from pipeline.codecs.cloudwatch_otlp import CloudwatchOtlp
from pipeline.codecs.events import Events
from pipeline.codecs.fluent_bit import FluentBit
from pipeline.codecs.influx_line import InfluxLine
from pipeline.codecs.jaeger_spans import JaegerSpans
from pipeline.codecs.json_points import JsonPoints
from pipeline.codecs.otlp_logs import OtlpLogs
from pipeline.codecs.otlp_metrics import OtlpMetrics
from pipeline.codecs.otlp_spans import OtlpSpans
from pipeline.codecs.plain_text import PlainText
from pipeline.codecs.prometheus_json import PrometheusJson
from pipeline.codecs.series_table import Limits, SeriesTable
from pipeline.codecs.telegraf_json import TelegrafJson
from pipeline.records import (
    DecodedChanges,
    DecodedEvents,
    LineColumns,
    Message,
    PointColumns,
    Resources,
    SpanColumns,
    SpanShape,
)
from pipeline.records.signal import Attributes


class InputCodec(Protocol):
    """Turns the messages of one input topic into columns; remembers series only to save work."""

    table: SeriesTable

    def decode(self, messages: Sequence[Message]) -> PointColumns: ...


INPUT_CODECS: Mapping[str, Callable[[Limits], InputCodec]] = {
    "json_points": JsonPoints,
    "otlp_metrics": OtlpMetrics,
    "prometheus_json": PrometheusJson,
    "influx_line": InfluxLine,
    "telegraf_json": TelegrafJson,
    "cloudwatch_json": CloudwatchJson,
    "cloudwatch_otlp": CloudwatchOtlp,
}


def input_codec(format_name: str, limits: Limits) -> InputCodec:
    """A new codec for a format named in ``inputs``."""
    return INPUT_CODECS[format_name](limits)


class LineCodec(Protocol):
    """Turns the messages of one topic of logs into lines. A number of a resource holds until ``generation`` changes."""

    @property
    def resources(self) -> list[Attributes]: ...

    @property
    def generation(self) -> int: ...

    def forget_soon(self) -> None: ...

    def decode(self, messages: Sequence[Message]) -> LineColumns: ...


LINE_CODECS: Mapping[str, Callable[[Limits], LineCodec]] = {
    "otlp_logs": OtlpLogs,
    "fluent_bit": FluentBit,
    "plain_text": PlainText,
}


def line_codec(format_name: str, limits: Limits) -> LineCodec:
    """A new codec for a format of logs."""
    return LINE_CODECS[format_name](limits)


class SpanCodec(Protocol):
    """Turns the messages of one topic of traces into spans. Numbers of resources and shapes hold until ``generation``
    changes."""

    @property
    def resources(self) -> Resources: ...

    @property
    def shapes(self) -> list[SpanShape]: ...

    @property
    def generation(self) -> int: ...

    def forget_soon(self) -> None: ...

    def decode(self, messages: Sequence[Message]) -> SpanColumns: ...


SPAN_CODECS: Mapping[str, Callable[[Limits], SpanCodec]] = {
    "otlp_spans": OtlpSpans,
    "jaeger_spans": JaegerSpans,
}


def span_codec(format_name: str, limits: Limits) -> SpanCodec:
    """A new codec for a format of traces."""
    return SPAN_CODECS[format_name](limits)


class HappeningCodec(Protocol):
    """Turns the messages of one topic into events or changes; remembers nothing."""

    def decode(self, messages: Sequence[Message]) -> DecodedEvents | DecodedChanges: ...


HAPPENING_CODECS: Mapping[str, Callable[[Limits], HappeningCodec]] = {"events": Events, "changes": Changes}


def happening_codec(format_name: str, limits: Limits) -> HappeningCodec:
    """A new codec for events or changes."""
    return HAPPENING_CODECS[format_name](limits)
