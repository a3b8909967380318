"""Reads the spans of OTLP traces straight from the bytes into columns, without an object a span.

Guarantee: of a message that it takes, rows are those that the official parser gives, in order; what it does not take
(damaged or unusual messages) it names, for the slow way. A shape is found by the bytes of its resource, kind, name and
chosen attributes (see span_attributes); one that is not known yet has the number −1 and its parts are told.

Choice: as for metrics (otlp_scan), the walk is compiled. Attributes that do not matter, events and texts that nobody
reads are passed over.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.codecs.byte_table import Slots, find
from pipeline.codecs.span_attributes import ATTRIBUTES, ERROR_TYPE, NEW_STATUS, OLD_STATUS, STATUS, failed
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
    MOST_KIND,
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
from pipeline.codecs.wire import FIXED64, LENGTH, VARINT, field, fixed64, varint

#: Columns of a group, the spans of one scope: message, where its resource and it begin and end, and the number of the
#: resource (−1: not known). A resource without scopes has an empty one, so that it is seen.
_GROUP_MESSAGE, _GROUP_RESOURCE_AT, _GROUP_RESOURCE_END, _GROUP_AT, _GROUP_END, _GROUP_RESOURCE = range(6)
_GROUP_COLUMNS = 6
_SMALLEST = 2  # bytes of a scope, with tag and length
_SMALLEST_LINK = 30


_LOW = np.uint64(0xFFFFFFFF)
#: First bytes of fields that an attribute usually has: its key, its value; and of values: a text, a whole number.
_KEY_TAG, _VALUE_TAG, _TEXT_TAG, _INTEGER_TAG = 0x0A, 0x12, 0x0A, 0x18


def scan(data: bytes, sizes: npt.NDArray[np.int64], resources: Slots, shapes: Slots) -> Found:
    """Read messages of these sizes, which stand in ``data`` one after the other."""
    buffer, ends = np.frombuffer(data, np.uint8), np.cumsum(sizes)
    taken = np.ones(sizes.size, np.bool_)
    # Room for as much as there can be; what is not used takes no memory.
    groups = np.empty((len(data) // _SMALLEST + 1, _GROUP_COLUMNS), np.int64)
    size, spans = _locate(buffer, ends - sizes, ends, groups, taken)
    rows = np.empty((spans, ROW_COLUMNS), np.int64)
    parts = np.empty((spans, MOST_PARTS, 2), np.int64)
    links = np.empty((len(data) // _SMALLEST_LINK + 1, 4), np.uint64)
    rows_read, links_read = _read(buffer, groups[:size], SIEVE, resources, shapes, rows, parts, links, taken)
    return Found(rows[:rows_read], links[:links_read], parts[:rows_read], taken, _unknown(groups[:size], taken))


def _unknown(groups: npt.NDArray[np.int64], taken: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Message, begin and end of the resources that are not known, of the messages that are taken."""
    groups = groups[taken[groups[:, _GROUP_MESSAGE]]]
    there = groups[:, _GROUP_RESOURCE_END] > groups[:, _GROUP_RESOURCE_AT]
    unknown = groups[there & (groups[:, _GROUP_RESOURCE] < 0)]
    return unknown[:, [_GROUP_MESSAGE, _GROUP_RESOURCE_AT, _GROUP_RESOURCE_END]]


@njit(cache=True, error_model="numpy")
def _locate(data: Any, starts: Any, ends: Any, groups: Any, taken: Any) -> tuple[int, int]:
    """Where the spans of each scope are; how many scopes and spans there are."""
    count, spans = ZERO, ZERO
    for message in range(starts.size):
        at, end, seen, before = starts[message], ends[message], False, count
        while at < end:
            number, kind, begin, stop = field(data, at, end)
            if stop < 0:
                break
            if number == 1 and kind == LENGTH:
                seen = True
                count, more = _locate_of_resource(data, begin, stop, message, groups, count)
                if count < 0:
                    break
                spans += more
            at = stop
        if at < end or not seen:
            taken[message] = False
            count = before
    return count, spans


@njit(cache=True, error_model="numpy")
def _locate_of_resource(data: Any, begin: int, end: int, message: int, groups: Any, count: int) -> tuple[int, int]:
    """Add the scopes of one resource; −1 where something is damaged."""
    resource_at = resource_end = begin
    first, at, spans = count, begin, 0
    while at < end:
        number, kind, inside, stop = field(data, at, end)
        if stop < 0:
            return -1, 0
        if kind == LENGTH and number == 1:
            resource_at, resource_end = inside, stop
        elif kind == LENGTH and number == 2:
            more = _count(data, inside, stop)
            if more < 0:
                return -1, 0
            spans += more
            groups[count, _GROUP_MESSAGE], groups[count, _GROUP_AT], groups[count, _GROUP_END] = message, inside, stop
            count += 1
        at = stop
    if count == first and resource_end > resource_at:
        groups[count, _GROUP_MESSAGE], groups[count, _GROUP_AT], groups[count, _GROUP_END] = message, end, end
        count += 1
    for group in range(first, count):
        groups[group, _GROUP_RESOURCE_AT], groups[group, _GROUP_RESOURCE_END] = resource_at, resource_end
    return count, spans


