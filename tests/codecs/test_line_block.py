"""Blocks on calm.logs: nothing is lost on the way, and damage is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import columns, line_block
from pipeline.codecs.columns import DamagedFrame
from pipeline.records import NO_TIME, Entity, LineBlock

T = 1_700_000_000_000_000
TEXT = st.text(max_size=6)
ENTITIES = st.builds(
    Entity,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    st.lists(st.tuples(TEXT, TEXT), max_size=3, unique_by=lambda pair: pair[0]).map(tuple),
)


@st.composite
def blocks(draw: st.DrawFn) -> LineBlock:
    rows = draw(st.integers(0, 6))
    entities = tuple(draw(st.lists(ENTITIES, min_size=1 if rows else 0, max_size=3)))
    start = draw(st.sampled_from([0, 7, 10**12]))

    def ints(low: int, high: int) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(low, high), min_size=rows, max_size=rows)), np.int64)

    lines = st.text(max_size=9) | st.text("abc", max_size=3) | st.just("\ud800")
    return LineBlock(
        source="otlp_logs/3",
        start=start,
        end=start + 100,
        progress_us=draw(st.sampled_from([NO_TIME, T])),
        idle=draw(st.booleans()),
        entities=entities,
        entity=ints(0, max(len(entities) - 1, 0)).astype(np.uint32),
        time_us=ints(-T, T),
        severity=ints(0, 24).astype(np.uint8),
        offset=start + ints(0, 2**33),
        body=draw(st.lists(lines, min_size=rows, max_size=rows)),
        trace_id=draw(st.lists(st.sampled_from([b"", bytes(range(16)), b"x" * 16]), min_size=rows, max_size=rows)),
        late=np.array([rows - 1], np.uint32) if rows and draw(st.booleans()) else None,
    )


def plain(block: LineBlock) -> dict[str, Any]:
    """Comparable: arrays as their type and list."""
    found = {name: getattr(block, name) for name in block.__dataclass_fields__}
    return {
        name: [str(value.dtype), value.tolist()] if isinstance(value, np.ndarray) else value
        for name, value in found.items()
    }


@given(blocks())
def test_a_block_comes_back_as_it_was(block: LineBlock) -> None:
    assert plain(line_block.decode(line_block.encode(block))) == plain(block)


def block_of(rows: int, entities: int = 1, **changes: Any) -> LineBlock:
    ints = np.arange(rows, dtype=np.int64)
    block = LineBlock(
        "in/0",
        5,
        5 + rows,
        T,
        False,
        tuple(Entity("prod", f"service:{number}", "") for number in range(entities)),
        (ints % entities).astype(np.uint32),
        T + ints,
        (ints % 25).astype(np.uint8),
        5 + ints,
        [f"line {number} é" for number in range(rows)],
        [b"t" * 16 if number % 2 else b"" for number in range(rows)],
    )
    return replace(block, **changes)


def test_more_entities_than_16_bits_hold_fit_in_a_block() -> None:
    block = block_of(0x10001, 0x10001)
    assert plain(line_block.decode(line_block.encode(block))) == plain(block)


def test_a_line_takes_19_bytes_beside_its_text_and_traces() -> None:
    small, large = (
        len(line_block.encode(block_of(rows, body=["x" * 10] * rows, trace_id=[b""] * rows))) for rows in (1000, 2000)
    )
    assert large - small <= (19 + 10) * 1000 + 8


def test_a_trace_id_of_another_length_is_not_written() -> None:
    with pytest.raises(ValueError, match="a trace id has 16 bytes, or none"):
        line_block.encode(block_of(2, trace_id=[b"x" * 15, b"x" * 17]))


def test_a_block_of_another_kind_is_refused_by_name() -> None:
    for head in (None, [], ["signals/1"], "logs/1"):
        with pytest.raises(DamagedFrame, match="not a block of 'logs/1'"):
            line_block.decode(columns.encode(head, {}))


@pytest.mark.parametrize(
    "change",
    [
        {"time_us": np.array([T])},
        {"entity": np.array([0, 7], np.uint32)},
        {"late": np.array([2], np.uint32)},
        {"severity": np.array([0, 25], np.uint8)},
        {"body": ["a"]},
        {"body": ["a", "b", "c"]},
    ],
)
def test_a_block_whose_columns_do_not_fit_each_other_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DamagedFrame, match="is damaged"):
        line_block.decode(line_block.encode(block_of(2, **change)))


def arrays(**changed: Any) -> bytes:
    """A frame whose arrays were changed after they were written."""
    head, found = columns.decode(line_block.encode(block_of(2)))
    return columns.encode(head, {**found, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"size": np.array([1, 1])},
        {"size": np.array([-1, 21])},
        {"size": np.array([2**62, 2**62, 2**62, 2**62 + 20])},
        {"size": np.array([9, 11])},  # in the middle of a character
        {"body": np.array([0xFF] * 18, np.uint8)},
        {"body": np.zeros((9, 2), np.uint8)},
        {"traced": np.array([7], np.uint32)},
        {"traced": np.array([0, 1], np.uint32)},
        {"trace": np.zeros((1, 15), np.uint8)},
        {"size": np.array([[10, 10]])},
    ],
)
def test_arrays_that_make_no_lines_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(DamagedFrame, match="is damaged"):
        line_block.decode(arrays(**changed))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(
    st.sampled_from([line_block.encode(block_of(2)), line_block.encode(block_of(0))]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3),
    st.integers(1, 2000),
)
def test_whatever_bytes_are_changed_a_block_is_read_or_refused(
    frame: bytes, changes: list[tuple[int, int]], end: int
) -> None:
    damaged = bytearray(frame)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    try:
        found = line_block.decode(bytes(damaged[:end]))
        assert len(found.body) == len(found.trace_id) == found.rows == found.entity.size
    except DamagedFrame:
        pass  # the other right answer
