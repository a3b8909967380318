"""One run of workers on a real broker: its settings, what is fed to it, and what came out.

What came out is read back by the rules that consumers follow, so that two runs can be compared.
"""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from pipeline.codecs import incident_event, score_block
from pipeline.settings import Settings, load
from pipeline.streams import clients, topics
from tests.chaos.stories import PARTITIONS, Story, story
from tests.streams.every_input import START
from tests.worker_process import WorkerProcess

CALMSTREAM = str(Path(sys.executable).parent / "calmstream")
SESSION_SECONDS = 3.0
_THROUGH_SECONDS = 120.0


class Inexact(AssertionError):
    """What came out breaks a rule that consumers rely on."""


@dataclass(frozen=True)
class Stall:
    """The producer sends nothing for so many seconds when it has told so much of the story."""

    share: float
    seconds: float


@dataclass(frozen=True)
class Result:
    """Every incident transition by (id, revision), and every scored window by (signal, end)."""

    incidents: dict[tuple[str, int], bytes]
    windows: dict[tuple[int, int], tuple[float, ...]]
    points: int

    def differences(self, expected: "Result") -> list[str]:
        """What is missing, too much or other than in ``expected``, in words; empty when nothing is."""
        found = []
        for name in ("incidents", "windows"):
            ours, theirs = getattr(self, name), getattr(expected, name)
            for what, keys in (
                ("lost", theirs.keys() - ours.keys()),
                ("unexpected", ours.keys() - theirs.keys()),
                ("other", {key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]}),
            ):
                if keys:
                    found.append(f"{len(keys)} {name} {what}, for instance {min(keys)}")
        if self.points != expected.points:
            found.append(f"{self.points} points counted in windows instead of {expected.points}")
        return found


@dataclass
class FaultRun:
    """``bootstrap`` of the broker, a prefix of its own, a directory for logs, and what is sent."""

    bootstrap: str
    prefix: str
    directory: Path
    story: Story = field(default_factory=lambda: story("metrics"))

    def settings(self) -> dict[str, str]:
        """The environment of its workers."""
        inputs = [{"topic": f"{self.prefix}{name}", "format": kind} for name, kind in self.story.formats.items()]
        lateness = str(self.story.lateness_seconds)
        return {
            "CALMSTREAM_BROKER__BOOTSTRAP": self.bootstrap,
            "CALMSTREAM_BROKER__SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
            "CALMSTREAM_TOPIC_PREFIX": self.prefix,
            "CALMSTREAM_TOPICS__PARTITIONS": str(PARTITIONS),
            "CALMSTREAM_INPUTS": json.dumps(inputs),
            "CALMSTREAM_DETECTION__HARD_UPPER": "70",
            "CALMSTREAM_DETECTION__THRESHOLD_SURPRISE": "3",
            "CALMSTREAM_TIME__WINDOW_SECONDS": "5",
            "CALMSTREAM_TIME__ALLOWED_LATENESS_SECONDS": lateness,
            "CALMSTREAM_TIME__TRACE_WAIT_SECONDS": "5",
            "CALMSTREAM_TIME__IDLE_SECONDS": "900",
            "CALMSTREAM_TIME__IDLE_EMPTY_SECONDS": "900",
            "CALMSTREAM_TIME__IDLE_SPARSE_SECONDS": lateness,
            "CALMSTREAM_STATE__CHECKPOINT_INTERVAL_SECONDS": "1",
        }

    def loaded(self) -> Settings:
        return loaded(self.settings())

    def create(self) -> "FaultRun":
        """Make the topics."""
        asyncio.run(topics.create(self.loaded()))
        return self

    def feed(self, seconds: float, stalls: Sequence[Stall] = ()) -> None:
        """Tell the story at a steady pace, within so many seconds if nothing holds it up; each message once, whatever
        happens to the broker."""
        asyncio.run(self._feed(seconds, stalls))

    def is_through(self, workers: Sequence[WorkerProcess]) -> bool:
        """Has the last stage come to the end of the story on every partition?"""
        reached = dict.fromkeys(range(PARTITIONS), 0.0)
        name = rf'calmstream_watermark_timestamp_seconds{{partition="{re.escape(self.prefix)}anomalies/(\d+)",'
        for worker in workers:
            for number, at in re.findall(rf'^{name}role="correlate"}} (\S+)$', _exposition(worker), re.MULTILINE):
                reached[int(number)] = max(reached[int(number)], float(at))
        return min(reached.values()) >= self.story.done

    def wait_until_through(self, worker: WorkerProcess) -> None:
        worker.wait_until(lambda: self.is_through([worker]), "done with the story", within_seconds=_THROUGH_SECONDS)

    def result(self) -> Result:
        return asyncio.run(read_back(self.loaded()))

    def input(self) -> dict[tuple[str, int], list[bytes]]:
        """What the input topics hold, by topic and partition."""
        return asyncio.run(self._input())

    def sent(self) -> dict[tuple[str, int], list[bytes]]:
        """What the input topics are to hold."""
        found: dict[tuple[str, int], list[bytes]] = {
            (name, number): [] for name in self.story.formats for number in range(PARTITIONS)
        }
        for message in self.story.messages:
            found[message.topic, message.partition].append(message.value)
        return found

    def replay(self, topic: str) -> list[dict[str, Any]]:
        """The incident transitions that ``calmstream replay --from-topic`` gives."""
        out = self.directory / f"{self.prefix}incidents.jsonl"
        command = [CALMSTREAM, "replay", "--from-topic", f"{self.prefix}{topic}", "--incidents", str(out)]
        subprocess.run(command, env=os.environ | self.settings(), check=True, timeout=120, capture_output=True)
        return [json.loads(line) for line in out.read_text().splitlines()]

    async def _feed(self, seconds: float, stalls: Sequence[Stall]) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            linger_ms=5,
            enable_idempotence=True,
            request_timeout_ms=120_000,  # until then it tries again, in order and without repeats
            retry_backoff_ms=300,
        )
        never, started, held, at = asyncio.Event(), time.monotonic(), 0.0, -1
        left = sorted(stalls, key=lambda stall: stall.share)
        async with producer:
            for sent in self.story.messages:
                if sent.second > at:  # keep the pace
                    at = sent.second
                    share = min(at / self.story.seconds, 1.0)
                    while left and left[0].share <= share:
                        held += left.pop(0).seconds
                    ahead = started + held + share * seconds - time.monotonic()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(never.wait(), max(ahead, 0.0))
                at_ms = (START + sent.second) * 1000
                await producer.send(self.prefix + sent.topic, sent.value, partition=sent.partition, timestamp_ms=at_ms)

    async def _input(self) -> dict[tuple[str, int], list[bytes]]:
        found: dict[tuple[str, int], list[bytes]] = {}
        for name in self.story.formats:
            found |= {(name, number): [] for number in range(PARTITIONS)}
            for record in await _records(self.loaded(), name):
                found[name, record.partition].append(record.value)
        return found


