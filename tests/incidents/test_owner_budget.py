"""What an owner's budget lets start, as timelines in days."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.incidents.owner_budget import WEEK_US, OwnerBudget
from pipeline.records import US, Anomaly
from tests.incidents.test_grouping import Story, anomaly

DAY = WEEK_US // 7


def asked(budget: float, *days: float, owner: str = "pay") -> list[bool]:
    bucket = OwnerBudget()
    return [bucket.take("prod", owner, budget, round(day * DAY)) for day in days]


@pytest.mark.parametrize(
    ("budget", "days", "may"),
    [
        (2, [0, 0, 0], [True, True, False]),
        (2, [0, 0, 3.4, 3.5, 3.6], [True, True, False, True, False]),
        (1, [0, 6.9, 7.0, 7.1, 14.0], [True, False, True, False, True]),
        (0.5, [0, 7.1, 13.9, 14.0], [True, False, False, True]),  # one may always come first
        (0.01, [0, 1, 600, 700], [True, False, False, True]),
    ],
)
def test_so_many_may_start_a_week(budget: float, days: list[float], may: list[bool]) -> None:
    assert asked(budget, *days) == may


def test_owners_and_scopes_have_budgets_of_their_own() -> None:
    bucket = OwnerBudget()
    places = [("prod", "pay"), ("prod", "shop"), ("staging", "pay")]
    assert [bucket.take(*place, 1, 0) for place in places] == [True, True, True]
    assert [bucket.take(*place, 1, DAY) for place in places] == [False, False, False]


def test_another_budget_counts_at_once() -> None:
    bucket = OwnerBudget()
    assert [bucket.take("prod", "pay", 1, 0), bucket.take("prod", "pay", 1, 0)] == [True, False]
    assert [bucket.take("prod", "pay", 3, 0) for _ in range(3)] == [True, True, False]
    assert not bucket.take("prod", "pay", 1, 2 * DAY)


ASKED = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.5, 1.0, 3.0]), st.integers(0, 3 * DAY)))


@given(ASKED, st.integers(0, 20))
def test_a_restart_changes_nothing(steps: list[tuple[str, float, int]], cut: int) -> None:
    one, other = OwnerBudget(), OwnerBudget()
    now = 0
    for number, (owner, budget, later) in enumerate(steps):
        now += later
        assert one.take("prod", owner, budget, now) == other.take("prod", owner, budget, now)
        if number == cut:
            other = OwnerBudget(other.dump(now))


@given(st.lists(st.integers(0, 3 * DAY), max_size=60), st.sampled_from([0.5, 2.0, 5.0]))
def test_no_stretch_of_time_has_more_than_the_burst_and_the_rate(gaps: list[int], budget: float) -> None:
    bucket, now, started = OwnerBudget(), 0, []
    for gap in gaps:
        now += gap
        if bucket.take("prod", "pay", budget, now):
            started.append(now)
    for i, first in enumerate(started):
        for j, last in enumerate(started[i:], 1):
            assert j <= max(1.0, budget) + budget * (last - first) / WEEK_US + 1e-6


def test_a_bucket_that_has_run_out_is_forgotten() -> None:
    bucket = OwnerBudget()
    bucket.take("prod", "pay", 1, 0)
    assert len(bucket.dump(6 * DAY)) == 1
    assert bucket.dump(8 * DAY) == []


# In the grouping: who starts an incident, and who only joins one.


def owned(signal: int, at: float, surprise: float = 5.0, budget: float | None = 1.0, **changes: object) -> Anomaly:
    return anomaly(signal, at - 20, at, surprise=surprise, owner="pay", owner_budget=budget, **changes)  # type: ignore[arg-type]


def held_back(story: Story) -> list[tuple[str, int, str]]:
    """Anomaly, revision and reason of what was told to start no incident."""
    return [(each.anomaly.id, each.anomaly.revision, each.reason) for each in story.grouping.suppressed]


def test_above_the_budget_every_transition_of_an_anomaly_is_told_to_start_nothing() -> None:
    story = Story()
    assert [told.id for told in story.at(120, owned(1, 120))] == ["inc-a1-100"]
    assert story.at(1000, owned(2, 1000)) == []
    grown = replace(owned(2, 1000), transition="updated", revision=2, step_us=1010 * US)
    assert story.at(1010, grown) == []
    assert story.at(1020, replace(grown, transition="ended", revision=3, end_us=1010 * US)) == []
    assert held_back(story) == [("a2-980", 1, "owner_budget"), ("a2-980", 2, "owner_budget")]


def test_a_suppression_says_how_much_of_the_budget_was_spent() -> None:
    story, later = Story(), WEEK_US / US / 4
    for number, at in enumerate((0.0, 1000.0, later)):
        story.at(at, owned(number, at, budget=2.0))
    (told,) = story.grouping.suppressed
    assert (told.step_us, told.anomaly.owner, told.anomaly.owner_budget) == (later * US, "pay", 2.0)
    assert told.used == pytest.approx(1.5, abs=0.01)


def test_what_is_held_back_may_join_an_open_incident() -> None:
    story = Story()
    story.at(120, owned(1, 120))
    (told,) = story.at(150, owned(2, 150))
    assert (told.transition, told.members) == ("updated", ("a1-100", "a2-130"))
    assert held_back(story) == []


def test_joining_spends_nothing() -> None:
    story = Story()
    story.at(120, anomaly(9, 100, 120))
    assert [told.transition for told in story.at(130, owned(1, 130))] == ["updated"]
    assert [told.transition for told in story.at(1000, owned(2, 1000))] == ["opened"]


def test_the_most_surprising_of_a_step_goes_first() -> None:
    story = Story()
    step = [owned(1, 120, 5.0, scope="a"), owned(2, 120, 9.0, scope="a"), owned(3, 120, 7.0, scope="b")]
    assert sorted(told.id for told in story.at(120, *step)) == ["inc-a2-100", "inc-a3-100"]
    far_apart = [owned(4, 1000, 5.0, scope="a"), anomaly(5, 900, 1000, scope="a")]
    (told,) = story.at(1000, *far_apart)
    assert told.members == ("a5-900",)
    assert held_back(story) == [("a4-980", 1, "owner_budget")]


def test_one_without_a_budget_lets_the_others_of_its_step_join() -> None:
    story = Story()
    story.at(120, owned(1, 120))
    (told,) = story.at(1000, owned(2, 1000, surprise=99.0), anomaly(3, 980, 1000))
    assert set(told.members) == {"a2-980", "a3-980"}
    assert held_back(story) == []


def test_one_that_was_filtered_out_joins_but_starts_nothing() -> None:
    story = Story()
    false = anomaly(1, 100, 120, discovered=False)
    assert story.at(120, false) == []
    assert held_back(story) == [("a1-100", 1, "false_discovery")]
    story.at(130, anomaly(2, 110, 130))
    (told,) = story.at(140, anomaly(3, 120, 140, discovered=False))
    assert told.members == ("a2-110", "a3-120")
    assert held_back(story) == [("a1-100", 1, "false_discovery")]
