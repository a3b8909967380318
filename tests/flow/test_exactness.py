"""Whatever is killed, paused, repeated or cut differently: the same scores, anomalies and incidents come out."""

import json
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.codecs import incident_event, score_block
from pipeline.codecs.registry import input_codec
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.ingest import IngestChain
from pipeline.flow.score import ScoreChain
from pipeline.policies import DetectorPolicy, Policy
from pipeline.policies.matcher import Matcher
from pipeline.records import US
from tests.flow.simulation import Crashed, Log, ShardRun

INPUTS, SIGNALS, ANOMALIES = 3, 2, 2
START = 1_700_000_000
SECONDS = 400
SIGNALS_SENT = 24
#: Thresholds that are fixed, and thresholds that the fleet's own peaks make.
BUDGET = Policy("budget", (Matcher("service.name", "=~", "s[0-3]"),), {"alert_budget": 1000.0})
CONFIG = FlowConfig(
    sources=tuple(f"points/{p}" for p in range(INPUTS)),
    signal_partitions=SIGNALS,
    anomaly_partitions=ANOMALIES,
    window_us=2 * US,
    lateness_us=2 * US,
    policy=DetectorPolicy(threshold_surprise=2.0, false_discovery_rate=0.1),
    policies=(BUDGET,),
    join_us=30 * US,
    resolve_us=15 * US,
)
#: Seconds of which some points are late, and the signals that these are of.
HELD = range(200, 240, 2)
LATE_SCOPES = {"halves": "env4", "quiet": "env5"}
STAGES: list[tuple[str, int, str, Callable[[int], Chain]]] = [
    (
        "points",
        INPUTS,
        "ingest.state",
        lambda p: IngestChain(f"points/{p}", input_codec("json_points", CONFIG.limits), CONFIG),
    ),
    ("signals", SIGNALS, "score.state", lambda p: ScoreChain(p, CONFIG)),
    ("anomalies", ANOMALIES, "correlate.state", lambda p: CorrelateChain(p, CONFIG)),
]


def fill(log: Log, seed: int) -> None:
    """Points of 24 signals (gauges, counters, deltas) of eight entities with faults, silence, new pods, disorder,
    repeats, late points and junk."""
    rng = np.random.default_rng(seed)
    total = np.zeros(SIGNALS_SENT)
    later: dict[int, list[bytes]] = {}
    for second in range(0, SECONDS, 2):
        for i in range(SIGNALS_SENT):
            if i == 5 and second > 300:
                continue  # goes silent while something else is wrong with it
            value = 50 + rng.normal()
            if (i % 8 == 2 and 240 <= second < 270) or (i == 5 and second >= 290):
                value += 60
            kind = ("gauge", "counter", "delta")[i % 3]
            total[i] += max(value, 0)
            ts = START + second - int(rng.integers(0, 3) == 0) - 40 * int(rng.integers(0, 200) == 0)
            entity = i // 3
            attributes = {"service.name": f"s{entity}", "deployment.environment.name": f"env{entity % 4}"}
            if entity == 7:  # its pod is replaced
                attributes["service.instance.id"] = f"pod{second // 230}"
            point = {
                "ts": ts,
                "name": f"load{i}",
                "kind": kind,
                "value": float(total[i] if kind == "counter" else value),
                "attributes": attributes,
            }
            text = json.dumps(point).encode()
            for _ in range(1 + int(rng.integers(0, 50) == 0)):
                log.append("points", int(rng.integers(0, INPUTS)), None, text, (START + second) * 1000)
        fill_late(log, second, np.random.default_rng((seed, second, 5)), later)
    for p in range(INPUTS):
        log.append("points", p, None, b"{not json", (START + SECONDS) * 1000)
        last = {"ts": START + SECONDS + 300, "name": "end", "value": 1, "attributes": {"service.name": "end"}}
        log.append("points", p, None, json.dumps(last).encode(), (START + SECONDS + 300) * 1000)


def fill_late(log: Log, second: int, rng: np.random.Generator, later: dict[int, list[bytes]]) -> None:
    """What is wrong only because points are late: those of HELD come 30 to 60 s later, some of them twice. In env4 one
    of two that are to be averaged, in env5 all of a signal."""
    for at, name, value in ((0.0, "halves", 10), (1.0, "halves", 90), (0.5, "quiet", 5)):
        point = {
            "ts": START + second + at,
            "name": name,
            "value": value + rng.normal(),
            "attributes": {"service.name": name, "deployment.environment.name": LATE_SCOPES[name]},
        }
        held = second in HELD and (name == "quiet" or at > 0)
        for _ in range(1 + int(rng.integers(0, 4) == 0) * held):
            now = second + 30 + int(rng.integers(0, 15)) * 2 if held else second
            later.setdefault(now, []).append(json.dumps(point).encode())
    for text in later.pop(second, ()):
        log.append("points", int(rng.integers(0, INPUTS)), None, text, (START + second) * 1000)


