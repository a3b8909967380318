"""Points of one signal through a worker, and how many of them were counted in the scored windows.

All points of a run come in one partition, in order and far from one another, so that a later one closes the windows of
all before: of n points sent, n − 1 are counted, however often workers ended in between.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.codecs import score_block
from pipeline.settings import Settings, load
from pipeline.streams import topics
from pipeline.streams.broker_process import BrokerProcess
from pipeline.streams.reading import open_reader
from tests.worker_process import WorkerProcess


@dataclass
class OneSignal:
    """A set of topics of its own on a broker; ``changes`` to the settings, ``CALMSTREAM_`` left out."""

    broker: BrokerProcess
    prefix: str
    directory: Path
    changes: dict[str, str] = field(default_factory=dict)
    sent: int = 0
    start: float = field(default_factory=lambda: time.time() // 60 * 60 - 36_000)

    def environment(self) -> dict[str, str]:
        settings = {
            "TOPIC_PREFIX": self.prefix,
            "BROKER__BOOTSTRAP": self.broker.bootstrap,
            "BROKER__SESSION_TIMEOUT_SECONDS": "2",
            "TOPICS__PARTITIONS": "1",
            "INPUTS": json.dumps([{"topic": f"{self.prefix}points", "format": "json_points"}]),
            "TIME__WINDOW_SECONDS": "1",
            "TIME__ALLOWED_LATENESS_SECONDS": "0",
            "TIME__IDLE_SECONDS": "900",
            "STATE__CHECKPOINT_INTERVAL_SECONDS": "0.5",
            "WORKER__SHUTDOWN_SECONDS": "8",
        }
        return {f"CALMSTREAM_{key}": value for key, value in (settings | self.changes).items()}

    def settings(self) -> Settings:
        return load(
            overrides={
                "topic_prefix": self.prefix,
                "broker": {"bootstrap": self.broker.bootstrap, "request_timeout_seconds": 10},
                "topics": {"partitions": int(self.changes.get("TOPICS__PARTITIONS", 1))},
                "inputs": [{"topic": f"{self.prefix}points", "format": "json_points"}],
            }
        )

    def create(self) -> "OneSignal":
        """Make the topics."""
        asyncio.run(topics.create(self.settings()))
        return self

    def worker(self, *arguments: str, name: str = "worker") -> WorkerProcess:
        """One that is not started yet; its log has the name."""
        name = f"{self.prefix}{name}"
        return WorkerProcess(self.environment(), directory=self.directory, arguments=("worker", *arguments), name=name)

    def send_points(self, count: int, *, transactions: bool = False) -> None:
        """So many points more, five seconds of event time apart; each in a transaction of its own if you like."""
        points = [self._point(self.sent + i) for i in range(count)]
        if transactions:
            asyncio.run(self._send_in_transactions(points))
        else:
            asyncio.run(self._send("points", [(None, point) for point in points]))
        self.sent += count

    def send(self, topic: str, *records: tuple[bytes | None, bytes | None]) -> None:
        """Records (key, value) to partition 0 of one of our topics."""
        asyncio.run(self._send(topic, list(records)))

    def read(self, topic: str) -> list[Any]:
        """Every record of one of our topics."""
        return asyncio.run(self._read(topic))

    def counted(self) -> int:
        """Points in all scored windows; a window that is repeated must be the same again."""
        windows: dict[tuple[int, int], int] = {}
        for record in self.read("scores"):
            block = score_block.decode(record.value)
            for key, count in zip(block.ids.tolist(), block.count.tolist(), strict=True):
                assert windows.setdefault((key, block.end_us), count) == count
        return sum(windows.values())

    def wait_counted(self, worker: WorkerProcess, count: int | None = None) -> None:
        """Wait until so many are counted (by default all but the last), and see that no more are."""
        wanted = self.sent - 1 if count is None else count
        worker.wait_until(lambda: self.counted() >= wanted, f"done with {wanted} points")
        assert self.counted() == wanted

    def _point(self, number: int) -> bytes:
        point = {"ts": self.start + 5 * number, "name": "load", "value": number % 7}
        return json.dumps(point | {"attributes": {"service.name": "shop"}}).encode()

    async def _send(self, topic: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap) as producer:
            for key, value in records:
                await producer.send(self.prefix + topic, value, key, partition=0)
            await producer.flush()

    async def _send_in_transactions(self, points: list[bytes]) -> None:
        name = f"{self.prefix}producer"
        async with AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap, transactional_id=name) as producer:
            for point in points:
                async with producer.transaction():
                    await producer.send(f"{self.prefix}points", point, partition=0)

    async def _read(self, topic: str) -> list[Any]:
        async with open_reader(self.settings(), self.prefix + topic) as reader:
            return [record async for records in reader.everything(self.prefix + topic) for record in records]
