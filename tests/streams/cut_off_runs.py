"""A worker whose broker is at the other end of a wire that a test cuts, and the story that it is told.

The story has so many signals that a checkpoint of a shard of the role ``score`` is several records, and some faults.
"""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from aiokafka import TopicPartition

from pipeline.streams.state import checkpoints, state_topic
from tests.chaos.fault_run import FaultRun, Result
from tests.chaos.stories import PARTITIONS, Story, load
from tests.kafka.server import KafkaServer
from tests.kafka.wire import Wire
from tests.streams.every_input import START, Sent
from tests.worker_process import WorkerProcess

SECONDS = 90
END = START + SECONDS + 120
_FEED_SECONDS = 4.0
#: Signals that only make the state large, and how many come in a message.
_MANY = 2_000
_AT_ONCE = 50
#: Of them there is a point in so many seconds.
_EVERY = 10
#: Keys of records of a checkpoint: shard, epoch, part, slot and piece; or the end of one, its manifest.
CHECKPOINT = rb"signals/\d\|[0-9a-f]{32}\|(?:[^|]{1,60}\|[01]\|\d|manifest)"
#: It saves after so many seconds, however long that takes.
_OFTEN = {"CALMSTREAM_STATE__MAX_STATE_AGE_SECONDS": "2"}
HASTE = {
    "CALMSTREAM_BROKER__REQUEST_TIMEOUT_SECONDS": "6",
    "CALMSTREAM_BROKER__LOST_AFTER_SECONDS": "8",
    "CALMSTREAM_WORKER__SHUTDOWN_SECONDS": "4",
}


@cache
def story() -> Story:
    messages = sorted([*_faults(), *_fleet()], key=lambda sent: sent.second)
    last = {"ts": END, "name": "end", "value": 1, "attributes": {"service.name": "end"}}
    messages += [Sent(END - START, "points", number, json.dumps(last).encode()) for number in range(PARTITIONS)]
    return Story("fleet", {"points": "json_points"}, 2, SECONDS, END - 2 - 10, tuple(messages))


def _faults() -> Iterator[Sent]:
    return (Sent(second, "points", partition, value) for second, partition, value in load(SECONDS, 32, trouble=30))


def _fleet() -> Iterator[Sent]:
    for second in range(0, SECONDS, _EVERY):
        for first in range(0, _MANY, _AT_ONCE):
            points = [_point(second, number) for number in range(first, first + _AT_ONCE)]
            yield Sent(second, "points", first // _AT_ONCE % PARTITIONS, json.dumps(points).encode())


def _point(second: int, number: int) -> dict[str, object]:
    of = {"service.name": f"s{number % 50}", "deployment.environment.name": "fleet", "number": number}
    return {"ts": START + second, "name": "used", "value": 10 + (number + second) % 7, "attributes": of}


def is_saving(seen: Sequence[bytes]) -> bool:
    """By the keys that went to the broker: each shard has a checkpoint, and of the next one there are some records."""
    ends = [number for number, key in enumerate(seen) if key.endswith(b"manifest")]
    return len(ends) >= PARTITIONS and len(seen) - ends[-1] > 3


@dataclass
class CutOff:
    """One run. ``wire``: None for a worker that is not cut off."""

    server: KafkaServer
    name: str
    directory: Path
    wire: Wire | None = None
    changes: dict[str, str] = field(default_factory=dict)
    code: int | None = None
    seconds: float = 0.0
    seen: list[bytes] = field(default_factory=list)  # of checkpoints, until the worker was told to stop
    offsets: dict[str, int] = field(default_factory=dict)
    result: Result = field(default_factory=lambda: Result({}, {}, 0))

    def __post_init__(self) -> None:
        self.run = FaultRun(self.server.bootstrap, f"{self.name}.", self.directory, story())
        environment = self.run.settings() | _OFTEN | self.changes
        if self.wire is not None:
            environment["CALMSTREAM_BROKER__BOOTSTRAP"] = self.wire.bootstrap
        self.worker = WorkerProcess(environment, directory=self.directory, name=self.name)

    def tell(self) -> None:
        """Tell the story, and let happen to the worker what is to happen meanwhile."""
        self.worker.start().wait_ready()
        with ThreadPoolExecutor(1) as pool:
            fed = pool.submit(self.run.feed, _FEED_SECONDS)
            self.happens()
            fed.result()
        self.run.wait_until_through(self.worker)
        assert self.worker.stop() == 0
        self.result = self.run.result()

    def happens(self) -> None:
        """Nothing."""

    def wait_busy(self) -> None:
        """In the midst of the story."""
        self.worker.wait_until(lambda: self.worker.metrics()["calmstream_points_total"] > 4000, "busy")

    def read_state(self) -> None:
        """Where the checkpoints of the role stand; each must be whole."""
        settings = self.run.loaded()
        places = [TopicPartition(settings.topic("score.state"), number) for number in range(PARTITIONS)]
        for place, records in asyncio.run(state_topic.read_live(settings, places)).items():
            shard = f"{self.run.prefix}signals/{place.partition}"
            snapshot = checkpoints.newest(shard, records, "score")
            if snapshot is not None and all(snapshot.blocks[part] is not None for part in snapshot.blocks):
                self.offsets[shard] = snapshot.offset


class Lost(CutOff):
    """Until the worker gives up."""

    def happens(self) -> None:
        assert self.wire is not None
        self.wait_busy()
        self.wire.cut()
        started = time.monotonic()
        self.code = self.worker.wait_end(within_seconds=120)
        self.seconds = time.monotonic() - started
        self.wire.mend()
        self.worker.start()


@dataclass
class Away(CutOff):
    """For so long."""

    for_seconds: float = 0.0

    def happens(self) -> None:
        assert self.wire is not None
        self.wait_busy()
        self.wire.cut()
        threading.Event().wait(self.for_seconds)
        self.wire.mend()


@dataclass
class Stopped(CutOff):
    """While it saves; ``mended``: then the wire is whole again, and else for the next worker only."""

    mended: bool = False

    def happens(self) -> None:
        assert self.wire is not None
        self.wire.cut_when = is_saving
        self.worker.wait_until(self.wire.was_cut.is_set, "in the midst of saving")
        self.seen = self.wire.seen[:]
        started = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(self.worker.stop, within_seconds=60)
            if self.mended:
                self.worker.wait_until(lambda: "stopping; the exit code" in self.worker.log(), "told to stop")
                self.wire.cut_when = lambda seen: False
                self.wire.mend()
            self.code = ended.result()
        self.seconds = time.monotonic() - started
        self.read_state()
        if not self.mended:
            self.wire.cut_when = lambda seen: False
            self.wire.mend()
        self.worker.start()
