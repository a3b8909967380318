"""The wire format of protocol buffers, read in place: what the fast scanners are made of.

Guarantee: never reads outside the bytes it is given; whatever is not well formed, or is a group (which no format here
has), gives a place of −1. Source: the Protocol Buffers encoding guide.
"""

from typing import Any

import numpy as np
from numba import njit

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

# Places are cast to unsigned numbers, here and in what reads beside it: numba looks at every signed one whether it is
# negative, and counts that from the end of the array.
_MOST_VARINT_BYTES, _MOST_TAG = 10, 0xFFFFFFFF


@njit(cache=True, error_model="numpy", forceinline=True)
def varint(data: Any, at: Any, end: int) -> tuple[Any, Any]:
    """The number that begins at ``at``, and the place after it."""
    if at < end and data[np.uint64(at)] < 0x80:  # nearly always
        return np.uint64(data[np.uint64(at)]), at + 1
    value, shift = np.uint64(0), np.uint64(0)
    for i in range(_MOST_VARINT_BYTES):
        if at + i >= end:
            break
        byte = np.uint64(data[np.uint64(at + i)])
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < 0x80:
            return value, at + i + 1
        shift += np.uint64(7)
    return np.uint64(0), -1


@njit(cache=True, error_model="numpy", forceinline=True)
def field(data: Any, at: Any, end: int) -> tuple[Any, Any, Any, Any]:
    """The field that begins at ``at``: its number, wire type, where its content begins and where it ends.

    Content of a varint is the varint itself. The end is −1 where the bytes are damaged.
    """
    tag, at = varint(data, at, end)
    if at < 0 or tag > np.uint64(_MOST_TAG) or tag < np.uint64(8):
        return 0, 0, 0, -1
    number, kind = np.int64(tag >> np.uint64(3)), np.int64(tag & np.uint64(7))
    stop: Any = -1
    begin = at
    if kind == VARINT:
        _, stop = varint(data, at, end)
    elif kind == LENGTH:
        size, begin = varint(data, at, end)
        if begin >= 0 and size <= np.uint64(end - begin):
            stop = begin + np.int64(size)
    elif kind == FIXED64:
        stop = at + 8 if end - at >= 8 else -1
    elif kind == FIXED32:
        stop = at + 4 if end - at >= 4 else -1
    return number, kind, begin, stop


@njit(cache=True, error_model="numpy", forceinline=True)
def fixed64(data: Any, at: int) -> Any:
    """Eight bytes, little-endian; they must be there."""
    value, begin = np.uint64(0), np.uint64(at)
    for i in range(8):
        value |= np.uint64(data[begin + np.uint64(i)]) << np.uint64(8 * i)
    return value


@njit(cache=True, error_model="numpy")
def is_ascii(data: Any, at: int, end: int) -> bool:
    together = 0
    for i in range(np.uint64(at), np.uint64(end)):
        together |= data[i]
    return together < 0x80
