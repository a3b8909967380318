"""The wire format of protocol buffers in place, against a reader in plain Python."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs import wire

Field = tuple[int, int, int, int]


def naive_varint(data: bytes, at: int) -> tuple[int, int] | None:
    value = 0
    for number, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * number)
        if byte < 0x80:
            return value % 2**64, at + number + 1
    return None


def naive_field(data: bytes, at: int) -> Field | None:
    found = naive_varint(data, at)
    if found is None or not 8 <= found[0] < 2**32:
        return None
    tag, begin = found
    number, kind = tag >> 3, tag & 7
    end = None
    if kind == wire.VARINT:
        end = (naive_varint(data, begin) or (0, None))[1]
    elif kind in (wire.FIXED32, wire.FIXED64):
        end = begin + (8 if kind == wire.FIXED64 else 4)
    elif kind == wire.LENGTH and (size := naive_varint(data, begin)):
        begin, end = size[1], size[1] + size[0]
    return (number, kind, begin, end) if end is not None and end <= len(data) else None


tags = st.builds(lambda number, kind: number << 3 | kind, st.integers(0, 20), st.integers(0, 7))
starts = st.binary(max_size=12) | st.builds(lambda tag, rest: bytes([tag]) + rest, tags, st.binary(max_size=30))


@given(starts)
@settings(deadline=None)
def test_a_field_is_read_as_the_naive_reader_does(data: bytes) -> None:
    found = wire.field(np.frombuffer(data, np.uint8), 0, len(data))
    expected = naive_field(data, 0)
    assert (None if found[3] < 0 else found) == expected


@given(st.integers(0, 2**64 - 1), st.binary(max_size=3))
@settings(deadline=None)
def test_a_varint_of_any_size_is_read(value: int, rest: bytes) -> None:
    encoded, left = bytearray(), value
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    data = bytes([*encoded, left]) + rest
    found = wire.varint(np.frombuffer(data, np.uint8), 0, len(data))
    assert (int(found[0]), found[1]) == (value, len(data) - len(rest))


@given(st.binary(min_size=8, max_size=8), st.binary(max_size=5))
@settings(deadline=None)
def test_eight_bytes_are_a_number(inside: bytes, before: bytes) -> None:
    data = np.frombuffer(before + inside, np.uint8)
    assert int(wire.fixed64(data, len(before))) == int.from_bytes(inside, "little")


@given(st.text(max_size=20).map(str.encode))
@settings(deadline=None)
def test_ascii_is_told_from_other_text(data: bytes) -> None:
    assert wire.is_ascii(np.frombuffer(data, np.uint8), 0, len(data)) == data.isascii()
