"""A stretch of one topic, in batches, for a replay.

Guarantee: each partition in the order of its offsets, from its first record that is not older than ``since_ms`` up to
and without its first record that is not older than ``until_ms`` (record times), and never beyond the high watermark
that was there when the stretch was opened. Nothing is changed on the broker. What goes wrong ends in a WorkerExit.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from pipeline.settings import Settings
from pipeline.streams import clients
from pipeline.streams.reading import Record, open_reader, reachable

#: Records taken at once.
_BATCH_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """Record times in milliseconds; None = no bound."""

    since_ms: int | None = None
    until_ms: int | None = None


@asynccontextmanager
async def open_stretch(settings: Settings, topic: str, bounds: Bounds) -> AsyncIterator["Stretch"]:
    """A stretch of a topic in the plan (full name). Raises WorkerExit when it is missing or the broker is lost."""
    async with open_reader(settings, topic) as reader:
        ends = await reader.ends(topic)
    with reachable(settings):
        # A record must fit into one fetch of its partition, or nothing of it is returned.
        consumer = clients.reader(settings, max_partition_fetch_bytes=clients.MAX_RECORD_BYTES + 2**20)
        await consumer.start()
        try:
            consumer.assign(list(ends))
            starts = await _starts(consumer, list(ends), bounds.since_ms)
            yield Stretch(consumer, starts, ends, bounds, settings.broker.request_timeout_seconds)
        finally:
            await consumer.stop()


async def _starts(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], since_ms: int | None
) -> dict[TopicPartition, int]:
    """Where to start reading: at the wanted record or before it (some brokers answer too low), never behind it."""
    starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
    if since_ms is not None:
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        starts |= {partition: max(at.offset, starts[partition]) for partition, at in found.items() if at is not None}
    return starts


class Stretch:
    """``partitions`` of the topic, and about how many ``records`` there are to read."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        bounds: Bounds,
        patience_seconds: float,
    ) -> None:
        self._consumer = consumer
        self._ends = ends
        self._bounds = bounds
        self._patience_seconds = patience_seconds
        self._newest_ms = dict.fromkeys(ends, -1)
        self._begun = dict.fromkeys(ends, bounds.since_ms is None)
        self.partitions = len(ends)
        self.records = sum(max(end - starts[partition], 0) for partition, end in ends.items())
        for partition, start in starts.items():
            consumer.seek(partition, start)

    async def batches(self) -> AsyncIterator[tuple[int, list[Record]]]:
        """(partition, records), always of the partition that is least far; no records at the end of a partition."""
        waiting = set(self._ends)
        for partition, end in self._ends.items():
            if await self._consumer.position(partition) >= end:
                waiting.discard(partition)
                yield partition.partition, []
        while waiting:
            partition = min(waiting, key=lambda p: (self._newest_ms[p], p))
            records, ended = await self._next(partition)
            if records:
                yield partition.partition, records
            if ended:
                waiting.discard(partition)
                yield partition.partition, []

    async def _next(self, partition: TopicPartition) -> tuple[list[Record], bool]:
        """Some records (none that lie before the stretch), and whether the partition is at its end."""
        fetched = await self._fetch(partition)
        ended = await self._consumer.position(partition) >= self._ends[partition]
        records: list[Record] = []
        for record in fetched:
            self._newest_ms[partition] = max(self._newest_ms[partition], record.timestamp)
            if not self._begun[partition]:
                self._begun[partition] = record.timestamp >= (self._bounds.since_ms or 0)
                if not self._begun[partition]:
                    continue
            until_ms = self._bounds.until_ms
            if record.offset >= self._ends[partition] or (until_ms is not None and record.timestamp >= until_ms):
                return records, True
            records.append(record)
        return records, ended

    async def _fetch(self, partition: TopicPartition) -> list[Record]:
        """Empty when the position moved over offsets without records. Raises KafkaConnectionError after a long wait."""
        clock = asyncio.get_running_loop().time
        before, since = await self._consumer.position(partition), clock()
        while clock() - since <= self._patience_seconds:
            fetched = await self._consumer.getmany(partition, timeout_ms=200, max_records=_BATCH_RECORDS)
            if fetched or await self._consumer.position(partition) != before:
                return list(fetched.get(partition, ()))
        raise KafkaConnectionError
