"""A small system that was watched for a minute and a half of event time: three troubles, one of them still going on.

One worker and one data set for all tests here; while it was watched, people followed the incidents and the inputs. The
worker has stopped when the tests begin, so what they see stands still.
"""

import asyncio
import json
import math
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.person import CALMSTREAM, Running, calmstream, invoke
from tests.worker_process import WorkerProcess

EXAMPLE = Path(__file__).parents[2] / "docs/examples/consume_incidents.py"
SECONDS = 90
#: What a hostile producer would write into other people's terminals.
EVIL_SCOPE = "[bold]evil\x1b]0;owned\x07"
#: What is trouble in this system, so that it does not depend on how detection is tuned.
POLICIES = [
    {"name": name, "match": [f"name={signal}"], "detection": {"hard_upper": most}}
    for name, signal, most in (("queue", "queue.depth", 30), ("evil", "evil.metric", 500), ("slow", "latency", 50))
]
EVIL_PATH = "[red]x[/red]\x1b[31m\u202e"


@dataclass(frozen=True)
class Watched:
    """Settings of the run, what the followers printed, and when the data begins (seconds)."""

    settings: Mapping[str, str]
    prefix: str
    bootstrap: str
    begin: int
    out: Mapping[str, str]
    err: Mapping[str, str]
    exit_codes: Mapping[str, int]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return invoke(self.settings, *arguments)


