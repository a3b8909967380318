"""Policies that change while points come in: which anomalies carry which version, whatever happens to the worker."""

import json
import random
from typing import Any

import pytest

from pipeline.codecs import policy_event
from pipeline.codecs.registry import input_codec
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.ingest import IngestChain
from pipeline.flow.score import ScoreChain
from pipeline.policies import Change, Control, DetectorPolicy, Policy
from pipeline.policies.matcher import Matcher
from pipeline.records import NO_TIME, US
from tests.flow.simulation import Crashed, Log, ShardRun
from tests.flow.test_timelines import BEGIN, jump, shop
from tests.timeline import START, USUAL_POLICY, Between, Timeline, every

LATENCY = Policy("latency", (Matcher("name", "=", "latency"),), {"close_windows": 3})


def at(second: float, policy: Policy) -> Policy:
    """The same with an effective time."""
    return Policy(policy.name, policy.match, policy.changes, policy.priority, round((START + second) * US))


def control(offset: int, *policies: Policy) -> Control:
    changes = tuple(Change(offset + i, policy.name, policy) for i, policy in enumerate(policies))
    return Control(offset + len(policies), changes)


def told(timeline: Timeline) -> list[str]:
    """Names of the policies that the opened and the ended anomaly carry."""
    timeline.push(every(5, BEGIN, 600), "latency", jump)
    timeline.want(Between(325, 325), "anomaly opened", "latency")
    timeline.want(Between(395, 395), "anomaly ended", "latency")
    for second, what in ((325, "opened"), (425, "resolved")):
        timeline.want(Between(second, second), f"incident {what}", "default")
    timeline.play()
    found = [timeline.one(f"anomaly {what}", "latency")["policy"]["version"] for what in ("opened", "ended")]
    return ["+".join(part.partition("@")[0] for part in version.split("+")) for version in found]


@pytest.mark.parametrize(
    ("arrives", "policy", "carried"),
    [
        (100, LATENCY, ["latency+default", "latency+default"]),
        (360, LATENCY, ["default", "latency+default"]),
        (500, LATENCY, ["default", "default"]),
        (100, at(350, LATENCY), ["default", "latency+default"]),
        (100, at(320, LATENCY), ["latency+default", "latency+default"]),  # the window end at which it was decided
        (100, at(320.001, LATENCY), ["default", "latency+default"]),
        (100, at(5, LATENCY), ["latency+default", "latency+default"]),
        (100, Policy("other", (Matcher("name", "=", "traffic"),), {"close_windows": 3}), ["default", "default"]),
    ],
)
def test_an_anomaly_carries_what_was_in_force_when_it_was_decided(
    arrives: float, policy: Policy, carried: list[str]
) -> None:
    timeline = shop()
    timeline.control(arrives, control(0, policy))
    assert told(timeline) == carried


def test_a_policy_of_the_configuration_counts_from_the_start() -> None:
    assert told(shop(policies=(LATENCY,))) == ["latency+default", "latency+default"]


def test_what_comes_again_is_dropped_and_counted_and_changes_nothing() -> None:
    timeline = shop()
    for second in (100, 110, 200):
        timeline.control(second, control(0, LATENCY))
    timeline.control(210, Control(1, control(0, LATENCY).changes, complete=True))
    assert told(timeline) == ["latency+default", "latency+default"]
    assert timeline.counts["notice", "policy_repeated"] == 3
    assert timeline.counts["notice", "policies_changed"] == 1


def test_a_removed_policy_no_longer_counts() -> None:
    timeline = shop()
    timeline.control(100, control(0, LATENCY))
    timeline.control(350, Control(2, (Change(1, "latency", None),)))
    assert told(timeline) == ["latency+default", "default"]


def test_a_control_record_moves_no_watermark_and_makes_no_source_active() -> None:
    chain = ScoreChain(0, FlowConfig(sources=("points/0",), signal_partitions=1, anomaly_partitions=1))
    value, headers = policy_event.encode_control(control(0, at(10**6, LATENCY)))
    log = Log()
    log.append("signals", 0, None, value, headers=headers)
    output = chain.apply(log.partitions["signals", 0])
    output.add(chain.flush())
    assert (output.records, chain.watermark_us()) == ([], NO_TIME)
    assert chain.snapshot(full=True).offset == 1


def test_a_damaged_control_record_goes_to_the_dead_letters() -> None:
    chain = ScoreChain(0, FlowConfig(sources=("points/0",), signal_partitions=1, anomaly_partitions=1))
    log = Log()
    log.append("signals", 0, None, b"{nonsense", headers=[policy_event.CONTROL])
    (letter,) = chain.apply(log.partitions["signals", 0]).records
    said = dict(letter.headers)
    assert (letter.topic, letter.value, said["calm_reason"]) == ("dead-letter", b"{nonsense", b"undecodable")
    assert said["calm_detail"].startswith(b"not a control record")


# The same whatever is killed: values and policies in one log, read by owners that come and go.

CONFIG = FlowConfig(
    sources=("points/0",),
    signal_partitions=1,
    anomaly_partitions=1,
    window_us=2 * US,
    lateness_us=US,
    policy=DetectorPolicy(**USUAL_POLICY | {"close_windows": 1, "hard_upper": 100.0}),
    policies=(Policy("configured", (Matcher("service.name", "=", "s1"),), {"close_windows": 1}),),
    join_us=10 * US,
    resolve_us=4 * US,
)
SECONDS = 300


