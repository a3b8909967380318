"""The shard service: the one engine for every hot or stateful stage, a *windowed agent* beside Faust's ordinary ones.

It owns an aiokafka consumer and takes whole fetched batches. It is not an ``@app.agent`` because a Faust stream costs
about 80 µs a message (four futures and a wait each) where this way costs about 1.5 µs, and because Faust's tables can
die silently while they recover.

Guarantee: each input partition is a shard with a chain and a state of its own. State is saved together with the input
offset that it follows from, and only after everything that was written because of it is acknowledged; on assignment the
newest complete checkpoint is loaded and the input is read on from the offset inside it. Kafka's committed offsets are
for lag displays only. Any error ends the service, and with it the worker, with a documented exit code.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from mode import Service

from pipeline.flow import refused
from pipeline.flow.chain import Chain, UnreadableState
from pipeline.records import Snapshot
from pipeline.settings import Settings
from pipeline.streams import batches, clients, fetching, gauges
from pipeline.streams.chain_thread import ChainThread
from pipeline.streams.exits import WorkerExit
from pipeline.streams.outbox import Outbox
from pipeline.streams.quiet import Quiet
from pipeline.streams.rebalances import Listener, explained
from pipeline.streams.state import checkpoints, state_topic
from pipeline.streams.unfinished import some
from pipeline.telemetry import Telemetry

log = logging.getLogger(__name__)
_T = TypeVar("_T")

#: Records taken at once, time between looks at the input, and time after which held rows are let out.
_MAX_RECORDS = 20_000
_MANY_RECORDS = 500
_MANY_BYTES = 256 * 1024
_POLL_SECONDS = 0.05
_FLUSH_SECONDS = 0.05
_SHOW_SECONDS = 0.5
#: Bound on a save in a rebalance: half of what all of it may take (rebalances).
_TIMEOUT_SECONDS = 30.0
#: Further behind than this, by the Kafka time of what it reads, a role is catching up.
_CATCHING_UP_SECONDS = 30.0
#: What of the time for a shutdown a save may take.
_SHARE_OF_SHUTDOWN = 0.6
_COMMIT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What a role does: ``topics`` it reads, ``chain`` makes the chain of a shard (topic, partition). ``sparse`` topics
    are idle sooner, for in them silence says nothing. ``prime`` tells a chain that begins with nothing what its log may
    no longer hold."""

    role: str
    topics: tuple[str, ...]
    state_topic: str
    chain: Callable[[str, int], Chain]
    sparse: frozenset[str] = frozenset()
    prime: Callable[[Chain], Awaitable[None]] | None = None


@dataclass(slots=True)
class Shard:
    """``position``: messages below it are read. ``given``: those below it that the chain knows of; between the two are
    offsets of no message, and records that were refused before the chain."""

    name: str
    chain: Chain
    position: int
    given: int
    state: TopicPartition
    writer: checkpoints.Writer
    older_keys: list[bytes]
    saved_offset: int = -1
    flushed_at: float = 0.0
    quiet: Quiet = field(default_factory=Quiet)
    unsaved: bool = True
    asked_again_at: int = -1
    read_ms: int | None = None  # Kafka time of the message that was read last


