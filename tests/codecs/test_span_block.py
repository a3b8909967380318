"""Blocks on calm.spans: nothing is lost on the way, and damage is refused."""

from dataclasses import fields, replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs import columns, signal_block, span_block
from pipeline.codecs.columns import DamagedFrame
from pipeline.records import NO_TIME, Entity, Peer, SpanBlock, SpanKind, SpanShape

T = 1_700_000_000_000_000
TEXT = st.text(max_size=6)
ENTITIES = st.builds(Entity, TEXT, TEXT, TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple))
NUMBERS = st.integers(0, 2**64 - 1)


@st.composite
def blocks(draw: st.DrawFn) -> SpanBlock:
    entities = tuple(draw(st.lists(ENTITIES, min_size=1, max_size=3)))
    shape = st.builds(
        SpanShape,
        st.integers(0, len(entities) - 1),
        st.sampled_from(SpanKind),
        TEXT,
        TEXT,
        st.sampled_from(Peer),
    )
    shapes = tuple(draw(st.lists(shape, min_size=1, max_size=3)))
    rows = draw(st.integers(0, 6))
    start = draw(st.sampled_from([0, 7, 10**12]))

    def ints(low: int, high: int, dtype: type[np.generic] = np.int64) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(low, high), min_size=rows, max_size=rows)), dtype)

    def ids(width: int) -> np.ndarray:
        return np.array(draw(st.lists(NUMBERS, min_size=rows * width, max_size=rows * width)), np.uint64)

    start_us = ints(-T, T)
    linked = draw(st.lists(st.tuples(st.integers(0, rows - 1), NUMBERS, NUMBERS, NUMBERS), max_size=3)) if rows else []
    return SpanBlock(
        source="otlp_spans/3",
        start=start,
        end=start + 100,
        progress_us=draw(st.sampled_from([NO_TIME, T])),
        idle=draw(st.booleans()),
        entities=entities,
        shapes=shapes,
        shape=ints(0, len(shapes) - 1, np.uint32),
        trace=ids(2).reshape(rows, 2),
        span=ids(1),
        parent=ids(1),
        start_us=start_us,
        end_us=start_us + ints(draw(st.sampled_from([0, -5])), 2**40),
        failed=ints(0, 1, np.bool_),
        offset=start + ints(0, 2**33),
        links=np.array(linked, np.uint64).reshape(-1, 4),
        late=np.array([rows - 1], np.uint32) if rows and draw(st.booleans()) else None,
    )


def plain(block: SpanBlock) -> dict[str, Any]:
    """Comparable: arrays as their type, shape and list."""
    found = {field.name: getattr(block, field.name) for field in fields(block)}
    return {
        name: [str(value.dtype), value.shape, value.tolist()] if isinstance(value, np.ndarray) else value
        for name, value in found.items()
    }


@given(blocks())
@settings(deadline=None)
def test_a_block_comes_back_as_it_was(block: SpanBlock) -> None:
    assert plain(span_block.decode(span_block.encode(block))) == plain(block)


def block_of(rows: int, shapes: int = 3) -> SpanBlock:
    ints = np.arange(rows, dtype=np.int64)
    ids = np.arange(1, rows + 1, dtype=np.uint64)
    made = tuple(SpanShape(0, SpanKind.SERVER, f"GET /{place}", "kafka/q", Peer.QUEUE) for place in range(shapes))
    return SpanBlock(
        source="in/0",
        start=5,
        end=5 + rows,
        progress_us=T,
        idle=False,
        entities=(Entity("prod", "service:a", "pod-1", "v1", (("k8s.node.name", "n1"),)),),
        shapes=made,
        shape=(ints % shapes).astype(np.uint32),
        trace=np.stack([ids, ids], axis=1),
        span=ids,
        parent=ids,
        start_us=T + ints,
        end_us=T + 2 * ints,
        failed=ints % 2 == 1,
        offset=5 + ints,
        links=np.array([[0, 1, 2, 3]], np.uint64),
        late=np.array([rows - 1], np.uint32),
    )


