"""Damaged and hostile messages: what chance does to a good one, and what somebody would send on purpose."""

import random
from collections.abc import Iterator, Sequence

#: Pieces that decoders stumble over: of JSON, of lines, of protobuf's wire.
PIECES: Sequence[bytes] = (
    b"\x00", b"\xff", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xef\xbb\xbf", b"\x7f\x1b[0m",
    b'"\\ud800"', b'"\\udfff\\ud800"', b'"\\u0000"', b"\\", b'"', b"{}", b"[]", b"null", b"true", b"[[]]", b'{"":{}}',
    b"NaN", b"Infinity", b"-0", b"1e400", b"-1e-400", b"1" * 25, b"9223372036854775808", b"-9223372036854775809",
    b"18446744073709551616", b"1" * 5000, b"0.1e5000", b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:60+23:59",
    b"2026-02-30T00:00:00Z", b"1e18", b",", b"=", b" ", b"\n", b"\r\n", b"\t", b"\\ ", b"\\,", b"\\=", b"i", b"u",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x80\x00",
    b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\x0f", b"\x0a\x00", b"\x0a\x80\x80\x01", b"\x0b", b"\x0c", b"\x0d\x00",
    b"\x12\xff\xff\x03", b"\x2a\x04", b"\x00\x00\x00\x00\x00\x00\xf8\x7f", b"\x00\x00\x00\x00\x00\x00\xf0\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x00\x00\x00\x00\x00\x00\x00\x80",
)  # fmt: skip


def damaged(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """A seed with a few things done to it: bytes changed, cut, cut out, repeated, pieces put in, two seeds spliced."""
    value = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(0, 4)):
        place, end = sorted((rng.randint(0, len(value)), rng.randint(0, len(value))))
        match rng.randint(0, 6):
            case 0 if value:
                value[min(place, len(value) - 1)] = rng.randint(0, 255)
            case 1:
                del value[place:]
            case 2:
                del value[place : min(end, place + 20)]
            case 3:
                value[place:place] = value[place:end][:200] * rng.randint(1, 5)
            case 4:
                value[place:place] = rng.choice(PIECES)
            case 5:
                value[place : min(end, place + 12)] = rng.choice(PIECES)
            case _:
                other = rng.choice(seeds)
                value[place:] = other[rng.randint(0, len(other)) :]
    return bytes(value)


def _varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def _nested(tags: bytes, depth: int) -> bytes:
    """Fields within fields on protobuf's wire, every length right; the tags take turns, the last one is outermost."""
    lengths, size = [], 0
    for level in range(depth):
        head = bytes([tags[level % len(tags)]]) + _varint(size)
        lengths.append(head)
        size += len(head)
    return b"".join(reversed(lengths))


def hostile(seeds: Sequence[bytes], size: int) -> Iterator[tuple[str, bytes]]:
    """Messages of about ``size`` bytes that are made to cost much, each with what it is."""
    yield "nested arrays", b"[" * size
    yield "nested arrays that close", b"[" * (size // 2) + b"]" * (size // 2)
    yield "nested objects", b'{"a":' * (size // 5)
    yield "nested objects that close", b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6)
    yield "empty objects", b"[" + b"{}," * (size // 3) + b"{}]"
    yield "empty objects, one a line", b"{}\n" * (size // 3)
    yield "empty lines", b"\n" * size
    yield "spaces", b" " * size
    yield "commas", b"," * size
    yield "backslashes", b"\\" * size
    yield "quotes", b'"' * size
    yield "digits", b"1" * size
    yield "a long text", b'"' + b"a" * size + b'"'
    yield "escapes", b'"' + b"\\u0041" * (size // 6) + b'"'
    yield "members with one name", b"{" + b'"a":1,' * (size // 6) + b'"a":1}'
    yield "members with many names", b"{" + b",".join(b'"%d":1' % number for number in range(size // 9)) + b"}"
    yield "zeros", b"\x00" * size
    yield "bytes that go on", b"\xff" * size
    yield "groups", b"\x0b" * size
    yield "empty fields", b"\x0a\x00" * (size // 2)
    yield "a giant length", b"\x0a\xff\xff\xff\xff\x07" + b"\x00" * size
    yield "the greatest length", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\x00" * size
    for tags in (b"\x0a", b"\x12", b"\x2a", b"\x2a\x0a", b"\x32\x0a\x12"):
        yield f"nested fields {tags.hex()}", _nested(tags, size // 4)
    for number, seed in enumerate(seeds):
        yield f"seed {number} again and again", seed * (size // len(seed))
        yield f"seed {number}, one a line", (seed + b"\n") * (size // len(seed))
        yield f"seed {number} in an array", b"[" + b",".join([seed] * (size // len(seed))) + b"]"
        for text in (b'"cart"', b"cart", b'"1"', b"1"):
            if text in seed:
                quote = text[:1] if text[:1] == b'"' else b""
                yield f"seed {number} with a long {text!r}", seed.replace(text, quote + b"x" * size + quote, 1)
                yield (
                    f"seed {number} with a deep {text!r}",
                    seed.replace(text, b"[" * (size // 2) + b"]" * (size // 2), 1),
                )
                yield f"seed {number} with a wide {text!r}", seed.replace(
                    text, b"{" + b",".join(b'"%d":1' % number for number in range(size // 9)) + b"}", 1
                )  # fmt: skip