class ShardService(Service):
    """Runs the chains of one role over the partitions that this worker is given."""

    def __init__(self, stage: Stage, settings: Settings, telemetry: Telemetry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage
        self.settings = settings
        self.telemetry = telemetry
        self.ready = asyncio.Event()
        self.catching_up = False  # far behind in a partition
        self.failure: BaseException | None = None
        self.idempotent: bool | None = None  # None: ask the broker at start
        self._shards: dict[TopicPartition, Shard] = {}
        self._lock = asyncio.Lock()
        self._generation = 0
        self._next_checkpoint = 0.0
        self._next_shown = 0.0
        self._raw = False
        self._thread = ChainThread(self.label)
        self._restoring: asyncio.Task[None] | None = None
        self._consumer: AIOKafkaConsumer
        self._outbox: Outbox
        telemetry.reads(stage.role, stage.topics)

    @property
    def label(self) -> str:
        return f"shard service {self.stage.role}"

    async def on_start(self) -> None:
        if self.idempotent is None:
            self.idempotent = await clients.idempotence(self.settings)
        producer = await clients.start_writer(self.settings, idempotent=self.idempotent)
        self._outbox = Outbox(producer, self.stage.role, self.settings, self.telemetry)
        self._consumer = clients.group_reader(self.settings, f"{self.settings.topic_prefix}{self.stage.role}")
        await self._consumer.start()
        self._raw = fetching.available(self._consumer)
        if self._raw:
            fetching.keep_raw(self._consumer)
        self._consumer.subscribe(list(self.stage.topics), listener=Listener(self))

    async def on_stop(self) -> None:
        """Save, leave the group, close. The supervisor bounds the time that this may take."""
        if hasattr(self, "_consumer"):
            await self._stop_restoring()
            if self.failure is None:
                try:
                    await self._save_within(_SHARE_OF_SHUTDOWN * self.settings.worker.shutdown_seconds, self._lock)
                except (KafkaError, WorkerExit) as error:
                    text = "%s: not all was saved (%s); whoever goes on reads again from the checkpoint before"
                    log.warning(text, self.label, error)
            self._shards = {}  # another one, for whoever has the lock may be at the old one
            await clients.stop_reader(self._consumer)
        if hasattr(self, "_outbox"):
            await self._outbox.stop()
        self._thread.stop()

    def unfinished(self) -> str:
        """What is not saved, and what is not acknowledged, in words; nothing where there is neither."""
        names = [shard.name for shard in list(self._shards.values()) if shard.unsaved]
        saved = f"{some(names)} not saved" if names else ""
        return "; ".join(filter(None, (saved, self._outbox.unfinished() if hasattr(self, "_outbox") else "")))

    async def fail(self, error: BaseException) -> None:
        """End the service because of an error; the first one counts."""
        if self.failure is None:
            self.failure = error
            extra = {"role": self.stage.role, "reason": type(error).__name__}
            log.error("%s ends: %s", self.label, error, exc_info=not isinstance(error, WorkerExit), extra=extra)
        await self.crash(error)

    # -- the loop --------------------------------------------------------------------------------------------------

    @Service.task
    async def _run(self) -> None:
        try:
            while not self.should_stop:
                started = time.monotonic()
                busy = await self._turn()
                rest = _POLL_SECONDS - (time.monotonic() - started)
                await self.sleep(rest if rest > 0 and not busy else 0)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self.fail(explained(error, self))

    async def _turn(self) -> bool:
        """One look at the input: fetch, apply, write, and save when it is time; returns whether much came.

        Waits a little for records: with few of them the pauses between looks make batches, with many there are none.
        """
        generation = self._generation
        timeout_ms = round(_POLL_SECONDS * 1000)
        fetched = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=None if self._raw else _MAX_RECORDS)
        async with self._lock:
            if generation != self._generation:
                self._rewind()
                return False
            for partition, records in fetched.items():
                if self.should_stop:
                    return False  # what is not applied is read again by whoever goes on
                shard = self._shards.get(partition)
                if shard is not None:
                    await self._apply(partition, shard, records)
            for partition, shard in self._shards.items():
                await self._step_over(partition, shard)
            await self._flush()
            self._outbox.check()
            now = time.monotonic()
            if now >= self._next_shown:
                self._next_shown = now + _SHOW_SECONDS
                self._show()
                await self._refuse_other_logs()
            if now >= self._next_checkpoint:
                await self._save_all(self.settings.broker.request_timeout_seconds)
        return _is_much(fetched.values())

    def _rewind(self) -> None:
        """A rebalance came between fetch and apply: forget what was fetched."""
        for partition, shard in self._shards.items():
            self._consumer.seek(partition, shard.position)

    async def _apply(self, partition: TopicPartition, shard: Shard, records: list[Any]) -> None:
        if records[0].offset < shard.position:
            records = [record for record in records if record.offset >= shard.position]
            if not records:
                return
        if records[0].offset > shard.position and not await self._gap_is_real(partition, shard, records[0].offset):
            return
        if shard.asked_again_at != shard.position and batches.may_read_otherwise(records):
            self._ask_again(partition, shard)
            return
        output = await self._off_the_loop(
            shard.chain, refused.apply, shard.chain, partition.topic, partition.partition, records
        )
        if (again := output.reread_from) is not None:
            log.warning(
                "%s: an input is far behind the others; reads %s from %d on again", self.label, shard.name, again
            )
            shard.position = shard.given = again
            self._consumer.seek(partition, again)
        else:
            shard.position = records[-1].offset + 1
            given = (record.offset + 1 for record in reversed(records) if not refused.is_refused(record))
            shard.given = next(given, shard.given)
        shard.read_ms = records[-1].timestamp
        shard.quiet.heard()
        shard.unsaved = True
        self.telemetry.messages.labels(self.stage.role, partition.topic).inc(len(records))
        await self._outbox.write(output, partition.topic)

    async def _off_the_loop(self, chain: Chain, call: Callable[..., _T], *arguments: Any) -> _T:
        """What may take long, such as a window of a hundred thousand new signals: heartbeats go on meanwhile."""
        try:
            return await self._thread.run(call, *arguments, rows=sum(chain.gauges().values()))
        except WorkerExit:
            self._shards.clear()  # whatever the thread does with them now, nobody saves it
            raise

    async def _step_over(self, partition: TopicPartition, shard: Shard) -> None:
        """Offsets that hold no message (marks of transactions, compacted or deleted ones) are not waited for."""
        end = self._consumer.highwater(partition)
        if end is None or shard.position >= end:
            return
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                position = await self._consumer.position(partition)
        except TimeoutError:
            return  # the consumer is looking for its place itself
        if position > shard.position:
            await self._check_truncation(partition, shard)
            shard.position = position

    async def _gap_is_real(self, partition: TopicPartition, shard: Shard, offset: int) -> bool:
        """Offsets may be missing (compaction, deleted data), or the fetch began elsewhere: ask again once."""
        if shard.asked_again_at != shard.position:
            self._ask_again(partition, shard)
            return False
        await self._check_truncation(partition, shard)
        return True

    def _ask_again(self, partition: TopicPartition, shard: Shard) -> None:
        shard.asked_again_at = shard.position
        self._consumer.seek(partition, shard.position)

    async def _check_truncation(self, partition: TopicPartition, shard: Shard) -> None:
        """Say so, loudly, if the log now starts above our place: what lies between is gone."""
        beginning = (await self._consumer.beginning_offsets([partition]))[partition]
        if beginning > shard.position:
            self._say_truncated(shard, beginning)

    def _say_truncated(self, shard: Shard, beginning: int) -> None:
        self.telemetry.drops.labels(self.stage.role, "log_truncated").inc(beginning - shard.position)
        text = "%s: %d messages of %s from offset %d on were deleted unread; give the topic a longer retention"
        topic, _, number = shard.name.rpartition("/")
        extra = {"role": self.stage.role, "topic": topic, "partition": int(number), "offset": shard.position}
        extra |= {"reason": "log_truncated"}
        log.error(text, self.label, beginning - shard.position, shard.name, shard.position, extra=extra)
        shard.chain.lost_history()

    async def _flush(self) -> None:
        now = time.monotonic()
        for partition, shard in self._shards.items():
            if now - shard.flushed_at < _FLUSH_SECONDS:
                continue
            shard.flushed_at = now
            output = shard.chain.flush(idle=self._is_idle(partition, shard))
            if output.records:
                shard.unsaved = True
                await self._outbox.write(output)

    def _is_idle(self, partition: TopicPartition, shard: Shard) -> bool:
        """Read to its end and silent for long enough, as far as we can know."""
        end = self._consumer.highwater(partition)
        limits = self.settings.time
        limit = limits.idle_sparse_seconds if partition.topic in self.stage.sparse else limits.idle_seconds
        if end == 0:
            limit = min(limits.idle_empty_seconds, limit)
        unread, told_ms = end is None or shard.position < end, self._consumer.last_poll_timestamp(partition)
        return shard.quiet.lasts(limit, unread=unread, told_ms=told_ms)

    # -- checkpoints -----------------------------------------------------------------------------------------------

    async def _save_all(self, seconds: float) -> None:
        """Checkpoint every shard that has changed, all at once; ``seconds`` bound each wait for acknowledgements."""
        shards = [shard for shard in self._shards.values() if shard.unsaved]
        started = time.monotonic()
        for shard in shards:
            await self._outbox.write(shard.chain.flush())
        await self._outbox.acknowledged(seconds)
        written = sum(await asyncio.gather(*(self._save(shard, seconds) for shard in shards)))
        self._all_is_saved()
        await self._commit()
        took = time.monotonic() - started
        if shards:
            self.telemetry.checkpoint_seconds.labels(self.stage.role).observe(took)
            self.telemetry.checkpoint_bytes.labels(self.stage.role).inc(written)
        limits = self.settings.state
        pause = min(max(limits.checkpoint_interval_seconds, 9 * took), limits.max_state_age_seconds)
        self._next_checkpoint = time.monotonic() + pause

    async def _save(self, shard: Shard, seconds: float) -> int:
        """Checkpoint one shard; returns the bytes written. The parts go out one after the other, so that the loop
        stays free and a great state is never in memory twice."""
        snapshot = shard.chain.snapshot(full=not shard.writer.started)
        if snapshot.offset == shard.given:  # nothing waits in the chain: what it was not given is not read again
            snapshot = replace(snapshot, offset=shard.position)
        written = await self._outbox.write_state(shard.state, shard.writer.parts(snapshot))
        await self._outbox.acknowledged(seconds)
        written += await self._outbox.write_state(shard.state, [shard.writer.manifest(snapshot)])
        await self._outbox.acknowledged(seconds)
        obsolete = shard.writer.obsolete(snapshot) + [(key, None) for key in shard.older_keys]
        written += await self._outbox.write_state(shard.state, obsolete)
        await self._outbox.acknowledged(seconds)
        shard.older_keys = []
        shard.chain.saved()
        shard.saved_offset, shard.unsaved = snapshot.offset, False
        return written

    async def _save_within(self, seconds: float, lock: contextlib.AbstractAsyncContextManager[None]) -> None:
        """Checkpoint before letting go, if there is time: what is not saved is read again by whoever goes on."""
        try:
            async with asyncio.timeout(seconds), lock:
                await self._save_all(seconds)
        except TimeoutError:
            text = "%s: not all was saved in %.0f s (%s); whoever goes on reads again from the checkpoint before"
            extra = {"role": self.stage.role, "seconds": seconds}
            log.warning(text, self.label, seconds, self.unfinished(), extra=extra)

    async def _commit(self) -> None:
        """Commit the saved offsets, for lag displays only."""
        offsets = {
            partition: shard.saved_offset for partition, shard in self._shards.items() if shard.saved_offset >= 0
        }
        if offsets:
            with contextlib.suppress(KafkaError, IllegalStateError, TimeoutError):
                async with asyncio.timeout(_COMMIT_SECONDS):
                    await self._consumer.commit(offsets)

    def _all_is_saved(self) -> None:
        if self._shards:
            self.telemetry.checkpoint_time.labels(self.stage.role).set_to_current_time()

    def _show(self) -> None:
        """Set the gauges."""
        behind = [0.0]
        for partition, shard in self._shards.items():
            end = self._consumer.highwater(partition)
            if end is not None:
                waiting, read_ms = max(end - shard.position, 0), shard.read_ms
                behind.append(gauges.show_lag(self.telemetry, self.stage.role, partition, waiting, read_ms=read_ms))
            gauges.show(self.telemetry, self.stage.role, partition, shard.chain)
        self.catching_up = max(behind) > _CATCHING_UP_SECONDS

    async def _refuse_other_logs(self) -> None:
        """A log that ends below our place is another one, unless what we know of its end is older than our state: who
        had the partition before may have read on after our first look at it. Raises UnreadableState."""
        known = {partition: self._consumer.highwater(partition) for partition in self._shards}
        below = [at for at, end in known.items() if end is not None and end < self._shards[at].position]
        for partition, end in (await self._consumer.end_offsets(below) if below else {}).items():
            shard = self._shards[partition]
            if end < shard.position:
                raise UnreadableState(checkpoints.recreated(self.stage.role, shard.name, shard.position, end))

    # -- rebalances ------------------------------------------------------------------------------------------------

    async def revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Save and let go of all shards (every rebalance takes all away and gives some back)."""
        await self._stop_restoring()
        async with self._lock:
            self._generation += 1
            self._not_ready()
            if self._shards:
                await self._save_within(_TIMEOUT_SECONDS, contextlib.nullcontext())
            gauges.hide(self.telemetry, self.stage.role, self._shards)
            self._shards.clear()

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Begin to restore. aiokafka sends no heartbeats until this returns, and a restore may take longer than the
        session: within it, this worker would lose what it was just given, for ever and ever."""
        if self.should_stop:
            return  # given while it leaves the group
        self._restoring = asyncio.create_task(self._restore_all(partitions), name=f"{self.label}: restore")

    async def _restore_all(self, partitions: Collection[TopicPartition]) -> None:
        try:
            await self._restored(partitions)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self.fail(explained(error, self))

    async def _restored(self, partitions: Collection[TopicPartition]) -> None:
        """Restore each shard and seek its input to the place that its state follows from."""
        async with self._lock:
            started = time.monotonic()
            self._shards = await self._restore(sorted(partitions))
            self._generation += 1  # what was fetched meanwhile came from elsewhere
            self._next_checkpoint = time.monotonic() + self.settings.state.checkpoint_interval_seconds
            took = time.monotonic() - started
            self.telemetry.restore_seconds.labels(self.stage.role).observe(took)
            names = ", ".join(f"{p.topic}/{p.partition}" for p in sorted(partitions)) or "nothing"
            extra = {"role": self.stage.role, "seconds": round(took, 3)}
            log.info("%s: restored %s in %.2f s", self.label, names, took, extra=extra)
            self._show()
            self._all_is_saved()
            self.telemetry.ready.labels(self.stage.role).set(1)
            self.ready.set()

    async def _stop_restoring(self) -> None:
        if self._restoring is not None:
            self._restoring.cancel()
            await asyncio.wait([self._restoring])
            self._restoring = None

    def _not_ready(self) -> None:
        self.ready.clear()
        self.telemetry.ready.labels(self.stage.role).set(0)

    async def _restore(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Shard]:
        topic = self.settings.topic(self.stage.state_topic)
        states = {partition: TopicPartition(topic, partition.partition) for partition in partitions}
        live = await state_topic.read_live(self.settings, set(states.values()))
        left = Counter(states.values())  # inputs of several topics have one state partition
        shards = {}
        for partition, state in states.items():
            name = f"{partition.topic}/{partition.partition}"
            chain = self.stage.chain(partition.topic, partition.partition)
            left[state] -= 1
            records = live[state] if left[state] else live.pop(state)
            snapshot, given = await self._off_the_loop(chain, _restore_chain, chain, name, records, self.stage.role)
            if snapshot is None and self.stage.prime is not None:
                await self.stage.prime(chain)
            epoch = uuid.uuid4().hex
            older = [key for key, _ in checkpoints.other_epochs(name, epoch, records)]
            position = snapshot.offset if snapshot is not None else 0
            writer = checkpoints.Writer(name, epoch)
            shards[partition] = Shard(name, chain, position, given, state, writer, older, saved_offset=position)
        beginnings = await self._consumer.beginning_offsets(partitions) if partitions else {}
        for partition, shard in shards.items():
            self._seek(partition, shard, beginnings[partition])
        return shards

    def _seek(self, partition: TopicPartition, shard: Shard, beginning: int) -> None:
        """Go to the shard's place; if the log now starts above it, say so and go to where it starts."""
        if beginning > shard.position:
            if shard.position > 0:
                self._say_truncated(shard, beginning)
            else:
                shard.chain.lost_history()
            shard.position = beginning
        self._consumer.seek(partition, shard.position)


def _restore_chain(chain: Chain, name: str, records: dict[bytes, bytes], role: str) -> tuple[Snapshot | None, int]:
    """Put the newest checkpoint of a shard, if there is one, into its new chain; with it comes up to where the chain
    knows of messages."""
    snapshot = checkpoints.newest(name, records, role)
    if snapshot is None:
        return None, 0
    chain.restore(snapshot)
    return snapshot, chain.snapshot(full=False).offset


def _is_much(fetched: Iterable[list[Any]]) -> bool:
    """More may be waiting, so that a pause would only cost time."""
    records = [record for found in fetched for record in found[:_MANY_RECORDS]]
    return len(records) >= _MANY_RECORDS or sum(len(record.value or b"") for record in records) >= _MANY_BYTES
