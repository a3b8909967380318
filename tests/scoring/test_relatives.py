"""Siblings inherit, entities are judged together; and it does not matter when a signal was described."""

from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors.layout import ALIGN, CORE, SLOW
from pipeline.policies import DetectorPolicy, PolicyTable
from pipeline.records import Anomaly, Kind, Signal
from pipeline.scoring.relatives import Donors, Relatives
from tests.scoring.story import CLOCK, SIGNAL, USUAL, Story, policy

FIXED = DetectorPolicy(threshold_surprise=3.0)
OLD, NEW = (replace(SIGNAL, id=key, instance=f"pod-{key}") for key in (21, 22))


def noise(seed: int, windows: int, level: float = 100.0) -> list[float]:
    return (level + np.random.default_rng(seed).standard_normal(windows)).tolist()


# Siblings


def grown(*others: Signal, windows: int = 400) -> Story:
    """A pod that was watched for long, and the clock."""
    story = Story(FIXED, OLD, CLOCK, *others)
    for value in noise(1, windows):
        story.window({OLD.id: value, CLOCK.id: 1.0})
    return story


def started(story: Story, signal: Signal, *values: float) -> list[Anomaly]:
    """What is said of a signal that begins to send."""
    story.add(signal)
    for value in values:
        story.window({signal.id: value, CLOCK.id: 1.0})
    return [found for found in story.anomalies if found.signal == signal]


def test_a_new_pod_of_a_known_workload_is_judged_after_five_windows() -> None:
    assert started(grown(), NEW, *noise(2, 5), 1000.0)


def test_it_is_fitted_to_the_pods_own_level_first() -> None:
    assert started(grown(), NEW, *noise(2, 30, level=300.0)) == []
    story = grown()
    started(story, NEW, *noise(2, 6, level=300.0))
    assert story.newest(NEW)["expected"] == pytest.approx(300, abs=3)


@pytest.mark.parametrize(
    "stranger",
    [
        replace(NEW, name="errors"),
        replace(NEW, scope="staging"),
        replace(NEW, workload="service:other", unit="s"),
        replace(NEW, workload="service:other", kind=Kind.COUNTER),
        replace(NEW, workload="service:other", attributes=(("disk", "a"),)),
        replace(NEW, attributes=(("disk", "a"),)),
    ],
)
def test_a_signal_that_nothing_is_like_begins_with_nothing(stranger: Signal) -> None:
    assert started(grown(), stranger, *noise(2, 5), 1000.0) == []


def test_a_sibling_with_little_history_hands_nothing_on() -> None:
    assert started(grown(windows=60), NEW, *noise(2, 5), 1000.0) == []


def test_an_heir_takes_nothing_from_the_one_it_inherits_from() -> None:
    alone, beside = grown(), grown()
    started(beside, NEW, *noise(2, 40))
    for _ in range(40):
        alone.window({CLOCK.id: 1.0})
    for value in noise(5, 20):
        alone.window({OLD.id: value, CLOCK.id: 1.0})
        beside.window({OLD.id: value, CLOCK.id: 1.0})
    assert beside.newest(OLD)["expected"] == alone.newest(OLD)["expected"]


def state(seen: list[int], aligning: tuple[int, ...] = (), levels: tuple[float, ...] = ()) -> dict[str, Any]:
    core = np.zeros((len(seen), CORE))
    core[list(aligning), ALIGN] = 3.0
    core[: len(levels), SLOW] = levels
    return {"seen": np.array(seen), "core": core}


def test_the_one_with_the_longest_history_is_the_first_and_of_equals_the_newest() -> None:
    detector = state([50, 200, 300, 300, 99, 500, 0], aligning=(5,))
    assert Donors(detector, detector["seen"]).siblings(array("q", [0, 1, 2, 3, 4, 5, 6])) == [3, 2, 1]
    assert Donors(detector, detector["seen"]).siblings(array("q", [3, 2, 6])) == [2, 3]
    assert Donors(detector, detector["seen"]).siblings(array("q", [0, 4, 6])) == []
    assert Donors(detector, detector["seen"]).siblings(array("q", [6])) == []


def test_only_the_newest_that_know_enough_are_looked_at() -> None:
    relatives = Relatives()
    for row in range(20):
        kin = relatives.add(row, replace(NEW, id=row, instance=f"pod-{row}"))
    detector = state([200] * 15 + [10] * 5)
    assert Donors(detector, detector["seen"]).siblings(kin.siblings) == list(range(14, 6, -1))


