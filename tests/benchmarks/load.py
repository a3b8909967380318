"""Fills an input topic before a run, as fast as one process can.

Guarantee: when ``preload`` returns, every message has been acknowledged by the broker.
"""

import asyncio
import contextlib
from collections import deque

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from aiokafka.producer.message_accumulator import BatchBuilder

from tests.benchmarks.workload import Workload

#: Points in one message of the workload *batched*.
POINTS_PER_MESSAGE = 500
_MAX_BATCH_BYTES = 900_000
_IN_FLIGHT = 16
#: How far after the end of the last window the closing points stand; beyond the allowed lateness.
_CLOSING_MS = 15_000


async def create_topic(bootstrap: str, topic: str, partitions: int) -> None:
    """Create an input topic; one that is there already is left as it is."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        with contextlib.suppress(TopicAlreadyExistsError):
            await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


def producer(bootstrap: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, max_batch_size=_MAX_BATCH_BYTES)


def in_arrays(points: list[bytes], size: int = POINTS_PER_MESSAGE) -> list[bytes]:
    return [b"[%b]" % b",".join(points[at : at + size]) for at in range(0, len(points), size)]


def filled(sender: AIOKafkaProducer, messages: list[bytes], timestamp_ms: int) -> list[BatchBuilder]:
    """As few Kafka batches as hold the messages."""
    batch = sender.create_batch()
    batches = [batch]
    for message in messages:
        if batch.append(key=None, value=message, timestamp=timestamp_ms) is None:
            batch = sender.create_batch()
            batch.append(key=None, value=message, timestamp=timestamp_ms)
            batches.append(batch)
    return batches


class Writer:
    """Sends Kafka batches with a bounded number of them on their way."""

    def __init__(self, sender: AIOKafkaProducer, topic: str) -> None:
        self._sender = sender
        self._topic = topic
        self._waiting: deque[asyncio.Future[object]] = deque()

    async def send(self, partition: int, messages: list[bytes], timestamp_ms: int) -> None:
        for batch in filled(self._sender, messages, timestamp_ms):
            self._waiting.append(await self._sender.send_batch(batch, self._topic, partition=partition))
        while len(self._waiting) > _IN_FLIGHT:
            await self._waiting.popleft()

    async def finish(self) -> None:
        while self._waiting:
            await self._waiting.popleft()


async def preload(
    bootstrap: str,
    topic: str,
    workload: Workload,
    start_ms: int,
    rounds: int,
    *,
    round_ms: int = 1000,
    batched: bool = False,
) -> int:
    """Write one point a signal in every round, and return how many points that were.

    Every partition then gets one more point, late enough in event time to let all windows before it close; it is not
    counted.
    """
    await create_topic(bootstrap, topic, workload.partitions)
    sender = producer(bootstrap)
    await sender.start()
    points = 0
    try:
        writer = Writer(sender, topic)
        for partition, times_ms, rows in workload.rounds(start_ms, rounds, round_ms):
            points += len(rows)
            await writer.send(partition, in_arrays(rows) if batched else rows, int(times_ms[-1]))
        await _close(writer, workload, start_ms + rounds * round_ms + _CLOSING_MS, batched)
        await writer.finish()
    finally:
        await sender.stop()
    return points


async def _close(writer: Writer, workload: Workload, closing_ms: int, batched: bool) -> None:
    noise = np.random.default_rng(0)
    for partition, signals in enumerate(workload.of_partition):
        rows = workload.points(signals[:1], np.array([closing_ms]), noise)
        await writer.send(partition, in_arrays(rows) if batched else rows, closing_ms)
