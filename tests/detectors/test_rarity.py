"""How the rarity detector behaves: shares of minutes, minutes that go on, what is new, and what a day teaches."""

from math import log10, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.protocol import State, StateVersionError
from detectors.rarity import FirstSeen, Known, RarityDetector
from tests.detectors.naive_rarity import NaiveFirstSeen, NaiveRarity

DETECTOR = RarityDetector()
DAY = 86_400.0
MINUTES = 1440
#: A full minute.
START = 1_700_000_040.0


def told(state: State, minute: int, count: float, known: Known | None = None, second: int = 60) -> float:
    """The surprise of ``count`` things in a window that ends so many seconds into a minute."""
    now = START + 60.0 * minute + second
    return float(DETECTOR.step(state, np.array([count]), np.ones(1, np.bool_), now, known).surprise[0])


def pooled(chance: float = 1.0) -> Known:
    return Known(np.array([START]), np.array([chance]))


def test_what_came_once_in_two_days_is_that_rare() -> None:
    state = DETECTOR.empty(1)
    told(state, 0, 1.0, pooled())
    keep = 0.5 ** (60 / DETECTOR.half_life)
    known = (1 - keep ** (2 * MINUTES)) / (1 - keep)
    expected = -log10((keep ** (2 * MINUTES) + 0.5) / (known + 1))
    assert told(state, 2 * MINUTES, 1.0) == pytest.approx(expected)
    assert expected == pytest.approx(3.30, abs=0.01)


def test_more_than_ever_is_rarer_than_what_comes_all_the_time() -> None:
    state = DETECTOR.empty(1)
    for minute in range(MINUTES):
        told(state, minute, 5.0)
    again = state.take(slice(None))
    assert told(again, MINUTES, 7.0) == pytest.approx(0.0, abs=1e-3)
    assert told(state, MINUTES, 8.0) == pytest.approx(-log10(0.5 / 1373), abs=0.01)


def test_a_minute_is_scored_as_it_grows_and_learned_when_it_is_over() -> None:
    whole, parts = DETECTOR.empty(1), DETECTOR.empty(1)
    for minute in range(MINUTES):
        told(whole, minute, 4.0)
        for second in (10, 20, 60):
            told(parts, minute, {10: 1.0, 20: 3.0, 60: 0.0}[second], second=second)
    found = [told(parts, MINUTES, count, second=second) for second, count in ((10, 4.0), (20, 4.0), (60, 8.0))]
    assert found[0] < 0.01 < 2 < found[1]
    assert found[1] < found[2] + 1e-9
    assert told(whole, MINUTES, 16.0) == pytest.approx(found[2])


def test_silence_needs_no_windows() -> None:
    sparse, dense = DETECTOR.empty(1), DETECTOR.empty(1)
    for minute in range(600):
        told(dense, minute, 1.0 if minute % 100 == 0 else 0.0)
        if minute % 100 == 0:
            told(sparse, minute, 1.0)
    assert told(sparse, 600, 1.0) == pytest.approx(told(dense, 600, 1.0), rel=1e-12)


@pytest.mark.parametrize(("hours", "share"), [(6, 0.25), (12, 0.5), (24, 1.0), (48, 1.0)])
def test_less_than_a_day_of_history_draws_a_surprise_in(hours: int, share: float) -> None:
    state = DETECTOR.empty(1)
    assert told(state, 60 * hours, 1.0, pooled(chance=1e-3)) == pytest.approx(3.0 * sqrt(share))


def test_a_kind_is_new_for_the_whole_of_its_first_minute() -> None:
    state = DETECTOR.empty(1)
    found = [told(state, MINUTES, 1.0, pooled(1e-3), second) for second in (10, 20)]
    assert found == pytest.approx([3.0, 3.0])
    assert told(state, MINUTES + 1, 1.0) == pytest.approx(-log10(1.5 / 1375), abs=0.01)


def test_by_itself_a_row_begins_without_a_surprise() -> None:
    assert told(DETECTOR.empty(1), 0, 1e9) == 0.0


def test_a_state_of_another_detector_is_refused() -> None:
    with pytest.raises(StateVersionError, match="counts/1"):
        DETECTOR.check(State("counts/1", {}))


WINDOWS = st.lists(
    st.tuples(st.integers(1, 2_000), st.sampled_from([0.0, 1.0, 3.0, 64.0, 1e9])), min_size=1, max_size=60
)


@settings(max_examples=60)
@given(WINDOWS, st.sampled_from([10, 60]), st.integers(0, 3_000))
def test_it_agrees_with_its_naive_twin_at_any_pace(
    windows: list[tuple[int, float]], length: int, looked_on: int
) -> None:
    since, chance = START - 60.0 * looked_on, 0.01
    twin = NaiveRarity(DETECTOR, given_since=round(since / 60), chance=chance)
    state, now = DETECTOR.empty(1), START
    known = Known(np.array([since]), np.array([chance]))
    for apart, count in windows:
        now += length * apart
        scores = DETECTOR.step(state, np.array([count]), np.ones(1, np.bool_), now, known)
        found = [float(getattr(scores, name)[0]) for name in ("expected", "lower", "upper", "surprise")]
        np.testing.assert_allclose(found, twin.step(count, now), rtol=1e-9, atol=1e-9)


# -- what was never seen -----------------------------------------------------------------------------------------------

POOL = FirstSeen()


def test_several_new_kinds_in_a_minute_count_once() -> None:
    once, often = POOL.empty(1), POOL.empty(1)
    for state, times in ((once, 1), (often, 5)):
        POOL.since(state, 0, START + 60)
        for _ in range(times):
            POOL.saw(state, 0, START + 3_600)
    assert POOL.chance(once, 0, START + DAY) == POOL.chance(often, 0, START + DAY)


def test_places_know_nothing_of_each_other() -> None:
    state = POOL.empty(2)
    POOL.saw(state, 0, START + 60)
    assert POOL.chance(state, 0, START + DAY) < 0.01
    assert POOL.chance(state, 1, START + DAY) == 0.5


@given(st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), min_size=1, max_size=40))
def test_the_pool_agrees_with_its_naive_twin(asked: list[tuple[int, bool]]) -> None:
    state, twin, now = POOL.empty(1), NaiveFirstSeen(POOL), START
    for later, comes in asked:
        now += later
        assert POOL.chance(state, 0, now) == pytest.approx(twin.chance(now), rel=1e-9)
        if comes:
            POOL.saw(state, 0, now)
            twin.saw(now)
