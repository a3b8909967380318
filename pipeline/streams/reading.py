"""Reading topics for people: everything there is, the newest few, or what comes from now on.

Guarantee: nothing is changed on the broker: no consumer group, no commits. The end of a partition is the high watermark
of a fetch made after the call began, not ``end_offsets``, which some brokers answer too low. What goes wrong on the way
ends in a WorkerExit that says so in one line.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from pipeline.settings import Settings
from pipeline.streams import clients, refusals, topics
from pipeline.streams.exits import Exit, WorkerExit

#: A record as aiokafka gives it: topic, partition, offset, timestamp, key, value, headers.
Record = Any
#: An offset in each of some partitions.
Places = Mapping[TopicPartition, int]

_PROBE_SECONDS = 5.0


@contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """Turn what a Kafka client raises into a WorkerExit with the right code and one clear line."""
    try:
        yield
    except KafkaConnectionError:
        raise WorkerExit(
            Exit.BROKER_LOST,
            f"no Kafka broker answers at {settings.broker.bootstrap}. Start one (calmstream broker starts a small "
            "one), or say where it is with --bootstrap or CALMSTREAM_BROKER__BOOTSTRAP",
        ) from None
    except KafkaError as error:
        if refused := refusals.of_operation(error, settings):
            raise refused from error
        raise WorkerExit(Exit.BROKER_LOST, f"the broker at {settings.broker.bootstrap} failed us: {error!r}") from error
    except topics.TopicError as error:
        raise WorkerExit(Exit.TOPICS, str(error)) from error


@asynccontextmanager
async def open_reader(settings: Settings, *names: str) -> AsyncIterator["Reader"]:
    """A reader of some of the topics in the plan (full names).

    Raises WorkerExit when the broker cannot be reached, now or while reading, or when a topic is missing.
    """
    with reachable(settings):
        described = await topics.describe(settings, names, configs=False)
        missing = [name for name in names if described[name] is None]
        if missing:
            there = "topic is" if len(missing) == 1 else "topics are"
            raise WorkerExit(
                Exit.TOPICS,
                f"{there} missing on {settings.broker.bootstrap}: {', '.join(missing)}; run: calmstream topics create",
            )
        partitions = {name: state.partitions for name in names if (state := described[name])}
        # A record must fit into one fetch of its partition, or nothing of it is returned.
        consumer = clients.reader(settings, max_partition_fetch_bytes=clients.MAX_RECORD_BYTES + 2**20)
        await consumer.start()
        try:
            yield Reader(settings, consumer, partitions)
        finally:
            await clients.stop_reader(consumer)


class Reader:
    """Reads one thing at a time; each method starts anew."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer, partitions: Mapping[str, int]) -> None:
        self._settings = settings
        self._consumer = consumer
        self._partitions = partitions

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        """The offset that the next record of each partition will have."""
        partitions = [TopicPartition(topic, number) for number in range(self._partitions[topic])]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_end(*partitions)
        found: dict[TopicPartition, int] = {}
        quiet = _Quiet(self._settings)
        while len(found) < len(partitions):
            await self._consumer.getmany(timeout_ms=50)
            known = {partition: self._consumer.highwater(partition) for partition in partitions}
            found = {partition: end for partition, end in known.items() if end is not None}
            quiet.check(heard=False)
        return found

    async def everything(self, topic: str) -> AsyncIterator[list[Record]]:
        """All records that are in the topic now, in batches; ordered within each partition."""
        ends = await self.ends(topic)
        async for records in self.between(dict.fromkeys(ends, 0), ends):
            yield records

    async def newest(self, topic: str, count: int) -> list[Record]:
        """The newest records of a topic, at most ``count``, oldest first by their record time."""
        ends = await self.ends(topic)
        starts = {partition: max(end - count, 0) for partition, end in ends.items()}
        found = [record async for records in self.between(starts, ends) for record in records]
        found.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
        return found[-count:]

    async def backwards(self, topic: str, partition: int, count: int) -> AsyncIterator[Record]:
        """Records of one partition, newest first; fetched ``count`` at once, then twice as many, and so on."""
        where = TopicPartition(topic, partition)
        end = (await self.ends(topic))[where]
        while end > 0:
            start = max(end - count, 0)
            found = [record async for records in self.between({where: start}, {where: end}) for record in records]
            for record in reversed(found):
                yield record
            end, count = start, count * 2

    async def onward(self, places: Places) -> AsyncIterator[list[Record]]:
        """Records from these places on, as they come, for ever. Raises WorkerExit when the broker is lost."""
        self._seek(places)
        loop = asyncio.get_running_loop()
        heard = probed = loop.time()
        while True:
            fetched = await self._consumer.getmany(timeout_ms=500)
            now = loop.time()
            if fetched:
                heard = now
                yield list(chain.from_iterable(fetched.values()))
            elif now - max(heard, probed) >= _PROBE_SECONDS:
                if await clients.answers(self._settings, _PROBE_SECONDS):
                    heard = loop.time()
                elif now - heard > self._settings.broker.lost_after_seconds:
                    raise KafkaConnectionError
                probed = loop.time()

    async def between(self, starts: Places, ends: Places) -> AsyncIterator[list[Record]]:
        """Records from the starts up to and without the ends, which must not lie beyond those of the partitions."""
        waiting = {partition for partition, end in ends.items() if starts[partition] < end}
        if waiting:
            self._seek(starts)
        quiet = _Quiet(self._settings)
        while waiting:
            fetched = await self._consumer.getmany(*waiting, timeout_ms=100)
            quiet.check(heard=bool(fetched))
            for partition, records in fetched.items():
                inside = [record for record in records if record.offset < ends[partition]]
                if inside:
                    yield inside
            for partition in list(waiting):
                if await self._consumer.position(partition) >= ends[partition]:
                    waiting.discard(partition)

    def _seek(self, places: Places) -> None:
        if self._consumer.assignment() != places.keys():
            self._consumer.assign(list(places))
        for partition, offset in places.items():
            self._consumer.seek(partition, offset)  # below the oldest record: the fetch starts at the oldest


class _Quiet:
    """How long the broker has said nothing that brings us on."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.broker.request_timeout_seconds
        self._since = asyncio.get_running_loop().time()

    def check(self, *, heard: bool) -> None:
        """Raises KafkaConnectionError when it is too long."""
        now = asyncio.get_running_loop().time()
        if heard:
            self._since = now
        if now - self._since > self._limit:
            raise KafkaConnectionError
