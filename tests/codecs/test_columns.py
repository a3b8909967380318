"""The columnar frame: arrays come back as they were, and a damaged frame is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.codecs import columns
from pipeline.codecs.columns import DamagedFrame

DTYPES = ["?", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
)
HEADS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def frame() -> bytes:
    return columns.encode(["head", 7], {"a": np.arange(5), "b": np.array([True, False]), "c": np.eye(2)})


@given(HEADS, st.dictionaries(st.text(max_size=5), ARRAYS, max_size=4))
def test_what_is_encoded_comes_back(head: Any, given_arrays: dict[str, np.ndarray]) -> None:
    found_head, found = columns.decode(columns.encode(head, given_arrays))
    assert found_head == head
    assert list(found) == list(given_arrays)
    for name, array in given_arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_arrays_begin_at_multiples_of_eight() -> None:
    _, found = columns.decode(frame())
    start = frame().index(np.arange(5).tobytes())
    assert start % 8 == 0
    assert found["a"].tolist() == [0, 1, 2, 3, 4]


def test_decoded_arrays_are_views_that_cannot_be_written() -> None:
    _, found = columns.decode(frame())
    assert not found["a"].flags.writeable
    assert not found["a"].flags.owndata


def test_columns_that_are_not_contiguous_come_back_too() -> None:
    array = np.arange(12).reshape(3, 4).T[::2]
    assert columns.decode(columns.encode(None, {"a": array}))[1]["a"].tolist() == array.tolist()


@pytest.mark.parametrize("end", range(len(frame())))
def test_a_frame_cut_short_is_refused(end: int) -> None:
    with pytest.raises(DamagedFrame):
        columns.decode(frame()[:end])


@pytest.mark.parametrize("value", [b"", b"CSC1", b"CSC2" + bytes(20), b'{"json": 1}', b"CSC1" + b"\xff" * 30])
def test_bytes_that_are_no_frame_are_refused(value: bytes) -> None:
    with pytest.raises(DamagedFrame, match="columnar frame"):
        columns.decode(value)


def forged(kind: str, shape: list[int]) -> bytes:
    """A frame whose header promises another array than it holds."""
    header = columns._encoder.encode((None, [("a", kind, shape)]))
    return b"CSC1" + len(header).to_bytes(4, "little") + header + bytes(64)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("|O", [1]),
        ("<U4", [1]),
        ("<M8", [1]),
        ("1,(", [1]),
        (">f8", [1]),
        ("<f8", [-1]),
        ("<f8", [9]),
        ("<f8", [2**40, 2**40]),
        ("<f8", [-3, -3]),
    ],
)
def test_a_type_or_shape_that_no_frame_has_is_refused(kind: str, shape: list[int]) -> None:
    with pytest.raises(DamagedFrame, match="is damaged"):
        columns.decode(forged(kind, shape))


@given(st.lists(st.tuples(st.integers(0, len(frame()) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_whatever_bytes_are_changed_the_frame_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(frame())
    for at, byte in changes:
        damaged[at] = byte
    try:
        columns.decode(bytes(damaged))
    except DamagedFrame:
        pass  # the other right answer
