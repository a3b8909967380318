"""The judge of the machine's demo, on timelines: a disturbance from t = 100 to 110, and what was received when."""

from collections.abc import Sequence

import pytest

from pipeline.demo.machine import judge
from pipeline.demo.machine.judge import Sought, Trial
from pipeline.demo.transitions import Transition, within_reach
from pipeline.records import US, iso

BURNER = Trial("demo-burner", Sought("host/7", "process.cpu.time"), began=100.0, ended=110.0)
CPU = ("host/7", "process.cpu.time")
OTHERS = [("host/1", "process.cpu.time"), ("", "system.cpu.utilization"), ("host/7", "process.memory.usage")]


def told(
    received: float, what: str, *members: tuple[str, str], incident: str = "inc-1", onset: float = 100.0
) -> Transition:
    shown = [
        {"signal": {"instance": instance, "name": name, "attributes": {}}, "onset_time": iso(int(onset * US))}
        for instance, name in members
    ]
    return Transition(received, received, {"id": incident, "transition": what, "members": shown})


def passed(*transitions: Transition, trials: Sequence[Trial] = (BURNER,)) -> list[bool]:
    """One incident, in the first three, opened in time, resolved in time."""
    return [check.passed for check in judge.judge(trials, transitions)]


def test_an_incident_in_time_with_the_signal_on_top_passes() -> None:
    assert passed(told(107, "opened", CPU), told(125, "resolved", CPU, *OTHERS)) == [True, True, True, True]


def test_nothing_received_fails_every_check() -> None:
    assert passed() == [False, False, False, False]


def test_an_incident_about_somebody_else_does_not_count() -> None:
    assert passed(told(107, "opened", *OTHERS), told(125, "resolved", *OTHERS)) == [False, False, False, False]


def test_another_metric_of_the_process_does_not_count() -> None:
    memory = ("host/7", "process.memory.usage")
    assert passed(told(107, "opened", memory), told(125, "resolved", memory)) == [False, False, False, False]


def test_reading_is_not_writing() -> None:
    sought = Sought("host/8", "process.disk.io", (("disk.io.direction", "write"),))
    signal = {"instance": "host/8", "name": "process.disk.io"}
    assert sought.is_of({"signal": {**signal, "attributes": {"disk.io.direction": "write", "device": "a"}}})
    assert not sought.is_of({"signal": {**signal, "attributes": {"disk.io.direction": "read"}}})


def test_two_incidents_for_one_disturbance_fail() -> None:
    twice = [told(107, "opened", CPU), told(109, "opened", CPU, incident="inc-2"), told(125, "resolved", CPU)]
    assert passed(*twice) == [False, True, True, True]


def test_the_fourth_place_fails() -> None:
    members = [*OTHERS, CPU]
    assert passed(told(107, "opened", *members), told(125, "resolved", *members)) == [True, False, True, True]


def test_the_last_word_about_the_members_counts() -> None:
    assert passed(told(107, "opened", CPU), told(125, "resolved", *OTHERS, CPU)) == [True, False, True, True]


def test_the_process_may_join_after_the_incident_opened() -> None:
    joins = [
        told(104, "opened", OTHERS[0]),
        told(107, "updated", CPU, OTHERS[0]),
        told(125, "resolved", CPU, OTHERS[0]),
    ]
    assert passed(*joins) == [True, True, True, True]


def test_joining_an_incident_that_was_open_before_fails() -> None:
    joins = [told(95, "opened", OTHERS[0]), told(107, "updated", CPU, OTHERS[0]), told(125, "resolved", CPU, OTHERS[0])]
    assert passed(*joins) == [False, False, False, False]


@pytest.mark.parametrize(("opened", "expected"), [(120.0, True), (120.1, False)])
def test_twenty_seconds_are_in_time_to_open(opened: float, expected: bool) -> None:
    assert passed(told(opened, "opened", CPU), told(125, "resolved", CPU))[2] is expected


@pytest.mark.parametrize(("resolved", "expected"), [(140.0, True), (140.1, False)])
def test_thirty_seconds_are_in_time_to_resolve(resolved: float, expected: bool) -> None:
    assert passed(told(107, "opened", CPU), told(resolved, "resolved", CPU))[3] is expected


def test_an_incident_that_stays_open_fails() -> None:
    assert passed(told(107, "opened", CPU)) == [True, True, True, False]


def test_each_disturbance_is_judged_by_itself() -> None:
    writer = Trial("demo-writer", Sought("host/8", "process.disk.io"), began=130.0, ended=140.0)
    checks = passed(told(107, "opened", CPU), told(125, "resolved", CPU), trials=[BURNER, writer])
    assert checks == [True] * 4 + [False] * 4


def test_an_anomaly_that_begins_soon_after_an_open_incident_would_join_it() -> None:
    transitions = [told(107, "opened", CPU, onset=100)]
    assert within_reach(transitions, onset=112, join_seconds=12)
    assert not within_reach(transitions, onset=112.5, join_seconds=12)


def test_no_anomaly_joins_an_incident_that_has_resolved() -> None:
    transitions = [told(107, "opened", CPU, onset=100), told(108, "resolved", CPU, onset=100)]
    assert not within_reach(transitions, onset=109, join_seconds=12)
