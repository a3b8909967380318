"""Apache Kafka as the tests run it: data outlive a stop and a crash, and a pause is survived."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.streams.broker_process import BrokerError, answers
from tests.kafka import fetch
from tests.kafka.server import KafkaServer


@pytest.fixture(scope="module")
def server(kafka_home: Path) -> Iterator[KafkaServer]:
    """One that may be stopped, killed and paused."""
    with KafkaServer(kafka_home) as own:
        yield own


async def send(server: KafkaServer, topic: str, *values: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])  # says so if it is there already, and does no more
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=server.bootstrap, enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def received(server: KafkaServer, topic: str, count: int) -> list[bytes]:
    """The first ``count`` values; fewer when none came for ten seconds."""
    values: list[bytes] = []
    async with AIOKafkaConsumer(bootstrap_servers=server.bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        while len(values) < count:
            fetched = await consumer.getmany(timeout_ms=10_000)
            if not fetched:
                break
            values += [record.value for batch in fetched.values() for record in batch]
    return values


async def test_the_shared_server_takes_idempotent_messages_and_gives_them_back(
    kafka: KafkaServer, topic_prefix: str
) -> None:
    await send(kafka, f"{topic_prefix}points", b"1", b"2", b"3")
    assert await received(kafka, f"{topic_prefix}points", 3) == [b"1", b"2", b"3"]


async def test_a_restart_keeps_the_data(server: KafkaServer, topic_prefix: str) -> None:
    bootstrap = server.bootstrap
    await send(server, f"{topic_prefix}points", b"before")
    server.restart()
    assert server.bootstrap == bootstrap
    await send(server, f"{topic_prefix}points", b"after")
    assert await received(server, f"{topic_prefix}points", 2) == [b"before", b"after"]


async def test_a_crash_keeps_the_data(server: KafkaServer, topic_prefix: str) -> None:
    await send(server, f"{topic_prefix}points", b"before")
    server.kill()
    assert server.pid is None
    server.start()
    assert await received(server, f"{topic_prefix}points", 1) == [b"before"]


async def test_a_paused_server_does_not_answer_and_goes_on_where_it_was(server: KafkaServer, topic_prefix: str) -> None:
    await send(server, f"{topic_prefix}points", b"before")
    server.pause()
    try:
        assert not answers(server.bootstrap, within_seconds=1)
    finally:
        server.resume()
    await send(server, f"{topic_prefix}points", b"after")
    assert await received(server, f"{topic_prefix}points", 2) == [b"before", b"after"]


def test_a_property_that_kafka_refuses_is_reported_in_its_words(kafka_home: Path) -> None:
    with pytest.raises(BrokerError, match=r"num\.io\.threads"):
        KafkaServer(kafka_home, properties={"num.io.threads": 0}).start()


def test_a_named_folder_without_kafka_is_refused_by_name(
    kafka_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALMSTREAM_KAFKA_HOME", str(tmp_path))
    with pytest.raises(fetch.Unavailable, match=f"CALMSTREAM_KAFKA_HOME={tmp_path}: no libs/kafka_2.13"):
        fetch.home()


def test_without_maven_and_without_jars_the_message_says_what_to_do(
    kafka_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_java = tmp_path / "bin"
    only_java.mkdir()
    (only_java / "java").symlink_to(fetch.java())
    monkeypatch.setenv("PATH", str(only_java))
    monkeypatch.delenv("CALMSTREAM_KAFKA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(fetch.Unavailable, match="install Maven"):
        fetch.home()


@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("1", "1 error")])
def test_without_java_a_test_is_skipped_with_the_reason_or_fails_where_kafka_is_required(
    required: str, outcome: str, tmp_path: Path
) -> None:
    wanted = f"{__file__}::{test_the_shared_server_takes_idempotent_messages_and_gives_them_back.__name__}"
    environment = {**os.environ, "PATH": str(tmp_path), "REQUIRE_KAFKA": required}
    environment.pop("JAVA_HOME", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", wanted]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert outcome in done.stdout
    assert "no java in PATH: install Java 17 or newer" in done.stdout