def points(second: int) -> list[dict[str, Any]]:
    """Six signals that are in trouble again and again."""
    found = []
    for number in range(6):
        calm = 50 + (second * 7 + number) % 5
        value = calm + 80 * (second > 60 and (second + 7 * number) % 40 < 8)
        attributes = {"service.name": f"s{number % 3}", "owner": f"team{number % 2}"}
        attributes["deployment.environment.name"] = f"env{number // 2}"
        found.append({"ts": START + second, "name": f"load{number}", "value": value, "attributes": attributes})
    return found


def written() -> Log:
    """The log of ``signals``: blocks, and policies that come, change, wait, go, and are told again."""
    log, ingest = Log(), IngestChain("points/0", input_codec("json_points", CONFIG.limits), CONFIG)
    dice = random.Random(3)
    changes: list[Change] = []
    for second in range(SECONDS):
        log.append("points", 0, None, json.dumps(points(second)).encode(), (START + second) * 1000)
        output = ingest.apply([log.partitions["points", 0][-1]])
        output.add(ingest.flush())
        for record in output.records:
            log.append("signals", 0, None, record.value)
        if second % 10 == 5:
            changes.append(_change(len(changes), second, dice))
            _tell(log, Control(len(changes), (changes[-1],)))
        if second % 25 == 8:  # the writer was restarted: all that are live once more, and some of the older ones
            newest = {change.name: change for change in changes}
            live = sorted((one for one in newest.values() if one.policy is not None), key=lambda one: one.offset)
            _tell(log, Control(len(changes), tuple(live), complete=True))
            for change in changes[-4:]:
                _tell(log, Control(change.offset + 1, (change,)))
    return log


def _change(offset: int, second: int, dice: random.Random) -> Change:
    name = dice.choice(["a", "b", "owner", "configured"])
    if dice.random() < 0.25:
        return Change(offset, name, None)
    match = Matcher("owner", "=~", "team.*") if name == "owner" else Matcher("service.name", "!=", f"s{offset % 3}")
    changes = {"alert_budget": 1 + offset / 100} if name == "owner" else {"min_relative": 0.1 + offset / 1000}
    effective = dice.choice([NO_TIME, (START + second + dice.randrange(-20, 40)) * US])
    return Change(offset, name, Policy(name, (match,), changes, dice.randrange(3), effective))


def _tell(log: Log, told: Control) -> None:
    value, headers = policy_event.encode_control(told)
    log.append("signals", 0, None, value, headers=headers)


Kept = tuple[dict[Any, Any], dict[Any, Any], dict[Any, Any]]


def run(log: Log, schedule: int | None) -> Kept:
    """Score and correlate; anomalies, incidents and suppressions by id and revision, as consumers keep them."""
    dice = random.Random(schedule)
    out = Log()
    out.partitions["signals", 0] = log.partitions["signals", 0]
    makes: dict[str, tuple[str, type[ScoreChain] | type[CorrelateChain]]] = {
        "signals": ("score.state", ScoreChain),
        "anomalies": ("correlate.state", CorrelateChain),
    }
    epochs = iter(range(10**6))

    def own(topic: str) -> ShardRun:
        state, make = makes[topic]

        def chain() -> Chain:
            return make(0, CONFIG)

        return ShardRun(out, topic, 0, state, chain, f"e{next(epochs)}")

    owners = {topic: own(topic) for topic in makes}
    while any(owner.behind for owner in owners.values()):
        for topic in makes:
            if schedule is None:
                owners[topic].read(1000)
                owners[topic].flush()
                continue
            act = dice.random()
            try:
                if act < 0.65:
                    owners[topic].read(dice.choice((1, 5, 20)))
                elif act < 0.8:
                    owners[topic].save()
                elif act < 0.85:
                    owners[topic].save(dice)
                else:
                    owners[topic] = own(topic)
                owners[topic].flush()
            except Crashed:
                owners[topic] = own(topic)
    return _kept(out, "anomalies"), _kept(out, "incidents"), _kept(out, "suppressions")


def _kept(log: Log, topic: str) -> dict[Any, Any]:
    kept: dict[Any, Any] = {}
    for record in log.partitions[topic, 0]:
        if record.value is not None:
            body = json.loads(record.value)
            key = body["id"], body["revision"]
            assert kept.setdefault(key, body) == body, f"{key} was repeated with another content"
    return kept


@pytest.fixture(scope="module")
def log() -> Log:
    return written()


@pytest.fixture(scope="module")
def undisturbed(log: Log) -> Kept:
    return run(log, None)


def test_many_versions_are_carried(undisturbed: Kept) -> None:
    anomalies, incidents, suppressions = undisturbed
    versions = {body["policy"]["version"] for body in anomalies.values()}
    assert len(versions) > 15
    assert {body["owner"] for body in anomalies.values()} == {"team0", "team1"}
    assert len({body["owner_budget"] for body in anomalies.values()}) > 3
    members = {member["anomaly_id"] for body in incidents.values() for member in body["members"]}
    assert 0 < len(members) < len({key for key, _ in anomalies})  # the rest was above the owners' budgets
    assert {key for key, _ in anomalies} == members | {key for key, _ in suppressions}
    assert (
        {"owner_budget"} < {body["reason"] for body in suppressions.values()} <= {"owner_budget", "no_news", "flapping"}
    )
    for body in (each for each in suppressions.values() if each["reason"] == "owner_budget"):
        assert body["owner_budget_used"] + 1 > max(1.0, body["owner_budget"])


@pytest.mark.parametrize("schedule", range(8))
def test_a_disturbed_run_gives_the_same_anomalies_with_the_same_versions(
    log: Log, undisturbed: Kept, schedule: int
) -> None:
    assert run(log, schedule) == undisturbed
