"""Spans as they arrive, and decoded: one plain row for each, whatever the codec."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pipeline.codecs.registry import SpanCodec
from pipeline.records import Peer, SpanColumns, SpanKind
from tests.codecs.otlp_sent import Sent

T = 1_700_000_000_000_000
TRACE, OTHER_TRACE = bytes(range(16)), bytes(range(100, 116))
ID, PARENT = bytes(range(1, 9)), bytes(range(201, 209))


class Row(NamedTuple):
    """A span as decoded; ids are their bytes, no parent is empty."""

    message: int
    resource: tuple[tuple[str, str], ...]
    kind: SpanKind
    operation: str
    peer: str
    peer_kind: Peer
    trace: bytes
    span: bytes
    parent: bytes
    start_us: int
    end_us: int
    failed: bool
    links: tuple[tuple[bytes, bytes], ...]


def send(codec: SpanCodec, *values: bytes | None) -> SpanColumns:
    return codec.decode([Sent(value) for value in values])


def rows(codec: SpanCodec, columns: SpanColumns) -> list[Row]:
    links: dict[int, list[tuple[bytes, bytes]]] = {}
    for row, high, low, span in columns.links.tolist():
        links.setdefault(row, []).append((trace_of(high, low), span.to_bytes(8)))
    found = []
    for row, number in enumerate(columns.shape.tolist()):
        shape, parent = codec.shapes[number], int(columns.parent[row])
        found.append(
            Row(
                int(columns.message[row]),
                codec.resources[shape.resource],
                shape.kind,
                shape.operation,
                shape.peer,
                shape.peer_kind,
                trace_of(*columns.trace[row].tolist()),
                int(columns.span[row]).to_bytes(8),
                parent.to_bytes(8) if parent else b"",
                int(columns.start_us[row]),
                int(columns.end_us[row]),
                bool(columns.failed[row]),
                tuple(links.get(row, ())),
            )
        )
    return found


def trace_of(high: int, low: int) -> bytes:
    return high.to_bytes(8) + low.to_bytes(8)


def reasons(columns: SpanColumns) -> list[tuple[int, str, bool]]:
    return [(one.message, one.reason, one.whole) for one in columns.rejections]


def damaged(value: bytes, damage: Sequence[tuple[int, int]]) -> bytes:
    """Some bytes of a message are others."""
    made = bytearray(value)
    for place, byte in damage:
        if made:
            made[place % len(made)] = byte
    return bytes(made)


def assert_accounted_for(codec: SpanCodec, value: bytes) -> None:
    """Every row is sound, and a message is refused whole exactly when it has rejections and no rows."""
    columns = send(codec, value)
    assert (columns.trace.any(axis=1) & (columns.span != 0)).all()
    assert ((columns.start_us + 1 > 0) & (columns.start_us <= columns.end_us)).all()
    assert len({(one.message, one.reason) for one in columns.rejections}) == len(columns.rejections)
    assert all(one.whole == (columns.message.size == 0) for one in columns.rejections)
    assert (columns.links[:, 0] < max(columns.message.size, 1)).all()


def assert_same(make: Callable[[], tuple[Any, Any]], warm: bytes, batch: list[bytes]) -> None:
    """The fast way and the slow way give the same, for what is not known and what is."""
    fast, slow = make()
    for _ in range(2):
        send(fast, warm)
    for _ in range(3):
        ours, theirs = send(fast, *batch), send(slow, *batch)
        assert rows(fast, ours) == rows(slow, theirs)
        assert ours.rejections == theirs.rejections
        assert ours.dropped == theirs.dropped
