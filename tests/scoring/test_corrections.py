"""What is kept of anomalies for late data: when they would not have opened, and how much is kept at most."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.policies import DetectorPolicy
from pipeline.records import US, Anomaly
from pipeline.scoring import corrections, episodes
from pipeline.scoring.corrections import Corrections, Episode, Judged, Made, Silence
from tests.incidents.test_grouping import anomaly
from tests.scoring.story import USUAL, Story

NO_POINTS = Made(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
HORIZON = 600


def window(number: int, value: float = 9.0, low: float = 4.0, high: float = 6.0, points: int = 1) -> Judged:
    """The window of 10 s before so many times 10 s."""
    made = Made(np.arange(points), np.full(points, value), np.zeros(points, np.int64))
    return Judged(number * 10 * US, (number - 1) * 10 * US, number, 5.0, value, low, high, made, value)


def episode(*windows: Judged, opens: int = 1, of: int = 1) -> Episode:
    return Episode(0, {each.end_us: each for each in windows}, None, opens, of)


def silence(opened: float, onset: float = 100, ended: float | None = None) -> Silence:
    told = anomaly(1, onset, opened, silent=True)
    if ended is not None:
        told = replace(told, transition="ended", end_us=round(ended * US), step_us=round((ended + 10) * US))
    return Silence(0, told, round((opened - onset) * US))


# -- an episode --------------------------------------------------------------------------------------------------------


def test_an_episode_stands_while_a_window_is_outside_of_its_range() -> None:
    two = episode(window(1), window(2))
    assert two.stands(0)
    two.windows[10 * US].now = 5.0
    assert two.stands(0)
    two.windows[20 * US].now = 5.0
    assert not two.stands(0)


@pytest.mark.parametrize(("of", "stands"), [(2, False), (3, True)])
def test_where_several_windows_are_needed_so_many_must_be_near_each_other(of: int, stands: bool) -> None:
    three = episode(window(1), window(2, value=5.0), window(3), opens=2, of=of)
    assert three.stands(0) is stands


def test_a_window_is_as_usual_within_the_range_of_the_first_one_too_for_its_own_followed_what_was_wrong() -> None:
    first, second = window(1, value=1.0), window(2, value=1.0, low=1.5, high=3.0)
    first.now = second.now = 5.0
    assert not episode(first, second).stands(0)
    second.now = 3.5
    assert episode(first, second).stands(0)


def test_where_the_value_was_not_what_was_odd_no_value_is_as_usual() -> None:
    odd = window(1, low=np.nan, high=np.nan)
    odd.now = 5.0
    assert episode(odd).stands(0)


def test_a_point_of_a_time_that_is_there_already_changes_nothing() -> None:
    made = Made(np.array([1, 5]), np.array([1.0, 5.0]), np.array([0, 0]), (0.5, 1, 0))
    assert made.with_point(5, 9.0, 0) is None
    more = made.with_point(3, 3.0, 2)
    assert more is not None
    assert [column.tolist() for column in (more.time_us, more.value, more.start_us)] == [
        [1, 3, 5],
        [1, 3, 5],
        [0, 2, 0],
    ]
    assert more.before == made.before


# -- a silence ---------------------------------------------------------------------------------------------------------


def test_a_silence_stands_while_a_gap_is_left_as_long_as_it_opened_with() -> None:
    found = silence(opened=130, ended=200)
    assert found.stands(0)
    found.hear(120 * US, 130 * US)
    assert found.longest_us(0) == 70 * US
    found.hear(160 * US, 170 * US)
    assert found.stands(0)  # 130 … 160, 170 … 200
    found.hear(140 * US, 150 * US)
    found.hear(180 * US, 190 * US)
    assert not found.stands(0)


def test_one_that_goes_on_is_looked_at_as_it_is_now() -> None:
    found = silence(opened=130)
    found.hear(110 * US, 120 * US)
    assert not found.stands(140 * US)
    assert found.stands(150 * US)


def test_what_came_before_it_or_after_it_says_nothing_and_the_same_twice_is_counted_once_as_news() -> None:
    found = silence(opened=130, ended=200)
    assert not found.hear(90 * US, 100 * US)
    assert not found.hear(200 * US, 210 * US)
    assert (found.heard, found.late) == ([], 0)
    assert found.hear(110 * US, 120 * US)
    assert not found.hear(110 * US, 120 * US)
    assert (found.heard, found.late) == ([(110 * US, 120 * US)], 2)


@given(st.lists(st.integers(10, 30), max_size=40))
def test_the_longest_gap_is_that_of_a_plain_count(windows: list[int]) -> None:
    found = silence(opened=130, ended=300)
    for number in windows:
        found.hear(number * 10 * US, (number + 1) * 10 * US)
    empty = [number for number in range(10, 30) if number not in windows]
    runs = "".join("x" if number in empty else " " for number in range(10, 30)).split()
    assert found.longest_us(0) == 10 * US * max(map(len, runs), default=0)
    assert all(end < start for (_, end), (start, _) in pairwise(found.heard))


# -- what is kept ------------------------------------------------------------------------------------------------------


def kept_with(*windows: Judged) -> Corrections:
    kept = Corrections(HORIZON * US)
    kept.begin(0)
    for each in windows:
        kept.add(0, each)
    return kept


def opened(at: float = 20) -> Anomaly:
    return anomaly(1, 0, at)


def test_an_anomaly_is_kept_while_it_goes_on_and_for_the_horizon_after_its_end() -> None:
    kept = kept_with(window(1), window(2))
    kept.told(0, opened(), 1, 3)
    kept.pass_time(10_000 * US)
    assert len(kept) == 1
    kept.told(0, replace(opened(50), transition="ended", revision=2), 1, 3)
    assert (list(kept.current), list(kept.over)) == ([], ["a1-0"])
    kept.pass_time((50 + HORIZON) * US)
    assert len(kept) == 1
    kept.pass_time((50 + HORIZON) * US + 1)
    assert len(kept) == 0


def test_a_run_that_came_to_nothing_is_not_kept() -> None:
    kept = kept_with(window(1))
    assert kept.runs() == [0]
    kept.pass_over([0])
    assert len(kept) == 0


def test_windows_without_the_first_one_are_not_kept() -> None:
    kept = Corrections(HORIZON * US)
    kept.add(0, window(2))
    kept.told(0, opened(), 1, 1)
    assert len(kept) == 0


@pytest.mark.parametrize(
    "windows",
    [
        [window(number) for number in range(1, corrections.MOST_WINDOWS + 2)],
        [window(1, points=corrections.MOST_POINTS + 1)],
    ],
    ids=["windows", "points"],
)
def test_an_anomaly_of_too_much_is_not_kept_and_that_is_counted(windows: list[Judged]) -> None:
    kept = kept_with(*windows)
    assert (len(kept), kept.left_out) == (0, 1)
    kept.add(0, window(99))
    assert len(kept) == 0


def test_of_a_shard_only_so_much_is_kept_and_what_ended_first_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "MOST_KEPT", 60)
    kept = Corrections(HORIZON * US)
    for row in range(3):
        kept.begin(row)
        kept.add(row, window(1))
        kept.told(row, anomaly(row, 0, 20), 1, 1)
    for row in (1, 0):
        kept.told(row, anomaly(row, 0, 50, "ended", revision=2), 1, 1)
    for row in range(3, 7):
        kept.begin(row)
        kept.add(row, window(1))
    assert (list(kept.over), list(kept.current), kept.left_out) == (["a0-0"], [2, 3, 4, 5, 6], 1)
    kept.begin(7)
    kept.add(7, window(1))
    assert (7 in kept.current, kept.left_out) == (True, 2)
    kept.begin(8)
    kept.add(8, window(1))
    assert (8 in kept.current, kept.left_out) == (False, 3)


# -- by what windows were judged ---------------------------------------------------------------------------------------


def usual(story: Story) -> tuple[float, float]:
    low, high = story.scorer.usual_range(np.array([0]))
    return float(low[0]), float(high[0])


def test_the_range_of_a_window_is_its_band_and_what_is_too_small_to_matter() -> None:
    story = Story(DetectorPolicy(threshold_surprise=3.0)).tell(*USUAL, 200.0)
    assert story.transitions() == ["opened"]
    told = story.newest(story.signals[0])
    assert usual(story) == (told["lower"], told["upper"])
    story = Story(DetectorPolicy(threshold_surprise=3.0, min_absolute=50.0)).tell(*USUAL, 200.0)
    assert usual(story) == pytest.approx((50.0, 150.0), abs=2)


@pytest.mark.parametrize(
    ("changes", "value", "side"),
    [
        ({"direction": "up"}, 200.0, 0),
        ({"direction": "down"}, 10.0, 1),
        ({"hard_upper": 101.5}, 200.0, None),
    ],
)
def test_it_has_the_bounds_of_the_policy(changes: dict[str, object], value: float, side: int | None) -> None:
    story = Story(DetectorPolicy(threshold_surprise=3.0, **changes)).tell(*USUAL, value)  # type: ignore[arg-type]
    if side is None:
        assert usual(story)[1] == 101.5
    else:
        assert np.isinf(usual(story)[side])
        assert np.isfinite(usual(story)[1 - side])


def test_a_window_that_is_as_usual_has_none() -> None:
    assert np.isnan(usual(Story(DetectorPolicy(threshold_surprise=3.0)).tell(*USUAL, 100.0))).all()


# -- the state of episodes ---------------------------------------------------------------------------------------------


def test_an_episode_that_is_withdrawn_keeps_no_other_one_from_opening() -> None:
    story = Story(DetectorPolicy(threshold_surprise=3.0)).tell(*USUAL, 200.0)
    (found,) = story.anomalies
    state = story.scorer.table.groups["episodes"]
    assert not episodes.withdraw(state, 0, found.onset_us + 1)
    assert episodes.withdraw(state, 0, found.onset_us)
    assert (bool(state["open"][0]), int(state["revision"][0])) == (False, 2)
    story.tell(*USUAL[:4], 200.0)
    assert story.transitions() == ["opened", "opened"]
    assert story.anomalies[1].revision == 1


def test_a_window_that_counts_no_more_is_taken_out_of_the_run() -> None:
    state = episodes.empty(1)
    state["windows"][0], state["recent"][0] = 10, 0b101
    episodes.as_usual(state, 0, 8)
    assert state["recent"][0] == 0b001
    episodes.as_usual(state, 0, 1)
    assert state["recent"][0] == 0b001
