"""Counts of alerts: judged by how seldom their type comes in the scope, and saved with the shard."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies import DetectorPolicy, PolicyTable
from pipeline.records import US, Entity, Kind, Signal
from pipeline.scoring.alerts import THRESHOLD, AlertTypes
from pipeline.scoring.episodes import COLD
from pipeline.scoring.scorer import Scorer
from pipeline.signals.identity import made_signal, partition_of
from tests.scoring.story import CLOCK, Story, T, policy

SHIPPED = DetectorPolicy()
MINUTES = 1440


def counted(type_: str, workload: str, scope: str = "prod") -> Signal:
    entity = Entity(scope, f"service:{workload}", "")
    return made_signal("events", "{event}/s", Kind.COUNT, entity, (("event.type", type_),))


SLOW, SLOW_TOO, DOWN = (
    counted("alert.Slow", "cart"),
    counted("alert.Slow", "shop"),
    counted("alert.Down", "cart"),
)
DAILY, BACKUP = counted("alert.Daily", "cart"), counted("backup.failed", "cart")
A_MINUTE = 1 / 60


def told(*windows: dict[int, float], policies: DetectorPolicy | PolicyTable = SHIPPED) -> Story:
    """A day of minutes with an alert each, then these."""
    story = Story(policies, SLOW, SLOW_TOO, DOWN, DAILY, BACKUP, CLOCK, seconds=60)
    for minute in range(MINUTES):
        story.window({CLOCK.id: 1.0, SLOW.id: A_MINUTE} | ({DAILY.id: A_MINUTE} if minute == 0 else {}))
    for window in windows:
        story.window({CLOCK.id: 1.0, **window})
    return story


def test_a_type_that_was_never_seen_opens_an_anomaly_with_its_first_window() -> None:
    story = told({DOWN.id: A_MINUTE})
    (anomaly,) = story.anomalies
    assert (anomaly.signal, anomaly.transition, anomaly.detector) == (DOWN, "opened", "rarity/1")
    assert anomaly.why == "alerts of this type were never seen before"
    assert anomaly.surprise == pytest.approx(2.94, abs=0.01)
    assert anomaly.threshold == THRESHOLD


def test_a_type_that_always_comes_is_no_surprise_for_another_workload_either() -> None:
    story = told({SLOW_TOO.id: A_MINUTE, SLOW.id: 0.0})
    assert story.anomalies == []
    assert story.newest(SLOW_TOO)["surprise"] == pytest.approx(0.0, abs=1e-3)


def test_alerts_of_a_type_count_together_over_workloads() -> None:
    story = told({SLOW.id: 3 * A_MINUTE, SLOW_TOO.id: 5 * A_MINUTE})
    assert {anomaly.signal for anomaly in story.anomalies} == {SLOW, SLOW_TOO}
    assert len({anomaly.surprise for anomaly in story.anomalies}) == 1
    assert story.anomalies[0].why.startswith("as many alerts of this type come in one minute of 2,")


def test_an_anomaly_of_alerts_ends_when_none_come_and_needs_no_rest() -> None:
    quiet = {DAILY.id: 0.0}
    story = told({DAILY.id: A_MINUTE}, quiet, quiet, quiet, {DAILY.id: A_MINUTE})
    assert story.transitions() == ["opened", "ended", "opened"]


def test_other_events_are_judged_like_other_counts() -> None:
    story = told(*({BACKUP.id: A_MINUTE},) * 3)
    assert story.anomalies == []


def test_the_part_can_be_turned_off() -> None:
    off = PolicyTable(SHIPPED, (policy("off", "name=events", parts_off=["rarity"]),))
    assert told({DOWN.id: A_MINUTE}, policies=off).anomalies == []


def test_a_threshold_of_a_policy_takes_the_place_of_the_shipped_one() -> None:
    strict = PolicyTable(SHIPPED, (policy("strict", "name=events", threshold_surprise=3.5),))
    assert told({DOWN.id: A_MINUTE}, policies=strict).anomalies == []


def test_alerts_teach_nothing_about_the_fleet() -> None:
    story = told({DOWN.id: A_MINUTE})
    without = Story(SHIPPED, CLOCK, seconds=60).tell(*(1.0,) * (MINUTES + 1))
    (row,), (other,) = (each.scorer.catalogue.rows(np.array([CLOCK.id], np.uint64)) for each in (story, without))
    rules = [each.scorer.rules_of(np.array([at])) for each, at in ((story, row), (without, other))]
    assert rules[0].threshold[0] == rules[1].threshold[0]


def test_the_first_minutes_are_said_to_be_too_few() -> None:
    story = Story(SHIPPED, DOWN, CLOCK, seconds=60).window({DOWN.id: A_MINUTE, CLOCK.id: 1.0})
    assert (story.blocks[-1].verdict & COLD).all()


def test_a_restored_scorer_goes_on_as_if_nothing_had_happened() -> None:
    story = told({DOWN.id: A_MINUTE})
    restored = Scorer(SHIPPED, extra={})
    restored.load(story.scorer.catalogue.signals)
    for name, arrays in story.scorer.table.changed(everything=True):
        restored.table.load(name, {key: array.copy() for key, array in arrays.items()})
    restored.restored({name: array.copy() for name, array in story.scorer.pools.dump().items()})
    again = Story(SHIPPED, seconds=60)
    again.scorer, again.end_us = restored, story.end_us
    for window in ({DOWN.id: A_MINUTE}, {DAILY.id: 64 * A_MINUTE, SLOW.id: A_MINUTE}):
        story.window(window)
        again.window(window)
        np.testing.assert_array_equal(again.blocks[-1].surprise, story.blocks[-1].surprise)


def test_a_type_is_forgotten_with_the_last_signal_that_counts_it() -> None:
    types = AlertTypes()
    others = (replace(SLOW, scope="test", id=77), DOWN, SLOW, SLOW_TOO)
    for row, signal in enumerate(others):
        types.join(row, signal)
    rows = np.arange(4)
    types.step(T, rows, np.ones(4), 60 * US)
    types.leave(np.array([0, 2]))
    assert {name: len(array) for name, array in types.dump().items() if name in ("types", "scopes")} == {
        "types": 2,
        "scopes": 1,
    }
    types.leave(np.array([1, 3]))
    assert types.dump()["types"].size == types.dump()["scopes"].size == 0


def test_counts_of_a_scopes_alerts_are_in_one_partition_and_others_with_their_workload() -> None:
    alerts = [counted(f"alert.{number}", f"s{number}") for number in range(50)]
    others = [counted(f"k8s.{number}", f"s{number}") for number in range(50)]
    assert len({partition_of(signal, 16) for signal in alerts}) == 1
    assert len({partition_of(signal, 16) for signal in others}) > 8
