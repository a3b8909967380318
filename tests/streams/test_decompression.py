"""Compressed batches: good ones are read as ever, bombs and damaged ones are refused within bounds and stepped over."""

import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from pipeline.streams import batches, decompression
from pipeline.streams.decompression import MOST_BYTES, Unreadable
from pipeline.streams.fetching import _take
from tests.streams.made_batches import CODECS, with_payload

every_compression = pytest.mark.parametrize("code", [1, 2, 3, 4], ids=["gzip", "snappy", "lz4", "zstd"])
VALUES = [random.Random(number).randbytes(40) * 20 for number in range(50)]


@pytest.fixture(autouse=True)
def bounded() -> None:
    assert decompression.bound()


def batch(code: int, values: list[bytes] = VALUES) -> bytes:
    builder = DefaultRecordBatchBuilder(2, code, False, -1, -1, -1, 10**8)
    for number, value in enumerate(values):
        builder.append(number, 5, None, value, [])
    return bytes(builder.build())


def zeros() -> Iterator[bytes]:
    for _ in range(MOST_BYTES // 2**20 + 1):
        yield bytes(2**20)


def bomb(code: int) -> bytes:
    """Compressed bytes of a little more than the bound."""
    if code == CODECS["gzip"]:
        made = zlib.compressobj(9, zlib.DEFLATED, 31)
        return b"".join(map(made.compress, zeros())) + made.flush()
    if code == CODECS["snappy"]:
        return bytes(cramjam.snappy.compress_raw(b"".join(zeros())))
    compressor: Any = cramjam.lz4.Compressor(block_linked=False) if code == CODECS["lz4"] else cramjam.zstd.Compressor()
    for part in zeros():
        compressor.compress(part)
    return bytes(compressor.finish())


@every_compression
def test_a_good_batch_is_read_as_ever(code: int) -> None:
    assert [record.value for record in MemoryRecords(batch(code)).next_batch()] == VALUES


@every_compression
def test_a_batch_that_expands_beyond_the_bound_is_refused(code: int) -> None:
    payload = bomb(code)
    with pytest.raises(Unreadable, match=f"of {len(payload)} bytes expands to more than {MOST_BYTES}") as refused:
        list(MemoryRecords(with_payload(code, payload)).next_batch())
    assert refused.value.data == payload


@every_compression
def test_a_damaged_batch_is_refused(code: int) -> None:
    good = batch(code)[61:]
    for payload in (good[:-20], good[: len(good) // 2], b"", b"\xff" * 100, random.Random(1).randbytes(300)):
        with pytest.raises(Exception) as refused:
            list(MemoryRecords(with_payload(code, payload)).next_batch())
        assert isinstance(refused.value, decompression.CorruptRecordException)


@every_compression
def test_a_consumer_gets_a_refused_batch_as_one_record_and_goes_on_behind_it(code: int) -> None:
    payload = b"\xff" * 100
    log = batches.Batches(with_payload(code, payload, records=7) + with_offset(batch(0, [b"next"]), 7))
    partition = PartitionRecords(TopicPartition("t", 0), log, None, 0, None, None, True, READ_UNCOMMITTED)
    found: list[Any] = []
    while log.has_next():
        _take(partition, log.next_batch(), found.extend)
    assert [(record.offset, record.value) for record in found] == [(0, payload), (7, b"next")]
    assert found[0].headers[0][0] == "calm_unreadable_batch"
    assert (found[0].value.reason, found[0].value.whole) == ("unreadable_batch", payload)
    assert partition.next_fetch_offset == 8


def with_offset(made: bytes, offset: int) -> bytes:
    return struct.pack(">q", offset) + made[8:]
