"""Dead letters: whole where that is possible, and never too large to be written."""

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.flow.dead_letter import MOST_BYTES, dead_letter
from pipeline.records import Produced
from pipeline.streams.clients import MAX_RECORD_BYTES
from tests.timeline import Record

OURS = ("calm_topic", "calm_partition", "calm_offset", "calm_reason", "calm_detail")


def letter_of(value: bytes | None, key: bytes | None = None, headers: tuple[tuple[str, bytes], ...] = ()) -> Produced:
    return dead_letter(Record(7, 0, key, value, headers), "points", "3", "undecodable", "no JSON")


def names(letter: Produced) -> tuple[str, ...]:
    return tuple(name for name, _ in letter.headers)


def written_bytes(letter: Produced) -> int:
    """As the producer counts them, which refuses more than MAX_RECORD_BYTES."""
    return DefaultRecordBatchBuilder.estimate_size_in_bytes(letter.key, letter.value, list(letter.headers))


def test_a_message_that_fits_stands_whole_in_its_letter() -> None:
    value = b"x" * (MOST_BYTES - 1000)
    letter = letter_of(value, b"key", (("a", b"1"), ("b", b"")))
    assert (letter.topic, letter.value, letter.key) == ("dead-letter", value, b"key")
    assert names(letter) == ("a", "b", *OURS)


def test_a_value_that_is_too_large_is_cut_and_its_size_is_said() -> None:
    value = b"0123456789" * (2 * 2**20)
    letter = letter_of(value, b"key", (("a", b"1"),))
    assert letter.value is not None
    assert value.startswith(letter.value)
    assert MOST_BYTES - 1000 < written_bytes(letter) <= MAX_RECORD_BYTES
    assert names(letter) == ("a", *OURS, "calm_cut")
    assert dict(letter.headers)["calm_cut"] == b"value of 20971520 bytes"
    assert letter.key == b"key"


def test_key_and_headers_that_are_too_large_are_cut_too() -> None:
    headers = (("giant", b"x" * 2**20), ("first", b"1"), *(("h", b"x" * 1000) for _ in range(20_000)))
    letter = letter_of(b"small", b"k" * 2**20, headers)
    assert letter.value == b"small"
    assert letter.key == b"k" * 2**16
    assert letter.headers[0] == ("first", b"1")
    assert 250 < len(letter.headers) < 300
    assert dict(letter.headers)["calm_cut"] == b"key of 1048576 bytes, headers of 21268607 bytes"


def test_no_value_is_still_none_where_the_rest_is_cut() -> None:
    letter = letter_of(None, b"k" * 2 * MOST_BYTES)
    assert letter.value is None
    assert names(letter)[-1] == "calm_cut"


sizes = st.integers(0, 3 * MOST_BYTES) | st.integers(MOST_BYTES - 2000, MOST_BYTES + 2000)


@given(sizes, st.none() | sizes, st.integers(0, 3), sizes)
@settings(deadline=None, max_examples=30)
def test_whatever_is_sent_its_letter_can_be_written(value: int, key: int | None, number: int, header: int) -> None:
    letter = letter_of(bytes(value), None if key is None else bytes(key), (("é" * 100, bytes(header)),) * number)
    assert written_bytes(letter) <= MAX_RECORD_BYTES
    kept = [name for name in names(letter) if name not in (*OURS, "calm_cut")]
    length = None if letter.key is None else len(letter.key)
    whole = (letter.value, length, len(kept)) == (bytes(value), key, number)
    assert whole == ("calm_cut" not in names(letter))


def test_very_many_headers_without_anything_in_them_are_cut() -> None:
    letter = letter_of(b"x", None, (("", b""),) * (MOST_BYTES // 5))
    assert written_bytes(letter) <= MAX_RECORD_BYTES
    assert 20_000 < len(letter.headers) < 40_000
