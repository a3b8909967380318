"""Spans and log lines as bytes of OTLP, written by hand because there are millions of them.

Guarantee: what is written is what the official encoding has for the same spans (a test compares them).
"""

from collections.abc import Iterable
from functools import lru_cache
from struct import pack

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from pipeline.codecs.otlp_encode import Attributes, key_values
from tests.benchmarks.shop_faults.meters import Told

SERVER, CLIENT = 2, 3
SCOPE = b"calmstream.demo.shop"
_FAILED = b"\x7a\x02\x18\x02"  # status { code: STATUS_CODE_ERROR }


def varint(number: int) -> bytes:
    """As protobuf writes numbers."""
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def within(field: int, content: bytes) -> bytes:
    """A field that has a length."""
    return varint(field << 3 | 2) + varint(len(content)) + content


@lru_cache(maxsize=65_536)
def _attribute(field: int, name: str, value: str | int) -> bytes:
    made: KeyValue = key_values({name: value})[0]
    return within(field, made.SerializeToString())


@lru_cache(maxsize=65_536)
def _attributes(field: int, told: Told) -> bytes:
    return b"".join(_attribute(field, name, value) for name, value in told)


@lru_cache(maxsize=4096)
def _named(name: str, kind: int) -> bytes:
    return within(5, name.encode()) + b"\x30" + varint(kind)


def span(
    trace: bytes,
    own: bytes,
    parent: bytes,
    name: str,
    kind: int,
    began: float,
    ended: float,
    told: Told,
    of_span: Told,
    failed: bool,
) -> bytes:
    """A span within a request; times are in seconds since the epoch."""
    content = b"".join((
        b"\x0a\x10",
        trace,
        b"\x12\x08",
        own,
        b"\x22\x08" + parent if parent else b"",
        _named(name, kind),
        pack("<BQBQ", 0x39, int(began * 1e6) * 1000, 0x41, int(ended * 1e6) * 1000),
        _attributes(9, told),
        _attributes(9, of_span),
        _FAILED if failed else b"",
    ))  # fmt: skip
    return within(2, content)


def line(at: float, severity: int, word: str, text: str, trace: bytes, own: bytes, told: Told = ()) -> bytes:
    """A log record within a request, in a span where there is one."""
    content = b"".join((
        pack("<BQ", 0x09, int(at * 1e6) * 1000),
        b"\x10",
        varint(severity),
        within(3, word.encode()),
        within(5, within(1, text.encode())),
        _attributes(6, told),
        b"\x4a\x10" + trace + b"\x52\x08" + own if trace else b"",
        pack("<BQ", 0x59, int(at * 1e6) * 1000),
    ))  # fmt: skip
    return within(2, content)


def resource(attributes: Attributes) -> bytes:
    """Who sends, within a request."""
    made: Resource = Resource(attributes=key_values(attributes))
    return within(1, made.SerializeToString())


def request(of_each: Iterable[tuple[bytes, bytes, list[bytes]]]) -> bytes:
    """The value of a message: of each resource its bytes, the name of its scope, and its spans or lines."""
    made = []
    for who, scope, records in of_each:
        inner = (within(1, within(1, scope)) if scope else b"") + b"".join(records)
        made.append(within(1, who + within(2, inner)))
    return b"".join(made)
