"""Anomalies that wait in a correlate shard for a score shard that is far behind are bounded: what could not be held is
read again, and what comes out is what would have come out without a bound."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.codecs import anomaly_event, happening_event, said_record
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.policies.control import Said, SaidControl
from pipeline.policies.matcher import Matcher
from pipeline.policies.silence import Silence
from pipeline.records import US, Change
from pipeline.records.message import Headers
from tests.flow.simulation import Crashed, Log, ShardRun
from tests.incidents.test_grouping import anomaly

CONFIG = FlowConfig(
    sources=("points/0",),
    signal_partitions=2,
    anomaly_partitions=1,
    join_us=60 * US,
    resolve_us=30 * US,
    reopen_us=300 * US,
)
#: About as many bytes as five and as thirty anomalies take.
TINY, SMALL = 10_000, 60_000
SECONDS = range(100, 1100, 10)


def story(*, apart: bool) -> Log:
    """Two score shards write 100 steps of anomalies, changes between them; ``apart``: the second one begins when the
    first has written everything. A silence stands in front."""
    log = Log()
    match = (Matcher("workload", "=", "service:s7"),)
    said = SaidControl(1, (Said(0, "silence/s1", Silence("s1", match, "ann", "planned", 0, 700 * US, 0)),))
    value, headers = said_record.encode_control(said)
    log.append("anomalies", 0, b"", value, headers=headers)
    first, second = (list(written(shard)) for shard in (0, 1))
    order = [*first, *second] if apart else [each for pair in zip(first, second, strict=True) for each in pair]
    for step in order:
        for value, headers in step:
            log.append("anomalies", 0, b"", value, headers=headers)
    return log


def written(shard: int) -> Iterator[list[tuple[bytes | None, Headers]]]:
    """What a score shard writes at each step: anomalies that begin and end, now and then a change, its progress."""
    source, number = f"signals/{shard}", 0
    for at in SECONDS:
        step: list[tuple[bytes | None, Headers]] = []
        turn = at % 250 // 10
        signal, found = 1 + turn % 9 + 10 * shard, None
        scope = "staging" if signal == 7 else "prod"
        if turn < 9:
            found = anomaly(signal, at - 5, at, scope=scope)
        elif turn < 18 and at > 200:
            found = anomaly(signal, at - 95, at, "ended", revision=2, scope=scope)
        if found is not None:
            step.append(anomaly_event.encode(found, source, number))
            number += 1
        if at % 200 == 0:
            entity = (("deployment.environment.name", "prod"), ("service.name", f"s{signal}"))
            change = Change(f"c{shard}-{at}", (at - 3) * US, "deployment", "finished", entity, "cdevents", "2")
            step.append(happening_event.encode(change, source, number))
            number += 1
        step.append((None, anomaly_event.encode_progress(source, number, at * US)))
        yield step
    yield [(None, anomaly_event.encode_progress(source, number, 9_000 * US))]


def owner(log: Log, most: int | None, epoch: int = 0) -> ShardRun:
    config = replace(CONFIG, most_held_bytes=most)
    return ShardRun(log, "anomalies", 0, "correlate.state", lambda: CorrelateChain(0, config), f"e{epoch}")


def read_through(log: Log, most: int | None, at_once: int = 1) -> ShardRun:
    run = owner(log, most)
    while run.behind:
        run.read(at_once)
    return run


def told(log: Log) -> list[tuple[str, Any]]:
    """Transitions and suppressions, each once, in their order."""
    found: dict[bytes, tuple[str, Any]] = {}
    for topic in ("incidents", "suppressions"):
        for partition in range(2):
            for record in log.partitions[topic, partition]:
                found.setdefault(dict(record.headers)["ce_id"] or b"", (topic, json.loads(record.value or b"")))
    return list(found.values())


@pytest.mark.parametrize("most", [TINY, SMALL])
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_with_a_bound_the_same_is_told(most: int, apart: bool, at_once: int) -> None:
    free, bound = story(apart=apart), story(apart=apart)
    read_through(free, None)
    assert read_through(bound, most, at_once).reread >= (0 if not apart else 5 if most == TINY else 1)
    assert told(bound) == told(free)
    transitions = {body["transition"] for topic, body in told(free) if topic == "incidents"}
    assert transitions >= {"opened", "updated", "resolved", "reopened"}
    assert any(body["changes"] for topic, body in told(free) if topic == "incidents")
    assert {body["reason"] for topic, body in told(free) if topic == "suppressions"} >= {"silence", "no_news"}


@pytest.mark.parametrize("seed", range(6))
def test_so_it_is_when_it_is_saved_and_restored_in_between(seed: int) -> None:
    apart = seed % 2 == 0
    free, bound = story(apart=apart), story(apart=apart)
    read_through(free, None)
    dice, epoch = random.Random(seed), 0
    run = owner(bound, TINY)
    while run.behind:
        try:
            if dice.random() < 0.9:
                run.read(dice.choice((20, 60) if apart else (2, 8)))
                continue
            run.save(dice if dice.random() < 0.5 else None)
            if dice.random() < 0.5:
                continue
        except Crashed:
            pass
        epoch += 1
        run = owner(bound, TINY, epoch)
    assert epoch > 1
    assert told(bound) == told(free)


def test_memory_is_bounded_while_the_other_shard_is_behind() -> None:
    log = story(apart=True)
    run, most = owner(log, SMALL), 0
    while run.behind > len(log.partitions["anomalies", 0]) // 2:
        run.read(1)
        most = max(most, int(run.chain.gauges()["waiting_bytes"]))
    assert 0 < most <= SMALL + 3_000


def test_what_is_read_again_is_counted_once() -> None:
    counted = []
    for most in (None, TINY):
        log, counts = story(apart=True), Counter[tuple[str, str]]()
        log.append("anomalies", 0, b"", b"{]", headers=(("calm_type", b"anomaly"),))
        run = owner(log, most)
        while run.behind:
            record = log.partitions["anomalies", 0][run.position]
            output = run.chain.apply([record])
            counts += output.counts
            run.position = record.offset + 1 if output.reread_from is None else output.reread_from
        counted.append(counts)
    free, bound = counted
    assert bound.pop(("notice", "read_again")) > 4
    assert bound == free