def _exposition(worker: WorkerProcess) -> str:
    """What it shows of itself; nothing where it does not run or is not ready."""
    try:
        return worker.exposition() if worker.pid is not None and worker.status("/ready") == 200 else ""
    except OSError:  # it ended between the two
        return ""


async def read_back(settings: Settings) -> Result:
    """The incidents and windows on the broker, as a consumer takes them that drops what is not above the last revision
    of its incident. Raises Inexact for a repeat that differs from the first, and for a revision that jumps."""
    incidents: dict[tuple[str, int], bytes] = {}
    newest: dict[str, int] = {}
    for record in await _records(settings, "incidents"):
        data = incident_event.decode(record)
        id_, revision = data["id"], data["revision"]
        if revision <= newest.get(id_, 0):
            if incidents[id_, revision] != record.value:
                raise Inexact(f"revision {revision} of {id_} was repeated with another content")
            continue
        if revision != newest.get(id_, 0) + 1:
            raise Inexact(f"{id_} jumps from revision {newest.get(id_, 0)} to {revision}")
        newest[id_] = revision
        incidents[id_, revision] = record.value
    windows: dict[tuple[int, int], tuple[float, ...]] = {}
    for record in await _records(settings, "scores"):
        block = score_block.decode(record.value)
        columns = [getattr(block, name).tolist() for name in ("ids", "count", "value", "expected", "upper", "surprise")]
        for key, *row in zip(*columns, strict=True):
            first = windows.setdefault((key, block.end_us), tuple(row))
            if first != tuple(row):
                raise Inexact(f"window {key} {block.end_us} was repeated with another content")
    return Result(incidents, windows, int(sum(row[0] for row in windows.values())))


async def _records(settings: Settings, name: str) -> list[ConsumerRecord]:
    """Everything that the topic holds, ordered within each partition."""
    consumer = clients.reader(settings)
    await consumer.start()
    try:
        places = [TopicPartition(settings.topic(name), p) for p in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        found: list[ConsumerRecord] = []
        for place in places:
            while ends[place] and await consumer.position(place) < ends[place]:
                for records in (await consumer.getmany(place, timeout_ms=1000)).values():
                    found += records
        return found
    finally:
        await consumer.stop()


def loaded(environment: dict[str, str]) -> Settings:
    """The settings that a worker has in this environment."""
    nested: dict[str, object] = {}
    for key, text in environment.items():
        at = nested
        *path, last = key.removeprefix("CALMSTREAM_").lower().split("__")
        for part in path:
            at = at.setdefault(part, {})  # type: ignore[assignment]
        at[last] = json.loads(text) if text[:1] in "[{" else text
    return load(overrides=nested)