@njit(cache=True, error_model="numpy")
def _count(data: Any, at: int, end: int) -> int:
    """How many spans a scope has, −1 where it is damaged."""
    spans = 0
    while at < end:
        number, kind, _, stop = field(data, at, end)
        if stop < 0:
            return -1
        if number == 2 and kind == LENGTH:
            spans += 1
        at = stop
    return spans


@njit(cache=True, error_model="numpy")
def _read(
    data: Any, groups: Any, sieve: Any, resources: Any, shapes: Any, rows: Any, parts: Any, links: Any, taken: Any
) -> tuple[int, int]:
    """The spans of all groups; how many rows and links there are."""
    places = np.empty((len(ATTRIBUTES), 3), np.int64)
    starts, ends = np.empty(MOST_PARTS, np.int64), np.empty(MOST_PARTS, np.int64)
    row, count, resource, resource_at = ZERO, ZERO, -ONE, -ONE
    for group in range(len(groups)):
        message = groups[group, _GROUP_MESSAGE]
        if not taken[message]:
            continue
        if groups[group, _GROUP_RESOURCE_AT] != resource_at:
            resource_at = starts[0] = groups[group, _GROUP_RESOURCE_AT]
            ends[0] = groups[group, _GROUP_RESOURCE_END]
            resource = find(resources, ZERO, data, starts, ends, ONE)
        groups[group, _GROUP_RESOURCE] = resource
        at, end = groups[group, _GROUP_AT], groups[group, _GROUP_END]
        while at < end:
            number, kind, inside, stop = field(data, at, end)
            if number == 2 and kind == LENGTH:
                after, size = _span(data, inside, stop, sieve, rows, row, places, starts, ends, links, count)
                if after < 0:
                    taken[message] = False
                    break
                count = after
                rows[row, MESSAGE], rows[row, AT] = message, inside
                rows[row, RESOURCE_AT], rows[row, RESOURCE_END] = resource_at, groups[group, _GROUP_RESOURCE_END]
                shape = -1
                if rows[row, WRONG] == FINE:
                    if resource >= 0:
                        shape = find(shapes, resource * KINDS + rows[row, KIND], data, starts, ends, size)
                    if shape < 0:
                        for part in range(size):
                            parts[row, part, 0], parts[row, part, 1] = starts[part], ends[part]
                rows[row, SHAPE], rows[row, PARTS] = shape, size
                row += 1
            at = stop
    return row, count


