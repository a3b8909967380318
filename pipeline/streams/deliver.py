"""The role ``deliver``: a service a sink, which reads ``incidents`` in a consumer group of its own.

Guarantee: a destination that is down holds up nobody else. What was acknowledged is saved to ``deliver.state``, in the
partition of the incident, before the next message goes out; partitions pass to another worker only after the message
on its way has ended and is saved, so only a kill between an answer and its record makes one message come twice, with
the same key. Progress comes from that state; the group's committed offsets are not used.
"""

import asyncio
import json
import logging
import time
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from mode import Service

from pipeline.codecs import incident_event
from pipeline.flow.dead_letter import dead_letter
from pipeline.records import Headers
from pipeline.settings import Settings, SinkSettings
from pipeline.sinks.choice import SEVERITIES, Choice
from pipeline.sinks.deliveries import Deliveries, Renew, Rules, Saved, Tell, Work
from pipeline.sinks.protocol import Delivered, Outcome, Refused, Summary, TryAgain
from pipeline.streams import clients
from pipeline.streams.destinations import Sender, destination
from pipeline.streams.logs import place
from pipeline.streams.rebalances import Listener, explained
from pipeline.streams.state.state_topic import read_live
from pipeline.telemetry import Telemetry

log = logging.getLogger(__name__)

ROLE = "deliver"
#: While there is nothing to do.
_POLL_MS = 100
#: Positions of records that were not for a sink are saved so often.
_SAVE_SECONDS = 5.0
_FIELDS = (
    "id",
    "revision",
    "transition",
    "state",
    "severity",
    "scope",
    "title",
    "onset_time",
    "updated_time",
    "members",
)


