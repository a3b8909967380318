"""Episodes: n of m opens, hysteresis closes, silence ends; onset, peak and revision."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.scoring import episodes
from pipeline.scoring.episodes import Rules, Window

LENGTH = 10
RULES = Rules(threshold=4.0, open_windows=2, of_windows=3, close_windows=3)

#: What a window shows: unlikely, nearly twice and twice as much, half the threshold, just below it, calm, and unlikely
#: but too small to matter.
SURPRISE = {"u": 6.0, "v": 11.9, "U": 12.0, "w": 2.0, "l": 1.9, "c": 0.0, "s": 9.0}


@dataclass(frozen=True)
class Told:
    """One transition; times in windows: window i ends at i + 1."""

    transition: str
    window: int
    onset: float
    revision: int
    unlikely: int
    peak: float
    peak_at: float


def play(story: str, rules: Rules = RULES) -> list[Told]:
    """Transitions of one signal; a character is a window, ``-`` one without data, spaces are ignored."""
    state, told = episodes.empty(1), []
    for i, what in enumerate(story.replace(" ", "")):
        end_us = (i + 1) * LENGTH
        if what != "-":
            one = np.array([1.0])
            window = Window(
                np.array([0]),
                np.array([i * LENGTH]),
                SURPRISE[what] * one,
                np.array([what in "uvUwl"]),
                i * one,
                one,
                one,
                one,
            )
            changes = episodes.step(state, window, end_us, rules)
        else:
            none = np.empty(0, np.int64)
            changes = episodes.Changes(none, none, episodes.silent(state, end_us))
        for name in ("opened", "updated", "ended"):
            if getattr(changes, name).size:
                told.append(_told(name, i, state))
    return told


def _told(transition: str, window: int, state: dict[str, np.ndarray]) -> Told:
    onset, peak_at = (float(state[name][0]) / LENGTH for name in ("onset_us", "peak_us"))
    revision, unlikely = int(state["revision"][0]), int(state["unlikely"][0])
    return Told(transition, window, onset, revision, unlikely, float(state["peak"][0]), peak_at)


def transitions(story: str, rules: Rules = RULES) -> list[tuple[str, int]]:
    return [(one.transition, one.window) for one in play(story, rules)]


def test_calm_windows_open_nothing() -> None:
    assert transitions("cccwcwccc") == []


def test_a_single_unlikely_window_opens_nothing() -> None:
    assert transitions("ccc u ccc U ccc") == []


def test_two_of_three_unlikely_windows_open_with_the_first_as_onset() -> None:
    assert play("ccc uu")[0] == Told("opened", 4, onset=3, revision=1, unlikely=2, peak=6.0, peak_at=3)
    assert play("ccc ucu")[0] == Told("opened", 5, onset=3, revision=1, unlikely=2, peak=6.0, peak_at=3)


def test_unlikely_windows_too_far_apart_do_not_count_together() -> None:
    assert transitions("ccc uccu ccu") == []
    assert play("ccc uccuu")[0].onset == 6


def test_a_window_without_data_in_between_does_not_count_as_calm() -> None:
    assert play("ccc u--u")[0] == Told("opened", 6, onset=3, revision=1, unlikely=2, peak=6.0, peak_at=3)


@pytest.mark.parametrize(
    ("n", "m", "story", "opens_at"), [(1, 1, "cu", 1), (3, 3, "cuucuuu", 6), (3, 5, "cucucu", 5), (8, 8, "uuuuuuuu", 7)]
)
def test_any_n_of_m_up_to_eight_opens(n: int, m: int, story: str, opens_at: int) -> None:
    assert transitions(story, Rules(4.0, n, m, 3)) == [("opened", opens_at)]


def test_it_ends_after_so_many_calm_windows_in_a_row() -> None:
    assert transitions("uu ccc") == [("opened", 1), ("ended", 4)]
    assert transitions("uu ccucc ccc") == [("opened", 1), ("ended", 7)]


def test_half_the_threshold_keeps_it_open_and_less_is_calm() -> None:
    assert transitions("uu ccw ccw ccw") == [("opened", 1)]
    assert transitions("uu ccl") == [("opened", 1), ("ended", 4)]


def test_an_unlikely_deviation_too_small_to_matter_is_calm() -> None:
    assert transitions("ssss") == []
    assert transitions("uu sss") == [("opened", 1), ("ended", 4)]


def test_calm_windows_before_the_opening_do_not_count_toward_the_end() -> None:
    assert transitions("cccc ucu cc w ccc", RULES) == [("opened", 6), ("ended", 12)]


def test_it_is_updated_when_it_got_twice_as_unlikely_as_told_and_only_then() -> None:
    assert transitions("uu uvu U UUU") == [("opened", 1), ("updated", 5)]
    assert play("uu U")[1] == Told("updated", 2, onset=0, revision=2, unlikely=3, peak=12.0, peak_at=2)


def test_revisions_count_up_and_begin_anew_with_the_next_episode() -> None:
    told = play("uuU ccc cc uu ccc")
    assert [(one.transition, one.revision) for one in told] == [
        ("opened", 1),
        ("updated", 2),
        ("ended", 3),
        ("opened", 1),
        ("ended", 2),
    ]
    assert [one.onset for one in told] == [0, 0, 0, 8, 8]
    assert [one.peak for one in told] == [6, 12, 12, 6, 6]


def test_unlikely_windows_right_before_the_end_do_not_open_the_next_one() -> None:
    rules = Rules(4.0, 2, 8, 2)
    assert transitions("uu cc u cc", rules) == [("opened", 1), ("ended", 3)]


def test_a_signal_that_falls_silent_ends_after_ten_of_its_intervals() -> None:
    assert transitions("cccc uu ----------") == [("opened", 5), ("ended", 15)]
    assert transitions("cccc uu ---------u") == [("opened", 5)]


def test_a_sparse_signal_is_given_more_time() -> None:
    sparse = "c---" * 8 + "u---u---"
    assert transitions(sparse + "-" * 20) == [("opened", 36)]
    assert transitions(sparse + "-" * 60) == [("opened", 36), ("ended", 76)]


def test_after_silence_an_episode_must_open_anew() -> None:
    assert transitions("cccc uu ---------- u c u") == [("opened", 5), ("ended", 15), ("opened", 18)]


def test_the_next_silence_is_known_while_one_is_open() -> None:
    state = episodes.empty(2)
    assert episodes.next_silence(state) is None
    ones = np.ones(1)
    for i in range(4):
        window = Window(np.array([1]), np.array([i * LENGTH]), 9 * ones, ones > 0, ones, ones, ones, ones)
        episodes.step(state, window, (i + 1) * LENGTH, RULES)
    assert episodes.next_silence(state) == 40 + 10 * LENGTH
    assert episodes.silent(state, 139).size == 0
    assert episodes.silent(state, 140).tolist() == [1]
    assert episodes.next_silence(state) is None


def test_rows_do_not_touch_each_other() -> None:
    stories = ["cccuuUccc", "uuccccccc", "ccccccccc", "ucucucucu"]
    state = episodes.empty(len(stories))
    told: list[list[tuple[str, int]]] = [[] for _ in stories]
    row = np.arange(len(stories))
    for i in range(len(stories[0])):
        surprise = np.array([SURPRISE[story[i]] for story in stories])
        zeros = np.zeros(row.size)
        changes = episodes.step(
            state,
            Window(row, zeros.astype(int) + i * LENGTH, surprise, surprise > 1, *([zeros] * 4)),
            (i + 1) * LENGTH,
            RULES,
        )
        for name in ("opened", "updated", "ended"):
            for at in getattr(changes, name).tolist():
                told[at].append((name, i))
    assert told == [transitions(story) for story in stories]
