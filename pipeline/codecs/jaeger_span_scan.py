"""Reads Jaeger's spans straight from the bytes into columns, without an object a span.

Guarantee: of a message that it takes, the row is the one that the slow way gives (jaeger_spans); what it does not take
(damaged or unusual messages) it names. A shape is found as for OTLP (otlp_span_scan).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.codecs.byte_table import Slots, find
from pipeline.codecs.span_attributes import (
    ATTRIBUTES,
    ERROR,
    ERROR_TAG,
    ERROR_TYPE,
    KIND_TAG,
    NEW_STATUS,
    OK,
    OLD_STATUS,
    STATUS,
    STATUS_TAG,
    failed,
)
from pipeline.codecs.span_scan import (
    AT,
    BACKWARDS,
    BAD_LINKS,
    END,
    FAILED,
    FINE,
    ID_BYTES,
    KIND,
    KINDS,
    MESSAGE,
    MOST_PARTS,
    NO_TIME,
    ONE,
    PARENT,
    PARTS,
    RESOURCE_AT,
    RESOURCE_END,
    ROW_COLUMNS,
    SHAPE,
    SIEVE,
    SPAN,
    START,
    TRACE_BYTES,
    TRACE_HIGH,
    TRACE_LOW,
    WRONG,
    ZERO,
    Found,
    id_at,
    number_of,
    parts_of,
    wrong_with,
)
from pipeline.codecs.wire import LENGTH, VARINT, field, varint

#: Seconds since 1970 or of a duration beyond which a time is none.
MOST_SECONDS = 4_000_000_000
_BILLION = 1_000_000_000
_SMALLEST_LINK = 30
_LOW = np.uint64(0xFFFFFFFF)
_KEY_TAG, _TEXT_HEAD = 0x0A, 2
_STRING, _BOOL, _INT64 = range(3)
_CHILD_OF, _FOLLOWS_FROM = range(2)
#: Columns of a place: where a tag begins and ends, what text heads its value, and its type and number.
_BEGIN, _STOP, _VALUE_AT, _TYPE, _NUMBER = range(5)


def scan(data: bytes, sizes: npt.NDArray[np.int64], resources: Slots, shapes: Slots) -> Found:
    """Read messages of these sizes, which stand in ``data`` one after the other."""
    buffer, ends = np.frombuffer(data, np.uint8), np.cumsum(sizes)
    taken = np.zeros(sizes.size, np.bool_)
    rows = np.empty((sizes.size, ROW_COLUMNS), np.int64)
    parts = np.empty((sizes.size, MOST_PARTS, 2), np.int64)
    # Room for as much as there can be; what is not used takes no memory.
    links = np.empty((len(data) // _SMALLEST_LINK + 1, 4), np.uint64)
    read = _read(buffer, ends - sizes, ends, SIEVE, resources, shapes, rows, parts, links, taken)
    return Found(rows[: read[0]], links[: read[1]], parts[: read[0]], taken)


@njit(cache=True, error_model="numpy")
def _read(
    data: Any,
    begins: Any,
    stops: Any,
    sieve: Any,
    resources: Any,
    shapes: Any,
    rows: Any,
    parts: Any,
    links: Any,
    taken: Any,
) -> tuple[int, int]:
    """A row for each message that is taken; how many rows and links there are."""
    places = np.empty((len(ATTRIBUTES), 5), np.int64)
    starts, ends = np.empty(MOST_PARTS, np.int64), np.empty(MOST_PARTS, np.int64)
    of_resource = np.empty((2, 1), np.int64)
    row, count = ZERO, ZERO
    for message in range(begins.size):
        begin, stop = begins[message], stops[message]
        if begin == stop:
            continue
        after, size = _span(data, begin, stop, sieve, rows, row, places, starts, ends, links, count)
        if after < 0:
            continue
        taken[message] = True
        count = after
        rows[row, MESSAGE], rows[row, AT] = message, begin
        shape = -1
        if rows[row, WRONG] == FINE:
            of_resource[0, 0], of_resource[1, 0] = rows[row, RESOURCE_AT], rows[row, RESOURCE_END]
            resource = find(resources, ZERO, data, of_resource[0], of_resource[1], ONE)
            if resource >= 0:
                shape = find(shapes, resource * KINDS + rows[row, KIND], data, starts, ends, size)
            if shape < 0:
                for part in range(size):
                    parts[row, part, 0], parts[row, part, 1] = starts[part], ends[part]
        rows[row, SHAPE], rows[row, PARTS] = shape, size
        row += 1
    return row, count


@njit(cache=True, error_model="numpy")
def _span(
    data: Any,
    begin: int,
    end: int,
    sieve: Any,
    rows: Any,
    row: int,
    places: Any,
    starts: Any,
    ends: Any,
    links: Any,
    count: int,
) -> tuple[int, int]:
    """As otlp_span_scan's: links there are now and parts of the shape; −1 where it is damaged or unusual."""
    trace_high = trace_low = span = np.uint64(0)
    trace_size = span_size = references = seen = ZERO
    start = start_nanos = duration = duration_nanos = ZERO
    name_at = name_end = process_at = process_end = at = begin
    while at < end:
        number, kind, inside, stop = field(data, at, end)
        if stop < 0:
            return -1, 0
        if kind == LENGTH:
            if number == 8:
                slot = _tag(data, inside, stop, sieve, places)
                if slot < -1:
                    return -1, 0
                if slot >= 0:
                    seen |= 1 << slot
            elif number == 1:
                trace_size = stop - inside
                if trace_size == TRACE_BYTES:
                    trace_high, trace_low = id_at(data, inside), id_at(data, inside + ID_BYTES)
            elif number == 2:
                span_size = stop - inside
                if span_size == ID_BYTES:
                    span = id_at(data, inside)
            elif number == 3:
                name_at, name_end = inside, stop
            elif number == 4:
                references += 1
            elif number == 6 or number == 7:
                seconds, nanos = (start, start_nanos) if number == 6 else (duration, duration_nanos)
                seconds, nanos, good = _time(data, inside, stop, seconds, nanos)
                if not good:
                    return -1, 0
                if number == 6:
                    start, start_nanos = seconds, nanos
                else:
                    duration, duration_nanos = seconds, nanos
            elif number == 10:
                process_at, process_end = inside, stop
        at = stop
    parent = np.uint64(0)
    parent_size = bad_links = ZERO
    if references > 0:
        parent_size, parent, count, bad_links = _references(data, begin, end, trace_high, trace_low, links, count, row)
        if parent_size < 0:
            return -1, 0
    wrong = wrong_with(trace_size, trace_high | trace_low, span_size, span, parent_size)
    start_ns = end_ns = ZERO
    if 0 <= start <= MOST_SECONDS and -MOST_SECONDS <= duration <= MOST_SECONDS:
        start_ns = start * _BILLION + start_nanos
        end_ns = start_ns + duration * _BILLION + duration_nanos
    if wrong == FINE and (start_ns <= 0 or end_ns == 0):
        wrong = NO_TIME
    elif wrong == FINE and end_ns < start_ns:
        wrong = BACKWARDS
    span_kind = _kind(data, places) if seen >> KIND_TAG & 1 else ZERO
    failure = _failed(data, places, seen, span_kind)
    size, shape_kind = parts_of(data, span_kind, seen, places, name_at, name_end, starts, ends)
    rows[row, WRONG], rows[row, FAILED], rows[row, BAD_LINKS] = wrong, failure, bad_links
    rows[row, TRACE_HIGH], rows[row, TRACE_LOW] = np.int64(trace_high), np.int64(trace_low)
    rows[row, SPAN], rows[row, PARENT] = np.int64(span), np.int64(parent)
    rows[row, START], rows[row, END], rows[row, KIND] = start_ns, end_ns, shape_kind
    rows[row, RESOURCE_AT], rows[row, RESOURCE_END] = process_at, process_end
    return count, size


