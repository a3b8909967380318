"""Batches of records written out byte by byte, as no producer makes them, and a way to a broker for them."""

import asyncio
import struct
from typing import Any, NamedTuple

import cramjam
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
START_MS = 1_700_000_000_000


class Raw(NamedTuple):
    """A record whose names of headers may be any bytes."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[bytes, bytes | None], ...] = ()


def varint(number: int) -> bytes:
    found = bytearray()
    encode_varint(number, found.append)
    return bytes(found)


def sized(value: bytes | None) -> bytes:
    return varint(-1) if value is None else varint(len(value)) + value


def record_bytes(record: Raw, delta: int) -> bytes:
    """A record as it stands in a batch; its time is so many seconds after the batch's."""
    headers = b"".join(varint(len(name)) + name + sized(value) for name, value in record.headers)
    times = b"\0" + varint(1000 * delta) + varint(delta)
    return sized(times + sized(record.key) + sized(record.value) + varint(len(record.headers)) + headers)


def batch_of(records: list[Raw], code: int = 0, offset: int = 0, start_ms: int = START_MS) -> bytes:
    payload = b"".join(map(record_bytes, records, range(len(records))))
    return with_payload(code, compressed(code, payload), len(records), offset, start_ms)


def compressed(code: int, payload: bytes) -> bytes:
    encoders: list[Any] = [bytes, cramjam.gzip.compress, cramjam.snappy.compress_raw, _lz4, cramjam.zstd.compress]
    return bytes(encoders[code](payload))


def _lz4(payload: bytes) -> bytes:
    compressor = cramjam.lz4.Compressor(block_linked=False)
    compressor.compress(payload)
    return bytes(compressor.finish())


def with_payload(code: int, payload: bytes, records: int = 7, offset: int = 0, start_ms: int = START_MS) -> bytes:
    """A batch with a right checksum around any compressed bytes."""
    last_ms = start_ms + 1000 * (records - 1)
    content = struct.pack(">hiqqqhii", code, records - 1, start_ms, last_ms, -1, -1, -1, records) + payload
    behind = struct.pack(">ibI", 0, 2, calc_crc32c(content)) + content
    return struct.pack(">qi", offset, len(behind)) + behind


async def send_batch(bootstrap: str, topic: str, batch: bytes, partition: int = 0) -> None:
    """Write one batch as it is. Fails where the broker refuses it."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    request = ProduceRequest(
        required_acks=-1, timeout=10_000, topics=[(topic, [(partition, batch)])], transactional_id=None
    )
    try:
        await client.set_topics([topic])
        async with asyncio.timeout(30):
            while True:
                leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
                code = LeaderNotAvailableError.errno
                if leader not in (None, -1):
                    ((_, ((_, code, *_rest),)),) = (await client.send(leader, request)).topics
                if not for_code(code).retriable:  # a topic that was just made
                    break
                await client.force_metadata_update()
        assert code == 0, f"the broker refused the batch: {for_code(code)}"
    finally:
        await client.close()
