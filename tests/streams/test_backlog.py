"""An hour of telemetry that nobody read: a worker that comes back finds in it what one that was always there found.

Two runs read the same input. One is there all the time. Of the other the role ``ingest`` is away for most of the hour,
far longer than ``time.idle_seconds``, while its other roles run on; then it comes back, and a second one joins it.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.streams import topics
from pipeline.streams.behind import behind_seconds
from tests.chaos.fault_run import Result, loaded, read_back
from tests.chaos.stories import PARTITIONS
from tests.kafka.server import KafkaServer
from tests.worker_process import WorkerProcess

INPUT = "backlog-points"
SIGNALS, STEP, HOUR = 40, 100, 3600
AWAY_AFTER = 600
#: The role is away for longer; what its partitions are silent for before it goes is far less.
IDLE_SECONDS = 10
START = int(time.time()) // 60 * 60 - HOUR - 600
#: What is complete in both runs, whether or not they know by now that nothing more comes.
COMPLETE_US = (START + HOUR - 60) * 1_000_000
#: The input of the time away, as the ingest role holds it: far below what a batch takes.
MOST_GROWTH_BYTES = 150 * 2**20


@dataclass
class Run:
    """Workers of one prefix that read the shared input; ``idle_seconds`` is theirs."""

    kafka: KafkaServer
    prefix: str
    directory: Path
    idle_seconds: float

    @property
    def environment(self) -> dict[str, str]:
        return {
            "CALMSTREAM_BROKER__BOOTSTRAP": self.kafka.bootstrap,
            "CALMSTREAM_BROKER__SESSION_TIMEOUT_SECONDS": "6",
            "CALMSTREAM_TOPIC_PREFIX": self.prefix,
            "CALMSTREAM_TOPICS__PARTITIONS": str(PARTITIONS),
            "CALMSTREAM_INPUTS": json.dumps([{"topic": INPUT, "format": "json_points"}]),
            "CALMSTREAM_DETECTION__HARD_UPPER": "70",
            "CALMSTREAM_TIME__IDLE_SECONDS": str(self.idle_seconds),
            "CALMSTREAM_TIME__IDLE_EMPTY_SECONDS": str(self.idle_seconds),
            "CALMSTREAM_STATE__CHECKPOINT_INTERVAL_SECONDS": "1",
        }

    def create(self) -> "Run":
        asyncio.run(topics.create(loaded(self.environment)))
        return self

    def worker(self, name: str, roles: str) -> WorkerProcess:
        arguments = ("worker", "--roles", roles)
        return WorkerProcess(
            self.environment, directory=self.directory, arguments=arguments, name=f"{self.prefix}{name}"
        )

    def result(self) -> Result:
        found = asyncio.run(read_back(loaded(self.environment)))
        windows = {key: row for key, row in found.windows.items() if key[1] <= COMPLETE_US}
        return Result(found.incidents, windows, found.points)


def messages(since: int, until: int) -> list[tuple[int, int, bytes]]:
    """(event time, partition, message) of some seconds: one signal has a fault, one goes silent, some wobble."""
    found = []
    for second in range(since, until, 10):
        for number in range(SIGNALS):
            if number == 7 and second >= 1800:
                continue
            fault = 60 if number == 3 and 2400 <= second < 2700 else 0
            at = START + second + number % 7
            point = {"ts": at, "name": "load", "value": 40 + (second * (number + 3)) % 11 / 10 + fault}
            point["attributes"] = {"service.name": f"s{number}", "deployment.environment.name": "prod"}
            found.append((at, number % PARTITIONS, json.dumps(point).encode()))
    return found


async def send(kafka: KafkaServer, since: int, until: int) -> int:
    sent = messages(since, until)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=5) as producer:
        for at, partition, message in sent:
            await producer.send(INPUT, message, partition=partition, timestamp_ms=at * 1000)
        await producer.flush()
    return len(sent)


def resident_bytes(worker: WorkerProcess) -> int:
    return int(worker.metrics()["process_resident_memory_bytes"])


@dataclass(frozen=True)
class Told:
    """What came of both runs, and how the one that was away came back."""

    there: Result
    away: Result
    growth_bytes: int
    seconds: float
    behind: float


@pytest.fixture(scope="module")
def told(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Told:
    directory = tmp_path_factory.mktemp("backlog")
    there, away = Run(kafka, "there.", directory, 900).create(), Run(kafka, "away.", directory, IDLE_SECONDS).create()
    always = there.worker("always", "ingest,score,correlate")
    rest, first, second = (
        away.worker("rest", "score,correlate"), away.worker("first", "ingest"), away.worker("second", "ingest")
    )  # fmt: skip
    workers = (always, rest, first, second)
    try:
        for worker in (always, rest, first):
            worker.start()
        for worker in (always, rest, first):
            worker.wait_ready()
        sent = asyncio.run(send(kafka, 0, AWAY_AFTER))
        always.wait_until(lambda: _read(always) >= sent, "done with the first points")
        first.wait_until(lambda: _read(first) >= sent, "done with the first points")
        first.stop()
        gone = time.monotonic()
        for since in range(AWAY_AFTER, HOUR, STEP):
            sent += asyncio.run(send(kafka, since, since + STEP))
            always.wait_until(lambda: _read(always) >= sent, "done with these points")  # noqa: B023 (waited for here)
        rest.wait_until(lambda: time.monotonic() - gone > IDLE_SECONDS + 1, "alone for long enough")
        behind = asyncio.run(behind_seconds(loaded(away.environment)))
        before, started, most = resident_bytes(rest), time.monotonic(), 0
        first.start()
        first.wait_ready()
        second.start()

        def through() -> bool:
            nonlocal most
            most = max(most, resident_bytes(rest))
            return _watermark(rest) >= COMPLETE_US / 1_000_000

        rest.wait_until(through, "done with the hour", within_seconds=120)
        seconds = time.monotonic() - started
        always.wait_until(lambda: _watermark(always) >= COMPLETE_US / 1_000_000, "done with the hour")
        second.wait_ready()
        for worker in workers:
            assert worker.stop() == 0
        return Told(there.result(), away.result(), most - before, seconds, behind)
    finally:
        for worker in workers:
            worker.kill()


def _read(worker: WorkerProcess) -> float:
    return worker.metrics().get(f'calmstream_messages_total{{role="ingest",topic="{INPUT}"}}', 0.0)


def _watermark(worker: WorkerProcess) -> float:
    found = [
        value
        for name, value in worker.metrics().items()
        if name.startswith("calmstream_watermark_timestamp_seconds{") and 'role="correlate"' in name
    ]
    return min(found, default=0.0) if len(found) == PARTITIONS else 0.0


def test_the_same_windows_are_scored_the_same(told: Told) -> None:
    assert len(told.there.windows) > SIGNALS * HOUR // 10 * 0.9
    assert told.away.windows == told.there.windows


def test_the_same_incidents_come_of_it_and_none_because_we_were_late(told: Told) -> None:
    assert told.there.incidents
    assert told.away.incidents == told.there.incidents


def test_the_hour_is_read_fast_and_without_much_memory(told: Told) -> None:
    assert told.seconds < (HOUR - AWAY_AFTER) / 20
    assert told.growth_bytes < MOST_GROWTH_BYTES


def test_how_far_behind_it_is_can_be_told_from_outside(told: Told) -> None:
    assert HOUR - AWAY_AFTER < told.behind < 2 * HOUR
