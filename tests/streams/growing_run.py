"""Points of some workloads on a real broker, for runs whose topics grow or whose state begins anew."""

import asyncio
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.codecs import incident_event, score_block
from pipeline.settings import Settings, load
from pipeline.streams import topics
from pipeline.streams.broker_process import BrokerProcess
from pipeline.streams.reading import open_reader
from tests.worker_process import WorkerProcess

INPUT_PARTITIONS, SERVICES = 2, 8
#: Recent, so that the broker's retention leaves the points alone; the same for all runs.
START = int(time.time()) // 60 * 60 - 1800
#: Services whose load is too high, and when.
TROUBLE = {1: range(60, 95), 6: range(60, 95), 2: range(105, 125), 3: range(170, 200)}
SCORES = ("value", "expected", "lower", "upper", "surprise", "anomalous")
JUDGES = ("--roles", "join,score,correlate,shadow")
ALL = ("--roles", "ingest,join,score,correlate,shadow")


@dataclass
class GrowingRun:
    """A set of topics of its own; ``counts`` are partitions of some of them (short names), 2 elsewhere."""

    broker: BrokerProcess
    prefix: str
    directory: Path
    counts: dict[str, int] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        settings = {
            "TOPIC_PREFIX": self.prefix,
            "BROKER__BOOTSTRAP": self.broker.bootstrap,
            "BROKER__SESSION_TIMEOUT_SECONDS": "2",
            "TOPICS__PARTITIONS": "2",
            "TOPICS__PARTITIONS_BY_TOPIC": json.dumps({f"{self.prefix}{name}": n for name, n in self.counts.items()}),
            "INPUTS": json.dumps([{"topic": f"{self.prefix}points", "format": "json_points"}]),
            "DETECTION__HARD_UPPER": "70",
            "TIME__WINDOW_SECONDS": "5",
            "TIME__ALLOWED_LATENESS_SECONDS": "2",
            "TIME__IDLE_SECONDS": "900",
            "TIME__IDLE_EMPTY_SECONDS": "900",
            "STATE__CHECKPOINT_INTERVAL_SECONDS": "0.5",
        }
        return {f"CALMSTREAM_{key}": value for key, value in settings.items()}

    def settings(self) -> Settings:
        return load(
            overrides={
                "topic_prefix": self.prefix,
                "broker": {"bootstrap": self.broker.bootstrap},
                "topics": {
                    "partitions": 2,
                    "partitions_by_topic": {f"{self.prefix}{name}": n for name, n in self.counts.items()},
                },
                "inputs": [{"topic": f"{self.prefix}points", "format": "json_points"}],
            }
        )

    def create(self) -> "GrowingRun":
        asyncio.run(topics.create(self.settings()))
        return self

    def worker(self, *arguments: str, name: str = "worker") -> WorkerProcess:
        """One that is not started yet."""
        name = f"{self.prefix}{name}"
        arguments = ("worker", *arguments)
        return WorkerProcess(self.environment(), directory=self.directory, arguments=arguments, name=name)

    def feed(self, first: int, last: int) -> None:
        """The seconds from ``first`` to before ``last``."""
        asyncio.run(self._feed(first, last))

    async def _feed(self, first: int, last: int) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap, linger_ms=5) as producer:
            for second in range(first, last):
                for partition in range(INPUT_PARTITIONS):
                    services = range(partition, SERVICES, INPUT_PARTITIONS)
                    points = [point for number in services for point in _points(second, number)]
                    value, at_ms = json.dumps(points).encode(), (START + second + 1) * 1000
                    await producer.send(f"{self.prefix}points", value, partition=partition, timestamp_ms=at_ms)

    def wait_until_taken(self, worker: WorkerProcess, seconds: int) -> None:
        """Wait until ingest has read so many seconds."""
        name = f'calmstream_messages_total{{role="ingest",topic="{self.prefix}points"}}'

        def taken() -> bool:
            return worker.metrics().get(name, 0) == INPUT_PARTITIONS * seconds

        worker.wait_until(taken, f"done with {seconds} seconds", within_seconds=90)

    def wait_until_read(self, worker: WorkerProcess) -> None:
        """Wait until the worker shows that it has nothing left to read; it looks now and then."""

        def nothing_left() -> bool:
            metrics = worker.metrics() if worker.status("/ready") == 200 else {}
            lags = [lag for name, lag in metrics.items() if name.startswith("calmstream_lag_messages{")]
            return bool(lags) and not any(lags)

        worker.wait_until(nothing_left, "at the end of its topics", within_seconds=90)

    def wait_until_at(self, worker: WorkerProcess, second: int, topic: str = "anomalies") -> None:
        """Wait until incidents are told up to so many seconds after START, of what stands on a topic."""

        def reached() -> bool:
            metrics = worker.metrics() if worker.status("/ready") == 200 else {}
            name = f'calmstream_watermark_timestamp_seconds{{partition="{self.prefix}{topic}/'
            told = [value for key, value in metrics.items() if key.startswith(name)]
            return len(told) == self.counts.get("anomalies", 2) and min(told) >= START + second

        worker.wait_until(reached, f"done with the first {second} seconds", within_seconds=90)

    def incidents(self, topic: str = "incidents") -> dict[tuple[str, int], bytes]:
        """Every transition, by id and revision; a repeat that differs from the first fails."""
        found: dict[tuple[str, int], bytes] = {}
        for record in asyncio.run(self._read(topic)):
            data = incident_event.decode(record)
            assert found.setdefault((data["id"], data["revision"]), record.value) == record.value
        return found

    def windows(self, until: int) -> dict[tuple[int, int], tuple[float, ...]]:
        """Every scored window up to so many seconds after START, by signal and end; a repeat that differs from the
        first fails."""
        found: dict[tuple[int, int], tuple[float, ...]] = {}
        for record in asyncio.run(self._read("scores")):
            block = score_block.decode(record.value)
            columns = [getattr(block, name).tolist() for name in ("ids", "count", *SCORES)]
            for key, *row in zip(*columns, strict=True):
                assert found.setdefault((key, block.end_us), tuple(row)) == tuple(row)
        return {key: row for key, row in found.items() if key[1] <= (START + until) * 1_000_000}

    async def _read(self, name: str) -> list[Any]:
        topic = f"{self.prefix}{name}"
        async with open_reader(self.settings(), topic) as reader:
            return [record async for records in reader.everything(topic) for record in records]


def _points(second: int, number: int) -> list[dict[str, Any]]:
    attributes = {"service.name": f"s{number}", "deployment.environment.name": f"e{number % 4}"}
    common = {"ts": START + second + 0.5, "attributes": attributes}
    load = 90 if second in TROUBLE.get(number, ()) else 40 + 2 * math.sin(1.7 * second + number)
    return [
        {"name": "load", "value": load, **common},
        {"name": "requests", "kind": "counter", "value": 10 * second + second * 7 % 5, **common},
        {"name": "queue", "value": 7 + math.sin(2.3 * second + number), **common},
    ]