def test_of_strangers_the_one_with_the_nearest_level_is_asked_and_only_if_its_history_is_its_own() -> None:
    detector = state([200] * 4 + [0], levels=(1.0, 5.0, 9.0, 7.0))
    own = np.array([200, 200, 200, 20, 0])
    rows = array("q", range(5))
    assert [Donors(detector, own).stranger(rows, value) for value in (-3.0, 4.0, 7.0, 100.0)] == [0, 1, 2, 2]
    assert Donors(detector, own).stranger(rows, float("nan")) == 2
    assert Donors(detector, np.zeros(5, np.int64)).stranger(rows, 1.0) is None
    assert Donors(detector, own).any
    assert not Donors(state([99] * 5), own).any


# Strangers


STRANGE = replace(NEW, workload="service:other")


def test_a_pod_of_an_unknown_workload_is_judged_after_five_windows_too() -> None:
    assert started(grown(), STRANGE, *noise(2, 5), 1000.0)
    assert started(grown(), STRANGE, *noise(2, 5, level=300.0), 3000.0)


def test_it_says_nothing_of_another_level_and_its_band_is_wider_where_scales_differ() -> None:
    story, sibling, other = grown(), grown(), grown()
    assert started(story, STRANGE, *noise(2, 60)) == []
    assert started(sibling, NEW, *noise(2, 60)) == []
    assert started(other, STRANGE, *(40.0 * value for value in noise(2, 60))) == []
    widths = []
    for story, signal in ((grown(), NEW), (grown(), STRANGE), (grown(), replace(STRANGE, id=23))):
        factor = 40.0 if signal.id == 23 else 1.0
        started(story, signal, *(factor * value for value in noise(2, 8)))
        found = story.newest(signal)
        widths.append(found["upper"] - found["lower"])
    assert widths[0] < widths[1] < widths[2] / 5


def test_constants_of_many_levels_alarm_nobody() -> None:
    fleet = [replace(SIGNAL, id=100 + i, workload=f"service:{i}", instance="0") for i in range(12)]
    story = Story(FIXED, CLOCK)
    for number, signal in enumerate(fleet):
        story.add(signal)
        for _ in range(120 if number < 3 else 60):
            levels = {each.id: 10.0**i for i, each in enumerate(fleet[: number + 1])}
            story.window({**levels, CLOCK.id: 1.0})
    assert story.anomalies == []


def test_workloads_without_a_history_of_their_own_do_not_hand_on_what_they_inherited() -> None:
    story = grown()
    started(story, STRANGE, *noise(2, 40))
    seen, own = story.scorer.table.groups["detector"]["seen"], story.scorer.table.groups["counts"]["seen"]
    row = story.scorer.catalogue.rows(np.array([STRANGE.id], np.uint64))[0]
    assert seen[row] >= 100
    assert own[row] == 40
    donors = Donors(story.scorer.table.groups["detector"], own)
    assert donors.stranger(array("q", [row, row]), 100.0) is None


def test_an_anomaly_of_a_young_heir_says_how_little_of_it_was_seen() -> None:
    (found,) = [each for each in started(grown(), NEW, *noise(2, 5), 1000.0) if each.transition == "opened"]
    assert found.why.endswith("; seen for 6 windows only, so judged by others like it")
    (found, *_) = Story(FIXED).tell(*USUAL, 1000.0).anomalies
    assert "others" not in found.why


def restarted(story: Story) -> Story:
    """The same, from what a checkpoint would hold."""
    again = Story(FIXED, *story.scorer.catalogue.signals)
    again.end_us = story.end_us
    for name, arrays in story.scorer.table.changed(everything=True):
        again.scorer.table.load(name, {key: values.copy() for key, values in arrays.items()})
    again.scorer.restored(story.scorer.pools.dump())
    return again


@pytest.mark.parametrize("stop", [398, 402, 420])
def test_a_restart_before_in_or_after_the_fitting_changes_nothing_for_heirs(stop: int) -> None:
    """Heirs of siblings, of strangers, and those that come after the restart and inherit from them."""
    known = [OLD, CLOCK, replace(OLD, id=40, workload="service:b"), replace(STRANGE, id=31), replace(NEW, id=32)]
    late = [replace(STRANGE, id=33, instance="2"), replace(OLD, id=34, workload="service:c"), replace(NEW, id=35)]
    begins = {each.id: 400 if each in known[3:] else 0 for each in known} | dict.fromkeys(
        (each.id for each in late), 440
    )
    straight = Story(FIXED, *known, *late)
    broken = straight
    for window in range(500):
        dice = np.random.default_rng(window)
        values = {i: 100 + dice.standard_normal() + 900 * (window in (430, 470)) for i in sorted(begins)}
        now = {i: value for i, value in values.items() if window >= begins[i]}
        if window == stop:
            broken = restarted(straight)
            said = len(straight.anomalies)
        straight.window(now)
        if broken is not straight:
            broken.window(now)
            for name in ("ids", "expected", "lower", "upper", "surprise", "anomalous"):
                ours, theirs = (getattr(story.blocks[-1], name) for story in (straight, broken))
                np.testing.assert_array_equal(ours, theirs)
    assert broken.anomalies == straight.anomalies[said:]
    assert {31, 32, 34, 35} <= {found.signal.id for found in broken.anomalies}


