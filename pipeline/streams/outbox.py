"""What a shard service writes: records in order, their acknowledgements, and what was counted on the way.

Guarantee: a record that the broker refused makes the next ``check`` or ``acknowledged`` raise its error, so that no
checkpoint is written over it.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from pipeline.records import US, Counts, Output, Produced
from pipeline.settings import Settings
from pipeline.telemetry import Telemetry


class Outbox:
    """Writes through one producer, for one role."""

    def __init__(self, producer: AIOKafkaProducer, role: str, settings: Settings, telemetry: Telemetry) -> None:
        self._producer = producer
        self._role = role
        self._settings = settings
        self._telemetry = telemetry
        self._waiting: list[asyncio.Future[Any]] = []

    async def write(self, output: Output) -> None:
        """Hand over the records of a chain; waits only while the producer's buffer for a partition is full."""
        for record in output.records:
            await self._send(self._settings.topic(record.topic), record)
            if record.topic == "incidents":
                self._show_latency(record)
        self._show(output.counts)

    async def write_state(self, place: TopicPartition, records: Iterable[tuple[bytes, bytes | None]]) -> int:
        """Hand over checkpoint records; returns their bytes."""
        written = 0
        for key, value in records:
            written += len(value or b"")
            self._waiting.append(await self._producer.send(place.topic, value, key, partition=place.partition))
        return written

    def check(self) -> None:
        """Forget what is acknowledged; raises the error of the first record that was refused."""
        waiting = []
        for sent in self._waiting:
            if sent.done():
                self._telemetry.produced.labels(sent.result().topic).inc()
            else:
                waiting.append(sent)
        self._waiting = waiting

    async def acknowledged(self, seconds: float) -> None:
        """Wait until everything is acknowledged. Raises TimeoutError, or what the broker refused a record with."""
        if self._waiting:
            await asyncio.wait_for(asyncio.gather(*self._waiting), seconds)
        self.check()

    async def stop(self) -> None:
        await self._producer.stop()

    async def _send(self, topic: str, record: Produced) -> None:
        key = record.key if record.key is not None or record.value is not None else b""
        headers = list(record.headers)
        self._waiting.append(
            await self._producer.send(topic, record.value, key, partition=record.partition, headers=headers)
        )

    def _show(self, counts: Counts) -> None:
        telemetry, role = self._telemetry, self._role
        for (what, reason), number in counts.items():
            if what == "points":
                telemetry.points.inc(number)
            elif what in ("lines", "spans", "events"):
                if role == "ingest":
                    telemetry.taken[what].inc(number)
            elif what == "windows":
                telemetry.windows.inc(number)
            elif what == "drop":
                telemetry.drops.labels(role, reason).inc(number)
            elif what == "notice":
                telemetry.notices.labels(role, reason).inc(number)
            elif what == "anomaly":
                telemetry.anomalies.labels(reason).inc(number)
            elif what == "incident":
                telemetry.incidents.labels(reason).inc(number)

    def _show_latency(self, incident: Produced) -> None:
        decided_us = int(dict(incident.headers)["calm_decided_us"])
        self._telemetry.incident_latency.observe(max(time.time() - decided_us / US, 0.0))
