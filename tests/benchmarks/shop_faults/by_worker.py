"""The real way: an embedded broker, a ``calmstream worker`` with all roles, and the story on its input topics.

Guarantee: incidents are those read from ``calm.incidents``; the story goes on as fast as the worker takes it, never
further ahead of it than ``AHEAD_SECONDS`` of event time, so that messages come in about the order of their times.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from pipeline.settings import Settings
from pipeline.streams import topics
from pipeline.streams.clients import reader, stop_reader
from pipeline.streams.embedded import EmbeddedBroker
from tests.benchmarks.shop_faults.by_chains import counted, transition
from tests.benchmarks.shop_faults.judge import Transition
from tests.benchmarks.shop_faults.story import START, Story
from tests.benchmarks.shop_faults.telemetry_in import LAST_SECONDS, settings, stretches
from tests.worker_process import WorkerProcess

AHEAD_SECONDS = 120.0
#: A worker that gets no further for so long does not go on.
_STUCK_SECONDS = 180.0
_LOOK_MS = 250


def run(story: Story) -> list[Transition]:
    """Tell the story; the transitions of all incidents."""
    with TemporaryDirectory(prefix="calmstream-faults-", ignore_cleanup_errors=True) as folder:
        directory = Path(folder)
        with EmbeddedBroker(directory=directory) as broker:
            wanted = settings(broker.bootstrap)
            asyncio.run(topics.create(Settings(**wanted)))
            with WorkerProcess(_environment(wanted), directory=directory) as worker:
                return asyncio.run(_Run(worker, Settings(**wanted)).tell(story))


def _environment(wanted: dict[str, Any]) -> dict[str, str]:
    return {f"CALMSTREAM_{section.upper()}": json.dumps(told) for section, told in wanted.items()}


class _Run:
    def __init__(self, worker: WorkerProcess, settings: Settings) -> None:
        self._worker = worker
        self._settings = settings
        self._found: dict[tuple[str, int], Transition] = {}
        self._began = time.monotonic()

    async def tell(self, story: Story) -> list[Transition]:
        consumer = reader(self._settings, self._settings.topic("incidents"))
        await consumer.start()
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.broker.bootstrap, linger_ms=2)
        await producer.start()
        try:
            await self._feed(story, producer, consumer)
        finally:
            await producer.stop()
            await stop_reader(consumer)
        return counted(story, self._found.values())

    async def _feed(self, story: Story, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        until = 0.0
        for until, sent in stretches(story):
            for each in sent:
                at_ms = int(each.at * 1000)
                await producer.send(
                    each.topic, each.value, key=each.key, partition=0, timestamp_ms=at_ms, headers=list(each.headers)
                )
            await producer.flush()
            await self._reach(until - AHEAD_SECONDS, consumer)
            if int(until) % 1800 < 20:
                took = time.monotonic() - self._began
                print(f"{until / 60:.0f} minutes told in {took:.0f} s", file=sys.stderr, flush=True)
        await self._reach(until - LAST_SECONDS, consumer)
        while await self._read(consumer):
            pass

    async def _reach(self, seconds: float, consumer: AIOKafkaConsumer) -> None:
        """Wait until the worker is done with so much of the story, and read what it tells meanwhile."""
        deadline, last = time.monotonic() + _STUCK_SECONDS, -1.0
        while (at := await asyncio.to_thread(self._at)) < seconds:
            if at > last:
                deadline, last = time.monotonic() + _STUCK_SECONDS, at
            if time.monotonic() > deadline:
                raise RuntimeError(f"the worker stays at second {at:.0f} of the story and was to be at {seconds:.0f}")
            await self._read(consumer)

    async def _read(self, consumer: AIOKafkaConsumer) -> int:
        """What has come of incidents; how many records."""
        found = await consumer.getmany(timeout_ms=_LOOK_MS)
        told = [transition(record) for records in found.values() for record in records]
        for each in told:
            self._found.setdefault((each.incident, each.body["revision"]), each)
        return len(told)

    def _at(self) -> float:
        """How far all shards of the last stage are, in seconds of the story."""
        found = [
            value
            for name, value in self._worker.metrics().items()
            if name.startswith("calmstream_watermark_timestamp_seconds{") and 'role="correlate"' in name
        ]
        return min(found, default=0.0) - START