# Entities


def members(number: int, **fields: str) -> list[Signal]:
    return [replace(SIGNAL, id=100 + i, name=f"m{i}", **fields) for i in range(number)]  # type: ignore[arg-type]


def moving_together(signals: list[Signal], windows: int, *, apart: bool = False) -> Iterator[dict[int, float]]:
    """All follow one course; then one of them goes its own way, within its own range."""
    course = np.random.default_rng(7).standard_normal((windows, 2))
    for both in course.tolist():
        yield {one.id: 100 + 10 * both[apart and one is signals[0]] + 0.1 * i for i, one in enumerate(signals)}


def test_an_entity_with_three_signals_has_a_row_of_its_own() -> None:
    for number, rows in ((2, 2), (3, 4), (5, 6)):
        assert Story(FIXED, *members(number)).tell(1.0).blocks[-1].ids.size == rows


def test_signals_of_different_entities_are_not_judged_together() -> None:
    pods = [replace(one, instance=f"pod-{one.id}") for one in members(4)]
    assert Story(FIXED, *pods).tell(1.0).blocks[-1].ids.size == 4


def test_histograms_are_judged_by_what_is_derived_from_them() -> None:
    kinds = [replace(one, kind=Kind.HISTOGRAM) for one in members(3)]
    assert Story(FIXED, *kinds).tell(1.0).blocks[-1].ids.size == 3


def together(policies: DetectorPolicy | PolicyTable, windows: int = 600) -> Story:
    story = Story(policies, *members(4))
    for values in moving_together(story.signals, windows):
        story.window(values)
    return story


def test_signals_that_no_longer_move_together_are_an_anomaly_of_their_entity() -> None:
    story = together(DetectorPolicy(threshold_surprise=2.5, min_absolute=1e9))
    assert "calm.entity" not in {found.signal.name for found in story.anomalies}
    for values in moving_together(story.signals, 30, apart=True):
        story.window(values)
    found, *_ = [found for found in story.anomalies if found.signal.name == "calm.entity"]
    assert found.transition == "opened"
    assert (found.signal.workload, found.signal.instance, found.signal.scope) == ("service:s", "", "prod")
    assert found.why == "the signals of this entity together are far from how they usually are"
    assert found.value > found.upper > found.expected > 0


def test_the_joint_row_is_judged_by_the_policies_that_match_it_but_has_no_hard_range_and_no_direction() -> None:
    base = DetectorPolicy(threshold_surprise=2.5, direction="down", hard_upper=500.0, min_absolute=1e9)
    table = PolicyTable(base, (policy("shares", "unit=1", hard_upper=0.0),))
    story = together(table)
    assert story.anomalies == []
    for values in moving_together(story.signals, 30, apart=True):
        story.window(values)
    assert "calm.entity" in {found.signal.name for found in story.anomalies}
    assert all(found.policy.startswith("shares@") for found in story.anomalies if found.signal.name == "calm.entity")


def test_judging_together_can_be_turned_off_by_policy() -> None:
    off = PolicyTable(FIXED, (policy("off", "name=calm.entity", parts_off=["together"]),))
    assert Story(off, *members(4)).tell(1.0).blocks[-1].ids.size == 4


def test_the_joint_row_has_the_same_id_whoever_comes_first() -> None:
    rows = members(3)
    ids = [set(Story(FIXED, *order).tell(1.0).blocks[-1].ids.tolist()) for order in (rows, rows[::-1])]
    assert ids[0] == ids[1]
    other = [replace(one, scope="staging") for one in rows]
    assert ids[0] != set(Story(FIXED, *other).tell(1.0).blocks[-1].ids.tolist())


# When a signal was described


def test_it_does_not_matter_when_and_in_what_order_signals_were_described() -> None:
    early, late = Story(FIXED, *members(5), OLD, NEW, CLOCK), Story(FIXED, CLOCK)
    for story, given in ((early, None), (late, [*reversed(members(5)), NEW, OLD])):
        for number, values in enumerate(moving_together(members(5), 300)):
            if number == 3 and given is not None:
                for signal in given:
                    story.add(signal)
            values = values | {OLD.id: values[100]} if number >= 10 else values
            values = values | {NEW.id: values[101]} if number >= 150 else values
            story.window({CLOCK.id: 1.0} | (values if number >= 5 else {}))
    for ours, theirs in zip(early.blocks, late.blocks, strict=True):
        for name in ("ids", "value", "expected", "lower", "upper", "surprise", "anomalous"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert early.anomalies == late.anomalies