def run(seed: int, schedule: int | None, most_held_rows: int | None = None) -> Log:
    """Feed everything through; ``schedule`` seeds the disturbance, None is an undisturbed run, which reads one source
    after the other. With ``most_held_rows`` score shards must read again what they could not hold."""
    bounded = replace(CONFIG, most_held_rows=most_held_rows)
    log = Log()
    fill(log, seed)
    dice = random.Random(schedule)
    epochs = iter(range(10**6))

    def own(topic: str, partition: int, state: str, make: Callable[[int], Chain]) -> ShardRun:
        return ShardRun(log, topic, partition, state, lambda: make(partition), f"e{next(epochs)}")

    score: Callable[[int], Chain] = lambda p: ScoreChain(p, bounded)  # noqa: E731 (as its neighbours in the table)
    stages = [(*where, score if where[0] == "signals" else make) for *where, make in STAGES]
    places = [(topic, p, state, make) for topic, count, state, make in stages for p in range(count)]
    owners = [own(*place) for place in places]
    if schedule is None:
        for owner in owners:
            while owner.behind:
                owner.read(500)
                owner.flush()
        assert most_held_rows is None or sum(owner.reread for owner in owners) > 4
    zombies: list[ShardRun] = []
    while any(owner.behind for owner in owners):
        at = dice.randrange(len(owners))
        act = dice.random()
        try:
            if act < 0.04:
                owners[at].read_and_lose(dice.choice((1, 60, 400)), dice)
            elif act < 0.70:
                owners[at].read(dice.choice((1, 7, 60, 400)))
                if dice.random() < 0.6:
                    owners[at].flush()
            elif act < 0.80:
                owners[at].save()
            elif act < 0.84:
                owners[at].save(dice)
            elif act < 0.90:
                owners[at] = own(*places[at])
            elif act < 0.94:
                zombies.append(owners[at])
                owners[at] = own(*places[at])
            elif zombies:
                zombie = dice.choice(zombies)
                zombie.read(dice.choice((1, 50)))
                zombie.flush()
                if dice.random() < 0.3:
                    zombie.save(dice if dice.random() < 0.5 else None)
        except Crashed:
            owners[at] = own(*places[at])
        if not any(owner.behind for owner in owners):
            for owner in owners:
                owner.flush()
    return log


def incidents(log: Log) -> dict[tuple[str, int], bytes]:
    """What a consumer has after the documented rule; a repeat that differs fails."""
    seen: dict[tuple[str, int], bytes] = {}
    last: dict[str, int] = {}
    for record in log.partitions["incidents", 0]:
        data = incident_event.decode(record)
        key = data["id"], data["revision"]
        if data["revision"] <= last.get(data["id"], 0):
            assert seen[key] == record.value
            continue
        assert data["revision"] == last.get(data["id"], 0) + 1
        last[data["id"]] = data["revision"]
        seen[key] = record.value or b""
    return seen


COLUMNS = ("count", "value", "expected", "lower", "upper", "surprise", "anomalous")


def windows(log: Log) -> dict[tuple[int, int], tuple[float, ...]]:
    found: dict[tuple[int, int], tuple[float, ...]] = {}
    for p in range(SIGNALS):
        for record in log.partitions["scores", p]:
            block = score_block.decode(record.value or b"")
            for i, key in enumerate(block.ids.tolist()):
                row = tuple(float(getattr(block, n)[i]) for n in COLUMNS)
                assert found.setdefault((key, block.end_us), row) == row
    return found


@pytest.fixture(scope="module")
def undisturbed() -> Log:
    return run(seed=1, schedule=None)


def test_an_undisturbed_run_finds_the_faults(undisturbed: Log) -> None:
    found = [json.loads(value) for value in incidents(undisturbed).values()]
    opened = {data["id"] for data in found if data["transition"] == "opened"}
    resolved = {data["id"] for data in found if data["transition"] == "resolved"}
    members = [(member["signal"]["name"], member["why"]) for data in found for member in data["members"]]
    withdrawn = {data["id"]: data["scope"] for data in found if data["transition"] == "withdrawn"}
    assert {data["scope"] for data in found} == {"env0", "env1", "env2", "env3", "env4", "env5"}
    assert {"env4", "env5"} <= {*withdrawn.values()}
    assert "calm.entity" in {name for name, _ in members}
    assert any(why.startswith("no data for") for _, why in members)
    assert any(why.endswith("data came again") for _, why in members)
    last = {data["id"]: data for data in found}
    (silent,) = [last[key] for key in opened - resolved - withdrawn.keys()]  # what fell silent stays so
    assert {m["why"][:7] for m in silent["members"] if m["end_time"] is None} == {"no data"}
    assert sum(row[0] for row in windows(undisturbed).values()) > 0.97 * 24 * 150


@pytest.mark.parametrize("schedule", range(12))
def test_a_disturbed_run_gives_the_same_incidents_and_windows(undisturbed: Log, schedule: int) -> None:
    disturbed = run(seed=1, schedule=schedule)
    assert windows(disturbed) == windows(undisturbed)
    assert incidents(disturbed) == incidents(undisturbed)


def test_late_data_withdraw_incidents_in_a_disturbed_run_as_in_an_undisturbed_one(undisturbed: Log) -> None:
    def withdrawn(log: Log) -> dict[tuple[str, int], bytes]:
        return {key: body for key, body in incidents(log).items() if json.loads(body)["transition"] == "withdrawn"}

    assert len(withdrawn(undisturbed)) >= 2
    assert withdrawn(run(seed=1, schedule=33)) == withdrawn(undisturbed)


@pytest.mark.parametrize(("most_held_rows", "schedule"), [(20, None), (300, None), (300, 21)])
def test_rows_that_could_not_be_held_while_a_source_was_behind_are_read_again(
    undisturbed: Log, most_held_rows: int, schedule: int | None
) -> None:
    bounded = run(seed=1, schedule=schedule, most_held_rows=most_held_rows)
    assert windows(bounded) == windows(undisturbed)
    assert incidents(bounded) == incidents(undisturbed)
