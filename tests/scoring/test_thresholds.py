"""One knob: the surprise at which a window of a row is unlikely follows from a budget, the windows' length and the
fleet's own peaks, or is fixed."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies import DetectorPolicy, PolicyTable
from pipeline.scoring.row_policies import budget_of
from tests.scoring.story import SIGNAL, Story, policy


@pytest.mark.parametrize(
    ("seconds", "share"), [(1, 1), (10, 1), (30, 1), (60, 1), (120, 2), (300, 5), (480, 8), (3600, 8)]
)
def test_a_budget_is_stated_for_windows_of_a_minute_and_grows_with_their_length_within_bounds(
    seconds: int, share: float
) -> None:
    assert budget_of(0.5, seconds) == 0.5 * share
    assert budget_of(4.0, seconds) == 4.0 * share


def thresholds(seconds: int = 60, **budgets: float) -> list[float]:
    """Of signals with these budgets."""
    signals = [replace(SIGNAL, id=key, name=name, workload=name) for key, name in enumerate(budgets, 1)]
    policies = tuple(policy(name, f"name={name}", alert_budget=budget) for name, budget in budgets.items())
    story = Story(PolicyTable(DetectorPolicy(), policies), *signals, seconds=seconds).tell(1.0)
    return [story.threshold(signal) for signal in signals]


def test_a_smaller_budget_is_a_higher_threshold() -> None:
    small, usual, large = thresholds(small=0.05, usual=0.5, large=5.0)
    assert small > usual + 0.5
    assert usual > large + 0.5


def test_the_budget_of_a_signal_without_a_policy_is_the_shipped_one() -> None:
    (usual,) = thresholds(usual=DetectorPolicy().alert_budget)
    assert Story(DetectorPolicy(), seconds=60).tell(1.0).threshold() == usual


def test_longer_windows_have_lower_thresholds_as_a_week_has_fewer_of_them() -> None:
    found = [thresholds(seconds, usual=0.5)[0] for seconds in (10, 60, 300, 3600)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4


def test_rows_with_windows_of_different_lengths_have_thresholds_of_their_own() -> None:
    story = Story(DetectorPolicy(), SIGNAL, seconds=10)
    slow = replace(SIGNAL, id=12, name="slow")
    story.scorer.add(slow, 300_000_000)
    story.tell(1.0)
    assert (
        story.threshold(slow) == thresholds(300, usual=0.5)[0] < story.threshold(SIGNAL) == thresholds(10, usual=0.5)[0]
    )


def test_a_fixed_threshold_takes_the_place_of_the_budget_and_a_budget_takes_it_away() -> None:
    base = DetectorPolicy(threshold_surprise=3.25)
    table = PolicyTable(base, (policy("budget", "name=budget", alert_budget=0.5),))
    story = Story(table, SIGNAL, replace(SIGNAL, id=12, name="budget")).tell(1.0)
    assert story.threshold() == 3.25
    assert story.threshold(replace(SIGNAL, id=12)) == thresholds(10, usual=0.5)[0]


def test_new_policies_are_new_thresholds_at_once() -> None:
    story = Story(DetectorPolicy(), seconds=60).tell(1.0)
    story.scorer.apply(PolicyTable(DetectorPolicy(alert_budget=5.0)))
    assert story.threshold() == thresholds(usual=5.0)[0]


def noisy(spread: float, seed: int, windows: int = 700) -> Story:
    """A fleet of 30 signals with bursts of this size now and then."""
    rng = np.random.default_rng(seed)
    signals = [replace(SIGNAL, id=key, workload=f"service:{key}") for key in range(1, 31)]
    story = Story(DetectorPolicy(), *signals, seconds=60)
    for _ in range(windows):
        burst = np.where(rng.random(30) < 0.01, spread, 1.0)
        story.window(dict(zip((signal.id for signal in signals), rng.standard_normal(30) * burst, strict=True)))
    return story


def test_a_fleet_that_surprises_often_has_higher_thresholds_than_a_calm_one() -> None:
    calm, restless = noisy(1.0, 1), noisy(30.0, 1)
    before = thresholds(usual=0.5)[0]
    assert restless.threshold() > calm.threshold()
    assert calm.threshold() < before + 0.3


def test_an_outage_of_half_the_fleet_does_not_raise_its_own_threshold() -> None:
    story = noisy(1.0, 1)
    twin = noisy(1.0, 1)
    for _ in range(64):
        story.window({key: 1e4 if key <= 15 else 0.0 for key in range(1, 31)})
        twin.window(dict.fromkeys(range(1, 31), 0.0))
    assert any(found.transition == "opened" for found in story.anomalies)
    assert story.threshold() <= twin.threshold() + 0.05
