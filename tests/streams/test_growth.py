"""Topics that grow on Apache Kafka, and states that are looked at, kept and begun anew: by the commands for it.

One story, told twice: to topics that never grow, and to topics that do, after the growth was cut off once. What was
learnt before goes on: scores and incidents of both are the same.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.app import stages
from pipeline.streams.exits import Exit
from pipeline.streams.state import growth, state_topic
from tests.cli.person import invoke
from tests.kafka.server import KafkaServer
from tests.streams.growing_run import ALL, JUDGES, GrowingRun

pytestmark = pytest.mark.kafka
GROWN = {"signals": 4, "anomalies": 4}


@pytest.fixture(scope="module")
def steady(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> GrowingRun:
    """Whose topics never grow."""
    run = GrowingRun(kafka, "steady.", tmp_path_factory.mktemp("steady")).create()
    run.feed(0, 160)
    with run.worker() as worker:
        run.wait_until_at(worker, 145)
        assert worker.stop() == 0
    return run


@pytest.fixture(scope="module")
def before(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> GrowingRun:
    """A run of which a part of the story was read; ingest is further than the others."""
    run = GrowingRun(kafka, "growing.", tmp_path_factory.mktemp("growing")).create()
    with run.worker("--roles", "ingest", name="ingest") as ingest:
        with run.worker(*JUDGES, name="judges") as judges:
            run.feed(0, 70)
            run.wait_until_at(judges, 55)
            refused_while_workers_run(run)
            assert judges.stop() == 0
        run.feed(70, 85)
        run.wait_until_taken(ingest, 85)
        assert ingest.stop() == 0
    return run


def said(run: GrowingRun, *arguments: str) -> Any:
    return invoke(run.environment(), *arguments)


def grow(run: GrowingRun, *more: str) -> Any:
    return said(run, "topics", "grow", *(f"{run.prefix}{name}={count}" for name, count in GROWN.items()), *more)


def inspected(run: GrowingRun, *more: str) -> dict[str, dict[str, Any]]:
    done = said(run, "state", "inspect", "--json", *more)
    assert done.returncode == 0, done.stderr
    shards = [json.loads(line) for line in done.stdout.splitlines()]
    return {shard["shard"].removeprefix(run.prefix): shard for shard in shards}


def refused_while_workers_run(run: GrowingRun) -> None:
    for done in (grow(run, "--yes"), said(run, "state", "reset", "--role", "score", "--yes")):
        assert done.returncode == Exit.FAILED
        assert "workers are running; stop them first" in done.stderr
        assert f"{run.prefix}score: aiokafka" in done.stderr


def test_what_is_not_drained_does_not_grow_and_the_command_that_drains_it_is_named(before: GrowingRun) -> None:
    done = grow(before, "--yes")
    assert done.returncode == Exit.FAILED
    assert "is not drained: messages of its log are not applied yet" in done.stderr
    assert "calmstream worker --roles join,score,correlate until calmstream_lag_messages is 0" in done.stderr


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("signals=3", "grows to a multiple of that (4, 6 …)"),
        ("signals=1", "has 2 partitions; Kafka takes none away"),
        ("scores=4", "does not grow; what grows: "),
        ("nothing=4", "does not grow; what grows: "),
    ],
)
def test_what_cannot_be_is_refused(before: GrowingRun, wanted: str, why: str) -> None:
    done = said(before, "topics", "grow", f"{before.prefix}{wanted}", "--yes")
    assert done.returncode == Exit.FAILED
    assert why in done.stderr


@pytest.fixture(scope="module")
def drained(before: GrowingRun) -> GrowingRun:
    with before.worker(*JUDGES, name="draining") as judges:
        before.wait_until_at(judges, 80)
        before.wait_until_read(judges)
        assert judges.stop() == 0
    return before


def test_inspect_shows_every_shard_and_a_file_keeps_them(drained: GrowingRun, tmp_path: Path) -> None:
    shards = inspected(drained)
    assert shards.keys() == {f"{topic}/{n}" for topic in ("points", "signals", "anomalies") for n in (0, 1)}
    assert all(shard["readable"] and shard["offset"] <= shard["end"] for shard in shards.values())
    assert sum(shards[f"signals/{n}"]["gauges"]["signals"] for n in (0, 1)) >= 24
    assert sum(shards[f"anomalies/{n}"]["gauges"]["open_incidents"] for n in (0, 1)) == 2
    file = tmp_path / "score.state"
    done = said(drained, "state", "export", str(file), "--role", "score")
    assert done.stdout == f"2 states of 1 role kept in {file}.\n"
    kept = inspected(drained, "--file", str(file))
    same = ("role", "version", "offset", "parts", "bytes", "gauges", "readable")
    for name in ("signals/0", "signals/1"):
        assert {key: kept[name][key] for key in same} == {key: shards[name][key] for key in same}
    again = said(drained, "state", "export", str(file))
    assert again.returncode == Exit.FAILED
    assert "was not written" in again.stderr


@pytest.fixture(scope="module")
def grown(drained: GrowingRun) -> GrowingRun:
    """Grown, after it was cut off in the middle; not started yet."""
    assert grow(drained, "--dry-run").stdout.endswith("Nothing was done.\n")
    cut_off(drained)
    stopped = drained.worker(name="in-between").start()
    assert stopped.wait_end(within_seconds=60) == Exit.TOPICS
    assert f"calmstream topics grow {drained.prefix}signals=4" in stopped.log()
    done = grow(drained, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"    {drained.prefix}signals: 4\n" in done.stdout
    again = grow(drained, "--yes")
    assert again.returncode == 0, again.stderr
    return replace(drained, counts=GROWN)


def cut_off(run: GrowingRun) -> None:
    """Begin to grow, and stop when one new shard of two has its state."""

    class Stopped(Exception):
        pass

    async def begin() -> None:
        settings, after = run.settings(), replace(run, counts=GROWN).settings()
        counts = {f"{run.prefix}{name}": count for name, count in GROWN.items()}
        planned = await growth.plan(settings, counts, stages(settings), stages(after))
        await growth.grow(settings, planned, stages(settings))

    put, left = state_topic.put, [1]

    async def once(*arguments: Any) -> None:
        if not left.pop():
            raise Stopped
        left.append(0)
        await put(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_topic, "put", once)
        with pytest.raises(Stopped):
            asyncio.run(begin())


def test_grown_topics_go_on_with_what_was_learnt(grown: GrowingRun, steady: GrowingRun) -> None:
    shards = inspected(grown)
    assert [shards[f"signals/{n}"]["offset"] for n in (2, 3)] == [0, 0]
    assert all(shards[f"signals/{n}"]["gauges"]["signals"] > 0 for n in range(4))
    with grown.worker(*ALL, name="grown") as worker:
        grown.feed(85, 160)
        grown.wait_until_at(worker, 145)
        grown.wait_until_at(worker, 145, "shadow.anomalies")
        assert worker.stop() == 0
    found = grown.windows(145)
    assert len(found) > 24 * 27
    assert found == steady.windows(145)
    assert len(grown.incidents()) >= 6
    assert grown.incidents() == steady.incidents()
    assert of_the_shadow(grown) == {key: json.loads(told) for key, told in steady.incidents().items()}


def of_the_shadow(run: GrowingRun) -> dict[tuple[str, int], Any]:
    """Without the mark: with nothing to try it says what is live."""
    return {key: json.loads(told) | {"shadow": False} for key, told in run.incidents("shadow.incidents").items()}


def test_a_role_that_begins_anew_is_heard_by_its_readers(grown: GrowingRun) -> None:
    planned = said(grown, "state", "reset", "--role", "score", "--dry-run")
    assert "To be learnt anew by score: baselines" in planned.stdout
    assert f"{grown.prefix}signals/2: now score/" in planned.stdout
    assert planned.stdout.endswith("Nothing was done.\n")
    assert inspected(grown)["signals/2"]["gauges"]["signals"] > 0
    done = said(grown, "state", "reset", "--role", "score", "--yes")
    assert done.returncode == 0, done.stderr
    assert {shard["gauges"]["signals"] for shard in inspected(grown, "--role", "score").values()} == {0}
    for role in ("shadow-score", "shadow-copy"):
        done = said(grown, "state", "reset", "--role", role, "--yes")
        assert done.returncode == 0, done.stderr
    incidents = len(grown.incidents())
    with grown.worker(*ALL, name="anew") as worker:
        grown.feed(160, 230)
        grown.wait_until_at(worker, 215)
        grown.wait_until_at(worker, 215, "shadow.anomalies")
        assert worker.stop() == 0
    told = [json.loads(body) for body in grown.incidents().values()]
    assert len(told) > incidents
    for bodies in (told, list(of_the_shadow(grown).values())):
        assert any("load of s3" in body["title"] for body in bodies)
