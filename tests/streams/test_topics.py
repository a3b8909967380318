"""Topics: the plan is right for any settings, and both brokers can be brought to it and checked against it."""

import asyncio
import logging
from collections.abc import Iterable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from pipeline.settings import ConfigurationError, Settings
from pipeline.streams import topics
from pipeline.streams.broker_process import BrokerProcess, free_port
from pipeline.streams.embedded import EmbeddedBroker
from tests.kafka.server import KafkaServer


def settings_for(broker: BrokerProcess | None = None, prefix: str = "calm.", **sections: object) -> Settings:
    """Two inputs: ``<prefix>points`` of our own, and ``theirs-<prefix>metrics``, which is somebody else's."""
    inputs = [
        {"topic": f"{prefix}points", "format": "json_points"},
        {"topic": f"theirs-{prefix}metrics", "format": "otlp_metrics"},
    ]
    connection = {"bootstrap": broker.bootstrap if broker else "localhost:9092"}
    return Settings(**{"broker": connection, "topic_prefix": prefix, "inputs": inputs, **sections})


def partitions(specs: Iterable[topics.TopicSpec]) -> dict[str, int]:
    return {spec.name: spec.partitions for spec in specs}


async def make(broker: BrokerProcess, name: str, count: int = 4, **configs: str) -> None:
    """A topic as somebody else might have made it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        new = NewTopic(name, count, 1, topic_configs={key.replace("_", "."): value for key, value in configs.items()})
        assert [code for _, code, _ in (await admin.create_topics([new])).topic_errors] == [0]
        async with asyncio.timeout(10):
            while name not in await admin.list_topics():
                pass
    finally:
        await admin.close()


async def names(broker: BrokerProcess, prefix: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        return [name for name in await admin.list_topics() if prefix in name]
    finally:
        await admin.close()


def test_a_checkpoint_topic_has_as_many_partitions_as_what_its_role_reads() -> None:
    counts = {
        "calm.points": 3,
        "theirs-calm.metrics": 12,
        "calm.signals": 8,
        "calm.logs": 6,
        "calm.spans": 7,
        "calm.anomalies": 2,
    }
    planned = partitions(topics.plan(settings_for(topics={"partitions": 5, "partitions_by_topic": counts})))
    assert planned == {
        **counts,
        "calm.topology": 5,
        "calm.log-templates": 5,
        "calm.scores": 8,
        "calm.suppressions": 5,
        "calm.shadow.anomalies": 2,
        "calm.shadow.suppressions": 5,
        "calm.shadow.incidents": 5,
        "calm.shadow.incidents.state": 5,
        "calm.shadow-copy.state": 2,
        "calm.shadow-score.state": 8,
        "calm.shadow-correlate.state": 2,
        "calm.deliver.state": 5,
        "calm.incidents": 5,
        "calm.incidents.state": 5,
        "calm.control": 1,
        "calm.dead-letter": 5,
        "calm.ingest.state": 12,
        "calm.join-logs.state": 6,
        "calm.join-spans.state": 7,
        "calm.score.state": 8,
        "calm.correlate.state": 2,
    }


def test_state_is_compacted_and_the_rest_is_deleted_by_age() -> None:
    planned = topics.plan(settings_for())
    assert {spec.name for spec in planned if spec.cleanup == "compact"} == {
        "calm.control",
        "calm.topology",
        "calm.log-templates",
        "calm.incidents.state",
        "calm.ingest.state",
        "calm.join-logs.state",
        "calm.join-spans.state",
        "calm.score.state",
        "calm.correlate.state",
        "calm.shadow.incidents.state",
        "calm.shadow-copy.state",
        "calm.shadow-score.state",
        "calm.shadow-correlate.state",
        "calm.deliver.state",
    }
    assert all(("retention.ms" in spec.configs) == (spec.cleanup == "delete") for spec in planned)


def test_whatever_a_role_reads_is_kept_for_ten_times_the_greatest_age_of_its_checkpoint() -> None:
    planned = topics.plan(settings_for(state={"max_state_age_seconds": 1_000_000}))
    read = {spec.name: spec for spec in planned if spec.least_retention_ms}
    assert set(read) == {
        "calm.points",
        "theirs-calm.metrics",
        "calm.logs",
        "calm.spans",
        "calm.signals",
        "calm.anomalies",
        "calm.shadow.anomalies",
    }
    assert all(int(spec.configs["retention.ms"]) == spec.least_retention_ms == 10**10 for spec in read.values())


def test_with_three_replicas_two_must_have_what_is_acknowledged() -> None:
    for replicas, least in ((1, None), (2, None), (3, "2")):
        planned = topics.plan(settings_for(topics={"replication_factor": replicas}))
        assert {spec.configs.get("min.insync.replicas") for spec in planned} == {least}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"topics": {"partitions_by_topic": {"calm.signal": 8}}},
            "no topic is named calm.signal; there are calm.points",
        ),
        (
            {"topics": {"partitions_by_topic": {"calm.score.state": 8}}},
            "as many partitions as calm.signals; leave it out",
        ),
        (
            {"topics": {"partitions_by_topic": {"calm.join-logs.state": 8}}},
            "as many partitions as calm.logs; leave it out",
        ),
        ({"topics": {"partitions_by_topic": {"calm.control": 2}}}, "calm.control always has 1 partition; leave it out"),
        ({"topics": {"partitions_by_topic": {"calm.ingest.state": 8}}}, "as many partitions as inputs; leave it out"),
        ({"inputs": [{"topic": "calm.scores", "format": "json_points"}]}, "calm.scores is a topic that we write"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_key(sections: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        topics.plan(settings_for(**sections))


async def test_what_was_created_passes_the_check_and_creating_again_changes_nothing(
    broker: BrokerProcess, topic_prefix: str
) -> None:
    settings = settings_for(broker, topic_prefix, topics={"partitions_by_topic": {f"{topic_prefix}signals": 6}})
    planned = partitions(topics.plan(settings))
    assert await topics.create(settings) == topics.Applied(created=tuple(planned), mended=())
    assert await topics.check(settings) == []
    described = await topics.describe(settings)
    assert {name: state and state.partitions for name, state in described.items()} == planned
    assert await topics.create(settings) == topics.Applied(created=(), mended=())


async def test_missing_topics_are_named_with_the_command_and_not_created_by_looking(
    broker: BrokerProcess, topic_prefix: str
) -> None:
    settings = settings_for(broker, topic_prefix)
    found = await topics.check(settings)
    assert [problem.topic for problem in found] == [spec.name for spec in topics.plan(settings)]
    assert str(found[0]) == f"{topic_prefix}points: the topic is missing; run: calmstream topics create"
    assert await names(broker, topic_prefix) == []


async def test_a_wrong_partition_count_is_reported_with_what_to_do(broker: BrokerProcess, topic_prefix: str) -> None:
    settings = settings_for(broker, topic_prefix)
    for name in (f"theirs-{topic_prefix}metrics", f"{topic_prefix}signals", f"{topic_prefix}score.state"):
        await make(broker, name, count=2)
    await topics.create(settings)
    theirs, signals, state = sorted(
        (each for each in await topics.check(settings) if "partitions" in each.wrong),
        key=lambda each: ("theirs" not in each.topic, "state" in each.topic),
    )
    assert theirs.wrong == "it has 2 partitions and 4 are expected"
    assert theirs.remedy == f"to keep it, set topics.partitions_by_topic: {{theirs-{topic_prefix}metrics: 2}}"
    assert signals.remedy.startswith(
        f"to keep it, set topics.partitions_by_topic: {{{topic_prefix}signals: 2}}; to grow it and"
    )
    assert f"calmstream topics grow {topic_prefix}signals=4; if it may go, stop the workers, delete" in state.remedy


async def test_the_checkpoints_of_ingest_grow_with_its_inputs(kafka: KafkaServer, topic_prefix: str) -> None:
    state = f"{topic_prefix}ingest.state"
    await make(kafka, state, count=2, cleanup_policy="compact", max_message_bytes="2000000")
    settings = settings_for(kafka, topic_prefix)
    assert [(each.wrong, each.remedy) for each in await topics.check(settings) if each.topic == state] == [
        ("it has 2 partitions and 4 are expected", "run: calmstream topics create")
    ]
    assert (await topics.create(settings)).mended == (state,)
    assert await topics.check(settings) == []


async def test_checkpoints_of_ingest_may_have_more_partitions_than_its_inputs(
    broker: BrokerProcess, topic_prefix: str
) -> None:
    await make(broker, f"{topic_prefix}ingest.state", count=6, cleanup_policy="compact")
    settings = settings_for(broker, topic_prefix)
    assert (await topics.create(settings)).mended == ()
    assert await topics.check(settings) == []


async def test_a_wrong_setting_of_our_own_topic_is_mended_and_its_other_settings_stay(
    kafka: KafkaServer, topic_prefix: str
) -> None:
    state, signals = f"{topic_prefix}score.state", f"{topic_prefix}signals"
    await make(kafka, state, cleanup_policy="compact,delete", segment_bytes="5000000")
    await make(kafka, signals, retention_ms="60000")
    settings = settings_for(kafka, topic_prefix)
    found = {each.topic: each for each in await topics.check(settings) if "missing" not in each.wrong}
    assert found[state].wrong == "cleanup.policy is compact,delete and must be compact"
    assert found[signals].remedy == "run: calmstream topics create"
    assert set((await topics.create(settings)).mended) == {state, signals}
    assert await topics.check(settings) == []
    mended = (await topics.describe(settings))[state]
    assert mended is not None
    assert (mended.configs["cleanup.policy"], mended.configs["segment.bytes"]) == ("compact", "5000000")


async def test_a_setting_of_somebody_elses_topic_is_reported_and_left_alone(
    kafka: KafkaServer, topic_prefix: str
) -> None:
    theirs = f"theirs-{topic_prefix}metrics"
    await make(kafka, theirs, retention_ms="599999")
    settings = settings_for(kafka, topic_prefix)
    assert (await topics.create(settings)).mended == ()
    (problem,) = await topics.check(settings)
    assert problem.wrong == (
        "retention.ms is 599999 and must be at least 600000 (10 times state.max_state_age_seconds)"
    )
    assert problem.remedy.startswith("run Kafka's own kafka-configs.sh")
    assert f"--entity-name {theirs} --add-config retention.ms=604800000" in problem.remedy


async def test_what_the_embedded_broker_does_not_describe_is_left_out_and_said(
    embedded_broker: EmbeddedBroker, topic_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(embedded_broker, topic_prefix)
    await make(embedded_broker, f"{topic_prefix}scores")
    assert (await topics.create(settings)).mended == ()
    with caplog.at_level(logging.INFO, "pipeline.streams.topics"):
        assert await topics.check(settings) == []
    assert f"{topic_prefix}scores: cleanup.policy, retention.ms, max.message.bytes" in caplog.text


async def test_a_change_that_the_embedded_broker_cannot_make_is_refused_by_name(
    embedded_broker: EmbeddedBroker, topic_prefix: str
) -> None:
    await make(embedded_broker, f"{topic_prefix}score.state", cleanup_policy="delete")
    with pytest.raises(topics.TopicError, match=rf"did not change cleanup\.policy of {topic_prefix}score\.state"):
        await topics.create(settings_for(embedded_broker, topic_prefix))


async def test_a_refusal_to_create_is_reported_in_the_brokers_words(kafka: KafkaServer, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix, topics={"replication_factor": 3})
    with pytest.raises(topics.TopicError, match=rf"did not create {topic_prefix}points: .*3"):
        await topics.create(settings)


async def test_a_broker_that_is_not_there_is_an_error_and_not_a_problem_of_topics() -> None:
    with pytest.raises(KafkaConnectionError):
        await topics.check(settings_for().model_copy(update={"broker": _nobody()}))


def _nobody() -> object:
    return settings_for().broker.model_copy(update={"bootstrap": f"127.0.0.1:{free_port()}"})
