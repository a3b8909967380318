"""The columnar frame: a small header and numpy arrays, one after the other, in one byte string.

Guarantee: decode(encode(head, arrays)) gives equal head and arrays on any little-endian machine; a damaged frame
raises DamagedFrame. Layout: magic ``CSC1``, header length (uint32), header (msgpack: head, then name, type and
shape per array), then the arrays' bytes, each starting at a multiple of 8.
"""

import re
from collections.abc import Mapping
from math import prod
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

_MAGIC = b"CSC1"
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Any, list[tuple[str, str, list[int]]]])
#: numpy's names of the types that a frame may hold: bool, integers and floats, little-endian.
_TYPES = re.compile(r"[<|][biuf][1248]")


class DamagedFrame(ValueError):
    """The bytes are not a columnar frame written by Calmstream."""


def encode(head: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Frame ``arrays`` (any shape, numeric or bool) with ``head`` (anything msgpack can hold)."""
    table = [(name, array.dtype.str, list(array.shape)) for name, array in arrays.items()]
    header = _encoder.encode((head, table))
    parts = [_MAGIC, len(header).to_bytes(4, "little"), header]
    at = 8 + len(header)
    for array in arrays.values():
        pad = -at % 8
        parts.append(b"\0" * pad)
        parts.append(array.tobytes())
        at += pad + array.nbytes
    return b"".join(parts)


def decode(frame: bytes) -> tuple[Any, dict[str, npt.NDArray[Any]]]:
    """The head and the arrays (read-only views into ``frame``)."""
    if frame[:4] != _MAGIC or len(frame) < 8:
        raise DamagedFrame(f"expected a columnar frame (starting with {_MAGIC!r}), got {frame[:8]!r}")
    at = 8 + int.from_bytes(frame[4:8], "little")
    try:
        head, table = _decoder.decode(frame[8:at])
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, kind, shape in table:
            at += -at % 8
            if not _TYPES.fullmatch(kind):
                raise ValueError(f"array {name!r} has type {kind!r}")
            dtype, count = np.dtype(kind), prod(shape)
            if min(shape, default=0) < 0 or count * dtype.itemsize > len(frame) - at:
                raise ValueError(f"array {name!r} with shape {shape} does not fit in")
            arrays[name] = np.frombuffer(frame, dtype, count, at).reshape(shape)
            at += count * dtype.itemsize
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise DamagedFrame(f"a columnar frame of {len(frame)} bytes is damaged: {error}") from error
    return head, arrays
