"""What a shard service writes: records in order, their acknowledgements, and what was counted on the way.

Guarantee: a record that the broker refused makes the next ``check`` or ``acknowledged`` raise why, so that no
checkpoint is written over it. So does one that is not acknowledged for ``broker.request_timeout_seconds``, for with
idempotent producing aiokafka tries again for ever, and one that is acknowledged with an offset below those before it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition, errors
from aiokafka.errors import KafkaError

from pipeline.flow.shadow import redirected
from pipeline.records import US, Counts, Output, Produced
from pipeline.settings import Settings
from pipeline.streams import refused_writes
from pipeline.streams.unfinished import some
from pipeline.telemetry import Telemetry

#: The most that may lie between two looks: what is more, this process stood still.
_TICK_SECONDS = 1.0


class _Sent(NamedTuple):
    """A record on its way."""

    place: TopicPartition
    at: float
    done: asyncio.Future[Any]


class Outbox:
    """Writes through one producer, for one role."""

    def __init__(self, producer: AIOKafkaProducer, role: str, settings: Settings, telemetry: Telemetry) -> None:
        self._producer = producer
        self._role = role
        self._settings = settings
        self._telemetry = telemetry
        self._waiting: list[_Sent] = []
        self._ends: dict[TopicPartition, int] = {}  # newest offset that was acknowledged
        self._answers = refused_writes.listen()
        self._failure: BaseException | None = None
        self._looked_at = time.monotonic()
        self._now = 0.0  # by our own clock, which stands still with this process

    async def write(self, output: Output, read_from: str = "") -> None:
        """Hand over the records of a chain, each for the topic that its role has for it; waits only while the
        producer's buffer for a partition is full. ``read_from``: the topic of what it was made of."""
        output = redirected(self._role, output)
        for record in output.records:
            await self._send(self._settings.topic(record.topic), record)
            if record.topic == "incidents":
                self._show_latency(record)
            elif record.topic == "dead-letter":
                self._telemetry.dead_letters.labels(self._role, read_from).inc()
        self._show(output.counts)

    async def write_state(self, place: TopicPartition, records: Iterable[tuple[bytes, bytes | None]]) -> int:
        """Hand over checkpoint records; returns their bytes."""
        written = 0
        for key, value in records:
            written += len(value or b"")
            await self._hand_over(place.topic, place.partition, value, key)
        return written

    def check(self) -> None:
        """Forget what is acknowledged. Raises why a record was refused, again and again."""
        self._look()
        if self._failure is not None:
            raise self._failure
        done = [sent for sent in self._waiting if sent.done.done()]
        self._waiting = [sent for sent in self._waiting if not sent.done.done()]
        try:
            for sent in done:
                self._take(sent)
            if self._waiting:
                self._refuse_overdue(self._settings.broker.request_timeout_seconds)
        except BaseException as error:
            self._failure = error
            raise
        for topic, number in Counter(sent.place.topic for sent in done).items():
            self._telemetry.produced.labels(topic).inc(number)

    async def acknowledged(self, seconds: float) -> None:
        """Wait until everything is acknowledged; raises as ``check`` does, after so many seconds too."""
        self.check()
        until = self._now + seconds
        while self._waiting:
            waits = [sent.done for sent in self._waiting]
            await asyncio.wait(waits, timeout=_TICK_SECONDS / 2, return_when=asyncio.FIRST_EXCEPTION)
            self.check()
            if self._waiting and self._now >= until:
                self._refuse_overdue(0.0)

    def unfinished(self) -> str:
        """What is not acknowledged, in words; nothing where there is none."""
        waiting = Counter(refused_writes.name(sent.place) for sent in self._waiting if not sent.done.done())
        return f"{waiting.total()} records of {some(waiting)} not acknowledged" if waiting else ""

    def _look(self) -> None:
        now = time.monotonic()
        self._now += min(now - self._looked_at, _TICK_SECONDS)
        self._looked_at = now

    def _take(self, sent: _Sent) -> None:
        if error := sent.done.exception():
            raise refused_writes.refused(sent.place, error)
        written = sent.done.result()
        if 0 <= written.offset < self._ends.get(written.topic_partition, 0):
            raise refused_writes.created_anew(written.topic_partition)
        self._ends[written.topic_partition] = max(written.offset, 0)
        self._answers.accepted(written.topic_partition)

    def _refuse_overdue(self, seconds: float) -> None:
        """Raise WorkerExit if the oldest record waits for longer; told is one of which Kafka said why."""
        since = self._now - self._waiting[0].at
        if since >= seconds:
            answered = [sent for sent in self._waiting if self._answers.last(sent.place) is not None]
            worst = (answered or self._waiting)[0]
            raise refused_writes.overdue(worst.place, since, self._answers.last(worst.place))

    async def stop(self) -> None:
        await self._producer.stop()

    async def _send(self, topic: str, record: Produced) -> None:
        key = record.key if record.key is not None or record.value is not None else b""
        await self._hand_over(topic, record.partition, record.value, key, list(record.headers))

    async def _hand_over(
        self, topic: str, partition: int | None, value: bytes | None, key: bytes | None, headers: Any = None
    ) -> None:
        place = TopicPartition(topic, -1 if partition is None else partition)
        try:
            done = await self._producer.send(topic, value, key, partition=partition, headers=headers)
        except (errors.KafkaTimeoutError, errors.UnknownTopicOrPartitionError) as error:
            # Its buffer has been full for so long, or nobody has told it for so long where the topic is: both are the
            # client's own words. A topic that is missing indeed is told by the probe before.
            seconds = self._settings.broker.request_timeout_seconds
            raise refused_writes.overdue(place, seconds, self._answers.last(place)) from error
        except KafkaError as error:
            raise refused_writes.refused(place, error) from error
        self._look()
        self._waiting.append(_Sent(place, self._now, done))

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
            elif what == "correction":
                telemetry.corrections.inc(number)
            elif what == "drop":
                telemetry.drops.labels(role, reason).inc(number)
            elif what == "notice":
                telemetry.notices.labels(role, reason).inc(number)
            elif what == "anomaly":
                telemetry.anomalies.labels(reason).inc(number)
            elif what == "incident":
                telemetry.incidents.labels(reason).inc(number)
            elif what == "shadow_incident":
                telemetry.shadow_incidents.labels(reason).inc(number)

    def _show_latency(self, incident: Produced) -> None:
        decided_us = int(dict(incident.headers)["calm_decided_us"])
        self._telemetry.incident_latency.observe(max(time.time() - decided_us / US, 0.0))
