"""Siblings inherit, entities are judged together; and it does not matter when a signal was described."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies import DetectorPolicy, PolicyTable
from pipeline.records import Anomaly, Kind, Signal
from pipeline.scoring.relatives import Relatives, donor
from tests.scoring.story import CLOCK, SIGNAL, Story, policy

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
        replace(NEW, workload="service:other"),
        replace(NEW, scope="staging"),
        replace(NEW, attributes=(("disk", "a"),)),
    ],
)
def test_a_signal_that_is_no_sibling_begins_with_nothing(stranger: Signal) -> None:
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


def test_the_one_with_the_longest_history_is_inherited_from_and_of_equals_the_newest() -> None:
    seen = np.array([50, 200, 300, 300, 99])
    assert donor([0, 1, 2, 3, 4], seen, 100) == 3
    assert donor([3, 2], seen, 100) == 2
    assert donor([0, 4], seen, 100) is None
    assert donor([], seen, 100) is None


def test_only_the_newest_instances_are_looked_at() -> None:
    relatives = Relatives()
    for row in range(20):
        siblings = relatives.add(row, replace(NEW, id=row, instance=f"pod-{row}"))
    assert siblings == list(range(11, 19))


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
