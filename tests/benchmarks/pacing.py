"""Sends points at a steady rate, in a process of its own: ``python -m tests.benchmarks.pacing`` with a Plan on stdin.

Guarantee: event times never lie after the append of their record; the log on stdout holds every batch with the greatest
event time in it and when the broker appended it, and the first deviating point of every fault.

First comes history (a point a second and signal, as fast as it goes) up to now, then points at the planned rate.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from aiokafka import AIOKafkaProducer

from tests.benchmarks.load import Writer, filled, producer
from tests.benchmarks.workload import Fault, Ints, Workload

_TICK_SECONDS = 0.02


@dataclass(frozen=True)
class Plan:
    """What to send; times are event times in milliseconds."""

    bootstrap: str
    topic: str
    signals: int
    start_ms: int
    until_ms: int
    points_per_second: float
    faults: tuple[Fault, ...]

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Self:
        told = json.loads(text)
        return cls(**{**told, "faults": tuple(Fault(**fault) for fault in told["faults"])})


class Pace:
    """Which signals send which points next, partition by partition in turn."""

    def __init__(self, plan: Plan, workload: Workload, from_ms: int) -> None:
        self._rate = plan.points_per_second / 1000 / workload.partitions
        self._of_partition = workload.of_partition
        self._from_ms = from_ms
        self._sent = [0] * workload.partitions

    def due(self, now_ms: float) -> Iterator[tuple[int, Ints, Ints]]:
        """(partition, signals, event times) of the points that are due and not sent."""
        until = int((now_ms - self._from_ms) * self._rate)
        for partition, signals in enumerate(self._of_partition):
            numbers = np.arange(self._sent[partition], until)
            self._sent[partition] = max(until, self._sent[partition])
            if numbers.size:
                times_ms = self._from_ms + (numbers / self._rate).astype(np.int64)
                yield partition, signals[numbers % signals.size], times_ms


class Log:
    """One JSON array a line: ["batch", partition, greatest event time, append] or ["fault", environment, append]."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._lines: list[list[object]] = []
        self._begun: set[int] = set()

    def batch(self, partition: int, signals: Ints, times_ms: Ints, append_ms: int) -> None:
        self._lines.append(["batch", partition, int(times_ms[-1]), append_ms])
        deviating = signals[self._workload.deviates(signals, times_ms)]
        for environment in set(self._workload.environment[deviating].tolist()) - self._begun:
            self._begun.add(environment)
            self._lines.append(["fault", environment, append_ms])

    def write(self) -> None:
        sys.stdout.write("".join(f"{json.dumps(line)}\n" for line in self._lines))


async def send(plan: Plan) -> None:
    workload = Workload(plan.signals, faults=plan.faults)
    log = Log(workload)
    sender = producer(plan.bootstrap)
    await sender.start()
    try:
        reached_ms = await _history(sender, plan, workload)
        await _steady(sender, plan, workload, reached_ms, log)
    finally:
        await sender.stop()
    log.write()


async def _history(sender: AIOKafkaProducer, plan: Plan, workload: Workload) -> int:
    """Send until event time has caught up with the clock, and return how far that was."""
    writer = Writer(sender, plan.topic)
    reached_ms = plan.start_ms
    for partition, times_ms, points in workload.rounds(plan.start_ms, (plan.until_ms - plan.start_ms) // 1000):
        if partition == 0 and times_ms[0] + 1000 > time.time() * 1000:
            break
        await writer.send(partition, points, int(times_ms[-1]))
        reached_ms = int(times_ms[0]) // 1000 * 1000 + 1000
    await writer.finish()
    return reached_ms


async def _steady(sender: AIOKafkaProducer, plan: Plan, workload: Workload, from_ms: int, log: Log) -> None:
    pace = Pace(plan, workload, from_ms)
    noise = np.random.default_rng(workload.seed + 2)
    loop = asyncio.get_running_loop()
    tick = asyncio.Event()
    async with asyncio.TaskGroup() as sends:
        while (now_ms := time.time() * 1000) < plan.until_ms:
            tick.clear()
            loop.call_later(_TICK_SECONDS, tick.set)
            for partition, signals, times_ms in pace.due(now_ms):
                points = workload.points(signals, times_ms, noise)
                sends.create_task(_sent(sender, plan.topic, partition, signals, times_ms, points, log))
            await tick.wait()


async def _sent(
    sender: AIOKafkaProducer, topic: str, partition: int, signals: Ints, times_ms: Ints, points: list[bytes], log: Log
) -> None:
    for batch in filled(sender, points, int(times_ms[-1])):
        acknowledged = await (await sender.send_batch(batch, topic, partition=partition))
    log.batch(partition, signals, times_ms, acknowledged.timestamp)


if __name__ == "__main__":
    asyncio.run(send(Plan.loads(sys.stdin.read())))
