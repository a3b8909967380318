"""What the scanners of spans have in common: columns of a row, what can be wrong, and the attributes that matter.

Guarantee: never reads outside the bytes it is given.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.codecs.span_attributes import ADDRESS, ATTRIBUTES, FIRST_ADDRESS, LAST_ADDRESS, OF_SHAPE, chosen

#: What is wrong with a span; what is wrong has no shape.
FINE, TRACE_ID, SPAN_ID, PARENT_ID, NO_TIME, BACKWARDS = range(6)

#: Columns of a row: message, where its span begins, what is wrong, shape (−1: not known), the two halves of its trace,
#: span, parent, times (nanoseconds, unsigned), failed, links that are none; place of its resource, kind (KINDS), and
#: how many parts make its shape.
(
    MESSAGE,
    AT,
    WRONG,
    SHAPE,
    TRACE_HIGH,
    TRACE_LOW,
    SPAN,
    PARENT,
    START,
    END,
    FAILED,
    BAD_LINKS,
    RESOURCE_AT,
    RESOURCE_END,
    KIND,
    PARTS,
) = range(16)
ROW_COLUMNS = 16

#: A shape is known by its parts and the number of its resource times KINDS, plus twice its kind, plus 1 if the name is
#: the first part.
KINDS = 16
MOST_PARTS = OF_SHAPE + 1

TRACE_BYTES, ID_BYTES = 16, 8
MOST_KIND = 5
_TEXT_HEAD = 2  # tag and length of a text

#: What counts begin with. A 0 of Python's is a type of its own to numba: what is called with it is compiled once more.
ZERO: Any = np.int64(0)
ONE: Any = np.int64(1)


class Found(NamedTuple):
    """What is in a batch: ``rows`` by column; ``links`` (links, 4), those of SpanColumns; ``parts`` (rows, MOST_PARTS,
    2), where the parts of the shape begin and end, only of rows whose shape is not known; ``taken`` (messages,): was
    the message read by the scanner? ``resources`` (resources, 3): message, begin and end of those that are not known;
    empty where every span has its own."""

    rows: npt.NDArray[np.int64]
    links: npt.NDArray[np.uint64]
    parts: npt.NDArray[np.int64]
    taken: npt.NDArray[np.bool_]
    resources: npt.NDArray[np.int64] = np.empty((0, 3), np.int64)


class Sieve(NamedTuple):
    """How kernels tell the attributes' names from others: by length and three bytes, then by all."""

    #: At the hash of a name: its number + 1, or 0. The last one is what the hash multiplies with.
    slots: Any
    text: Any  # all names, one after the other
    ends: Any  # of each


_SLOT_BITS = 10


def _sieve() -> Sieve:
    names = [name.encode() for name in ATTRIBUTES]
    mixed = [len(name) | name[0] << 8 | name[len(name) // 2] << 16 | name[-2] << 24 for name in names]
    for odd in range(0x9E3779B97F4A7C15, 0x9E3779B97F4A7C15 + 2_000_000, 2):
        places = [(one * odd & (1 << 64) - 1) >> 64 - _SLOT_BITS for one in mixed]
        if len(set(places)) == len(names):
            slots = np.zeros((1 << _SLOT_BITS) + 1, np.uint64)
            slots[places] = np.arange(1, len(names) + 1)
            slots[-1] = odd
            return Sieve(slots, np.frombuffer(b"".join(names), np.uint8), np.cumsum([len(name) for name in names]))
    raise AssertionError("two attributes' names cannot be told apart; take another byte of them")


SIEVE = _sieve()


@njit(cache=True, error_model="numpy", forceinline=True)
def number_of(sieve: Any, data: Any, at: int, end: int) -> Any:
    """The number of the attribute whose name stands there, −1 for any other."""
    size = end - at
    if size < 2:
        return -1
    first, middle, last_but_one = np.uint64(data[at]), np.uint64(data[at + size // 2]), np.uint64(data[end - 2])
    mixed = np.uint64(size) | first << np.uint64(8) | middle << np.uint64(16) | last_but_one << np.uint64(24)
    place = (mixed * sieve.slots[sieve.slots.size - 1]) >> np.uint64(64 - _SLOT_BITS)
    number = np.int64(sieve.slots[place]) - 1
    if number < 0:
        return -1
    begin = sieve.ends[number - 1] if number > 0 else 0
    if sieve.ends[number] - begin != size:
        return -1
    for i in range(size):
        if data[at + i] != sieve.text[begin + i]:
            return -1
    return number


@njit(cache=True, error_model="numpy")
def id_at(data: Any, at: int) -> Any:
    """Eight bytes, big-endian; they must be there."""
    value = np.uint64(0)
    for i in range(ID_BYTES):
        value = value << np.uint64(8) | np.uint64(data[at + i])
    return value


@njit(cache=True, error_model="numpy")
def wrong_with(trace_size: int, trace: Any, span_size: int, span: Any, parent_size: int) -> int:
    """What is wrong with the ids of a span; ``trace`` is its halves together."""
    if trace_size != TRACE_BYTES or trace == 0:
        return TRACE_ID
    if span_size != ID_BYTES or span == 0:
        return SPAN_ID
    if parent_size != 0 and parent_size != ID_BYTES:
        return PARENT_ID
    return FINE


@njit(cache=True, error_model="numpy")
def parts_of(
    data: Any, kind: int, seen: int, places: Any, name_at: int, name_end: int, starts: Any, ends: Any
) -> tuple[int, int]:
    """Where the parts are that make a shape: how many, and the kind as in a shape's number.

    ``seen`` is the set of the span's attributes, ``places`` (attributes, 3) where they begin and end and where the
    value begins.
    """
    if seen & ADDRESS:
        for number in range(FIRST_ADDRESS, LAST_ADDRESS + 1):
            if seen >> number & 1 and not is_host_name(data, places[number, 2], places[number, 1]):
                seen &= ~(1 << number)
    mask, named = chosen(kind, seen)
    size, number = 0, 0
    if named:
        starts[0], ends[0] = name_at, name_end
        size = 1
    while mask > 0:
        if mask & 1:
            starts[size], ends[size] = places[number, 0], places[number, 1]
            size += 1
        mask >>= 1
        number += 1
    return size, 2 * kind + named


@njit(cache=True, error_model="numpy")
def is_host_name(data: Any, at: int, end: int) -> bool:
    """Is the text of this value no address of numbers? These have digits and points only, or colons."""
    others = False
    for i in range(at + _TEXT_HEAD, end):
        if data[i] == 0x3A:
            return False
        others |= data[i] != 0x2E and not 0x30 <= data[i] <= 0x39
    return others


def parts_by_number(
    kind: int, name: bytes, attributes: Mapping[int, bytes], values: Mapping[int, bytes]
) -> tuple[int, list[bytes]]:
    """As ``parts_of``, for a span that was read another way: the kind as in a shape's number, and the parts.

    ``attributes`` and their ``values`` are bytes, by number; no value is empty.
    """
    seen = 0
    for number in attributes:
        value = values[number]
        if not ADDRESS >> number & 1 or is_host_name(np.frombuffer(value, np.uint8), 0, len(value)):
            seen |= 1 << number
    mask, named = chosen(kind, seen)
    found = [attributes[number] for number in sorted(attributes) if mask >> number & 1]
    return 2 * kind + named, [name, *found] if named else found
