"""Episodes: n of m opens, hysteresis closes, silence ends, rest and fatigue hold back; onset, peak and revision."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.records import US
from pipeline.scoring import episodes
from pipeline.scoring.episodes import Rules, Window

LENGTH = 10
RULES = Rules(threshold=4.0, open_windows=2, of_windows=3, close_windows=3)

#: What a window shows: unlikely, nearly twice and twice as much, half the threshold, just below it, calm, unlikely but
#: too small to matter, nearly and just so much more unlikely that it opens in spite of the rest, forced, and unlikely
#: at a level that is the normal one from now on.
SURPRISE = {"u": 6.0, "v": 11.9, "U": 12.0, "w": 2.0, "l": 1.9, "c": 0.0, "s": 9.0, "g": 8.9, "h": 9.0, "f": 0.0}
SURPRISE |= {"n": 6.0}
#: One unlikely window opens, one calm one ends.
QUICK = Rules(threshold=4.0, open_windows=1, of_windows=1, close_windows=1)


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
                np.array([what in "uvUwlghn"]),
                i * one,
                one,
                one,
                one,
                forced=np.array([what == "f"]),
                settled=np.array([what == "n"]),
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
    told = play(f"uuU ccc {'c' * 45} uu ccc")
    assert [(one.transition, one.revision) for one in told] == [
        ("opened", 1),
        ("updated", 2),
        ("ended", 3),
        ("opened", 1),
        ("ended", 2),
    ]
    assert [one.onset for one in told] == [0, 0, 0, 51, 51]
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
    story = f"cccc uu ---------- {'c' * 45} u c u"
    assert transitions(story) == [("opened", 5), ("ended", 15), ("opened", 63)]


# Rest and fatigue


@pytest.mark.parametrize(("calm", "opens"), [(1, False), (44, False), (45, True), (300, True)])
def test_for_a_while_after_an_episode_opened_one_like_it_does_not(calm: int, opens: bool) -> None:
    again = transitions("u" + "c" * calm + "u", QUICK)[2:]
    assert again == ([("opened", calm + 1)] if opens else [])


@pytest.mark.parametrize(
    ("windows", "seconds", "rested"),
    [(0, 60, 45), (1500, 60, 45), (2000, 60, 60), (9600, 60, 288), (10**6, 60, 288), (10**6, 3600, 24), (9, 3600, 24)],
)
def test_the_rest_is_a_share_of_the_history_within_bounds_and_at_most_a_day(
    windows: int, seconds: int, rested: int
) -> None:
    state = episodes.empty(2)
    state["windows"][1], state["interval_us"][1] = windows, seconds * 10**6
    assert episodes.rest(state, np.array([1])).tolist() == [rested]


@pytest.mark.parametrize(("again", "opens"), [("u", False), ("g", False), ("h", True), ("f", True)])
def test_what_is_plainly_stronger_or_forced_opens_in_spite_of_the_rest(again: str, opens: bool) -> None:
    assert (transitions("uccc" + again, QUICK)[2:] == [("opened", 4)]) == opens


def test_where_several_windows_open_a_stronger_episode_needs_them_all_and_no_more() -> None:
    assert play("uu ccc hh")[2] == Told("opened", 6, onset=5, revision=1, unlikely=2, peak=9.0, peak_at=5)
    assert transitions("uu ccc hch")[2:] == [("opened", 7)]
    assert transitions("uu ccc huc")[2:] == []


def test_unlikely_windows_of_the_rest_are_no_part_of_the_next_episode() -> None:
    opened = [one for one in play("u" + "c" * 40 + "u" * 10, Rules(4.0, 1, 3, 1)) if one.transition == "opened"]
    assert [(one.window, one.onset, one.unlikely) for one in opened] == [(0, 0, 1), (46, 46, 1)]


def test_a_row_that_opened_many_episodes_needs_a_little_more_each_time() -> None:
    calm = "c" * 45
    rules = Rules(threshold=5.95, open_windows=1, of_windows=1, close_windows=1)
    assert [what for what, _ in transitions(f"u{calm}" * 4, rules)] == ["opened", "ended"] * 2
    assert [what for what, _ in transitions(f"u{calm}" * 4, Rules(5.7, 1, 1, 1))] == ["opened", "ended"] * 4


def test_fatigue_fades() -> None:
    calm, rules = "c" * 45, Rules(threshold=5.95, open_windows=1, of_windows=1, close_windows=1)
    assert len(transitions(f"u{calm}u{calm}{'c' * 9000}u", rules)) == 5


def test_once_open_it_stays_open_at_the_threshold_itself_however_tired_the_row_is() -> None:
    told = transitions("".join("u" + "c" * 45 for _ in range(4)) + "U" + "u" * 5 + "c", Rules(5.95, 1, 1, 1))
    assert told[-2:] == [("opened", 184), ("ended", 190)]


# Forced, settled, silent


def test_a_forced_window_is_unlikely_whatever_its_surprise() -> None:
    assert transitions("ccc ff fff ccc") == [("opened", 4), ("ended", 10)]
    assert transitions("uu fccc")[1:] == [("ended", 5)]


def test_a_new_normal_ends_an_episode_at_once_and_opens_none() -> None:
    assert transitions("uuuun uu") == [("opened", 1), ("ended", 4)]
    assert transitions("n", QUICK) == [("opened", 0)]


def test_for_a_while_after_a_new_normal_what_is_left_of_the_old_one_opens_nothing() -> None:
    lasting = "u" * 120 + "n"
    assert transitions(lasting + "u" * 45, QUICK) == [("opened", 0), ("ended", 120)]
    assert transitions(lasting + "u" * 46, QUICK)[2:] == [("opened", 166)]


def silent_for(windows: int) -> tuple[dict[str, np.ndarray], episodes.Changes]:
    """Three rows: one calm, one in an episode, one that never sent; all silent for so many windows."""
    state = episodes.empty(3)
    ones = np.ones(2)
    for i in range(3):
        surprise = np.array([0.0, 6.0])
        window = Window(np.array([0, 1]), np.full(2, i * LENGTH), surprise, surprise > 0, ones, ones, ones, ones)
        episodes.step(state, window, (i + 1) * LENGTH, RULES)
    row, length = np.array([0, 1]), np.full(2, float(windows))
    return state, episodes.begin_silence(state, row, np.full(2, 5.0), length, ones)


def test_silence_opens_an_episode_since_the_last_data_where_none_is_open() -> None:
    state, changes = silent_for(4)
    assert (changes.opened.tolist(), changes.updated.size, changes.ended.size) == ([0], 0, 0)
    assert (state["onset_us"][0], state["revision"][0], state["peak"][0], state["peak_value"][0]) == (30, 1, 5.0, 4.0)
    assert state["silent"].tolist() == [True, False, False]
    assert episodes.begin_silence(state, np.array([0]), *(np.ones((3, 1)))).opened.size == 0


def test_an_episode_about_silence_does_not_end_for_the_silence_but_when_told() -> None:
    state, _ = silent_for(4)
    assert episodes.silent(state, 10**6).tolist() == [1]
    ended = episodes.end_silence(state, np.array([0, 1, 2]), np.array([90, 90, 90])).ended
    assert (ended.tolist(), state["last_us"][0], state["revision"][0]) == ([0], 90, 2)
    assert not state["open"].any()
    assert episodes.end_silence(state, np.array([0]), np.array([99])).ended.size == 0


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


def excesses(story: str, rules: Rules = RULES) -> list[float]:
    """After each window: what a signal whose values are the numbers of its windows, and of which 1 is expected, was off
    in sum since the onset. Windows are a second long."""
    state, found = episodes.empty(1), []
    for i, what in enumerate(story.replace(" ", "")):
        one = np.array([1.0])
        window = Window(
            np.array([0]), np.array([i * US]), SURPRISE[what] * one, np.array([what in "uU"]), i * one, one, one, one
        )
        episodes.step(state, window, (i + 1) * US, rules)
        found.append(float(state["excess"][0]))
    return found


def test_what_it_was_off_is_summed_up_from_the_onset_on() -> None:
    assert excesses("ccc uu cuc") == [0, 0, 0, 2, 2 + 3, 5 + 4, 9 + 5, 14 + 6]
    assert excesses("cc u c u") == [0, 0, 1, 1 + 2, 3 + 3]


def test_a_run_that_became_no_episode_is_forgotten_with_the_next_one() -> None:
    assert excesses("u cc c uu")[-2:] == [3, 3 + 4]


def test_windows_after_its_end_add_nothing() -> None:
    found = excesses("uu ccc ccc")
    assert found[4] == -1 + 0 + 1 + 2 + 3
    assert found[4:] == [found[4]] * 4
