"""How the silence detector behaves: timelines of regular and irregular senders, lag, ends; p by gap is valid."""

import numpy as np
import numpy.typing as npt
import pytest

from detectors.protocol import State, StateVersionError
from detectors.silence import BINS, EDGES, ENDED, SilenceDetector, gap_bin, silence_surprise
from tests.detectors.naive_silence import EDGES as NAIVE_EDGES
from tests.detectors.naive_silence import NaiveSilence
from tests.detectors.signals import Floats

Sent = npt.NDArray[np.bool_]


def watch(
    sent: Sent, lagging: Sent | None = None, state: State | None = None, detector: SilenceDetector | None = None
) -> tuple[Floats, State]:
    """Scores (4, rows, windows) for who sent when (rows, windows)."""
    detector = detector or SilenceDetector()
    state = state or detector.empty(len(sent))
    found = np.empty((4, *sent.shape))
    for at in range(sent.shape[1]):
        values = np.where(sent[:, at], 1.0, np.nan)
        late = bool(lagging[at]) if lagging is not None else False
        scores = detector.step(state, values, sent[:, at].copy(), 60.0 * at, lagging=late)
        found[:, :, at] = scores.expected, scores.lower, scores.upper, scores.surprise
    return found, state


def surprise(sent: Sent | list[bool], **more: object) -> Floats:
    """Surprise of one row, by window."""
    found: Floats = watch(np.atleast_2d(np.array(sent, np.bool_)), **more)[0][3, 0]  # type: ignore[arg-type]
    return found


def every(windows: int, until: int, end: int) -> Sent:
    """Sends each so many windows, until it stops."""
    at = np.arange(end)
    return np.asarray((at % windows == 0) & (at < until))


def at_random(chance: float, windows: int, seed: int, rows: int = 1) -> Sent:
    return np.random.default_rng(seed).random((rows, windows)) < chance


# Timelines


def test_a_cron_job_that_sends_every_hour_and_stops_is_missed_within_three_hours() -> None:
    found = surprise(every(60, until=24 * 60 * 3, end=24 * 60 * 4))
    last = 24 * 60 * 3 - 60
    assert not found[: last + 60].any()
    assert found[last + 75] > 1
    assert found[last + 180] > 4


def test_one_who_sends_in_every_window_is_missed_after_two() -> None:
    found = surprise(every(1, until=2000, end=2010))
    assert not found[:2000].any()
    assert 3 < found[2000] < 4
    assert found[2001] > 5
    assert (np.diff(found[2000:]) > 0).all()


def test_an_irregular_sender_may_be_silent_for_much_longer() -> None:
    irregular = at_random(0.2, 4000, seed=1)[0]
    regular = every(5, until=4000, end=4000)
    silent = np.zeros(100, np.bool_)
    first, second = (surprise(np.append(sent, silent))[4000:] for sent in (regular, irregular))
    assert np.argmax(first > 4) < 12
    assert np.argmax(second > 4) > 25
    assert second[-1] > 4


def test_a_nightly_pause_is_learned_and_the_day_is_still_watched() -> None:
    day = np.append(np.ones(16 * 60, np.bool_), np.zeros(8 * 60, np.bool_))
    found = surprise(np.append(np.tile(day, 21), day[: 10 * 60]))
    assert found[: 16 * 60].max() == 0
    assert found[: 24 * 60].max() > 8
    assert 3.5 < found[24 * 60 : 48 * 60].max() < 4.5
    assert found[20 * 24 * 60 :].max() < 4


def test_who_has_little_history_says_nothing() -> None:
    sent = every(5, until=45, end=400)
    assert not surprise(sent).any()
    assert surprise(every(5, until=60, end=400)).any()


def test_who_never_sent_is_not_missed() -> None:
    found, state = watch(np.zeros((1, 50), np.bool_))
    assert not found[3].any()
    assert np.isnan(found[:3]).all()
    assert not any(array.any() for array in state.arrays.values())


def test_our_own_lag_is_no_silence() -> None:
    sent = every(1, until=1000, end=1060)
    lagging = np.zeros(1060, np.bool_)
    lagging[1000:1050] = True
    found = surprise(sent, lagging=lagging)
    assert not found[:1050].any()
    assert found[1059] > 4
    sent[1050:] = True  # the data that was late
    found, state = watch(sent[None], lagging)
    assert not found[3].any()
    assert state.arrays["gaps"][0, 1:].sum() == 0


def test_a_dead_row_ends_and_begins_again_with_what_it_knew() -> None:
    detector = SilenceDetector(end_windows=200)
    sent = np.append(every(2, until=400, end=1000), np.ones(3, np.bool_))
    sent = np.append(sent, np.zeros(5, np.bool_))
    found, state = watch(sent[None], detector=detector)
    assert found[3, 0, 590] > 10
    assert not found[3, 0, 601:1003].any()
    assert found[3, 0, 1007] > 3
    _, ended = watch(sent[None, :700], detector=detector)
    assert ended.arrays["phase"][0] == ENDED
    assert state.arrays["phase"][0] != ENDED


def test_a_day_of_outage_does_not_hide_the_next_one() -> None:
    normal, outage = np.ones(5000, np.bool_), np.zeros(1440, np.bool_)
    found = surprise(np.concatenate([normal, outage, normal, outage]))
    assert found[5100] > 8
    assert found[-1400] > 4


def test_gaps_that_have_become_usual_are_no_longer_surprising() -> None:
    changed = np.append(every(1, until=2000, end=2000), every(10, until=2000, end=2000))
    found = surprise(changed)
    assert found[2000:2020].max() > 4
    assert found[2500:].max() < 3


