"""Jaeger's spans: what Jaeger v1 writes to its topic ``jaeger-spans``, one span a message, as columns of spans.

Guarantee: the same message gives the same row, whatever was decoded before. A message that cannot be used is refused
with one reason. Protobuf (Jaeger's default) is read by a compiled scanner (``jaeger_span_scan``), JSON and unusual
messages go the slow way, to the same rows.

A process is a resource: its service is ``service.name``, its tags are attributes; those that Jaeger's clients made up
have OpenTelemetry's names. Kind and status are tags, as OpenTelemetry's exporters and OpenTracing write them.
"""

import base64
from collections.abc import Sequence
from typing import Any

from pipeline.codecs import jaeger_schema as schema
from pipeline.codecs.jaeger_span_scan import MOST_SECONDS, scan
from pipeline.codecs.otlp_attributes import Pairs, check_size
from pipeline.codecs.scanned_spans import ScannedSpans
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.codecs.span_attributes import (
    ERROR,
    ERROR_TAG,
    ERROR_TYPE,
    KIND_TAG,
    NEW_STATUS,
    NUMBERS,
    OK,
    OLD_STATUS,
    STATUS_TAG,
    failed,
)
from pipeline.codecs.span_rows import ReadSpan, SpanRows
from pipeline.codecs.span_scan import parts_by_number
from pipeline.codecs.span_table import SpanTable
from pipeline.records import SpanKind

_NAMES = {"hostname": "host.name", "client-uuid": "service.instance.id"}
_KINDS = {kind.name.lower().encode(): int(kind) for kind in SpanKind if kind}
_CODES = {b"ok": OK, b"error": ERROR}
_BILLION = 1_000_000_000


class JaegerSpans(ScannedSpans):
    """Decodes ``jaeger.api_v2.Span`` messages."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(SpanTable(limits, process_attributes, tag_attributes), scan)

    def _add_slowly(self, rows: SpanRows, message: int, value: bytes) -> None:
        """A message through the classes."""
        try:
            span = schema.read_span(value)
            read = _read(span)
            if wrong := read.wrong():
                rows.refuse_wrong(message, 0, wrong)
            else:
                rows.add(message, 0, read, *self._shape(span))
        except BadPoint as error:
            rows.refuse(message, 0, error)

    def _shape(self, span: Any) -> tuple[int, bool]:
        """The number of a span's shape, and did it fail?"""
        raws: dict[int, bytes] = {}
        tags: dict[int, Any] = {}
        for raw in span.tags[:]:
            if _matters(raw):
                tag = schema.read_tag(raw)
                number = NUMBERS.get(tag.key, -1)
                if number >= 0 and (tag.v_type != schema.STRING or tag.v_str):
                    raws[number], tags[number] = raw, tag
        kind = _KINDS.get(_word(tags.get(KIND_TAG)), 0)
        headed = {number: b"\x1a " + _string(tag) for number, tag in tags.items()}
        kind_and_name, parts = parts_by_number(kind, span.operation_name, raws, headed)
        return self.table.shape(span.process, kind_and_name, parts), _failed(kind, tags)


def process_attributes(raw: bytes, limits: Limits) -> Pairs:
    """What a serialised process says about itself."""
    process = schema.read_process(raw)
    found = tag_attributes(process.tags[:], limits)
    if process.service_name:
        found["service.name"] = "service.name", _utf8(process.service_name, limits)
    return found


def tag_attributes(raw: Sequence[bytes], limits: Limits) -> Pairs:
    """The attributes given as serialised tags."""
    if len(raw) > limits.max_attributes:
        raise BadPoint("too_many_attributes", f"{len(raw)} tags; at most {limits.max_attributes} are taken")
    found: Pairs = {}
    for one in raw:
        tag = schema.read_tag(one)
        text = _text(tag, limits)
        if text:
            name = _utf8(tag.key, limits)
            name = _NAMES.get(name, name)
            found[name] = name, text
    return found


def _text(tag: Any, limits: Limits) -> str:
    match tag.v_type:
        case schema.STRING:
            return _utf8(tag.v_str, limits)
        case schema.BOOL:
            return "true" if tag.v_bool else "false"
        case schema.INT64:
            return str(tag.v_int64)
        case schema.FLOAT64:
            return repr(tag.v_float64)
        case schema.BINARY:
            text = base64.b64encode(tag.v_binary).decode()
            check_size(text, limits)
            return text
        case _:
            return ""


def _utf8(raw: bytes, limits: Limits) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadPoint("bad_attributes", f"the tags of a span are not Jaeger's (texts are UTF-8): {error}") from None
    check_size(text, limits)
    return text


def _matters(raw: bytes) -> bool:
    """Can it be a tag that matters? Those that begin with another key are not looked at."""
    usual = len(raw) >= 2 and raw[0] == 0x0A and raw[1] < 0x80 and len(raw) >= 2 + raw[1]
    return not usual or raw[2 : 2 + raw[1]] in NUMBERS


def _read(span: Any) -> ReadSpan:
    """The parent is the first reference within the trace that is a CHILD_OF, else the first that is a FOLLOWS_FROM; the
    others are links."""
    parent = b""
    links = [(one.trace_id, one.span_id) for one in span.references]
    for wanted in (schema.CHILD_OF, schema.FOLLOWS_FROM):
        for place, one in enumerate(span.references):
            good = len(one.span_id) == 8 and any(one.span_id)
            if not parent and one.ref_type == wanted and good and one.trace_id == span.trace_id:
                parent = one.span_id
                del links[place]
    seconds, duration = span.start_time.seconds, span.duration.seconds
    start = end = 0
    if 0 <= seconds <= MOST_SECONDS and -MOST_SECONDS <= duration <= MOST_SECONDS:
        start = max(seconds * _BILLION + span.start_time.nanos, 0)
        end = start + duration * _BILLION + span.duration.nanos
    return ReadSpan(span.trace_id, span.span_id, parent, start, end, links)


def _failed(kind: int, tags: dict[int, Any]) -> bool:
    """Did the span fail? The tag ``error`` says so before the others."""
    code, http_status = _CODES.get(_word(tags.get(STATUS_TAG)), 0), 0
    if (error := tags.get(ERROR_TAG)) is not None and (
        _word(error) == b"true" or (error.v_type == schema.BOOL and error.v_bool)
    ):
        code = ERROR
    status = tags.get(NEW_STATUS) or tags.get(OLD_STATUS)
    if status is not None:
        text = _string(status)
        if status.v_type == schema.INT64 and 0 <= status.v_int64 < 1000:
            http_status = status.v_int64
        elif len(text) == 3 and text.isdigit():
            http_status = int(text)
    return failed(code, kind, http_status, ERROR_TYPE in tags)


def _string(tag: Any) -> bytes:
    return tag.v_str if tag is not None and tag.v_type == schema.STRING else b""


def _word(tag: Any) -> bytes:
    """A text in small letters."""
    return _string(tag).lower()
