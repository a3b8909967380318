"""Bounds what a compressed batch of records may expand to; aiokafka itself decompresses whatever it is told to.

A fetch is bounded in compressed bytes only, and 33 kB of zstd can be 1 GiB. ``bound`` puts bounded decoders into
aiokafka's parser (0.14), for all consumers of this process. Guarantee: a batch takes at most ``MOST_BYTES``; one that
would take more, or is damaged, raises Unreadable with its compressed bytes.
"""

import logging
import mmap
import sys
import zlib
from collections.abc import Callable
from typing import Any

from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records

log = logging.getLogger(__name__)

#: Far above what producers make: the topics take compressed batches of 4 MiB and records of 16 MiB.
MOST_BYTES = 128 * 2**20


class Unreadable(CorruptRecordException):
    """A batch of records whose compressed ``data`` cannot be used."""

    def __init__(self, what: str, data: bytes) -> None:
        super().__init__(what)
        self.what = what
        self.data = data


def bound() -> bool:
    """Put the bounded decoders in place; False where aiokafka's parser is not the one that this module knows."""
    decoders = {"gzip_decode": _gzip, "snappy_decode": _snappy, "lz4_decode": _of("lz4"), "zstd_decode": _of("zstd")}
    parser = sys.modules[default_records.DefaultRecordBatch.__module__]
    if not all(hasattr(parser, name) for name in decoders):
        log.warning("aiokafka is not the one we know: what a compressed batch expands to is not bounded")
        return False
    for name, decoder in decoders.items():
        setattr(parser, name, _refusing(decoder))
    return True


def decompressed(code: int, data: bytes) -> bytes:
    """The records of a batch by the code of its compression. Raises Unreadable."""
    decoders: list[Callable[[bytes], bytes]] = [bytes, _gzip, _snappy, _of("lz4"), _of("zstd")]
    return _refusing(decoders[code])(data)


def _refusing(decode: Callable[[bytes], bytes]) -> Callable[[Any], bytes]:
    def decoded(data: Any) -> bytes:
        data = bytes(data)
        try:
            return decode(data)
        except Unreadable:
            raise
        except Exception as error:  # of zlib, of cramjam, of lengths that do not fit: all say that it is damaged
            raise Unreadable(f"damaged compressed batch: {error}", data) from error

    return decoded


def _too_large(data: bytes) -> Unreadable:
    return Unreadable(f"a compressed batch of {len(data)} bytes expands to more than {MOST_BYTES}", data)


def _gzip(data: bytes) -> bytes:
    parts, left, rest = [], MOST_BYTES, data
    while rest:
        member = zlib.decompressobj(wbits=31)
        part = member.decompress(rest, left + 1)
        left -= len(part)
        if left < 0:
            raise _too_large(data)
        if not member.eof:
            raise EOFError("it ends too early")
        parts.append(part)
        rest = member.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _snappy(data: bytes) -> bytes:
    """Says beforehand how much it will be."""
    if sum(map(_snappy_size, _snappy_blocks(data))) > MOST_BYTES:
        raise _too_large(data)
    return codec.snappy_decode(data)


def _snappy_blocks(data: bytes) -> list[bytes]:
    if not codec._detect_xerial_stream(data):
        return [data]
    blocks, place = [], 16
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], signed=True)
        if size < 0:
            raise ValueError("a block has a negative length")
        blocks.append(data[place + 4 : place + 14])
        place += 4 + size
    return blocks


def _snappy_size(block: bytes) -> int:
    size = 0
    for place, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return size


def _of(name: str) -> Callable[[bytes], bytes]:
    """lz4 and zstd, decoded into a space that ends at the bound; its pages are taken only when they are written."""

    def decode(data: bytes) -> bytes:
        with mmap.mmap(-1, MOST_BYTES) as space, memoryview(space) as view:
            try:
                size = getattr(codec.cramjam, name).decompress_into(data, view)
            except codec.cramjam.DecompressionError as error:
                if "whole buffer" in str(error):
                    raise _too_large(data) from None
                raise
            return bytes(view[:size])

    return decode
