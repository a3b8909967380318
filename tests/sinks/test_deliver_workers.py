"""The role ``deliver`` on Apache Kafka: kills, outages and refusals, as the receiving side sees them."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings import Settings
from pipeline.streams import clients, dead_letters, topics
from pipeline.streams.broker_process import BrokerProcess
from tests.chaos.fault_run import loaded
from tests.kafka.server import KafkaServer
from tests.sinks.made import SECRETS, Receiver, incident
from tests.worker_process import WorkerProcess

INCIDENTS, SEED = 40, 7


def environment(bootstrap: str, prefix: str, sinks: list[dict[str, Any]]) -> dict[str, str]:
    return {
        "CALMSTREAM_BROKER__BOOTSTRAP": bootstrap,
        "CALMSTREAM_BROKER__SESSION_TIMEOUT_SECONDS": "3",
        "CALMSTREAM_BROKER__IDEMPOTENCE": "if-available",
        "CALMSTREAM_TOPIC_PREFIX": prefix,
        "CALMSTREAM_TOPICS__PARTITIONS": "4",
        "CALMSTREAM_SINKS": json.dumps(sinks),
    }


def sinks(url: str, directory: Path, **more: Any) -> list[dict[str, Any]]:
    """A webhook and PagerDuty."""
    files = []
    for name, secret in zip(("new", "old", "key"), (*SECRETS, "R" * 32), strict=True):
        (directory / name).write_text(secret)
        files.append(str(directory / name))
    fast: dict[str, Any] = {"rate_per_minute": 60_000, "burst": 1000} | more
    return [
        {"name": "hook", "type": "webhook", "url": f"{url}/hook", "secret_files": files[:2], **fast},
        {"name": "oncall", "type": "pagerduty", "url": f"{url}/pagerduty", "secret_files": files[2:], **fast},
    ]


def write(settings: Settings, incidents: list[dict[str, Any]]) -> None:
    async def send() -> None:
        writer = await clients.start_writer(settings, idempotent=False)
        try:
            for each in incidents:
                await writer.send(settings.topic("incidents"), json.dumps(each).encode(), each["id"].encode())
            await writer.flush()
        finally:
            await writer.stop()

    asyncio.run(topics.create(settings))
    asyncio.run(send())


def lives(count: int) -> list[dict[str, Any]]:
    """Every incident opens, is updated and ends, side by side."""
    steps = ((1, "opened"), (2, "updated"), (3, "resolved"))
    return [incident(f"i{number}", revision, what) for revision, what in steps for number in range(count)]


def names(incidents: list[dict[str, Any]]) -> list[str]:
    return [f"{each['id']}/{each['revision']}" for each in incidents]


def until(worker: WorkerProcess, reached: Callable[[], bool], what: str) -> None:
    worker.wait_until(reached, what, within_seconds=90)


def test_two_workers_killed_at_random_tell_every_transition_and_no_repeat_that_shows(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    dice, incidents = random.Random(SEED), lives(INCIDENTS)
    with Receiver(share_lost=0.1, seed=SEED) as receiver:
        given = environment(kafka.bootstrap, topic_prefix, sinks(receiver.url, tmp_path))
        settings = loaded(given)
        write(settings, incidents[:1])
        arguments = ("worker", "--roles", "deliver")
        workers = [WorkerProcess(given, directory=tmp_path, arguments=arguments, name=name) for name in ("a", "b")]
        try:
            for worker in workers:
                worker.start()
            for part in range(4):
                write(settings, incidents[1 + part * 30 : 31 + part * 30])
                goal = len(receiver.hooks) + dice.randrange(1, 20)
                victim = dice.choice(workers)
                until(victim, lambda goal=goal: len(receiver.hooks) >= min(goal, len(incidents)), "told some")
                victim.kill()
                victim.start()
            until(workers[0], lambda: len(receiver.hooks) == len(incidents), "done with the webhook")
            until(workers[0], lambda: list(receiver.alerts.values()).count("resolved") == INCIDENTS, "done with alerts")
            for worker in workers:
                worker.wait_ready()
                assert worker.stop() == 0
        finally:
            for worker in workers:
                worker.kill()
    assert receiver.broken == []
    assert sorted(receiver.order) == sorted(names(incidents))
    for number in range(INCIDENTS):
        of_one = [name for name in receiver.order if name.startswith(f"i{number}/")]
        assert of_one == [f"i{number}/{revision}" for revision in (1, 2, 3)]
    assert receiver.opened == {f"i{number}": 1 for number in range(INCIDENTS)}


def test_a_long_outage_ends_in_a_summary_and_holds_up_nobody_else(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    incidents = [*lives(20), incident("goes-on")]
    with Receiver() as away, Receiver() as there:
        away.down = True
        hook, _ = sinks(away.url, tmp_path, summary_after_seconds=1)
        _, oncall = sinks(there.url, tmp_path)
        given = environment(broker.bootstrap, topic_prefix, [hook, oncall])
        write(loaded(given), incidents)
        with WorkerProcess(given, directory=tmp_path, arguments=("worker", "--roles", "deliver")) as worker:
            until(worker, lambda: len(there.alerts) == 21, "done with the one that is there")
            failed = 'calmstream_deliveries_total{outcome="failed",sink="hook"}'
            until(worker, lambda: worker.metrics()[failed] >= 3, "at its third attempt")
            away.down = False
            until(worker, lambda: "goes-on/1" in away.hooks, "done with the one that was away")
    told = [form["type"] for _, form in away.taken]
    assert told == ["incidents.summary", "incident.opened"]
    assert away.taken[0][1]["data"]["counts"] == {"opened": 21, "resolved": 20, "updated": 20}


def test_what_is_refused_is_a_dead_letter_and_a_restart_tells_nothing_again(
    broker: BrokerProcess, topic_prefix: str, tmp_path: Path
) -> None:
    with Receiver() as receiver:
        hook, _ = sinks(receiver.url, tmp_path)
        wrong = {**hook, "name": "wrong", "url": f"{receiver.url}/wrong"}
        given = environment(broker.bootstrap, topic_prefix, [hook, wrong])
        settings = loaded(given)
        write(settings, [*lives(2), incident("dark", shadow=True)])
        worker = WorkerProcess(given, directory=tmp_path, arguments=("worker", "--roles", "deliver"))
        refused = 'calmstream_deliveries_total{outcome="refused",sink="wrong"}'
        with worker:
            until(worker, lambda: len(receiver.hooks) == 6, "done")
            until(worker, lambda: worker.metrics()[refused] == 6, "done with refusals")
        write(settings, [incident("last")])
        with worker:
            until(worker, lambda: receiver.hooks["last/1"] == 1, "done again")
            until(worker, lambda: worker.metrics()[refused] == 1, "done again with refusals")
            assert SECRETS[1] not in worker.exposition() + worker.log()
    assert set(receiver.hooks.values()) == {1}
    assert not any(name.startswith("dark") for name in receiver.hooks)
    found = asyncio.run(dead_letters.look(settings, lambda letter: True))
    assert {letter.reason for letter in found.letters.values()} == {"delivery_status_400"}
    assert len(found.letters) == 7


@pytest.mark.parametrize("name", ["hook", "wrong"])
def test_the_command_tries_a_sink(name: str, tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    with Receiver() as receiver:
        hook, _ = sinks(receiver.url, tmp_path)
        given = [hook, {**hook, "name": "wrong", "url": f"{receiver.url}/wrong"}]
        command = [str(Path(sys.executable).parent / "calmstream"), "sinks"]
        environ = os.environ | {"CALMSTREAM_SINKS": json.dumps(given)}
        done = subprocess.run([*command, "test", name], env=environ, capture_output=True, text=True, check=False)
        listed = subprocess.run([*command, "list"], env=environ, capture_output=True, text=True, check=True)
    assert done.returncode == (0 if name == "hook" else 1), done.stderr
    assert len(receiver.hooks) == (2 if name == "hook" else 0)
    assert "severity at least warning" in listed.stdout + listed.stderr
