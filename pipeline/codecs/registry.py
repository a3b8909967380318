"""The input formats by name."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.codecs.json_points import JsonPoints
from pipeline.codecs.otlp_metrics import OtlpMetrics
from pipeline.codecs.series_table import Limits, SeriesTable
from pipeline.records import Message, PointColumns


class InputCodec(Protocol):
    """Turns the messages of one input topic into columns; remembers series only to save work."""

    table: SeriesTable

    def decode(self, messages: Sequence[Message]) -> PointColumns: ...


INPUT_CODECS: dict[str, type[JsonPoints] | type[OtlpMetrics]] = {
    "json_points": JsonPoints,
    "otlp_metrics": OtlpMetrics,
}


def input_codec(format_name: str, limits: Limits) -> InputCodec:
    """A new codec for a format named in ``inputs``."""
    return INPUT_CODECS[format_name](limits)