@njit(cache=True, error_model="numpy")
def _tag(data: Any, at: int, end: int, sieve: Any, places: Any) -> Any:
    """Note the place of a tag that matters, and say its number; −1 for one that does not matter or is an empty text,
    −2 for an unusual one: a long name, fields that are unknown or in another order than their numbers'."""
    if end - at < 2 or data[at] != _KEY_TAG or data[at + 1] >= 0x80:
        return -2
    key_end = at + 2 + data[at + 1]
    if key_end > end:
        return -2
    slot = number_of(sieve, data, at + 2, key_end)
    if slot < 0:
        return -1
    kind = np.int64(_STRING)
    value = np.int64(0)
    text_at = text_end = end
    before, place = 1, key_end
    while place < end:
        number, wire, inside, stop = field(data, place, end)
        if stop < 0 or number <= before or number > 7:
            return -2
        if number == 2 and wire == VARINT:
            unsigned, _ = varint(data, inside, stop)
            kind = np.int64(unsigned & _LOW)
        elif number == 3 and wire == LENGTH:
            text_at, text_end = inside, stop
        elif (number == 4 or number == 5) and wire == VARINT:
            unsigned, _ = varint(data, inside, stop)
            value = np.int64(unsigned != 0) if kind == _BOOL else np.int64(unsigned)
        elif number < 6:
            return -2
        before, place = number, stop
    if kind == _STRING and (text_at == text_end or text_end < end):
        return -1 if text_at == text_end else -2
    places[slot, _BEGIN], places[slot, _STOP], places[slot, _VALUE_AT] = at, end, text_at - _TEXT_HEAD
    places[slot, _TYPE], places[slot, _NUMBER] = kind, value
    return slot