@pytest.fixture(scope="session")
def watched(embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    prefix = f"t{uuid.uuid4().hex[:12]}."
    settings = {
        "CALMSTREAM_BROKER__BOOTSTRAP": embedded_broker.bootstrap,
        "CALMSTREAM_BROKER__IDEMPOTENCE": "if-available",
        "CALMSTREAM_BROKER__SESSION_TIMEOUT_SECONDS": "6",
        "CALMSTREAM_TOPIC_PREFIX": prefix,
        "CALMSTREAM_INPUTS": json.dumps([{"topic": f"{prefix}points", "format": "json_points"}]),
        "CALMSTREAM_TOPICS__PARTITIONS": "2",
        "CALMSTREAM_TIME__WINDOW_SECONDS": "1",
        "CALMSTREAM_DETECTION__MIN_ABSOLUTE": "1e9",
        "CALMSTREAM_DETECTION__MIN_ABSOLUTE_BY_UNIT": '{"1": 1e9, "ms": 1e9}',
        "CALMSTREAM_POLICIES": json.dumps(POLICIES),
        "CALMSTREAM_TIME__ALLOWED_LATENESS_SECONDS": "1",
    }
    assert calmstream(settings, "topics", "create").returncode == 0
    begin = int(time.time()) - 300
    commands = {
        "follow": [CALMSTREAM, "incidents", "--follow"],
        "json": [CALMSTREAM, "incidents", "--follow", "--json"],
        "tail": [CALMSTREAM, "inputs", "tail"],
        "example": [sys.executable, EXAMPLE, embedded_broker.bootstrap, f"{prefix}incidents"],
    }
    with ExitStack() as stack:
        people = {name: stack.enter_context(Running(settings, command)) for name, command in commands.items()}
        with WorkerProcess(settings, directory=tmp_path_factory.mktemp("worker")) as worker:
            for name in ("follow", "json", "tail"):
                people[name].wait_for("stop with Ctrl-C")
            asyncio.run(_send(embedded_broker.bootstrap, f"{prefix}points", messages(begin)))
            worker.wait_until(lambda: _transitions(worker) == {"opened": 3, "resolved": 2}, "done with the incidents")
            _wait_for_state(worker, settings)
        asyncio.run(_send(embedded_broker.bootstrap, f"{prefix}incidents", _a_repeat_and_news(people["json"])))
        for name in ("follow", "json", "example"):
            people[name].wait_for("the news after the repeat")
        codes = {"example": people["example"].stop()}
        asyncio.run(_send(embedded_broker.bootstrap, f"{prefix}incidents", [(0, b"rubbish")]))
        for name in ("follow", "json"):
            people[name].wait_for("passed over")
        people["tail"].wait_for("far_past", "accepted")
        codes |= {name: people[name].stop() for name in ("follow", "json", "tail")}
        out = {name: person.out for name, person in people.items()}
        err = {name: person.err for name, person in people.items()}
    return Watched(settings, prefix, embedded_broker.bootstrap, begin, out, err, codes)


def messages(begin: int) -> list[tuple[int, bytes]]:
    """(partition, value) of everything that the producers send, good and bad."""
    sent = [(0, b"not JSON at all"), (0, json.dumps(point(begin, "kinds", 1.0, {}) | {"kind": "thermometer"}).encode())]
    sent.append((1, json.dumps(point(begin - 200_000, "ancient", 1.0, {})).encode()))
    for second in range(SECONDS):
        at = begin + second + 0.5
        sent += [(number, json.dumps(points).encode()) for number, points in enumerate(_points(at, second))]
    return sent


def _points(at: float, second: int) -> list[list[dict[str, Any]]]:
    """The points of one second, by partition."""
    calm = math.sin(second * 1.7)
    broken, late_trouble = 50 <= second < 58, second >= 80
    shop = {"service.namespace": "shop", "deployment.environment.name": "production"}
    checkout = shop | {"service.name": "checkout"}
    search = {"service.name": "search", "service.instance.id": "s-1", "deployment.environment.name": "staging"}
    evil = {"service.name": "evil", "deployment.environment.name": EVIL_SCOPE, "path": EVIL_PATH}
    first = [
        point(at, "queue.depth", 40 if broken else 10 + calm, checkout | {"k8s.pod.name": "pod-1", "queue": "orders"}),
        point(at, "queue.depth", 10 - calm, checkout | {"k8s.pod.name": "pod-2", "queue": "orders"}),
        point(at, "evil.metric", 1000 if broken else 100 + calm, evil),
    ]
    if second <= 40:
        first.append(point(at, "batch.size", 5 + calm, checkout | {"k8s.pod.name": "pod-3"}))
    second_partition = [
        point(at, "latency", 90 if late_trouble else 20 + calm, search) | {"unit": "ms"},
        point(at, "http.requests", 100 * second, search) | {"kind": "counter", "unit": "{request}"},
    ]
    if second >= 80:
        second_partition.append(point(at, "new.metric", 1.0, search))
    return [first, second_partition]


def point(at: float, name: str, value: float, attributes: dict[str, str]) -> dict[str, Any]:
    return {"ts": at, "name": name, "value": value, "attributes": attributes}


def _a_repeat_and_news(follower: Running) -> list[tuple[int, bytes]]:
    """The first event once more, as a restarted worker may send it, and an update of the incident that goes on."""
    bodies = [json.loads(line) for line in follower.wait_for('"scope": "staging"').out.splitlines()]
    going_on = next(body for body in bodies if body["scope"] == "staging")
    news = going_on | {"revision": 2, "transition": "updated", "title": "the news after the repeat"}
    return [(0, json.dumps(body).encode()) for body in (bodies[0], news)]


def _transitions(worker: WorkerProcess) -> dict[str, float]:
    """Incident transitions by kind, updates aside."""
    metrics = worker.metrics()
    names = ("opened", "resolved")
    return {name: metrics.get(f'calmstream_incidents_total{{transition="{name}"}}', 0.0) for name in names}


def _wait_for_state(worker: WorkerProcess, settings: Mapping[str, str]) -> None:
    """Until the compacted topic has caught up with the events."""

    def caught_up() -> bool:
        states = [json.loads(line)["state"] for line in invoke(settings, "incidents", "--json").stdout.splitlines()]
        return sorted(states) == ["open", "resolved", "resolved"]

    worker.wait_until(caught_up, "done with the incidents' states")


async def _send(bootstrap: str, topic: str, values: list[tuple[int, bytes]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for partition, value in values:
            await producer.send(topic, value, partition=partition)
        await producer.flush()