@njit(cache=True, error_model="numpy")
def _span(
    data: Any,
    at: int,
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
    """Read one span into a row, its links after the others, and the places of what makes its shape.

    How many links there are now and of how many parts the shape is made; −1 where it is damaged or unusual. Long, for
    it is one walk over one span.
    """
    trace_high = trace_low = span = parent = start_ns = end_ns = np.uint64(0)
    trace_size = span_size = parent_size = bad_links = code = ZERO
    span_kind = seen = http_status = ZERO
    name_at = name_end = at
    while at < end:
        number, kind, inside, stop = field(data, at, end)
        if stop < 0:
            return -1, 0
        if kind == LENGTH:
            if number == 9:
                key_end, value_at = _attribute(data, inside, stop)
                if value_at < 0:
                    return -1, 0
                if value_at < stop:
                    slot = number_of(sieve, data, inside + 2, key_end)
                    if slot >= 0:
                        places[slot, 0], places[slot, 1], places[slot, 2] = inside, stop, value_at
                        seen |= 1 << slot
            elif number == 1:
                trace_size = stop - inside
                if trace_size == TRACE_BYTES:
                    trace_high, trace_low = id_at(data, inside), id_at(data, inside + ID_BYTES)
            elif number == 2:
                span_size = stop - inside
                if span_size == ID_BYTES:
                    span = id_at(data, inside)
            elif number == 4:
                parent_size = stop - inside
                parent = id_at(data, inside) if parent_size == ID_BYTES else np.uint64(0)
            elif number == 5:
                name_at, name_end = inside, stop
            elif number == 13:
                added = _link(data, inside, stop, links, count, row)
                if added < 0:
                    return -1, 0
                count += added
                bad_links += 1 - added
            elif number == 15:
                code = _status(data, inside, stop, code)
                if code < 0:
                    return -1, 0
        elif kind == FIXED64:
            if number == 7:
                start_ns = fixed64(data, inside)
            elif number == 8:
                end_ns = fixed64(data, inside)
        elif kind == VARINT and number == 6:
            value, _ = varint(data, inside, stop)
            span_kind = np.int64(value & _LOW)
            if span_kind > MOST_KIND:
                span_kind = ZERO
        at = stop
    wrong = wrong_with(trace_size, trace_high | trace_low, span_size, span, parent_size)
    if wrong == FINE and (start_ns == 0 or end_ns == 0):
        wrong = NO_TIME
    elif wrong == FINE and end_ns < start_ns:
        wrong = BACKWARDS
    if seen & STATUS:
        slot = NEW_STATUS if seen >> NEW_STATUS & 1 else OLD_STATUS
        http_status = _http_status(data, places[slot, 2], places[slot, 1])
        if http_status < 0:
            return -1, 0
    size, shape_kind = parts_of(data, span_kind, seen, places, name_at, name_end, starts, ends)
    rows[row, WRONG] = wrong
    rows[row, TRACE_HIGH], rows[row, TRACE_LOW] = np.int64(trace_high), np.int64(trace_low)
    rows[row, SPAN], rows[row, PARENT] = np.int64(span), np.int64(parent)
    rows[row, START], rows[row, END] = np.int64(start_ns), np.int64(end_ns)
    rows[row, FAILED] = failed(code, span_kind, http_status, seen >> ERROR_TYPE & 1 != 0)
    rows[row, BAD_LINKS], rows[row, KIND] = bad_links, shape_kind
    return count, size


@njit(cache=True, error_model="numpy", forceinline=True)
def _attribute(data: Any, at: int, end: int) -> tuple[Any, Any]:
    """Where the key ends (it begins two bytes after the attribute) and where its value begins, which is the end where
    it has none; −1 where it is unusual: long names, other fields, or a value that is not all that is left."""
    if end - at < 2 or data[at] != _KEY_TAG or data[at + 1] >= 0x80:
        return 0, -1
    key_end = at + 2 + data[at + 1]
    if key_end == end:
        return key_end, end
    if key_end > end or data[key_end] != _VALUE_TAG:
        return 0, -1
    size, value_at = varint(data, key_end + 1, end)
    if value_at < 0 or size != np.uint64(end - value_at):
        return 0, -1
    if size == np.uint64(2) and data[value_at] == _TEXT_TAG and data[value_at + 1] == 0:  # an empty text is none
        return key_end, end
    return key_end, value_at


@njit(cache=True, error_model="numpy")
def _link(data: Any, at: int, end: int, links: Any, count: int, row: int) -> int:
    """Add a link: 1 when it has good ids, else 0; −1 where it is damaged."""
    high = low = span = np.uint64(0)
    while at < end:
        number, kind, inside, stop = field(data, at, end)
        if stop < 0:
            return -1
        if kind == LENGTH and number == 1:
            good = stop - inside == TRACE_BYTES
            high = id_at(data, inside) if good else np.uint64(0)
            low = id_at(data, inside + ID_BYTES) if good else np.uint64(0)
        elif kind == LENGTH and number == 2:
            span = id_at(data, inside) if stop - inside == ID_BYTES else np.uint64(0)
        at = stop
    if high | low == 0 or span == 0:
        return 0
    links[count, 0], links[count, 1], links[count, 2], links[count, 3] = np.uint64(row), high, low, span
    return 1


@njit(cache=True, error_model="numpy")
def _status(data: Any, at: int, end: int, code: Any) -> Any:
    """The code of a status, ``code`` where it has none; −1 where it is damaged."""
    while at < end:
        number, kind, inside, stop = field(data, at, end)
        if stop < 0:
            return -1
        if kind == VARINT and number == 3:
            value, _ = varint(data, inside, stop)
            code = np.int64(value & _LOW)
        at = stop
    return code


@njit(cache=True, error_model="numpy")
def _http_status(data: Any, at: int, end: int) -> Any:
    """A whole number or a text of three digits; −1 for anything unusual."""
    if data[at] == _INTEGER_TAG:
        value, stop = varint(data, at + 1, end)
        if stop == end and value < np.uint64(1000):
            return np.int64(value)
    elif end - at == 5 and data[at] == _TEXT_TAG and data[at + 1] == 3:
        number = ZERO
        for i in range(at + 2, end):
            if not 0x30 <= data[i] <= 0x39:
                return -1
            number = 10 * number + data[i] - 0x30
        return number
    return -1
