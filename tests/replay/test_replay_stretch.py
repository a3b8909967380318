"""A stretch of Kafka through a replay: the same results as from files, and the recorded progress is followed."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaProducer

from pipeline.app import flow_config
from pipeline.codecs.registry import input_codec
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.records import Message
from pipeline.replay.driver import Sinks
from pipeline.replay.message import Replayed, handed_over
from pipeline.replay.run import replay_signals
from pipeline.settings import Settings, load
from pipeline.streams import topics
from pipeline.streams.broker_process import BrokerProcess
from tests.cli.person import calmstream
from tests.replay.runs import START, values
from tests.streams.made_batches import Raw, batch_of, send_batch

CONFIG = FlowConfig(sources=("points/0",), signal_partitions=1, anomaly_partitions=1)
PARTITIONS = 2
HIGH = range(150, 165)
SECONDS = 260


@dataclass(frozen=True)
class Sent:
    """A message of an input: two sources, one point a second each, and a deviation that both see."""

    partition: int
    time_ms: int
    value: bytes


def sent() -> list[Sent]:
    messages = []
    for partition in range(PARTITIONS):
        for second, value in enumerate(values(SECONDS, HIGH, phase=partition)):
            point = {"ts": START + second, "name": "load", "value": value, "attributes": {"host.name": f"h{partition}"}}
            messages.append(Sent(partition, (START + second) * 1000, json.dumps(point).encode()))
    return messages


def environment(broker: BrokerProcess, prefix: str) -> dict[str, str]:
    return {
        "CALMSTREAM_BROKER__BOOTSTRAP": broker.bootstrap,
        "CALMSTREAM_TOPIC_PREFIX": prefix,
        "CALMSTREAM_INPUTS": json.dumps([{"topic": f"{prefix}points", "format": "json_points"}]),
        "CALMSTREAM_TOPICS__PARTITIONS": str(PARTITIONS),
        "CALMSTREAM_TIME__WINDOW_SECONDS": "2",
        "CALMSTREAM_DETECTION__HARD_UPPER": "40",
    }


def settings_of(broker: BrokerProcess, prefix: str) -> Settings:
    """The same as ``environment``."""
    overrides = {
        "broker": {"bootstrap": broker.bootstrap},
        "topic_prefix": prefix,
        "inputs": [{"topic": f"{prefix}points", "format": "json_points"}],
        "topics": {"partitions": PARTITIONS},
        "time": {"window_seconds": 2},
        "detection": {"hard_upper": 40},
    }
    return load(None, overrides)


async def produce(broker: BrokerProcess, topic: str, messages: Sequence[Sent]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", max_request_size=2**24) as producer:
        for message in messages:
            await producer.send(topic, message.value, partition=message.partition, timestamp_ms=message.time_ms)
        await producer.flush()


def replayed(env: dict[str, str], directory: Path, *arguments: str) -> tuple[list[str], str]:
    """Incident transitions, and the summary without how long it took."""
    out = directory / "incidents.jsonl"
    done = calmstream(env, "replay", *arguments, "--incidents", str(out))
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    return out.read_text().splitlines(), "\n".join([first.partition(", in ")[0], *rest])


async def test_what_a_worker_refuses_before_it_reads_it_is_dropped_by_a_replay_too(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    env, settings = environment(broker, topic_prefix), settings_of(broker, topic_prefix)
    await topics.create(settings)
    await produce(broker, f"{topic_prefix}points", sent())
    poison = batch_of([Raw(b"poison", None, ((b"\xff", b""), (b"calm_x", None)))])
    await send_batch(broker.bootstrap, f"{topic_prefix}points", poison)
    _, summary = replayed(env, tmp_path, "--from-topic", f"{topic_prefix}points")
    assert "1 dropped" in summary
    assert "1 bad_header" in summary


async def test_a_topic_of_points_gives_the_incidents_that_files_of_the_points_give(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    env, settings = environment(broker, topic_prefix), settings_of(broker, topic_prefix)
    await topics.create(settings)
    await produce(broker, f"{topic_prefix}points", sent())
    paths = []
    for partition in range(PARTITIONS):
        paths.append(tmp_path / f"{partition}.ndjson")
        paths[-1].write_bytes(b"\n".join(message.value for message in sent() if message.partition == partition))
    from_files, _ = replayed(env, tmp_path, *map(str, paths), "--format", "ndjson")
    from_topic, summary = replayed(env, tmp_path, "--from-topic", f"{topic_prefix}points")
    assert from_topic == from_files
    assert {json.loads(line)["transition"] for line in from_topic} == {"opened", "resolved"}
    assert summary.startswith(f"{PARTITIONS * SECONDS} points in ")


async def test_a_stretch_begins_and_ends_at_the_record_times_asked_for(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    env, settings = environment(broker, topic_prefix), settings_of(broker, topic_prefix)
    await topics.create(settings)
    await produce(broker, f"{topic_prefix}points", sent())
    times = ["--from", "2025-06-01T00:01:00Z", "--to", "2025-06-01 00:01:40"]
    _, summary = replayed(env, tmp_path, "--from-topic", f"{topic_prefix}points", *times)
    assert summary.startswith(f"{PARTITIONS * 40} points in ")
    done = calmstream(env, "replay", "--from-topic", f"{topic_prefix}points", "--from", "2050-01-01")
    assert (done.returncode, done.stdout.partition(",")[0]) == (0, "0 windows of 0 signals")
    assert "No window closed" in done.stderr


def ingested(settings: Settings, messages: Sequence[Sent], silent_at: int | None = None) -> list[Sent]:
    """Blocks as ingest writes them. From ``silent_at`` seconds on, source 1 is idle and comes back 30 s later."""
    flow = flow_config(settings)
    chains = [IngestChain(source, input_codec("json_points", flow.limits), flow) for source in flow.sources]
    blocks: list[Sent] = []

    for second in range(SECONDS + 30):
        for source, chain in enumerate(chains):
            own = [message for message in messages if message.partition == source]
            at = second
            if source == 1 and silent_at is not None and second >= silent_at:
                at = second - 30 if second >= silent_at + 30 else len(own)
            batch = [Replayed(at, own[at].time_ms, None, own[at].value)] if at < len(own) else []
            output = chain.apply(batch)
            output.add(chain.flush(idle=not batch))
            blocks += [Sent(record.partition or 0, 0, record.value or b"") for record in output.records]
    return blocks


async def test_a_topic_of_signals_gives_the_incidents_of_the_points_that_were_written(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    env, settings = environment(broker, topic_prefix), settings_of(broker, topic_prefix)
    await topics.create(settings)
    await produce(broker, f"{topic_prefix}points", sent())
    await produce(broker, f"{topic_prefix}signals", ingested(settings, sent()))
    from_points, _ = replayed(env, tmp_path, "--from-topic", f"{topic_prefix}points")
    from_signals, summary = replayed(env, tmp_path, "--from-topic", f"{topic_prefix}signals")
    assert from_signals == from_points
    assert summary.startswith("254 windows of 2 signals")  # the last three may still get late points


async def test_a_topic_of_signals_is_replayed_with_the_progress_that_is_written_in_it(
    embedded_broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    env, settings = environment(embedded_broker, topic_prefix), settings_of(embedded_broker, topic_prefix)
    await topics.create(settings)
    await produce(embedded_broker, f"{topic_prefix}signals", ingested(settings, sent(), silent_at=100))
    _, summary = replayed(env, tmp_path, "--from-topic", f"{topic_prefix}signals")
    assert "late_after_idle" in summary


async def test_a_stretch_of_signals_may_begin_inside_the_topic_and_knows_a_signal_once_it_is_described_again() -> None:
    chain = IngestChain("points/0", input_codec("json_points", CONFIG.limits), CONFIG)
    blocks: list[Message] = []
    for i in range(200):
        point = {"ts": START + 10 * i, "name": "load", "value": 1, "attributes": {"host.name": "h"}}
        chain.apply([Replayed(i, (START + 10 * i) * 1000, None, json.dumps(point).encode())])
        blocks += [handed_over(record, i) for record in chain.flush().records if record.partition == 0]

    async def read() -> AsyncIterator[tuple[int, Sequence[Message]]]:
        yield 0, blocks[5:]

    totals = await replay_signals(CONFIG, 1, read(), Sinks())
    assert totals.of("notice") == {}
    assert totals.of("drop") == {"unknown_signal": 61 - 5}  # described at 0 s and again after 600 s
    assert totals.windows == 200 - 61 - 2  # the last two may still get late points


def test_a_missing_topic_is_said(embedded_broker: BrokerProcess, topic_prefix: str) -> None:
    env = environment(embedded_broker, topic_prefix)
    done = calmstream(env, "replay", "--from-topic", f"{topic_prefix}points")
    assert done.returncode == 3
    assert "run: calmstream topics create" in done.stderr
