"""Reads a whole topic in big batches with a bare aiokafka consumer: no group, all partitions, from the beginning.

Guarantee: every message is given once, in the order of its partition.
"""

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, ConsumerRecord


async def fetched(bootstrap: str, topic: str) -> AsyncIterator[list[ConsumerRecord]]:
    """Batches of one partition each, for ever."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=None,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
        fetch_max_bytes=32 << 20,
    )
    await consumer.start()
    try:
        while True:
            for messages in (await consumer.getmany(timeout_ms=1000, max_records=20_000)).values():
                yield messages
    finally:
        await consumer.stop()