# Guarantees


@pytest.mark.parametrize("chance", [0.02, 0.1, 0.5, 0.9])
def test_the_smallest_p_of_a_gap_is_valid(chance: float) -> None:
    sent = at_random(chance, 3000, seed=2, rows=400)
    found, _ = watch(sent)
    gaps, hits = 0, np.zeros(3)
    levels = -np.log10([0.1, 0.01, 0.002])
    for row in range(len(sent)):
        ends = np.flatnonzero(sent[row])
        for start, end in zip(ends[len(ends) // 2 : -1], ends[len(ends) // 2 + 1 :], strict=True):
            most = found[3, row, start + 1 : end].max(initial=0.0)
            gaps += 1
            hits += most >= levels
    assert (hits / gaps <= 1.3 * 10.0**-levels).all(), hits / gaps


def test_it_agrees_with_its_naive_twin() -> None:
    dice = np.random.default_rng(3)
    rows = [at_random(chance, 500, seed)[0] for seed, chance in enumerate((0.03, 0.3, 0.8, 0.98))]
    rows += [every(7, until=300, end=500), every(1, until=300, end=500), np.zeros(500, np.bool_)]
    rows += [np.where(np.arange(500) % 200 < 150, True, dice.random(500) < 0.1)]
    sent, lagging = np.array(rows), dice.random(500) < 0.02
    detector = SilenceDetector(end_windows=100, end_gaps=5)
    found, _ = watch(sent, lagging, detector=detector)
    for row in range(len(sent)):
        twin = NaiveSilence(detector)
        expected = [twin.step(1.0, bool(sent[row, at]), bool(lagging[at])) for at in range(500)]
        np.testing.assert_allclose(found[:, row].T, expected, rtol=1e-6, atol=1e-6, err_msg=f"row {row}")


def test_other_rows_and_their_order_do_not_matter() -> None:
    sent = np.vstack([at_random(0.3, 300, seed=4, rows=5), every(3, until=200, end=300)])
    order = np.random.default_rng(5).permutation(len(sent))
    found, state = watch(sent)
    moved, moved_state = watch(sent[order])
    np.testing.assert_array_equal(moved, found[:, order])
    assert all(np.array_equal(moved_state.arrays[n], a[order]) for n, a in state.arrays.items())
    alone, _ = watch(sent[2:3])
    np.testing.assert_array_equal(alone[:, 0], found[:, 2])


def test_a_state_restored_from_bytes_goes_on_as_if_nothing_had_happened() -> None:
    sent = np.vstack([at_random(0.3, 300, seed=6, rows=5), every(3, until=200, end=300)])
    whole, _ = watch(sent)
    _, state = watch(sent[:, :150])
    fields = SilenceDetector.fields
    restored = {
        name: np.frombuffer(state.arrays[name].tobytes(), np.dtype(fields[name]).base).reshape(array.shape).copy()
        for name, array in state.arrays.items()
    }
    late, _ = watch(sent[:, 150:], state=State(state.version, restored))
    np.testing.assert_array_equal(late, whole[:, :, 150:])


def test_scores_are_of_silent_rows_with_finite_bounds_around_the_usual_gap() -> None:
    found, _ = watch(np.append(at_random(0.3, 500, seed=7)[0], np.zeros(30, np.bool_))[None])
    expected, lower, upper, surprised = found[:, 0, 500:]
    assert np.isfinite(found[3]).all()
    assert (lower <= expected).all()
    assert (expected <= upper).all()
    assert (surprised >= 0).all()
    assert upper[0] < 30


def test_many_gaps_are_halved_so_that_old_ones_are_forgotten() -> None:
    detector = SilenceDetector()
    state = detector.empty(1)
    state.arrays["gaps"][0, [0, 10]] = 32_000, 1024
    state.arrays["seen"][0], state.arrays["phase"][0] = 33 * 1024, 1
    watch(np.ones((1, 1), np.bool_), state=state)
    assert state.arrays["gaps"][0, [0, 10]].tolist() == [16_001, 512]


def test_a_value_that_is_not_finite_is_no_data() -> None:
    detector = SilenceDetector()
    _, state = watch(np.ones((1, 100), np.bool_))
    scores = [detector.step(state, np.array([np.inf]), np.ones(1, np.bool_), 0.0) for _ in range(3)]
    assert scores[-1].surprise[0] > 3


def test_gaps_are_remembered_by_half_octaves() -> None:
    assert EDGES.tolist() == NAIVE_EDGES[:BINS]
    assert [gap_bin(gap) for gap in (1, 2, 3, 4, 5, 6, 7, 8, 9, 1e9)] == [0, 1, 2, 3, 4, 4, 5, 5, 6, BINS - 1]


def test_surprise_grows_with_silence_and_with_history() -> None:
    by_silence = [silence_surprise(t, 0.0, 200.0, 4.0, 6.0) for t in range(7, 60)]
    assert (np.diff(by_silence) > 0).all()
    by_history = [silence_surprise(20.0, 0.0, n, 4.0, 6.0) for n in (10.0, 30.0, 100.0, 1000.0)]
    assert (np.diff(by_history) > 0).all()


def test_the_state_is_small_and_a_wrong_one_is_refused_by_name() -> None:
    state = SilenceDetector().empty(1000)
    assert sum(array.nbytes for array in state.arrays.values()) == 125_000
    SilenceDetector().check(state)
    with pytest.raises(StateVersionError, match=r"cannot be read by silence/1, which needs \['gaps'"):
        SilenceDetector().check(State("level/1", {"seen": np.zeros(1)}))
