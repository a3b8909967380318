"""The correlate chain on one partition: anomalies, edges, silences and orders in its log, cut and restored anywhere."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from pipeline.codecs import anomaly_event, edge_event, said_record, vitals_event
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.policies.control import Said, SaidControl, What
from pipeline.policies.matcher import Matcher
from pipeline.policies.orders import Order
from pipeline.policies.roles import GivenRoles, meant_of
from pipeline.policies.silence import Silence
from pipeline.records import US, Anomaly, Degree, Edge, EdgeKind, Kind, Signal, Snapshot, Unusual
from pipeline.records.message import Headers
from pipeline.scoring.anomalies import anomaly_id
from tests.incidents.test_grouping import anomaly

CONFIG = FlowConfig(
    sources=("points/0",),
    signal_partitions=1,
    anomaly_partitions=1,
    join_us=60 * US,
    resolve_us=30 * US,
    reopen_us=300 * US,
    roles=GivenRoles({"business": (meant_of("name=shop.orders"),)}),
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

    def unusual(self, second: float, slow: dict[int, float], scope: str = "prod") -> None:
        """Workloads that take so many seconds in the window that ends then, and not a tenth."""
        rows = [
            Unusual(f"service:s{n}", round(second * US), 10 * US, 50.0, Degree("latency", 9.0, 50 * took, took, 0.1))
            for n, took in slow.items()
        ]
        value, headers = vitals_event.encode(scope, round(second * US), rows, "signals/0", self._sequence)
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


def wrong(found: Anomaly, second: float) -> Anomaly:
    """The anomaly, withdrawn."""
    end_us, why = found.end_us or found.last_seen_us, "late_data: 1 point came late"
    step_us, revision = round(second * US), found.revision + 1
    return replace(found, revision=revision, transition="withdrawn", step_us=step_us, end_us=end_us, why=why)


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
        if second in (300, 550):  # late data take back some of it
            onsets = {number: second - 55 + 10 * (number - 1) for number in (2, 3)}
            log.anomaly(*(wrong(anomaly(number, onset, onset + 5), second) for number, onset in onsets.items()))
        if second == 500:  # and all of another one
            log.anomaly(wrong(anomaly(9, 295, 300, scope="staging"), second))
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
    chain, found, place = CorrelateChain(0, CONFIG), [], 0
    for last in [*cuts, len(log.messages)]:
        out = chain.apply(log.messages[place:last])
        found += [(record.topic, json.loads(record.value or b"null")) for record in out.records]
        saved = chain.snapshot(full=True)
        chain, place = CorrelateChain(0, CONFIG), saved.offset
        chain.restore(Snapshot(saved.version, saved.offset, saved.head, dict(saved.blocks), saved.names, full=True))
    return found


def transitions(found: Sequence[tuple[str, Any]]) -> list[str]:
    return [body["transition"] for topic, body in found if topic == "incidents"]


def test_the_story_has_what_can_happen_to_an_incident() -> None:
    found = told(story())
    assert {"opened", "updated", "acknowledged", "resolved", "reopened", "withdrawn"} <= set(transitions(found))
    comments = [body["comment"] or "" for topic, body in found if topic == "incidents"]
    assert sum(comment.startswith("late_data: ") for comment in comments) == 2
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


def past_story() -> Log:
    """One workload has short trouble again and again, one at regular times, one comes and goes, and one often."""
    hour, log = 3600, Log()
    turns = [(1, at * hour, 80) for at in (1, 6, 14, 32, 51)] + [(1, 70 * hour, 500)]
    turns += [(4, 2 * hour + number * 20 * hour, 400) for number in range(6)]
    turns += [(6, 8 * hour + number * 200, 60) for number in range(9)]
    turns += [(8, 90 * hour + number * number * 500, 400) for number in range(3, 11)]
    log.edge(1, 11, 0)  # calls that say that workloads have nothing to do with each other
    log.edge(4, 14, 0)
    log.edge(6, 16, 0)
    log.edge(8, 18, 0)
    found = [(onset + 20, anomaly(number, onset, onset + 20)) for number, onset, _ in turns]
    found += [
        (onset + long, anomaly(number, onset, onset + long, "ended", revision=2)) for number, onset, long in turns
    ]
    for second, one in sorted(found, key=lambda each: each[0]):
        log.anomaly(one)
        log.until(second)
    log.until(140 * hour)
    return log


def test_the_story_of_the_past_has_all_for_which_something_is_held_back() -> None:
    found = told(past_story())
    reasons = [body["reason"] for topic, body in found if topic == "suppressions"]
    assert set(reasons) == {"transient", "periodic", "flapping", "frequent"}
    counts = [body["suppressed_counts"] for topic, body in found if topic == "incidents" and body["revision"] == 1]
    assert {"transient": 1} in counts
    assert any(body["flapping"] for topic, body in found if topic == "incidents")
    assert {body["rarity"]["word"] for topic, body in found if topic == "incidents"} >= {"first", "frequent"}


@pytest.mark.parametrize("seed", range(12))
def test_the_past_says_the_same_wherever_it_is_saved_and_restored(seed: int) -> None:
    log, draw = past_story(), random.Random(seed)
    number = len(log.messages) - 1 if seed == 0 else draw.randint(1, 12)
    assert told(log, sorted(draw.sample(range(1, len(log.messages)), number))) == told(log)


def test_of_a_shard_that_is_divided_each_part_keeps_the_past_of_its_scopes() -> None:
    config = replace(CONFIG, anomaly_partitions=2)
    chain, log = CorrelateChain(0, CONFIG), past_story()
    chain.apply(log.messages)
    parts = [CorrelateChain(number, config) for number in range(2)]
    for part in parts:
        part.restore(chain.snapshot(full=True).keep())
        part.inherit(None)
    kept = [msgspec.msgpack.decode(part.snapshot(full=True).blocks["history"]) for part in parts]
    assert sorted(map(len, kept)) == [0, 4]


def suffering_story() -> Log:
    """Users of one workload fail less and less, orders stay away, and nothing gets less severe."""
    log = Log()
    log.edge(1, 2, 0)
    failed = Signal(71, "traces.operation.failed.share", "1", Kind.GAUGE, "prod", "service:s1", "", ())
    sold = Signal(72, "shop.orders", "{order}/s", Kind.COUNTER, "prod", "service:s2", "", ())
    for number, second in enumerate(range(100, 220, 20)):
        share = 0.5 / 4**number
        about: dict[str, Any] = {"signal": failed, "value": share, "expected": 0.0, "excess": share * (second - 95)}
        more: dict[str, Any] = {"signal": sold, "value": 2.0, "expected": 10.0, "excess": -8.0 * (second - 95)}
        name = "updated" if number else "opened"
        found = [replace(anomaly(1, 95, second, name, revision=number + 1, surprise=7.0), **about)]
        found.append(replace(anomaly(2, 95, second, name, revision=number + 1, surprise=7.0), **more))
        found.append(anomaly(10 + number, second - 5, second))
        log.anomaly(*(replace(one, id=anomaly_id(one.signal, one.onset_us)) for one in found))
        log.until(second)
    log.until(300)
    return log


def test_who_suffers_is_told_and_it_never_gets_less_severe() -> None:
    bodies = [body for topic, body in told(suffering_story()) if topic == "incidents"]
    assert {body["severity"] for body in bodies} == {"critical"}
    assert len(bodies) > 3
    assert bodies[0]["burn_rate"] == pytest.approx(500.0)
    assert bodies[-1]["burn_rate"] < 14.4
    roles = [(each["role"], each["entity"], each["felt"]) for each in bodies[-1]["impacted"]]
    assert roles[:2] == [("users", "service:s1", True), ("business", "service:s2", True)]
    assert bodies[0]["title"].startswith("s1 fails 50 % of requests (expected 0 %) since 00:01:35Z; ")
    assert bodies[0]["title"].endswith("about 40 orders fewer than expected")
    assert bodies[-1]["impacted"][1]["lost"]["amount"] == pytest.approx(8.0 * 105)


@pytest.mark.parametrize("seed", range(6))
def test_who_suffers_is_the_same_wherever_it_is_saved_and_restored(seed: int) -> None:
    log, draw = suffering_story(), random.Random(seed)
    number = len(log.messages) - 1 if seed == 0 else draw.randint(1, 8)
    assert told(log, sorted(draw.sample(range(1, len(log.messages)), number))) == told(log)


def unusual_story() -> Log:
    """A workload that is no member is where it starts, and later another one; rows come before and after anomalies."""
    log = Log()
    for one, other in ((1, 2), (2, 3), (2, 4)):
        log.edge(one, other, 0)
    for second in range(480, 800, 10):
        worst = 3 if second < 650 else 4
        if second % 20:
            log.unusual(second, {1: 2.0, 2: 2.1, worst: 2.2})
        if second in (520, 700):
            log.anomaly(anomaly(1 if second == 520 else 2, second - 20, second, surprise=7.0))
        if second == 600:
            log.anomaly(anomaly(1, 500, second, "ended", revision=2, surprise=7.0))
        if not second % 20:
            log.unusual(second, {2: 2.1, 1: 2.0, worst: 2.2})
            log.unusual(second, {1: 3.0}, "staging")
        log.until(second)
    log.anomaly(anomaly(2, 680, 910, "ended", revision=2, surprise=7.0))
    log.until(2_000)
    return log


def causes(found: Sequence[tuple[str, Any]]) -> list[list[str]]:
    return [
        [each["entity"].removeprefix("service:") for each in body["root_cause_candidates"]]
        for topic, body in found
        if topic == "incidents"
    ]


def test_who_is_called_by_members_and_is_none_may_be_where_it_starts() -> None:
    found = causes(told(unusual_story()))
    assert found[0] == ["s3", "s2", "s1"]
    assert found[-1][0] == "s4"


@pytest.mark.parametrize("seed", range(8))
def test_rows_of_workloads_say_the_same_wherever_it_is_saved_and_restored(seed: int) -> None:
    log, draw = unusual_story(), random.Random(seed)
    number = len(log.messages) - 1 if seed == 0 else draw.randint(1, 12)
    assert told(log, sorted(draw.sample(range(1, len(log.messages)), number))) == told(log)


def test_a_row_of_a_window_that_has_not_ended_yet_is_not_known() -> None:
    log = Log()
    log.edge(1, 2, 0)
    log.unusual(520, {1: 2.0})
    log.unusual(530, {2: 90.0})
    log.anomaly(anomaly(1, 500, 520))
    log.until(600)
    assert causes(told(log)) == [["s1"]]


def test_a_row_that_is_sent_again_counts_once() -> None:
    log = unusual_story()
    twice = [message for message in log.messages for _ in range(1 + vitals_event.is_vitals(message.headers))]
    again = Log()
    again.messages = [replace(message, offset=offset) for offset, message in enumerate(twice)]
    assert told(again) == told(log)
    out = CorrelateChain(0, CONFIG).apply(again.messages)
    assert out.counts["notice", "sent_again"] == len(again.messages) - len(log.messages)


def test_of_a_shard_that_is_divided_each_part_keeps_the_rows_of_its_scopes() -> None:
    config = replace(CONFIG, anomaly_partitions=2)
    chain = CorrelateChain(0, CONFIG)
    chain.apply(unusual_story().messages)
    parts = [CorrelateChain(number, config) for number in range(2)]
    for part in parts:
        part.restore(chain.snapshot(full=True).keep())
        part.inherit(None)
    whole = msgspec.msgpack.decode(chain.snapshot(full=True).blocks["unusual"])
    kept = [msgspec.msgpack.decode(part.snapshot(full=True).blocks["unusual"]) for part in parts]
    assert sorted(row for part in kept for row in part) == sorted(whole)
    assert len({row[0] for row in whole}) == 2


def test_with_habits_turned_off_nothing_is_held_back_for_what_was() -> None:
    out = CorrelateChain(0, replace(CONFIG, habits=False)).apply(past_story().messages)
    reasons = {json.loads(record.value or b"{}")["reason"] for record in out.records if record.topic == "suppressions"}
    assert reasons == {"flapping"}