@njit(cache=True, error_model="numpy")
def _time(data: Any, at: int, end: int, seconds: Any, nanos: Any) -> tuple[Any, Any, bool]:
    """Seconds and nanoseconds of a Timestamp or a Duration; the same as given where it has none."""
    while at < end:
        number, kind, inside, stop = field(data, at, end)
        if stop < 0:
            return seconds, nanos, False
        if kind == VARINT and number == 1:
            value, _ = varint(data, inside, stop)
            seconds = np.int64(value)
        elif kind == VARINT and number == 2:
            value, _ = varint(data, inside, stop)
            nanos = np.int64(np.int32(value & _LOW))
        at = stop
    return seconds, nanos, True


@njit(cache=True, error_model="numpy")
def _references(
    data: Any, begin: int, end: int, trace_high: Any, trace_low: Any, links: Any, count: int, row: int
) -> tuple[int, Any, int, int]:
    """Size and id of the parent, links now and links that are none. The parent is the first reference within the
    trace that is a CHILD_OF, else the first that is a FOLLOWS_FROM; the others are links. A size of −1: damaged."""
    first, chosen_kind, parent, bad = count, _FOLLOWS_FROM + 1, np.uint64(0), 0
    parent_at = -1
    at = begin
    while at < end:
        number, kind, inside, stop = field(data, at, end)
        if number == 4 and kind == LENGTH:
            high, low, span, reference, good = _reference(data, inside, stop)
            if not good:
                return -1, parent, count, bad
            if high | low == 0 or span == 0:
                bad += 1
            else:
                links[count, 0], links[count, 1], links[count, 2], links[count, 3] = np.uint64(row), high, low, span
                if high == trace_high and low == trace_low and 0 <= reference < chosen_kind:
                    chosen_kind, parent_at, parent = reference, count, span
                count += 1
        at = stop
    if parent_at < 0:
        return 0, parent, count, bad
    for link in range(max(parent_at, first), count - 1):
        links[link] = links[link + 1]
    return ID_BYTES, parent, count - 1, bad


