"""One worker with every input on a real broker: its settings, what is sent to it, and what is read back.

What came out is read by the rules that consumers follow, so that two runs can be compared.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.codecs import signal_block
from pipeline.settings import Settings, load
from pipeline.streams import topics
from pipeline.streams.broker_process import BrokerProcess
from pipeline.streams.reading import open_reader
from tests.chaos.fault_run import Result, read_back
from tests.streams.every_input import END, FORMATS, PARTITIONS, SECONDS, START, WINDOW_SECONDS, Sent
from tests.worker_process import WorkerProcess

#: Nothing is idle in a run, whatever is killed meanwhile: a pause must be longer than this, which must not be above the
#: lateness.
LATENESS_SECONDS = 30


@dataclass
class TelemetryRun:
    """A set of topics of its own on a broker; ``changes`` to the settings, ``CALMSTREAM_`` left out."""

    broker: BrokerProcess
    prefix: str
    directory: Path
    changes: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        inputs = [{"topic": f"{self.prefix}{name}", "format": format_} for name, format_ in FORMATS.items()]
        settings = {
            "TOPIC_PREFIX": self.prefix,
            "BROKER__BOOTSTRAP": self.broker.bootstrap,
            "BROKER__IDEMPOTENCE": "if-available",
            "BROKER__SESSION_TIMEOUT_SECONDS": "2",
            "TOPICS__PARTITIONS": str(PARTITIONS),
            "INPUTS": json.dumps(inputs),
            "DETECTION__HARD_UPPER": "70",
            "TIME__WINDOW_SECONDS": str(WINDOW_SECONDS),
            "TIME__ALLOWED_LATENESS_SECONDS": str(LATENESS_SECONDS),
            "TIME__TRACE_WAIT_SECONDS": "5",
            "TIME__IDLE_SECONDS": "900",
            "TIME__IDLE_EMPTY_SECONDS": "900",
            "TIME__IDLE_SPARSE_SECONDS": str(LATENESS_SECONDS),
            "STATE__CHECKPOINT_INTERVAL_SECONDS": "0.5",
        }
        return {f"CALMSTREAM_{key}": value for key, value in (settings | self.changes).items()}

    def settings(self) -> Settings:
        given = {
            "topic_prefix": self.prefix,
            "broker": {"bootstrap": self.broker.bootstrap},
            "topics": {"partitions": int(self.changes.get("TOPICS__PARTITIONS", PARTITIONS))},
            "inputs": [{"topic": f"{self.prefix}{name}", "format": format_} for name, format_ in FORMATS.items()],
        }
        return load(overrides=given)

    def create(self) -> "TelemetryRun":
        asyncio.run(topics.create(self.settings()))
        return self

    def worker(self) -> WorkerProcess:
        """One that is not started yet."""
        return WorkerProcess(self.environment(), directory=self.directory, name=f"{self.prefix}worker")

    def send(self, sent: Iterable[Sent], seconds: float = 0.0) -> None:
        """Messages, at a steady pace if the story is to take so many seconds."""
        asyncio.run(self._send(sent, seconds))

    async def _send(self, every: Iterable[Sent], seconds: float) -> None:
        never = asyncio.Event()
        second = 0
        async with AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap, linger_ms=5) as producer:
            for sent in every:
                if sent.second > second and seconds:  # keep the pace
                    second = sent.second
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(never.wait(), seconds / SECONDS)
                at_ms = (START + sent.second + 1) * 1000
                topic = f"{self.prefix}{sent.topic}"
                await producer.send(topic, sent.value, partition=sent.partition, timestamp_ms=at_ms)

    def is_at(self, worker: WorkerProcess, second: float) -> bool:
        """Is every partition of the last stage done up to so many seconds after START?"""
        name = 'calmstream_watermark_timestamp_seconds{{partition="{}anomalies/{}",role="correlate"}}'
        metrics = worker.metrics() if worker.status("/ready") == 200 else {}
        reached = min(metrics.get(name.format(self.prefix, number), 0.0) for number in range(PARTITIONS))
        return reached - START >= second

    def wait_until_through(self, worker: WorkerProcess) -> None:
        """Wait until everything is done up to the end of the story."""
        end = END - START - LATENESS_SECONDS - 10
        worker.wait_until(lambda: self.is_at(worker, end), "done with the story", within_seconds=90)

    def read(self, topic: str) -> list[Any]:
        """Every record of one of our topics."""
        return asyncio.run(self._read(f"{self.prefix}{topic}"))

    async def _read(self, topic: str) -> list[Any]:
        async with open_reader(self.settings(), topic) as reader:
            return [record async for records in reader.everything(topic) for record in records]

    def result(self) -> Result:
        """Incidents and scored windows; a repeat that differs from the first fails."""
        return asyncio.run(read_back(self.settings()))

    def made(self) -> dict[tuple[str, int, int], list[tuple[Any, ...]]]:
        """What the join shards wrote on ``signals``, by source, number and partition; a repeat must be the same."""
        found: dict[tuple[str, int, int], list[tuple[Any, ...]]] = {}
        for record in self.read("signals"):
            block = signal_block.decode(record.value)
            if block.rows and block.source.startswith(("logs/", "spans/")):
                key = block.source, block.start, record.partition
                rows = rows_of(block)
                assert found.setdefault(key, rows) == rows, f"{key} was repeated with another content"
        return found


def rows_of(block: Any) -> list[tuple[Any, ...]]:
    """Signal, time, value and distribution of every row of a block."""
    found = []
    for row, number in enumerate(block.signal.tolist()):
        point = block.histograms.get(row)
        spread = (point.sum, point.bounds.tolist(), point.counts.tolist()) if point else ()
        found.append((int(block.ids[number]), int(block.time_us[row]), float(block.value[row]), spread))
    return found
