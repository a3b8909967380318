"""``calmstream why`` of incidents that nobody was told of, each held back or suppressed for another reason."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.flow.correlate import CorrelateChain
from pipeline.policies.matcher import Matcher
from pipeline.policies.silence import Silence
from pipeline.records import US, Anomaly
from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.said import Desk
from tests.flow.test_correlate_chain import CONFIG, Log
from tests.incidents.test_grouping import anomaly

#: Far apart from each other, and late enough to be a time.
DAY = 86_400


def opened(number: int, second: float, **changes: object) -> Anomaly:
    return anomaly(number, DAY + second, DAY + second + 20, **changes)


def ended(one: Anomaly, second: float) -> Anomaly:
    at_us = round((DAY + second) * US)
    return replace(one, revision=2, transition="ended", step_us=at_us, last_seen_us=at_us, end_us=at_us)


def story() -> Log:
    """In five scopes: what goes by itself each time, what is silenced, what may start none, and two that join it."""
    log = Log()
    log.say("silence/s1", Silence("s1", (Matcher("scope", "=", "quiet"),), "ann", "planned", 0, (DAY + 9000) * US, 0))
    for second in (0, 2000, 4000, 6000):
        one = opened(1, second)
        log.anomaly(one)
        log.until(DAY + second + 30)
        if second == 6000:
            log.anomaly(replace(opened(11, second + 20), signal=replace(one.signal, id=11)))
            log.until(DAY + second + 50)
            log.anomaly(ended(opened(11, second + 20), second + 55))
        log.anomaly(ended(one, second + 60))
        log.until(DAY + second + 1000)
    for number, changes in (
        (2, {"scope": "quiet"}),
        (3, {"scope": "calm", "felt": False}),
        (4, {"scope": "lab", "discovered": False, "false_discovery_rate": 0.1}),
        (5, {"scope": "pay", "owner": "pay", "owner_budget": 1.0}),
    ):
        log.anomaly(opened(number, 7100, **changes))
    log.until(DAY + 7130)
    log.until(DAY + 7300)
    log.anomaly(ended(opened(5, 7100, scope="pay", owner="pay", owner_budget=1.0), 7310))
    log.anomaly(opened(6, 7400, scope="pay", owner="pay", owner_budget=1.0))
    log.until(DAY + 8000)
    log.anomaly(opened(7, 8000), opened(8, 8020))
    log.until(DAY + 8100)
    return log


@pytest.fixture(scope="module")
def desk(embedded_broker: EmbeddedBroker) -> Desk:
    prefix = f"t{uuid.uuid4().hex[:12]}."
    found = Desk(
        {
            "CALMSTREAM_BROKER__BOOTSTRAP": embedded_broker.bootstrap,
            "CALMSTREAM_TOPIC_PREFIX": prefix,
            "CALMSTREAM_INPUTS": json.dumps([{"topic": f"{prefix}points", "format": "json_points"}]),
            "CALMSTREAM_TOPICS__PARTITIONS": "1",
        }
    )
    found.done("topics", "create")
    log = story()
    out = [(record.topic, record) for record in CorrelateChain(0, CONFIG).apply(log.messages).records]
    told = [("anomalies", message) for message in log.messages] + out
    asyncio.run(_send(embedded_broker.bootstrap, prefix, told))
    return found


async def _send(bootstrap: str, prefix: str, records: Sequence[tuple[str, Any]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for topic, one in records:
            if one.key is not None or one.value is not None:
                await producer.send(prefix + topic, one.value, one.key, headers=list(one.headers))
        await producer.flush()


def id_of(number: int, second: float) -> str:
    return f"inc-a{number}-{DAY + second:g}"


def test_what_passes_each_time_says_so_until_when_it_waited_and_that_it_was_over_before(desk: Desk) -> None:
    said = desk.done("why", id_of(1, 6000))
    assert said.startswith(f"{id_of(1, 6000)} was never told\n")
    assert (
        "Nobody was ever told of it. It began with latency{route=/} of service:s1 pod-1 at 1970-01-02T01:40:00Z, and "
        "was held back; 2 anomalies are known of it."
    ) in said
    assert "Held back (transient): it came 3 times before and was over by itself within 40 s each time" in said
    assert "All of it had ended at 1970-01-02T01:41:00Z, before 1970-01-02T01:42:20Z: there was nothing to tell" in said
    assert "  anomaly a1-92400 ended" in said


def test_machines_are_told_the_same(desk: Desk) -> None:
    found = json.loads(desk.done("why", id_of(1, 6000), "--json"))
    assert (found["incident"], found["told"], found["id"]) == (None, False, id_of(1, 6000))
    assert found["suppressed_counts"] == {"transient": 2}
    assert [each["anomaly"] for each in found["anomalies"]] == ["a1-92400", "a11-92420"]
    assert [each["what"] for each in found["anomalies"][0]["life"]] == ["anomaly_opened", "suppressed", "anomaly_ended"]
    assert found["anomalies_not_written_out"] == 0


def test_what_a_silence_holds_back_says_which_and_that_it_may_still_be_told(desk: Desk) -> None:
    which = id_of(2, 7100)
    said = desk.done("why", which)
    assert (
        f"Held back (silence): silence/s1 until 1970-01-02T02:30:00Z; what goes on then is told then as {which}."
        in said
    )
    assert "latency{route=/} of service:s2 pod-1:" in said
    assert "1 anomaly is not known to have ended, so it may still be told." in said


@pytest.mark.parametrize(
    ("number", "second", "reason"),
    [
        (3, 7100, "(not_felt): it started no incident, for callers of service:s3 feel nothing"),
        (4, 7100, "(false_discovery): it started no incident, for among all signals of its step"),
        (6, 7400, "(owner_budget): it started no incident, for its owner pay may start 1 incident a week"),
    ],
)
def test_what_would_have_started_one_and_did_not_says_why(desk: Desk, number: int, second: int, reason: str) -> None:
    said = desk.done("why", id_of(number, second))
    assert "There never was such an incident: what would have started it, latency{route=/} of service:s" in said
    assert f"Suppressed {reason}" in said


def test_what_callers_do_not_feel_says_what_would_have_started_one(desk: Desk) -> None:
    said = desk.done("why", id_of(3, 7100))
    assert (
        "It would have started one had requests of service:s3 taken 20% (and 5 ms) longer, or 1% more of them failed, "
        "for some windows; had data stopped coming, or something been nearly full for the first time; or were it a "
        "business signal. It joins what is open near it."
    ) in said


def test_one_that_was_told_is_told_as_ever(desk: Desk) -> None:
    found = json.loads(desk.done("why", id_of(5, 7100), "--json"))
    assert found["incident"]["id"] == id_of(5, 7100)
    assert "told" not in found


def test_an_anomaly_that_started_none_for_it_joined_another_says_which(desk: Desk) -> None:
    said = desk.done("why", id_of(8, 8020))
    assert "No incident was told under this id. It is made of that of anomaly a8-94420, which started none" in said
    assert f"it is in incident {id_of(7, 8000)}: the same scope, onset 20 s from the newest member's" in said


def test_what_nobody_knows_is_refused(desk: Desk) -> None:
    for which in ("inc-nobody", "inc-"):
        assert f"No incident has the id {which}" in desk.refused(1, "why", which)
