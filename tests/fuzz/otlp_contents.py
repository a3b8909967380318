"""Does an OTLP request hold nothing? One without a point, a line or a span is good, and nothing becomes of it."""

from collections.abc import Iterator

#: Fields from a request down to what counts: resources, scopes, metrics (their kinds, points), spans, lines.
_LINES_OR_SPANS = ({1}, {2}, {2})
_POINTS = (*_LINES_OR_SPANS, {5, 7, 9, 10, 11}, {1})
PATHS = {
    "otlp_metrics": _POINTS,
    "cloudwatch_otlp": _POINTS,
    "otlp_logs": _LINES_OR_SPANS,
    "otlp_spans": _LINES_OR_SPANS,
}


def holds_nothing(name: str, value: bytes) -> bool:
    """False for what is no OTLP on protobuf's wire, and for other formats."""
    if name not in PATHS:
        return False
    try:
        requests = _requests(value) if name == "cloudwatch_otlp" else [value]
        return not any(_found(request, PATHS[name]) for request in requests)
    except (IndexError, ValueError):
        return False


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
