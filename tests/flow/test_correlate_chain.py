"""The correlate chain on one partition: anomalies, edges, silences and orders in its log, cut and restored anywhere."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pipeline.codecs import anomaly_event, edge_event, said_record
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.policies.control import Said, SaidControl, What
from pipeline.policies.matcher import Matcher
from pipeline.policies.orders import Order
from pipeline.policies.silence import Silence
from pipeline.records import US, Anomaly, Edge, EdgeKind, Snapshot
from pipeline.records.message import Headers
from tests.incidents.test_grouping import anomaly

CONFIG = FlowConfig(
    sources=("points/0",),
    signal_partitions=1,
    anomaly_partitions=1,
    join_us=60 * US,
    resolve_us=30 * US,
    reopen_us=300 * US,
)


@dataclass(frozen=True)
class Stored:
    """A Kafka record."""

    offset: int
    value: bytes | None
    headers: Headers
    timestamp: int = 0
    key: bytes | None = b""


class Log:
    """What stands in the partition, as its writers write it."""

    def __init__(self) -> None:
        self.messages: list[Stored] = []
        self._sequence = self._said = 0

    def anomaly(self, *found: Anomaly) -> None:
        for one in found:
            value, headers = anomaly_event.encode(one, "signals/0", self._sequence)
            self._sequence += 1
            self._add(value, headers)

    def until(self, second: float) -> None:
        """Everything up to this second has been told."""
        self._add(None, anomaly_event.encode_progress("signals/0", self._sequence, round(second * US)))

    def edge(self, client: int, server: int, since: float) -> None:
        since_us = round(since * US)
        edge = Edge("prod", f"service:s{client}", f"service:s{server}", EdgeKind.CALL, since_us, since_us, 1)
        self._add(edge_event.encode(edge, "spans/0")[1], (edge_event.EDGE,))

    def say(self, key: str, what: What | None) -> None:
        value, headers = said_record.encode_control(SaidControl(self._said + 1, (Said(self._said, key, what),)))
        self._said += 1
        self._add(value, headers)

    def _add(self, value: bytes | None, headers: Headers) -> None:
        self.messages.append(Stored(len(self.messages), value, headers))


def order(action: str, incident: str, **more: object) -> tuple[str, Order]:
    made = Order("o1", action, incident, "ann", 0, **more)  # type: ignore[arg-type]
    return f"order/{incident}/o1", made


def story() -> Log:
    """Calls are known, a silence comes and goes, one incident is acknowledged and one resolved by hand."""
    log = Log()
    log.edge(1, 2, 0)
    log.edge(5, 6, 0)
    match = (Matcher("workload", "=", "service:s9"),)
    log.say("silence/s1", Silence("s1", match, "ann", "planned", 0, 400 * US, 200 * US))
    for second in range(100, 900, 10):
        step = second % 250 // 10
        number = 1 + step % 9
        if step < 9:
            log.anomaly(anomaly(number, second - 5, second))
        else:
            gone = 1 + (step - 9) % 9
            onset = second - 5 - (step - (gone - 1)) * 10
            if step < 18:
                log.anomaly(anomaly(gone, onset, second, "ended", revision=2))
        if second == 330:
            log.say(*order("ack", "inc-a1-245"))
        if second == 600:
            log.say(*order("resolve", "inc-a1-495", reason="fixed"))
        if second == 300:
            log.anomaly(anomaly(9, 295, 300, scope="staging"))
        log.until(second)
    log.until(5000)
    return log


def told(log: Log, cuts: Sequence[int] = ()) -> list[tuple[str, Any]]:
    """What comes out, in order; the chain is saved and another one restored at each cut."""
    chain, found = CorrelateChain(0, CONFIG), []
    for first, last in zip([0, *cuts], [*cuts, len(log.messages)], strict=True):
        out = chain.apply(log.messages[first:last])
        found += [(record.topic, json.loads(record.value or b"null")) for record in out.records]
        saved = chain.snapshot(full=True)
        chain = CorrelateChain(0, CONFIG)
        chain.restore(Snapshot(saved.version, saved.offset, saved.head, dict(saved.blocks), saved.names, full=True))
    return found


def transitions(found: Sequence[tuple[str, Any]]) -> list[str]:
    return [body["transition"] for topic, body in found if topic == "incidents"]


def test_the_story_has_what_can_happen_to_an_incident() -> None:
    found = told(story())
    assert {"opened", "updated", "acknowledged", "resolved", "reopened"} <= set(transitions(found))
    assert {body["reason"] for topic, body in found if topic == "suppressions"} >= {"silence"}


@pytest.mark.parametrize("seed", range(12))
def test_wherever_it_is_saved_and_restored_the_same_comes_out(seed: int) -> None:
    log, draw = story(), random.Random(seed)
    cuts = sorted(draw.sample(range(1, len(log.messages)), draw.randint(1, 12)))
    assert told(log, cuts) == told(log)


def test_workloads_that_call_each_other_are_one_incident_and_others_are_not() -> None:
    log = Log()
    log.edge(1, 2, 0)
    log.edge(5, 6, 0)
    log.anomaly(*(anomaly(number, 500, 520) for number in (1, 2, 5, 6)))
    log.until(600)
    opened = [body for _, body in told(log)]
    assert [sorted(body["affected"]) for body in opened] == [
        ["service:s1 pod-1", "service:s2 pod-1"],
        ["service:s5 pod-1", "service:s6 pod-1"],
    ]


def test_a_call_that_was_seen_first_a_moment_ago_does_not_count_yet() -> None:
    log = Log()
    log.edge(1, 3, 0)
    log.edge(2, 4, 0)
    log.edge(1, 2, 510)
    log.anomaly(anomaly(1, 500, 520), anomaly(2, 500, 520))
    log.until(600)
    assert transitions(told(log)) == ["opened", "opened"]


def test_a_silence_that_is_taken_away_lets_what_goes_on_be_told_at_once() -> None:
    log = Log()
    match = (Matcher("workload", "=", "service:s1"),)
    log.say("silence/s1", Silence("s1", match, "ann", "planned", 0, 4000 * US, 0))
    log.anomaly(anomaly(1, 100, 120))
    log.until(200)
    assert transitions(told(log)) == []
    log.say("silence/s1", None)
    (body,) = [body for topic, body in told(log) if topic == "incidents"]
    assert (body["transition"], body["detected_time"]) == ("opened", "1970-01-01T00:03:20.000000Z")


def test_what_is_damaged_goes_to_the_dead_letters_and_stops_nothing() -> None:
    log = Log()
    log.messages += [
        Stored(number, b"{]", (header,)) for number, header in enumerate((said_record.SAID, edge_event.EDGE))
    ]
    log.anomaly(replace(anomaly(1, 100, 120)))
    log.until(200)
    out = CorrelateChain(0, CONFIG).apply(log.messages)
    assert [record.topic for record in out.records] == ["dead-letter", "dead-letter", "incidents"]
    assert out.counts["drop", "undecodable"] == 2


def test_calls_are_forgotten_when_nobody_made_them_for_a_day() -> None:
    log = Log()
    log.edge(1, 2, 0)
    log.edge(5, 6, 0)
    day = 24 * 3600
    log.until(day + 120)
    log.anomaly(anomaly(1, day + 130, day + 150), anomaly(6, day + 130, day + 150))
    log.until(day + 200)
    (opened,) = [body for topic, body in told(log) if topic == "incidents"]
    assert opened["members"][1]["joined_by"].startswith("the same scope")
