"""OTLP traces: what the OpenTelemetry collector writes to Kafka, protobuf or JSON, as columns of spans.

Guarantee: the same message gives the same rows, whatever was decoded before. A message that is empty or cannot be
parsed is refused; of any other only the spans that cannot be used, and a damaged resource also without spans. There is
at most one rejection for each message and reason. Spans are read by a compiled scanner (``otlp_span_scan``); JSON and
unusual messages go the slow way through the official classes, to the same rows.
"""

from math import isfinite
from typing import Any

from pipeline.codecs.otlp_attributes import point_attributes, resource_attributes
from pipeline.codecs.otlp_schema import looks_like_json
from pipeline.codecs.otlp_span_scan import scan
from pipeline.codecs.otlp_span_schema import read_key_value, read_traces, read_value
from pipeline.codecs.scanned_spans import ScannedSpans
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.codecs.span_attributes import ERROR_TYPE, NEW_STATUS, NUMBERS, OLD_STATUS, failed
from pipeline.codecs.span_rows import ReadSpan, SpanRows
from pipeline.codecs.span_scan import MOST_KIND, parts_by_number
from pipeline.codecs.span_table import SpanTable

_NO_VALUES = (b"", b"\x0a\x00")  # none, and an empty text


class OtlpSpans(ScannedSpans):
    """Decodes ExportTraceServiceRequest messages."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(SpanTable(limits, resource_attributes, point_attributes), scan)

    def _is_unusual(self, value: bytes) -> bool:
        return looks_like_json(value)

    def _add_slowly(self, rows: SpanRows, message: int, value: bytes) -> None:
        """A message through the official classes."""
        try:
            found = read_traces(value)
        except BadPoint as error:
            rows.refuse(message, 0, error)
            return
        place = 0
        for resource_spans in found:
            self._check_resource(rows, message, place, resource_spans.resource)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    self._add_span(rows, message, place, resource_spans.resource, span)
                    place += 1

    def _add_span(self, rows: SpanRows, message: int, place: int, resource: bytes, span: Any) -> None:
        links = [(link.trace_id, link.span_id) for link in span.links]
        ids = span.trace_id, span.span_id, span.parent_span_id
        read = ReadSpan(*ids, span.start_time_unix_nano, span.end_time_unix_nano, links)
        if wrong := read.wrong():
            rows.refuse_wrong(message, place, wrong)
            return
        try:
            rows.add(message, place, read, *self._shape(resource, span))
        except BadPoint as error:
            rows.refuse(message, place, error)

    def _shape(self, resource: bytes, span: Any) -> tuple[int, bool]:
        """The number of a span's shape, and did it fail?"""
        kind = span.kind if 0 <= span.kind <= MOST_KIND else 0
        attributes: dict[int, bytes] = {}
        values: dict[int, bytes] = {}
        for raw in span.attributes[:]:
            pair = read_key_value(raw)
            number = NUMBERS.get(pair.key, -1)
            if number >= 0 and pair.value not in _NO_VALUES:
                attributes[number], values[number] = raw, pair.value
        http_status = _http_status(values.get(NEW_STATUS) or values.get(OLD_STATUS))
        kind_and_name, parts = parts_by_number(kind, span.name, attributes, values)
        shape = self.table.shape(resource, kind_and_name, parts)
        return shape, failed(span.status.code, kind, http_status, ERROR_TYPE in values)


def _http_status(raw: bytes | None) -> int:
    """The status code in an attribute's value: a number, or a text of three digits; 0 where there is none."""
    if raw is None:
        return 0
    value = read_value(raw)
    status: float = 0
    match value.WhichOneof("value"):
        case "int_value":
            status = value.int_value
        case "double_value":
            status = value.double_value
        case "string_value":
            text = value.string_value
            status = int(text) if len(text) == 3 and text.isascii() and text.isdigit() else 0
    return int(status) if isfinite(status) and 0 <= status < 1000 else 0