@dataclass(frozen=True)
class _Untold:
    """What a sink refused, as a message."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def group_of(settings: Settings, sink: SinkSettings) -> str:
    """The consumer group of a sink."""
    return f"{settings.topic_prefix}{ROLE}.{sink.name}"


class DeliverService(Service):
    """Deliveries to one sink."""

    def __init__(self, sink: SinkSettings, settings: Settings, telemetry: Telemetry) -> None:
        super().__init__()
        self.sink = sink
        self.settings = settings
        self.failure: BaseException | None = None
        self._telemetry = telemetry
        self._topic, self._state_topic = settings.topic("incidents"), settings.topic("deliver.state")
        self._destination = destination(sink)
        self._choice = Choice(sink.severity, sink.matchers)
        rules = Rules(sink.rate_per_minute, sink.burst, sink.summary_after_seconds)
        renew = self._destination.renew_seconds
        self._deliveries = Deliveries(rules, renew_seconds=renew, seed=zlib.crc32(sink.name.encode()))
        self._lock = asyncio.Lock()
        self._generation = 0
        self._paused = False
        self._failing = False
        self._next_saved = 0.0
        self._consumer: AIOKafkaConsumer
        self._producer: AIOKafkaProducer
        self._sender: Sender
        for outcome in ("delivered", "failed", "refused", "summarised"):
            telemetry.deliveries.labels(sink.name, outcome)

    @property
    def label(self) -> str:
        return f"deliveries to {self.sink.name}"

    async def on_start(self) -> None:
        idempotent = await clients.idempotence(self.settings)
        self._producer = await clients.start_writer(self.settings, idempotent=idempotent)
        self._sender = await Sender(self.sink, self._producer).__aenter__()
        # A rebalance waits for the message that is on its way.
        wait_ms = int(1000 * (max(self.settings.broker.session_timeout_seconds, 10.0) + self.sink.timeout_seconds))
        group = group_of(self.settings, self.sink)
        self._consumer = clients.group_reader(self.settings, group, rebalance_timeout_ms=wait_ms)
        await self._consumer.start()
        self._consumer.subscribe([self._topic], listener=Listener(self))

    async def on_stop(self) -> None:
        """Let what is on its way end, save, leave the group; the supervisor bounds the time that this may take."""
        if hasattr(self, "_consumer"):
            async with self._lock:
                if self.failure is None:
                    await self._save(self._deliveries.positions())
                self._deliveries.revoke()
            await clients.stop_reader(self._consumer)
        if hasattr(self, "_sender"):
            await self._sender.__aexit__(None, None, None)
        if hasattr(self, "_producer"):
            await self._producer.stop()

    async def fail(self, error: BaseException) -> None:
        """End the service because of an error; the first one counts."""
        if self.failure is None:
            self.failure = error
            log.error("%s end: %s", self.label, error, extra={"role": ROLE, "reason": type(error).__name__})
        await self.crash(error)

    # -- partitions ------------------------------------------------------------------------------------------------

    async def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """All partitions go: the group hands them out anew as a whole."""
        async with self._lock:
            self._generation += 1
            await self._save(self._deliveries.positions())
            self._deliveries.revoke()

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Read what was delivered, before anything is sent."""
        async with self._lock:
            self._generation += 1
            self._paused = False
            self._deliveries.revoke()
            live = await read_live(
                self.settings, [TopicPartition(self._state_topic, each.partition) for each in partitions]
            )
            for partition in partitions:
                saved = live[TopicPartition(self._state_topic, partition.partition)]
                start = self._deliveries.assign(partition.partition, self._own(saved))
                self._consumer.seek(partition, start)

    def _own(self, saved: dict[bytes, bytes]) -> dict[str, dict[str, Any]]:
        prefix = f"{self.sink.name}|"
        texts = {key.decode(): value for key, value in saved.items()}
        return {key[len(prefix) :]: json.loads(value) for key, value in texts.items() if key.startswith(prefix)}

    # -- the loop --------------------------------------------------------------------------------------------------

    @Service.task
    async def _run(self) -> None:
        try:
            busy = False
            while not self.should_stop:
                busy = await self._turn(0 if busy else _POLL_MS)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self.fail(explained(error, self))

    async def _turn(self, timeout_ms: int) -> bool:
        """Take what has come, then do one thing; returns whether there was one."""
        generation, room = self._generation, self._deliveries.room
        self._pause(room == 0)
        fetched = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=max(room, 1))
        async with self._lock:
            if generation != self._generation or self.should_stop:
                self._rewind(fetched)
                return False
            for partition, records in fetched.items():
                for record in records:
                    await self._take(partition.partition, record)
            now = time.time()
            work = self._deliveries.next(now, behind=await self._behind())
            if work is not None:
                await self._do(work)
            await self._tidy(now)
            return work is not None or bool(fetched)

    def _pause(self, wanted: bool) -> None:
        if wanted != self._paused:
            (self._consumer.pause if wanted else self._consumer.resume)(*self._consumer.assignment())
            self._paused = wanted

    def _rewind(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        """A rebalance came between fetch and use: read them again where they are still ours."""
        for partition, records in fetched.items():
            if partition in self._consumer.assignment() and self._deliveries.has(partition.partition):
                self._consumer.seek(partition, min(records[0].offset, self._deliveries.reads_from(partition.partition)))

    async def _behind(self) -> bool:
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            if end is None:
                return True
            if self._deliveries.has(partition.partition) and self._deliveries.reads_from(partition.partition) < end:
                position = await self._consumer.position(partition)  # behind gaps, too
                if position < end:
                    return True
        return False

    async def _take(self, partition: int, record: Any) -> None:
        incident = self._incident(record)
        known = incident is not None and self._deliveries.knows(partition, incident["id"])
        wanted = incident is not None and not incident.get("shadow") and (known or self._choice.wants(incident))
        self._deliveries.take(partition, record.offset, record.timestamp / 1000, incident if wanted else None)

    def _incident(self, record: Any) -> dict[str, Any] | None:
        try:
            incident = incident_event.decode(record)
            if missing := [name for name in _FIELDS if name not in incident]:
                raise ValueError(f"it has no {', '.join(missing)}")
            if incident["severity"] not in SEVERITIES:
                raise ValueError(f"no severity is named {incident['severity']!r}")
            return {"dedup_key": incident["id"], **incident}
        except (ValueError, TypeError) as error:
            self._telemetry.drops.labels(ROLE, "foreign_incident").inc()
            said = "A record of %s is not an incident event of ours and is passed over: %s"
            where = f"{record.topic}/{record.partition} at offset {record.offset}"
            log.warning(said, where, error, extra=place(record, role=ROLE, reason="foreign_incident"))
            return None

    # -- one thing -------------------------------------------------------------------------------------------------

    async def _do(self, work: Work) -> None:
        now = time.time()
        if isinstance(work, Tell):
            incident, kept = work.waiting.incident, work.kept
            message = self._destination.tell(incident, kept, now)
        elif isinstance(work, Summary):
            incident, kept = None, {}
            message = self._destination.summarise(work, now)
        else:
            incident, kept = None, {}
            message = self._destination.renew(work.kept, now)
        if message is None:  # this protocol has no word for it
            await self._save(self._deliveries.delivered(work, kept, now))
            return
        self._deliveries.sent(work)
        answer = await self._sender.send(message)
        judge = self._destination.judge
        outcome = answer if isinstance(answer, TryAgain) else judge(answer, incident, kept)
        await self._conclude(work, outcome)

    async def _conclude(self, work: Work, outcome: Outcome) -> None:
        now = time.time()
        count = self._telemetry.deliveries.labels
        match outcome:
            case Delivered(kept):
                whole = not isinstance(work, Tell) or self._destination.tell(work.waiting.incident, kept, now) is None
                await self._save(self._deliveries.delivered(work, kept, now, whole=whole))
                count(self.sink.name, "summarised" if isinstance(work, Summary) else "delivered").inc()
                if isinstance(work, Tell):
                    self._telemetry.delivery_latency.labels(self.sink.name).observe(max(now - work.waiting.at, 0.0))
                self._say(failing=False, why="")
            case TryAgain(reason, after):
                seconds = self._deliveries.failed(now, after)
                count(self.sink.name, "failed").inc()
                self._say(failing=True, why=f"{reason}; tried again in {seconds:.1f} s")
            case Refused(reason, detail):
                count(self.sink.name, "refused").inc()
                log.warning("%s: refused for good, %s: %s", self.label, reason, detail, extra={"role": ROLE})
                await self._refused(work, reason, detail)

    def _say(self, *, failing: bool, why: str) -> None:
        """Once when it begins, and once when it is over."""
        if failing != self._failing:
            (log.warning if failing else log.info)(
                "%s %s", self.label, f"fail: {why}" if failing else "work again", extra={"role": ROLE}
            )
        self._failing = failing

    async def _refused(self, work: Work, reason: str, detail: str) -> None:
        if isinstance(work, Renew):
            self._deliveries.delivered(work, {}, time.time())
            return
        if isinstance(work, Summary):
            value, key, where, offset = msgspec.json.encode(work.text()), None, 0, 0
        else:
            value, key = msgspec.json.encode(work.waiting.incident), work.waiting.incident["id"].encode()
            where, offset = work.waiting.partition, work.waiting.offset
        headers = (("content-type", b"application/json"), ("calm_sink", self.sink.name.encode()))
        message = _Untold(offset, int(time.time() * 1000), key, value, headers)
        letter = dead_letter(message, self._topic, str(where), f"delivery_{reason}", detail)
        await self._producer.send_and_wait(
            self.settings.topic("dead-letter"), letter.value, letter.key, headers=list(letter.headers)
        )
        saved = self._deliveries.passed(work) if isinstance(work, Tell) else self._deliveries.drop_summary()
        await self._save(saved)

    async def _save(self, records: Iterable[Saved]) -> None:
        """Returns when the broker has them."""
        for partition, name, value in records:
            key = f"{self.sink.name}|{name}".encode()
            raw = None if value is None else json.dumps(value).encode()
            await self._producer.send_and_wait(self._state_topic, raw, key, partition=partition)

    async def _tidy(self, now: float) -> None:
        if now < self._next_saved:
            return
        self._next_saved = now + _SAVE_SECONDS
        await self._save([*self._deliveries.positions(), *self._deliveries.forgotten(now)])
        oldest = self._deliveries.oldest
        self._telemetry.deliveries_waiting.labels(self.sink.name).set(self._deliveries.waiting)
        self._telemetry.delivery_age.labels(self.sink.name).set(0.0 if oldest is None else max(now - oldest, 0.0))