@njit(cache=True, error_model="numpy")
def _reference(data: Any, at: int, end: int) -> tuple[Any, Any, Any, Any, bool]:
    """Trace, span and type of a reference; ids are 0 where they are not of their length."""
    high = low = span = np.uint64(0)
    reference = np.int64(_CHILD_OF)
    while at < end:
        number, kind, inside, stop = field(data, at, end)
        if stop < 0:
            return high, low, span, reference, False
        if kind == LENGTH and number == 1:
            good = stop - inside == TRACE_BYTES
            high = id_at(data, inside) if good else np.uint64(0)
            low = id_at(data, inside + ID_BYTES) if good else np.uint64(0)
        elif kind == LENGTH and number == 2:
            span = id_at(data, inside) if stop - inside == ID_BYTES else np.uint64(0)
        elif kind == VARINT and number == 3:
            value, _ = varint(data, inside, stop)
            reference = np.int64(value & _LOW)
        at = stop
    return high, low, span, reference, True


@njit(cache=True, error_model="numpy")
def _kind(data: Any, places: Any) -> int:
    """OpenTelemetry's number of a kind given by name, of which the first letter says enough."""
    at, end = places[KIND_TAG, _VALUE_AT] + _TEXT_HEAD, places[KIND_TAG, _STOP]
    if places[KIND_TAG, _TYPE] != _STRING:
        return 0
    if _is(data, at, end, b"internal"):
        return 1
    if _is(data, at, end, b"server"):
        return 2
    if _is(data, at, end, b"client"):
        return 3
    if _is(data, at, end, b"producer"):
        return 4
    return 5 if _is(data, at, end, b"consumer") else 0


@njit(cache=True, error_model="numpy")
def _is(data: Any, at: int, end: int, text: bytes) -> bool:
    """Is it this text, in small or capital letters?"""
    if end - at != len(text):
        return False
    for i in range(len(text)):  # noqa: SIM110 (compiled)
        if data[at + i] | 0x20 != text[i]:
            return False
    return True


@njit(cache=True, error_model="numpy")
def _failed(data: Any, places: Any, seen: Any, kind: int) -> bool:
    """Did the span fail? The tag ``error`` says so before the others."""
    code, http_status, error_type = ZERO, ZERO, False
    if seen >> STATUS_TAG & 1 and places[STATUS_TAG, _TYPE] == _STRING:
        at, end = places[STATUS_TAG, _VALUE_AT] + _TEXT_HEAD, places[STATUS_TAG, _STOP]
        code = OK if _is(data, at, end, b"ok") else ERROR if _is(data, at, end, b"error") else 0
    if seen >> ERROR_TAG & 1:
        at, end = places[ERROR_TAG, _VALUE_AT] + _TEXT_HEAD, places[ERROR_TAG, _STOP]
        true = places[ERROR_TAG, _TYPE] == _BOOL and places[ERROR_TAG, _NUMBER] != 0
        if true or (places[ERROR_TAG, _TYPE] == _STRING and _is(data, at, end, b"true")):
            code = ERROR
    if seen & STATUS:
        slot = NEW_STATUS if seen >> NEW_STATUS & 1 else OLD_STATUS
        if places[slot, _TYPE] == _INT64:
            http_status = places[slot, _NUMBER] if 0 <= places[slot, _NUMBER] < 1000 else 0
        elif places[slot, _TYPE] == _STRING:
            http_status = _digits(data, places[slot, _VALUE_AT] + _TEXT_HEAD, places[slot, _STOP])
    if seen >> ERROR_TYPE & 1:
        error_type = True
    return failed(code, kind, http_status, error_type)


@njit(cache=True, error_model="numpy")
def _digits(data: Any, at: int, end: int) -> Any:
    """The number that a text of three digits is, 0 for any other."""
    value = np.int64(0)
    if end - at != 3:
        return value
    for i in range(at, end):
        if not 0x30 <= data[i] <= 0x39:
            return np.int64(0)
        value = 10 * value + data[i] - 0x30
    return value
