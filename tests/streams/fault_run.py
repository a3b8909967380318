"""One run of workers on a real broker while points come in at a steady pace and things are done to the workers.

What came out is read back by the rules that consumers follow, so that two runs can be compared.
"""

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from pipeline.codecs import incident_event, score_block
from pipeline.settings import Settings, load
from pipeline.streams import clients, topics
from tests.worker_process import WorkerProcess

CALMSTREAM = str(Path(sys.executable).parent / "calmstream")
PARTITIONS = 4
SIGNALS = 48
SECONDS = 260
#: Recent, so that the broker's retention leaves the points alone; the same for all runs of a session.
START = int(time.time()) // 60 * 60 - 900
#: Event time of the last points: everything before it is complete.
END = START + SECONDS + 120


@dataclass(frozen=True)
class Result:
    """Every incident transition by (id, revision), and every scored window by (signal, end)."""

    incidents: dict[tuple[str, int], bytes]
    windows: dict[tuple[int, int], tuple[float, ...]]
    points: int


@dataclass
class FaultRun:
    """``bootstrap`` of the broker, a prefix of its own, a directory for logs."""

    bootstrap: str
    prefix: str
    directory: Path
    workers: list[WorkerProcess] = field(default_factory=list)

    def settings(self) -> dict[str, str]:
        return {
            "CALMSTREAM_BROKER__BOOTSTRAP": self.bootstrap,
            "CALMSTREAM_BROKER__SESSION_TIMEOUT_SECONDS": "2",
            "CALMSTREAM_TOPIC_PREFIX": self.prefix,
            "CALMSTREAM_TOPICS__PARTITIONS": str(PARTITIONS),
            "CALMSTREAM_INPUTS": json.dumps([{"topic": f"{self.prefix}points", "format": "json_points"}]),
            "CALMSTREAM_DETECTION__HARD_UPPER": "70",
            "CALMSTREAM_DETECTION__THRESHOLD_SURPRISE": "3",
            "CALMSTREAM_TIME__WINDOW_SECONDS": "5",
            "CALMSTREAM_TIME__ALLOWED_LATENESS_SECONDS": "2",
            "CALMSTREAM_TIME__IDLE_SECONDS": "900",
            "CALMSTREAM_TIME__IDLE_EMPTY_SECONDS": "900",
            "CALMSTREAM_STATE__CHECKPOINT_INTERVAL_SECONDS": "1",
        }

    def go(self, act: Callable[["FaultRun", threading.Event], None] | None, feed_seconds: float) -> Result:
        """Start two workers, feed, let ``act`` do its worst, wait until everything came through."""
        settings = _loaded(self.settings())
        asyncio.run(topics.create(settings))
        self.workers = [
            WorkerProcess(self.settings(), directory=self.directory, name=f"{self.prefix}{i}") for i in (1, 2)
        ]
        fed = threading.Event()
        feeder = threading.Thread(target=self._feed, args=(settings, feed_seconds, fed))
        try:
            for worker in self.workers:
                worker.start()
            for worker in self.workers:
                worker.wait_ready()
            feeder.start()
            if act is not None:
                act(self, fed)
            feeder.join()
            self._wait_until_through()
            for worker in self.workers:
                worker.stop()
            return asyncio.run(read_back(settings))
        finally:
            for worker in self.workers:
                worker.kill()

    def replay(self, topic: str) -> list[dict[str, Any]]:
        """The incident transitions that ``calmstream replay --from-topic`` gives."""
        out = self.directory / "incidents.jsonl"
        command = [CALMSTREAM, "replay", "--from-topic", f"{self.prefix}{topic}", "--incidents", str(out)]
        subprocess.run(command, env=os.environ | self.settings(), check=True, timeout=120)
        return [json.loads(line) for line in out.read_text().splitlines()]

    def _feed(self, settings: Settings, seconds: float, fed: threading.Event) -> None:
        asyncio.run(_produce(settings, seconds, fed))

    def _wait_until_through(self) -> None:
        partitions = [f"{self.prefix}anomalies/{p}" for p in range(PARTITIONS)]

        def through() -> bool:
            found = [worker.metrics() for worker in self.workers if worker.status("/ready")]
            name = 'calmstream_watermark_timestamp_seconds{{partition="{}",role="correlate"}}'
            reached = [max((metrics.get(name.format(p), 0.0) for metrics in found), default=0.0) for p in partitions]
            return min(reached) >= END - 10

        self.workers[0].wait_until(through, "done with all points", within_seconds=90)


