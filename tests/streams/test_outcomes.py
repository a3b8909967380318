"""What becomes of a worker whose broker refuses, loses or changes something: each row of docs/operations.md.

One server, whose workers go through their stories together.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import NotEnoughReplicasError

from pipeline.streams import refused_writes, topics
from pipeline.streams.exits import Exit
from tests.kafka.server import KafkaServer
from tests.streams.one_signal import OneSignal
from tests.streams.outcomes import HASTE, Story, configured, created, deleted, grown, sending, tell, then


@pytest.fixture(scope="module")
def server(kafka_home: Path) -> Iterator[KafkaServer]:
    with KafkaServer(kafka_home) as server:
        yield server


@pytest.fixture(scope="module")
def stories(server: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Story]:
    told = {
        "block": Story(then(configured("signals", max_message_bytes="70"), sending(5)), created),
        "checkpoint": Story(then(configured("score.state", max_message_bytes="70"), sending(5)), created),
        "input": Story(deleted("points")),
        "inner": Story(deleted("signals")),
        "state": Story(then(deleted("score.state"), sending(5)), created),
        "input grown": Story(grown("points", 2), takes_the_new_partition),
        "inner grown": Story(grown("signals", 2)),
    }
    directory = tmp_path_factory.mktemp("outcomes")
    runs = [OneSignal(server, f"{name.replace(' ', '-')}.", directory, dict(HASTE)).create() for name in told]
    tell(list(zip(runs, told.values(), strict=True)))
    return told


def takes_the_new_partition(run: OneSignal) -> None:
    """topics.partitions_by_topic, and calmstream topics create."""
    grown = {f"{run.prefix}points": 2}
    run.changes |= {"TOPICS__PARTITIONS_BY_TOPIC": json.dumps(grown), "TIME__IDLE_EMPTY_SECONDS": "0.5"}
    settings = run.settings()
    known = settings.topics.model_copy(update={"partitions_by_topic": grown})
    asyncio.run(topics.create(settings.model_copy(update={"topics": known})))


@pytest.fixture
def sender() -> Iterator[logging.Logger]:
    """The client's logger, as the process has it: some verbs make the client silent."""
    logger = logging.getLogger("aiokafka.producer.sender")
    level, filters = logger.level, logger.filters[:]
    yield logger
    logger.setLevel(level)
    logger.filters[:] = filters


@pytest.mark.parametrize("level", [logging.WARNING, logging.CRITICAL + 1])
def test_too_few_replicas_are_said_with_what_kafka_said_and_what_to_do(
    sender: logging.Logger, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is alone always has enough. What the log is to show changes nothing of what is heard."""
    place = TopicPartition("calm.signals", 3)
    sender.setLevel(level)
    sender.filters.clear()
    answers = refused_writes.listen()
    assert answers is refused_writes.listen()
    sender.warning("%s retrying: %s", place, NotEnoughReplicasError)
    assert len(caplog.records) == (level == logging.WARNING)
    found = refused_writes.overdue(place, 20.0, answers.last(place))
    assert found.code == Exit.BROKER_LOST
    assert "Kafka has refused what we write to calm.signals/3 for 20 s (NOT_ENOUGH_REPLICAS)" in str(found)
    assert "bring the missing brokers back" in str(found)
    answers.accepted(place)
    assert "has not acknowledged a record" in str(refused_writes.overdue(place, 20.0, answers.last(place)))


@pytest.mark.parametrize(("what", "topic"), [("block", "signals"), ("checkpoint", "score.state")])
def test_a_topic_that_takes_only_small_records_is_named_with_what_mends_it(
    stories: dict[str, Story], what: str, topic: str
) -> None:
    story = stories[what]
    assert story.code == Exit.TOPICS
    assert f"Kafka refuses what we write to {what}.{topic}/0 (MESSAGE_SIZE_TOO_LARGE)" in story.words
    assert "max.message.bytes was lowered; run: calmstream topics create" in story.words
    assert story.went_on


@pytest.mark.parametrize(("what", "topic"), [("input", "points"), ("inner", "signals"), ("state", "score.state")])
def test_a_topic_that_is_deleted_ends_the_worker_with_its_name(
    stories: dict[str, Story], what: str, topic: str
) -> None:
    story = stories[what]
    assert story.code == Exit.TOPICS
    assert f"{what}.{topic}: the topic is missing; run: calmstream topics create" in story.words
    assert story.went_on or story.mend is None


def test_an_input_topic_that_grows_is_told_and_taken_as_it_is_when_the_settings_say_so(
    stories: dict[str, Story],
) -> None:
    story = stories["input grown"]
    assert story.code == Exit.TOPICS
    assert "input-grown.points: it has 2 partitions and 1 are expected" in story.words
    assert "topics.partitions_by_topic" in story.words
    assert story.went_on


def test_an_inner_topic_that_grows_is_told_before_anything_is_written_to_its_new_partition(
    stories: dict[str, Story],
) -> None:
    story = stories["inner grown"]
    assert story.code == Exit.TOPICS
    assert "inner-grown.signals: it has 2 partitions and 1 are expected" in story.words
