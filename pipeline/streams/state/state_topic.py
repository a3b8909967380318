"""Reading the live records of state partitions, to their end, and putting a checkpoint there by hand.

Guarantee: everything acknowledged before the call is seen. The end is the high watermark of a fetch made after the
call began, not ``end_offsets``, which some brokers answer too low.
"""

import asyncio
import uuid
from collections.abc import Collection, Iterable
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from pipeline.records import Snapshot
from pipeline.settings import Settings
from pipeline.streams import clients
from pipeline.streams.state import checkpoints


async def read_live(
    settings: Settings, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, dict[bytes, bytes]]:
    """The newest value of every key (tombstones taken out) of each partition.

    Raises TimeoutError when the broker sends nothing for ``broker.request_timeout_seconds``.
    """
    live: dict[TopicPartition, dict[bytes, bytes]] = {partition: {} for partition in partitions}
    if not live:
        return live
    consumer = clients.reader(settings, max_partition_fetch_bytes=16 * 2**20, fetch_max_bytes=64 * 2**20)
    await consumer.start()
    try:
        consumer.assign(list(live))
        await consumer.seek_to_beginning(*live)
        waiting = set(live)
        quiet_since = asyncio.get_running_loop().time()
        while waiting:
            fetched = await consumer.getmany(*waiting, timeout_ms=50)
            for partition, records in fetched.items():
                _apply(live[partition], records)
            for partition in list(waiting):
                end = consumer.highwater(partition)
                if end is not None and await consumer.position(partition) >= end:
                    waiting.discard(partition)
            now = asyncio.get_running_loop().time()
            if fetched:
                quiet_since = now
            if now - quiet_since > settings.broker.request_timeout_seconds:
                names = ", ".join(f"{partition.topic}/{partition.partition}" for partition in sorted(waiting))
                raise TimeoutError(f"the broker sent nothing of {names} for {now - quiet_since:.0f} s")
    finally:
        await clients.stop_reader(consumer)
    return live


async def put(settings: Settings, place: TopicPartition, shard: str, snapshot: Snapshot, keys: Iterable[bytes]) -> None:
    """Make a full snapshot the only checkpoint of a shard that nobody runs; ``keys`` are those of the live records of
    its partition. Cut off anywhere, either what was there counts or the snapshot. Raises KafkaError."""
    writer, epoch = await clients.start_writer(settings, idempotent=False), uuid.uuid4().hex  # a repeat changes nothing
    try:
        cut = checkpoints.Writer(shard, epoch)
        await _send(writer, place, cut.parts(snapshot))
        await _send(writer, place, [cut.manifest(snapshot)])
        await _send(writer, place, checkpoints.other_epochs(shard, epoch, keys))
    finally:
        await writer.stop()


async def remove(settings: Settings, place: TopicPartition, keys: Iterable[bytes]) -> None:
    """Tombstones for these keys. Raises KafkaError."""
    writer = await clients.start_writer(settings, idempotent=False)
    try:
        await _send(writer, place, [(key, None) for key in keys])
    finally:
        await writer.stop()


async def _send(writer: AIOKafkaProducer, place: TopicPartition, records: Iterable[checkpoints.Record]) -> None:
    """In this order; returns when the broker has them."""
    sent = [await writer.send(place.topic, value, key, partition=place.partition) for key, value in records]
    await asyncio.gather(*sent)


def _apply(live: dict[bytes, bytes], records: list[Any]) -> None:
    for record in records:
        if record.value is None:
            live.pop(record.key, None)
        else:
            live[record.key] = record.value
