"""Is a message an empty one? A list or an OTLP request without anything in it is good, and nothing becomes of it."""

import re
from collections.abc import Iterator

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

#: Fields from a request down to what counts: resources, scopes, metrics (their kinds, points), spans, lines.
_LINES_OR_SPANS = ({1}, {2}, {2})
_POINTS = (*_LINES_OR_SPANS, {5, 7, 9, 10, 11}, {1})
_OTLP = {
    "otlp_metrics": (_POINTS, ExportMetricsServiceRequest),
    "cloudwatch_otlp": (_POINTS, ExportMetricsServiceRequest),
    "otlp_logs": (_LINES_OR_SPANS, ExportLogsServiceRequest),
    "otlp_spans": (_LINES_OR_SPANS, ExportTraceServiceRequest),
}
_EMPTY_LIST = re.compile(rb'\s*\[\s*\]\s*|.*"(metrics|items|alerts)"\s*:\s*\[\s*\].*', re.DOTALL)


def holds_nothing(name: str, value: bytes) -> bool:
    """False for what cannot be read, too."""
    if name not in _OTLP:
        return _EMPTY_LIST.fullmatch(value) is not None
    path, request = _OTLP[name]
    try:
        if value.lstrip()[:1] == b"{":
            value = Parse(value.decode(errors="replace"), request(), ignore_unknown_fields=True).SerializeToString()
        requests = list(_requests(value)) if name == "cloudwatch_otlp" else [value]
        for each in requests:
            _check_resources(each)
        return not any(_found(each, path) for each in requests)
    except (IndexError, ValueError, ParseError, DecodeError):
        return False


def _check_resources(request: bytes) -> None:
    """Raises DecodeError for a resource that is none; of several where one belongs the last counts."""
    for number, of_resource in _fields(request):
        if number == 1:
            resources = [inside for field, inside in _fields(of_resource) if field == 1]
            Resource.FromString(b"".join(resources[-1:]))


def _found(value: bytes, path: tuple[set[int], ...]) -> bool:
    if not path:
        return True
    return any(_found(inside, path[1:]) for number, inside in _fields(value) if number in path[0])


def _fields(value: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(value):
        tag, place = _varint(value, place)
        match tag & 7:
            case 0:
                _, place = _varint(value, place)
            case 1:
                place += 8
            case 5:
                place += 4
            case 2:
                size, start = _varint(value, place)
                place = start + size
                yield tag >> 3, value[start:place]
            case _:
                raise ValueError
        if place > len(value):
            raise ValueError


def _requests(value: bytes) -> Iterator[bytes]:
    """Each has its length before it; a message may be one request without."""
    if value[:1] == b"\n":
        try:
            list(_fields(value))
        except (IndexError, ValueError):
            pass  # a length that happens to be a line feed
        else:
            yield value
            return
    place = 0
    while place < len(value):
        size, start = _varint(value, place)
        place = start + size
        yield value[start:place]


def _varint(value: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = value[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
