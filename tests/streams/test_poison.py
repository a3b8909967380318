"""Poison in partitions of every format, a good message behind each piece: no partition stops, all that is good is used.

What must come of it is what the chain makes of the same messages in memory; that the chain is right is for tests/fuzz
and tests/codecs to hold.
"""

import asyncio
import json
import random
from collections import Counter
from functools import cache
from pathlib import Path

from aiokafka import AIOKafkaProducer

from pipeline.app import flow_config
from pipeline.flow.inputs import ingest_chain
from pipeline.settings import Settings, load
from pipeline.streams import topics
from pipeline.streams.exits import Exit
from tests.fuzz.damage import PIECES, damaged
from tests.fuzz.feeding import Sent
from tests.fuzz.seeds import CODECS, SECONDS, SEEDS
from tests.kafka.server import KafkaServer
from tests.worker_process import WorkerProcess

PREFIX = "poison."
DAMAGED = 40
TAKEN = ("points", "lines", "spans", "events")
INPUTS = [{"topic": f"{PREFIX}{name}", "format": name} for name in CODECS]


@cache
def poisoned(name: str) -> list[bytes]:
    """Good messages of a format, each behind one that is damaged or none at all."""
    rng = random.Random(name)
    poison = [*PIECES, b"", *(damaged(SEEDS[name], rng) for _ in range(DAMAGED))]
    return [value for bad in poison for value in (bad, rng.choice(SEEDS[name]))]


def test_poison_among_good_messages_of_every_format_stops_no_partition(kafka: KafkaServer, tmp_path: Path) -> None:
    given = {"topic_prefix": PREFIX, "inputs": INPUTS, "topics": {"partitions": 1}}
    settings = load(overrides=given | {"broker": {"bootstrap": kafka.bootstrap}})
    asyncio.run(topics.create(settings))
    asyncio.run(send(settings))
    expected = taken_in_memory(settings)
    assert min(expected[what] for what in TAKEN) >= DAMAGED
    environment = {
        "CALMSTREAM_TOPIC_PREFIX": PREFIX,
        "CALMSTREAM_BROKER__BOOTSTRAP": kafka.bootstrap,
        "CALMSTREAM_TOPICS__PARTITIONS": "1",
        "CALMSTREAM_INPUTS": json.dumps(INPUTS),
    }
    with WorkerProcess(environment, directory=tmp_path, name="poisoned") as worker:
        sent = sum(len(poisoned(name)) for name in CODECS)
        read = [f'calmstream_messages_total{{role="ingest",topic="{one["topic"]}"}}' for one in INPUTS]
        worker.wait_until(lambda: sum(worker.metrics().get(each, 0) for each in read) == sent, "done with all messages")
        metrics = worker.metrics()
        assert {what: metrics[f"calmstream_{what}_total"] for what in TAKEN} == {what: expected[what] for what in TAKEN}
        assert metrics['calmstream_drops_total{reason="undecodable",role="ingest"}'] > len(CODECS)
        assert worker.stop() == Exit.CLEAN
        assert "Traceback" not in worker.log()


def taken_in_memory(settings: Settings) -> Counter[str]:
    """What the chain takes of the same messages."""
    found: Counter[str] = Counter()
    for name in CODECS:
        chain = ingest_chain(name, f"{PREFIX}{name}/0", flow_config(settings))
        messages = [Sent(value, offset=offset) for offset, value in enumerate(poisoned(name))]
        for (what, _), number in chain.apply(messages).counts.items():
            found[what] += number
    return found


async def send(settings: Settings) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.broker.bootstrap) as producer:
        for name in CODECS:
            for value in poisoned(name):
                await producer.send(f"{PREFIX}{name}", value, partition=0, timestamp_ms=SECONDS * 1000)
        await producer.flush()
