"""Raw batches are what plain ``getmany`` gives: the same records and the same position, on both brokers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.records import RefusedValue
from pipeline.settings import Settings, load
from pipeline.streams import clients, fetching
from pipeline.streams.broker_process import BrokerProcess
from tests.streams.made_batches import Raw, batch_of, send_batch

PARTITIONS = 3
BATCHES = 4
IN_A_BATCH = 50
SECONDS = 30.0

#: offset, key, value, headers, timestamp
Seen = tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...], int]


@pytest.fixture
def settings(broker: BrokerProcess) -> Settings:
    return load(overrides={"broker": {"bootstrap": broker.bootstrap}})


async def create(settings: Settings, topic: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    finally:
        await admin.close()
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]


async def fill(settings: Settings, places: list[TopicPartition], compression: str | None) -> None:
    """Batches of records with keys, headers, tombstones and empty values, every partition its own."""
    options = {"bootstrap_servers": settings.broker.bootstrap, "compression_type": compression}
    async with AIOKafkaProducer(**options) as producer:
        for number in range(BATCHES):
            for place in places:
                batch = producer.create_batch()
                for i in range(IN_A_BATCH):
                    name = b"%d/%d/%d" % (place.partition, number, i)
                    batch.append(
                        key=None if i % 7 == 0 else name,
                        value=None if i % 5 == 0 else b"" if i % 11 == 0 else name * 9,
                        timestamp=1_700_000_000_000 + 1000 * number + i,
                        headers=[("from", name), ("empty", b"")] if i % 3 == 0 else [],
                    )
                await (await producer.send_batch(batch, place.topic, partition=place.partition))


class Reading:
    """Everything from some offsets on, plain or raw, with the position after every look."""

    def __init__(self, consumer: AIOKafkaConsumer, *, raw: bool) -> None:
        self.consumer = consumer
        self._raw = raw

    async def read(self, starts: dict[TopicPartition, int], end: int) -> dict[TopicPartition, list[Seen]]:
        """Until every position is ``end``; which is the proof that the positions follow the records alike."""
        for place, offset in starts.items():
            self.consumer.seek(place, offset)
        found: dict[TopicPartition, list[Seen]] = {place: [] for place in starts}
        async with asyncio.timeout(SECONDS):
            while any([await self.consumer.position(place) != end for place in starts]):
                if self._raw:
                    fetching.keep_raw(self.consumer)
                # Without a time-out: what is fetched while it waits would be taken before it could be kept raw.
                for place, records in (await self.consumer.getmany()).items():
                    found[place] += [_seen(record) for record in records]
                    assert self._raw == (type(records[0]).__name__ != "ConsumerRecord")
                    assert await self.consumer.position(place) > records[-1].offset
                await self._fetched()
        return found

    async def _fetched(self) -> None:
        """Wait until the consumer has fetched something more, or has found that there is nothing."""
        waiter = self.consumer._fetcher._create_fetch_waiter()
        await asyncio.wait([waiter], timeout=0.05)


def _seen(record: Any) -> Seen:
    return record.offset, record.key, record.value, tuple(record.headers), record.timestamp


@pytest.fixture
async def consumers(settings: Settings) -> AsyncIterator[list[Reading]]:
    """A plain one and a raw one, which fetch little at once."""
    started = []
    try:
        for _ in range(2):
            started.append(clients.reader(settings, max_partition_fetch_bytes=8_000))
            await started[-1].start()
        yield [Reading(started[0], raw=False), Reading(started[1], raw=True)]
    finally:
        for consumer in started:
            await clients.stop_reader(consumer)


async def test_this_aiokafka_is_one_that_can_be_read_raw(consumers: list[Reading]) -> None:
    """If this fails after an upgrade of aiokafka, workers still run, but slower: look at pipeline/streams/fetching."""
    assert fetching.available(consumers[1].consumer)


@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_raw_records_and_positions_are_those_of_plain_ones(
    settings: Settings, topic_prefix: str, consumers: list[Reading], compression: str | None
) -> None:
    places = await create(settings, f"{topic_prefix}points")
    await fill(settings, places, compression)
    end = BATCHES * IN_A_BATCH
    for consumer in consumers:
        consumer.consumer.assign(places)
    for start in (0, IN_A_BATCH, IN_A_BATCH + 20, end - 1):
        starts = {place: min(start + place.partition, end - 1) for place in places}
        plain, raw = [await consumer.read(starts, end) for consumer in consumers]
        assert raw == plain
        assert {place: [seen[0] for seen in found] for place, found in raw.items()} == {
            place: list(range(starts[place], end)) for place in places
        }


async def test_records_that_aiokafka_does_not_parse_come_alike_and_refused(
    settings: Settings, topic_prefix: str, consumers: list[Reading]
) -> None:
    places = await create(settings, f"{topic_prefix}points")
    records = [Raw(b"good"), Raw(b"bad", b"key", ((b"caf\xe9", b"1"),)), Raw(b"good")]
    for code in (0, 1):
        await send_batch(settings.broker.bootstrap, places[0].topic, batch_of(records, code))
    found = []
    for consumer in consumers:
        consumer.consumer.assign(places[:1])
        found.append((await consumer.read({places[0]: 1}, 6))[places[0]])
    plain, raw = found
    assert raw == plain
    assert [(seen[0], seen[2], type(seen[2]) is RefusedValue) for seen in raw] == [
        (1, b"bad", True),
        (2, b"good", False),
        (3, b"good", False),
        (4, b"bad", True),
        (5, b"good", False),
    ]


@pytest.mark.parametrize("broker", [pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True)
async def test_the_marks_of_transactions_are_stepped_over_alike(
    settings: Settings, topic_prefix: str, consumers: list[Reading]
) -> None:
    """Also at the end of the log, where a commit leaves no record but takes an offset."""
    places = await create(settings, f"{topic_prefix}points")
    options = {"bootstrap_servers": settings.broker.bootstrap, "transactional_id": f"{topic_prefix}x"}
    async with AIOKafkaProducer(**options) as producer:
        for value in (b"1", b"2", b"3"):
            async with producer.transaction():
                await producer.send(places[0].topic, value, partition=0)
    found = []
    for consumer in consumers:
        consumer.consumer.assign(places[:1])
        found.append(await consumer.read({places[0]: 0}, 6))
    assert [(seen[0], seen[2]) for seen in found[0][places[0]]] == [(0, b"1"), (2, b"2"), (4, b"3")]
    assert found[1] == found[0]
