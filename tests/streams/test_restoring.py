"""Chains that take longer than the session: the worker keeps what it was given, reads on from its state after a long
restore, and ends where a chain does not.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client import CollectorRegistry

from pipeline.flow.chain import Numbers
from pipeline.records import NO_TIME, Message, Output, Snapshot
from pipeline.streams import chain_thread
from pipeline.streams.clients import start_writer
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.shard import ShardService, Stage
from pipeline.telemetry import Telemetry
from tests.kafka.server import KafkaServer
from tests.streams.one_signal import OneSignal

_SESSION_SECONDS = 2


class SlowChain:
    """Remembers what it was given; a restore waits until it is let go on."""

    def __init__(self, restoring: threading.Event, go_on: threading.Event, *, stuck: bool = False) -> None:
        self.restoring, self.go_on, self.stuck = restoring, go_on, stuck
        self.restored_from: list[int] = []
        self.taken: list[int] = []

    def apply(self, messages: Sequence[Message]) -> Output:
        self.taken += [message.offset for message in messages]
        if self.stuck:
            self.go_on.wait()
        return Output()

    def flush(self, *, idle: bool = False) -> Output:
        return Output()

    def watermark_us(self) -> int:
        return NO_TIME

    def gauges(self) -> dict[str, float]:
        return {}

    def snapshot(self, *, full: bool) -> Snapshot:
        offset = self.taken[-1] + 1 if self.taken else 0
        return Snapshot("slow/1", offset, b"", {}, (), full=full)

    def saved(self) -> None:
        pass

    def restore(self, snapshot: Snapshot) -> None:
        self.restored_from.append(snapshot.offset)
        self.restoring.set()
        self.go_on.wait()

    def heard(self) -> dict[str, int]:
        return {}

    def numbers(self) -> Numbers:
        return {}

    def go_on_from(self, numbers: Numbers) -> None:
        raise AssertionError("nothing was reset")

    def lost_history(self) -> None:
        raise AssertionError("nothing was deleted")


def test_a_restore_longer_than_the_session_loses_no_partition(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    run = OneSignal(kafka, topic_prefix, tmp_path).create()
    asyncio.run(slow_restore(run))


async def slow_restore(run: OneSignal) -> None:
    chains: list[SlowChain] = []
    restoring, go_on = threading.Event(), threading.Event()
    settings = run.settings()
    broker = settings.broker.model_copy(update={"session_timeout_seconds": _SESSION_SECONDS})
    settings = settings.model_copy(update={"broker": broker})

    def chain(topic: str, partition: int) -> SlowChain:
        chains.append(SlowChain(restoring, go_on))
        return chains[-1]

    stage = Stage("score", (f"{run.prefix}points",), "score.state", chain)
    first = ShardService(stage, settings, Telemetry(CollectorRegistry()))
    writer = await start_writer(settings, idempotent=True)
    try:
        await first.start()
        await writer.send_and_wait(f"{run.prefix}points", b"{}", partition=0)
        await until(run, lambda: bool(chains) and chains[-1].taken == [0])
        await first.stop()
        second = ShardService(stage, settings, Telemetry(CollectorRegistry()))
        await second.start()
        await until(run, restoring.is_set)
        seen, started = [], time.monotonic()
        while time.monotonic() < started + 2 * _SESSION_SECONDS:
            seen.append(await members(run))
        assert len(seen[0]) == 1
        assert seen == [seen[0]] * len(seen)
        await writer.send_and_wait(f"{run.prefix}points", b"{}", partition=0)
        go_on.set()
        await until(run, second.ready.is_set)
        await until(run, lambda: chains[-1].taken == [1])
        assert len(chains) == 2
        assert chains[-1].restored_from == [1]
        await second.stop()
    finally:
        go_on.set()
        await writer.stop()


def test_a_chain_that_does_not_end_ends_the_service_and_saves_nothing(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_thread, "STILL_SECONDS", 1.0)
    run = OneSignal(kafka, topic_prefix, tmp_path).create()
    asyncio.run(stuck(run))
    assert run.read("score.state") == []


async def stuck(run: OneSignal) -> None:
    go_on = threading.Event()
    chain = SlowChain(threading.Event(), go_on, stuck=True)
    stage = Stage("score", (f"{run.prefix}points",), "score.state", lambda topic, partition: chain)
    service = ShardService(stage, run.settings(), Telemetry(CollectorRegistry()))
    writer = await start_writer(run.settings(), idempotent=True)
    try:
        await service.start()
        await writer.send_and_wait(f"{run.prefix}points", b"{}", partition=0)
        await until(run, lambda: service.failure is not None)
        assert isinstance(service.failure, WorkerExit)
        assert service.failure.code == Exit.LOOP_BLOCKED
        assert "busy with one batch" in str(service.failure)
        await service.stop()
    finally:
        go_on.set()
        await writer.stop()


async def until(run: OneSignal, reached: Callable[[], bool]) -> None:
    """Ask the broker who is there until it is so."""
    async with asyncio.timeout(60):
        while not reached():
            await members(run)


async def members(run: OneSignal) -> list[str]:
    """Who the broker says is in the group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=run.broker.bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([f"{run.prefix}score"])
        return [member[0] for member in answer.groups[0][5]]
    finally:
        await admin.close()
