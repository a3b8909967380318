"""Records that aiokafka's parser gives up on: each is refused by itself, and all others are read as ever."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

from pipeline.flow import refused
from pipeline.records import Message, Output, RefusedValue
from pipeline.streams import batches
from pipeline.streams.batches import Batches
from pipeline.streams.fetching import _take
from tests.streams.made_batches import CODECS, START_MS, Raw, batch_of, compressed, record_bytes, varint, with_payload

every_compression = pytest.mark.parametrize("code", CODECS.values(), ids=CODECS)
GOOD = [
    Raw(b"a", b"key", ((b"from", b"here"), (b"none", None), ("größe".encode(), b""))),
    Raw(None, b"key"),
    Raw(b"", None, ((b"", b""),)),
]
BAD = Raw(b"value", b"key", ((b"trace", b"1"), (b"caf\xe9", b"2"), (b"\xff", None)))


@pytest.fixture(autouse=True)
def installed() -> None:
    assert batches.install()


def raw(data: bytes, start: int = 0) -> list[Any]:
    """As a shard service reads."""
    log = Batches(data)
    partition = PartitionRecords(TopicPartition("t", 0), log, None, start, None, None, True, READ_UNCOMMITTED)
    found: list[Any] = []
    while log.has_next():
        _take(partition, log.next_batch(), found.extend)
    return found


def plain(data: bytes, start: int = 0) -> list[Any]:
    """As any other consumer reads."""
    log = Batches(data)
    return list(PartitionRecords(TopicPartition("t", 0), log, None, start, None, None, True, READ_UNCOMMITTED))


def seen(record: Any) -> tuple[Any, ...]:
    return record.offset, record.timestamp, record.key, record.value, tuple(record.headers)


def expected(records: list[Raw], offset: int = 0) -> list[tuple[Any, ...]]:
    return [
        (
            offset + number,
            START_MS + 1000 * number,
            one.key,
            one.value,
            tuple((name.decode(errors="backslashreplace"), value) for name, value in one.headers),
        )
        for number, one in enumerate(records)
    ]


@every_compression
def test_good_batches_are_read_by_aiokafka(code: int) -> None:
    data = batch_of(GOOD, code) + batch_of(GOOD, code, offset=3)
    theirs = MemoryRecords(data)
    records = [record for _ in range(2) for record in theirs.next_batch()]
    for read in (raw, plain):
        found = read(data)
        assert list(map(seen, found)) == list(map(seen, records)) == expected(GOOD) + expected(GOOD, 3)
        assert not any(isinstance(record.value, RefusedValue) for record in found)
    assert {type(record) for record in raw(data)} == {type(records[0])}


@every_compression
@pytest.mark.parametrize("place", [0, 2, 3], ids=["first", "inside", "last"])
def test_a_record_whose_header_has_a_bad_name_is_refused_and_the_others_are_read(code: int, place: int) -> None:
    records = [*GOOD[:place], BAD, *GOOD[place:]]
    data = batch_of(records, code, offset=10) + batch_of(GOOD, code, offset=14)
    for read in (raw, plain):
        found = read(data)
        assert list(map(seen, found)) == expected(records, 10) + expected(GOOD, 14)
        (bad,) = [record for record in found if isinstance(record.value, RefusedValue)]
        assert (bad.offset, bad.value.reason, bad.value.whole) == (10 + place, "bad_header", b"value")
        assert r"caf\xe9" in bad.value.detail


def test_the_parsers_of_aiokafka_give_up_on_such_a_name() -> None:
    """If this fails after an upgrade of aiokafka, pipeline/streams/batches has less to do."""
    for parser in (DefaultRecordBatch, _DefaultRecordBatchPy):
        with pytest.raises((UnicodeDecodeError, batches.CorruptRecordException)):
            list(parser(batch_of([BAD])))


def test_a_tombstone_with_a_bad_name_is_refused_as_one() -> None:
    (found,) = raw(batch_of([BAD._replace(value=None)]))
    assert isinstance(found.value, RefusedValue)
    assert found.value.whole is None


def test_a_fetch_that_began_inside_a_batch_does_not_give_what_was_before() -> None:
    data = batch_of([BAD, *GOOD, BAD])
    for read in (raw, plain):
        assert [record.offset for record in read(data, start=2)] == [2, 3, 4]


def broken(delta: int) -> bytes:
    """A record whose value is said to be longer than the record."""
    return varint(6) + b"\0\0" + varint(delta) + b"\x01" + varint(40) + b"\0"


@every_compression
def test_a_damaged_record_is_refused_with_its_bytes_and_the_others_are_read(code: int) -> None:
    parts = [record_bytes(GOOD[0], 0), broken(1), record_bytes(GOOD[1], 2)]
    for read in (raw, plain):
        found = read(with_payload(code, compressed(code, b"".join(parts)), records=3))
        assert [record.offset for record in found] == [0, 1, 2]
        assert found[1].value == broken(1)[1:]
        assert found[1].value.reason == "bad_record"
        assert [seen(found[place]) for place in (0, 2)] == [expected(GOOD)[0], (2, START_MS + 2000, b"key", None, ())]


@pytest.mark.parametrize(
    ("payload", "rest"),
    [
        (varint(2000) + b"abc", b"abc"),
        (b"\x80" * 12, b"\x80" * 12),
        (varint(-5) + b"abc", b"abc"),
        (varint(0) + b"abc", b"abc"),
        (b"\x80", b"\x80"),
        (b"", b""),
    ],
    ids=["longer", "no length", "negative", "empty", "half a length", "missing"],
)
def test_what_cannot_be_told_apart_is_refused_as_the_last_record(payload: bytes, rest: bytes) -> None:
    data = with_payload(0, record_bytes(GOOD[0], 0) + payload, records=2) + batch_of(GOOD, offset=2)
    for read in (raw, plain):
        found = read(data)
        assert seen(found[0]) == expected(GOOD)[0]
        assert (found[1].offset, found[1].value, found[1].value.reason) == (1, rest, "bad_record")
        assert list(map(seen, found[2:])) == expected(GOOD, 2)


def test_what_stands_behind_the_last_record_is_refused_with_its_offset() -> None:
    found = raw(with_payload(0, record_bytes(GOOD[0], 0) * 2, records=1) + batch_of(GOOD, offset=1))
    assert [(record.offset, isinstance(record.value, RefusedValue)) for record in found[:2]] == [(0, False), (0, True)]
    assert list(map(seen, found[2:])) == expected(GOOD, 1)


def test_a_batch_of_very_many_records_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_RECORDS", 3)
    data = batch_of([BAD, *GOOD], CODECS["gzip"]) + batch_of(GOOD, offset=4)
    whole, *others = raw(data)
    assert (whole.offset, whole.value.reason) == (0, "unreadable_batch")
    assert "batches of more than 3 records are not taken apart" in whole.value.detail
    assert list(map(seen, others)) == expected(GOOD, 4)


def test_any_damage_to_a_batch_ends_in_records_of_its_offsets() -> None:
    good = b"".join(record_bytes(record, delta) for delta, record in enumerate([*GOOD, BAD]))
    for place in range(len(good)):
        for byte in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            payload = good[:place] + bytes([byte]) + good[place + 1 :]
            for read in (raw, plain):
                offsets = [record.offset for record in read(with_payload(0, payload, records=4, offset=5))]
                assert offsets
                assert set(offsets) <= set(range(5, 9))


class Chain:
    """What a chain was given."""

    def __init__(self) -> None:
        self.given: list[Message] = []

    def apply(self, messages: list[Message]) -> Output:
        self.given += messages
        out = Output()
        out.count("drop", "other")
        return out


def test_what_is_refused_goes_whole_to_the_dead_letters_and_the_chain_never_sees_it() -> None:
    chain: Any = Chain()
    found = raw(batch_of([GOOD[0], BAD, GOOD[1], BAD._replace(value=None)], offset=7))
    out = refused.apply(chain, "points", 3, found)
    assert [message.offset for message in chain.given] == [7, 9]
    assert out.counts == {("drop", "other"): 1, ("drop", "bad_header"): 2}
    assert [(letter.topic, letter.key, letter.value) for letter in out.records] == [
        ("dead-letter", b"key", b"value"),
        ("dead-letter", b"key", None),
    ]
    headers = dict(out.records[0].headers)
    assert headers.items() >= {"trace": b"1", r"caf\xe9": b"2", r"\xff": None, "calm_reason": b"bad_header"}.items()
    assert headers.items() >= {"calm_topic": b"points", "calm_partition": b"3", "calm_offset": b"8"}.items()


def test_a_chain_is_not_asked_when_all_is_refused() -> None:
    chain: Any = Chain()
    out = refused.apply(chain, "points", 0, raw(batch_of([BAD])))
    assert (chain.given, out.counts) == ([], {("drop", "bad_header"): 1})


def test_a_batch_that_is_not_as_long_as_the_fetch_is_left_for_the_next_one() -> None:
    data = batch_of(GOOD) + batch_of([BAD], offset=3)[:-1]
    assert [record.offset for record in raw(data)] == [0, 1, 2]
    assert Batches(data).size_in_bytes() == len(data)
