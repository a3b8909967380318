"""What holds for every input format of points: no bytes do harm, and a message becomes what it becomes whatever came
before. Every input format of any kind has a golden message, which is read whole."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs.registry import HAPPENING_CODECS, INPUT_CODECS, LINE_CODECS, SPAN_CODECS, input_codec
from pipeline.codecs.series_table import Limits
from pipeline.settings import Format
from pipeline.streams.topic_table import INPUTS
from tests.codecs.decoding import decoded, fate, taken
from tests.codecs.golden import GOLDEN

every_format = pytest.mark.parametrize("name", INPUT_CODECS)
DEEP = b"[" * 100_000


def test_every_format_is_a_setting_has_a_row_in_the_topic_table_and_a_golden_message() -> None:
    codecs = [*INPUT_CODECS, *LINE_CODECS, *SPAN_CODECS, *HAPPENING_CODECS]
    assert list(get_args(Format)) == codecs == list(GOLDEN)
    assert INPUTS.keys() == GOLDEN.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_message_is_read_whole(name: str) -> None:
    number, rejections = taken(name, GOLDEN[name])
    assert number
    assert rejections == []


@every_format
def test_a_message_read_again_gives_the_same_rows_and_no_new_series(name: str) -> None:
    codec = input_codec(name, Limits())
    _, first = decoded(codec, GOLDEN[name])
    known = len(codec.table.series)
    _, again = decoded(codec, GOLDEN[name], GOLDEN[name])
    assert [row._replace(message=0) for row in again] == first * 2
    assert len(codec.table.series) == known


@every_format
def test_no_messages_give_no_rows(name: str) -> None:
    columns, rows = decoded(name)
    assert (rows, columns.rejections, columns.dropped) == ([], [], {})


@every_format
@pytest.mark.parametrize("value", [None, b""])
def test_a_message_without_a_value_is_refused_as_empty(name: str, value: bytes | None) -> None:
    columns, rows = decoded(name, GOLDEN[name], value)
    assert {row.message for row in rows} == {0}
    assert [(one.message, one.reason, one.whole) for one in columns.rejections] == [(1, "empty", True)]


@every_format
@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xfe",
        b"hello",
        b"{",
        b"{}",
        b"null",
        b"17",
        DEEP,
        DEEP.replace(b"[", b'{"a":'),
        b"\x00" * 1000,
        b"\\" * 99,
    ],
    ids=lambda value: repr(value[:8]),
)
def test_nonsense_is_refused_whole_and_its_neighbours_are_read(name: str, value: bytes) -> None:
    columns, rows = decoded(name, GOLDEN[name], value, GOLDEN[name])
    assert {row.message for row in rows} == {0, 2}
    (rejection,) = columns.rejections
    assert (rejection.message, rejection.whole) == (1, True)
    assert 20 < len(rejection.detail) < 500


@every_format
@given(data=st.data())
@settings(deadline=None)
def test_damaged_messages_are_read_or_refused(name: str, data: st.DataObject) -> None:
    damaged = bytearray(GOLDEN[name])
    for place, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=4)
    ):
        damaged[place] = byte
    end = data.draw(st.integers(0, len(damaged)))
    assert_sound(name, bytes(damaged[:end]))


@every_format
@given(value=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(name: str, value: bytes) -> None:
    assert_sound(name, value)


def assert_sound(name: str, value: bytes) -> None:
    """Rows are finite, and a message is refused whole exactly when it has rejections and no rows."""
    columns, rows = decoded(name, value)
    sizes = {array.size for array in (columns.message, columns.series, columns.time_us, columns.value)}
    assert sizes == {len(rows)}
    assert np.isfinite(columns.value).all()
    assert len({(one.message, one.reason) for one in columns.rejections}) == len(columns.rejections)
    assert all(one.whole == (not rows) and one.detail for one in columns.rejections)


@every_format
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_what_a_message_becomes_does_not_depend_on_others(name: str, data: st.DataObject) -> None:
    good = GOLDEN[name]
    pool = [good, good[:-7], good[: len(good) // 2], good + good, b"", b"\n", b"x y", b"[]", b"{}", good[5:]]
    batch = data.draw(st.lists(st.sampled_from(pool), max_size=5))
    codec = input_codec(name, Limits(max_series=4))
    for before in data.draw(st.lists(st.sampled_from(pool), max_size=3)):
        decoded(codec, before)
    together = decoded(codec, *batch)
    for number, value in enumerate(batch):
        assert fate(*together, number) == fate(*decoded(name, value), 0)


@every_format
def test_a_full_table_starts_over_and_rows_name_the_right_series(name: str) -> None:
    codec = input_codec(name, Limits(max_series=1))
    _, expected = decoded(name, GOLDEN[name])
    for _ in range(3):
        assert decoded(codec, GOLDEN[name])[1] == expected
    assert codec.table.generation > 0


@every_format
def test_a_name_or_attribute_that_is_too_long_is_refused(name: str) -> None:
    codec = input_codec(name, Limits(max_attribute_bytes=2))
    columns, rows = decoded(codec, GOLDEN[name])
    assert rows == []
    assert "huge_attribute" in {one.reason for one in columns.rejections}