def random_schedule(seed: int, steps: int, pause_seconds: float) -> Callable[[FaultRun, threading.Event], None]:
    """Kills, pauses and orderly restarts at random moments while points come in."""

    def act(run: FaultRun, fed: threading.Event) -> None:
        dice = random.Random(seed)
        for _ in range(steps):
            fed.wait(dice.uniform(0.5, 3.0))
            what = dice.choice(("kill one", "kill both", "pause one", "restart one"))
            one = dice.choice(run.workers)
            if what == "pause one":  # longer than the session: its partitions go to the other one meanwhile
                one.pause()
                fed.wait(pause_seconds)
                one.resume()
                continue
            for worker in run.workers if what == "kill both" else [one]:
                if what == "restart one":
                    worker.stop()
                else:
                    worker.kill()
                worker.start()

    return act


def points() -> Iterator[tuple[int, int, bytes]]:
    """(second, partition, message): 48 signals with faults, disorder, repeats and late points; always the same."""
    rng = np.random.default_rng(7)
    total = np.zeros(SIGNALS)
    for second in range(SECONDS):
        for i in range(SIGNALS):
            value = 40 + rng.normal()
            if i % 8 == 3 and 150 + i <= second < 180 + i:
                value += 50
            total[i] += value
            late = 30 * int(rng.integers(0, 300) == 0)
            point = {
                "ts": START + second - (1.5 * int(rng.integers(0, 4) == 0) + late) * (i % 2 == 0),
                "name": "load",
                "kind": "counter" if i % 2 else "gauge",
                "value": round(float(total[i] if i % 2 else value), 6),
                "attributes": {"service.name": f"s{i}", "deployment.environment.name": f"env{i % 5}"},
            }
            for _ in range(1 + int(rng.integers(0, 60) == 0)):
                yield second, int(rng.integers(0, PARTITIONS)), json.dumps(point).encode()
    for partition in range(PARTITIONS):
        last = {"ts": END, "name": "end", "value": 1, "attributes": {"service.name": "end"}}
        yield END - START, partition, json.dumps(last).encode()


async def _produce(settings: Settings, seconds: float, fed: threading.Event) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.broker.bootstrap, linger_ms=5)
    await producer.start()
    never = asyncio.Event()
    at = 0
    try:
        for second, partition, message in points():
            if second > at:  # keep the pace
                at = second
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(never.wait(), seconds / SECONDS)
            await producer.send(
                settings.inputs[0].topic, message, partition=partition, timestamp_ms=(START + second) * 1000
            )
    finally:
        await producer.stop()
        fed.set()


async def read_back(settings: Settings) -> Result:
    """The incidents and windows on the broker; a repeat that differs from the first fails."""
    incidents: dict[tuple[str, int], bytes] = {}
    newest: dict[str, int] = {}
    for record in await _records(settings, "incidents"):
        data = incident_event.decode(record)
        key = data["id"], data["revision"]
        if data["revision"] <= newest.get(data["id"], 0):
            assert incidents[key] == record.value, f"{key} was repeated with another content"
            continue
        assert data["revision"] == newest.get(data["id"], 0) + 1, f"{data['id']} jumps to revision {data['revision']}"
        newest[data["id"]] = data["revision"]
        incidents[key] = record.value
    windows: dict[tuple[int, int], tuple[float, ...]] = {}
    for record in await _records(settings, "scores"):
        block = score_block.decode(record.value)
        columns = [getattr(block, name).tolist() for name in ("ids", "count", "value", "expected", "upper", "surprise")]
        for key, *row in zip(*columns, strict=True):
            first = windows.setdefault((key, block.end_us), tuple(row))
            assert first == tuple(row), f"window {key} {block.end_us} was repeated with another content"
    return Result(incidents, windows, int(sum(row[0] for row in windows.values())))


async def _records(settings: Settings, name: str) -> list[ConsumerRecord]:
    """Everything that the topic holds, ordered within each partition."""
    consumer = clients.reader(settings)
    await consumer.start()
    try:
        places = [TopicPartition(settings.topic(name), p) for p in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        found: list[ConsumerRecord] = []
        for place in places:
            while ends[place] and await consumer.position(place) < ends[place]:
                for records in (await consumer.getmany(place, timeout_ms=1000)).values():
                    found += records
        return found
    finally:
        await consumer.stop()


def _loaded(environment: dict[str, str]) -> Settings:
    nested: dict[str, object] = {}
    for key, text in environment.items():
        at = nested
        *path, last = key.removeprefix("CALMSTREAM_").lower().split("__")
        for part in path:
            at = at.setdefault(part, {})  # type: ignore[assignment]
        at[last] = json.loads(text) if text[:1] in "[{" else text
    return load(overrides=nested)
