"""Reading topics for people, on Apache Kafka and on the embedded broker."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.settings import Settings, load
from pipeline.streams import topics
from pipeline.streams.broker_process import LOOPBACK, BrokerProcess, free_port
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.reading import Reader, open_reader
from pipeline.streams.state.saved_state import newest_snapshots


@pytest.fixture
def settings(broker: BrokerProcess, topic_prefix: str) -> Settings:
    return load(
        overrides={
            "broker": {"bootstrap": broker.bootstrap, "idempotence": "if-available"},
            "topic_prefix": topic_prefix,
            "inputs": [{"topic": f"{topic_prefix}points", "format": "json_points"}],
            "topics": {"partitions": 2},
        }
    )


async def send(settings: Settings, topic: str, *numbers: int, batched: bool = False) -> None:
    """Records with the numbers as values; number n goes to partition n % 2."""
    linger_ms = 200 if batched else 0
    async with AIOKafkaProducer(bootstrap_servers=settings.broker.bootstrap, linger_ms=linger_ms) as producer:
        for number in numbers:
            sent = await producer.send(topic, b"%d" % number, partition=number % 2, timestamp_ms=1000 + number)
            if not batched:
                await sent
        await producer.flush()


async def everything(reader: Reader, topic: str) -> list[int]:
    return sorted([int(record.value) async for records in reader.everything(topic) for record in records])


async def test_everything_is_all_that_is_there_to_the_last_record_of_the_last_batch(settings: Settings) -> None:
    await topics.create(settings)
    topic = settings.topic("points")
    await send(settings, topic, *range(50), batched=True)
    async with open_reader(settings, topic, settings.topic("incidents")) as reader:
        assert await everything(reader, topic) == list(range(50))
        assert await everything(reader, settings.topic("incidents")) == []
        assert await everything(reader, topic) == list(range(50))


async def test_the_newest_are_chosen_by_time_over_all_partitions(settings: Settings) -> None:
    await topics.create(settings)
    topic = settings.topic("points")
    await send(settings, topic, *range(20), 22, 24, batched=True)
    async with open_reader(settings, topic) as reader:
        assert [int(record.value) for record in await reader.newest(topic, 5)] == [17, 18, 19, 22, 24]
        assert len(await reader.newest(topic, 1000)) == 22


async def test_backwards_gives_every_record_once_newest_first(settings: Settings) -> None:
    await topics.create(settings)
    topic = settings.topic("points")
    await send(settings, topic, *range(0, 40, 2), batched=True)
    async with open_reader(settings, topic) as reader:
        found = [int(record.value) async for record in reader.backwards(topic, 0, 3)]
        assert found == list(range(38, -1, -2))
        assert [record async for record in reader.backwards(topic, 1, 3)] == []


async def test_onward_gives_what_comes_after_the_places(settings: Settings) -> None:
    await topics.create(settings)
    topic = settings.topic("points")
    await send(settings, topic, 0, 1, 2, batched=True)
    async with open_reader(settings, topic) as reader:
        places = await reader.ends(topic)
        assert {partition.partition: end for partition, end in places.items()} == {0: 2, 1: 1}
        await send(settings, topic, 3, 4)
        found: set[int] = set()
        async for records in reader.onward(places):
            found |= {int(record.value) for record in records}
            if found >= {3, 4}:
                break
        assert found == {3, 4}


async def test_a_reader_may_be_closed_right_after_it_was_opened(settings: Settings) -> None:
    await topics.create(settings)
    async with asyncio.timeout(30):
        for _ in range(5):
            async with open_reader(settings, settings.topic("points")) as reader:
                await reader.ends(settings.topic("points"))
                reader.onward({})


async def test_a_missing_topic_is_said_with_what_to_do(settings: Settings) -> None:
    with pytest.raises(WorkerExit, match="run: calmstream topics create") as caught:
        async with open_reader(settings, settings.topic("points")):
            pass
    assert caught.value.code == Exit.TOPICS


async def test_a_broker_that_is_not_there_is_said_in_one_line() -> None:
    bootstrap = f"{LOOPBACK}:{free_port()}"
    settings = load(overrides={"broker": {"bootstrap": bootstrap}})
    with pytest.raises(WorkerExit, match=f"no Kafka broker answers at {bootstrap}") as caught:
        async with open_reader(settings, "calm.points"):
            pass
    assert caught.value.code == Exit.BROKER_LOST


async def test_without_checkpoints_there_are_no_snapshots(settings: Settings) -> None:
    await topics.create(settings)
    assert await newest_snapshots(settings, settings.topic("signals"), settings.topic("score.state")) == {}


async def test_checkpoints_that_are_damaged_are_said(settings: Settings) -> None:
    await topics.create(settings)
    state = settings.topic("score.state")
    async with AIOKafkaProducer(bootstrap_servers=settings.broker.bootstrap) as producer:
        key = f"{settings.topic('signals')}/0|epoch|manifest".encode()
        await producer.send_and_wait(state, json.dumps([1]).encode(), key=key, partition=0)
    with pytest.raises(WorkerExit, match=r"no checkpoint of .* is complete") as caught:
        await newest_snapshots(settings, settings.topic("signals"), state)
    assert caught.value.code == Exit.STATE_UNREADABLE