@pytest.mark.parametrize("shapes", [1, 0xFFFF, 0x10000])
def test_any_number_of_shapes_fits_in_a_block(shapes: int) -> None:
    block = block_of(0x10001, shapes)
    assert span_block.decode(span_block.encode(block)).shape.tolist() == block.shape.tolist()


def test_a_row_takes_51_bytes_beside_the_shapes_of_its_block() -> None:
    small, large = (len(span_block.encode(block_of(rows))) for rows in (1000, 2000))
    assert large - small <= 51 * 1000 + 8


def test_a_block_without_rows_only_carries_progress() -> None:
    none = replace(span_block.decode(span_block.encode(block_of(1))), entities=(), shapes=())
    empty = {name: getattr(none, name)[:0] for name in ("shape", "trace", "span", "parent", "start_us", "end_us")}
    block = replace(none, **empty, failed=none.failed[:0], offset=none.offset[:0], links=none.links[:0], late=None)
    found = span_block.decode(span_block.encode(block))
    assert (found.rows, found.progress_us, found.trace.shape, found.links.shape) == (0, T, (0, 2), (0, 4))


@pytest.mark.parametrize(
    "change",
    [
        {"start_us": np.array([T])},
        {"span": np.array([1], np.uint64)},
        {"trace": np.ones((3, 3), np.uint64)},
        {"trace": np.ones(3, np.uint64)},
        {"shape": np.array([0, 1, 7], np.uint32)},
        {"late": np.array([3], np.uint32)},
        {"links": np.array([[3, 1, 1, 1]], np.uint64)},
        {"links": np.array([[1, 1, 1]], np.uint64)},
        {"entities": ()},
        {"shapes": (SpanShape(-1, SpanKind.SERVER, "a"),)},
    ],
)
def test_columns_that_do_not_fit_each_other_are_refused(change: dict[str, Any]) -> None:
    block = replace(block_of(3), **change) if "start_us" not in change else None
    if block is None:
        head, arrays = columns.decode(span_block.encode(block_of(3)))
        value = columns.encode(head, arrays | change)
    else:
        value = span_block.encode(block)
    with pytest.raises(DamagedFrame, match="a block of 'spans/1' is damaged"):
        span_block.decode(value)


def test_a_block_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(DamagedFrame, match="not a block of 'spans/1'"):
        span_block.decode(columns.encode(["logs/1"], {}))
    with pytest.raises(DamagedFrame, match="not a block of 'signals/"):
        signal_block.decode(span_block.encode(block_of(1)))


@pytest.mark.parametrize(
    "shape", [[0, 9, "a", "", 0], [0, 2, "a", "", 9], [0, 2, 5, "", 0], [0, 2, "a", ""], ["0", 2, "a", "", 0], None]
)
def test_a_damaged_shape_is_refused(shape: Any) -> None:
    head, arrays = columns.decode(span_block.encode(block_of(3)))
    head[-1][0] = shape
    with pytest.raises(DamagedFrame):
        span_block.decode(columns.encode(head, arrays))


@given(st.integers(0, 10**6), st.binary(max_size=4), st.booleans())
@settings(deadline=None, max_examples=200)
def test_damaged_bytes_give_a_block_or_are_refused(place: int, put: bytes, cut: bool) -> None:
    value = span_block.encode(block_of(4))
    place %= len(value)
    value = value[:place] if cut else value[:place] + put + value[place + len(put) :]
    try:
        found = span_block.decode(value)
    except DamagedFrame:
        return
    span_block.encode(found)
    assert found.trace.shape == (found.rows, 2)


def test_heads_are_plain_msgpack() -> None:
    head, _ = columns.decode(span_block.encode(block_of(1, 1)))
    assert head[0] == "spans/1"
    assert head[-1] == [[0, 2, "GET /0", "kafka/q", 3]]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(head)) == head
