"""How the detector that people get behaves, as timelines: what it sees, what it adopts, what it leaves alone."""

import numpy as np
import pytest

from detectors import ComposedDetector, State
from detectors import layout as at
from detectors.shift import LASTING_WINDOWS
from tests.detectors.signals import noise
from tests.detectors.synthetic import sample
from tests.detectors.watching import (
    DAY,
    HISTORY,
    HOUR,
    MOST,
    SEEDS,
    START,
    SURPRISING,
    WEEK,
    Watch,
    cycles,
    dropped,
    gauges,
    hurt,
    quieter,
    weekly,
)

# -- what is seen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "strength", "length", "within"),
    [
        ("spike", 12, 1, 1),
        ("spike", -12, 1, 1),
        ("level_shift", 6, 60, 6),
        ("level_shift", -12, 60, 2),
        ("stuck", 0, 60, 30),
        ("noise_burst", 6, 60, 10),
        ("quiet", 0.02, 100, 60),
    ],
)
def test_what_is_wrong_with_a_gauge_is_seen_in_time(kind: str, strength: float, length: int, within: int) -> None:
    change = quieter if kind == "quiet" else hurt
    seen = Watch(change(gauges(HISTORY + length), kind, HISTORY, length, strength))
    assert ((seen.surprise[:, HISTORY : HISTORY + within] >= SURPRISING).any(axis=1)).sum() >= MOST
    assert (seen.surprise[:, 500:HISTORY] >= SURPRISING).mean() < 1e-3


@pytest.mark.parametrize(("period", "kind"), [(24, "missing_cycle"), (24, "stuck"), (48, "stuck"), (120, "stuck")])
def test_a_cycle_that_does_not_come_is_seen_before_it_would_be_over(period: int, kind: str) -> None:
    length = max(period, 48)
    seen = Watch(hurt(cycles(HISTORY + length, period), kind, HISTORY, length, 0))
    assert ((seen.surprise[:, HISTORY:] >= SURPRISING).any(axis=1)).sum() >= MOST


def test_a_cycle_of_the_wrong_shape_is_more_surprising_than_any_before_it() -> None:
    values = cycles(HISTORY + 48, 24)
    faster = 100 + 30 * np.sin(2 * np.pi * np.arange(24) / 8)
    values[:, HISTORY : HISTORY + 24] = faster
    seen = Watch(values)
    before, during = (seen.surprise[:, windows].max(axis=1) for windows in (slice(1000, HISTORY), slice(HISTORY, None)))
    assert (during > np.median(before)).sum() >= MOST
    assert (seen.evidence[:, HISTORY:, [at.BY_SHAPE, at.BY_LONG_SHAPE]].max(axis=(1, 2)) > 2).sum() >= MOST


def test_evidence_says_why() -> None:
    values = gauges(HISTORY + 60)
    spike = Watch(hurt(values, "spike", HISTORY, 1, 20)).evidence[:, HISTORY]
    stuck = Watch(hurt(values, "stuck", HISTORY, 60, 0)).evidence[:, HISTORY + 30]
    assert (np.median(spike[:, [at.BY_RESIDUAL, at.BY_RECORD]], axis=0) > 2).all()
    assert (stuck.argmax(axis=1) == at.BY_STILLNESS).sum() >= MOST


# -- new normals, and incidents that are not -------------------------------------------------------------------------


def test_a_level_that_lasts_is_adopted_once_and_is_then_normal() -> None:
    seen = Watch(hurt(gauges(HISTORY + 500), "level_shift", HISTORY, 500, 12))
    shifts = seen.shift[:, HISTORY:]
    assert ((shifts != 0).sum(axis=1) == 1).all()
    first = (shifts != 0).argmax(axis=1)
    assert (first >= LASTING_WINDOWS - 1).all()
    assert (first < LASTING_WINDOWS + 30).all()
    np.testing.assert_allclose(shifts.sum(axis=1), 60, atol=15)
    assert np.abs(seen.expected[:, HISTORY + 200 :].mean(axis=1) - 160).max() < 5
    assert not seen.shift[:, :HISTORY].any()


def test_a_level_that_was_adopted_is_as_calm_as_the_one_before() -> None:
    seen = Watch(hurt(gauges(HISTORY + 500), "level_shift", HISTORY, 500, 12))
    assert (seen.surprise[:, HISTORY + 200 :] >= SURPRISING).mean() < 3e-3


def test_a_level_that_does_not_last_is_not_adopted() -> None:
    length = LASTING_WINDOWS - 30
    seen = Watch(hurt(gauges(HISTORY + length + 200), "level_shift", HISTORY, length, 12))
    assert not seen.shift.any()
    assert np.abs(seen.expected[:, -50:] - 100).max() < 10


@pytest.mark.parametrize(
    ("kind", "strength", "hours"),
    [
        ("level_shift", 12, 1.5),
        ("noise_burst", 8, 1.0),
        ("drop", 0, 1.5),
        ("level_shift", 12, 24),
        ("noise_burst", 8, 24),
        ("drop", 0, 24),
    ],
)
def test_an_incident_does_not_hide_the_next_one_a_day_later(kind: str, strength: float, hours: float) -> None:
    day = DAY // 60
    change = dropped if kind == "drop" else hurt
    once = change(gauges(HISTORY + 2 * day + 60), kind, HISTORY, int(60 * hours), strength)
    seen = Watch(change(once, kind, HISTORY + 2 * day, 60, strength))
    again = seen.surprise[:, HISTORY + 2 * day :]
    assert ((again[:, :20] >= SURPRISING).any(axis=1)).sum() >= MOST
    assert (seen.surprise[:, HISTORY + 2 * day - 600 : HISTORY + 2 * day] >= SURPRISING).mean() < 2e-3


# -- the season ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hot", "most"), [(False, 0.25), (True, 0.05)])
def test_one_anomalous_hour_hardly_moves_what_is_expected_of_it_next_week(hot: bool, most: float) -> None:
    seconds, by = 300, 60.0
    windows = 5 * WEEK // seconds
    values = np.array([noise(100, 5, windows, seed) for seed in range(SEEDS)])
    start = 4 * WEEK // seconds + int((-START % HOUR) // seconds)  # where an hour begins
    hurt_once = values.copy()
    hurt_once[:, start : start + HOUR // seconds] += by
    detector = ComposedDetector() if hot else ComposedDetector(min_history=10**9)  # never surprised, so never hot
    until = start + 3 * HOUR // seconds
    usual, moved = (Watch(v[:, :until], seconds, detector=detector).state.arrays["week"] for v in (values, hurt_once))
    change = np.abs(moved - usual).max(axis=1) / by
    assert (change <= most + 0.01).sum() >= MOST
    assert (change > 0).all()


def test_a_change_of_the_clocks_is_adopted_within_two_days() -> None:
    seconds, change = 600, 23  # a Monday, UTC
    values = weekly(seconds, 28, early=change)

    def deaf(state: State, window: int) -> None:
        state.arrays["core"][:, [at.EARLY, at.TARDY]] = 1e300

    seen = Watch(values, seconds)
    without = Watch(values, seconds, after=deaf)
    from_change, two_days = change * DAY // seconds, 2 * DAY // seconds
    adopted = Watch(values[:, : from_change + two_days], seconds)
    before = Watch(values[:, :from_change], seconds)
    assert (adopted.core(at.CLOCK) - before.core(at.CLOCK) == 1).all()
    later = slice(from_change + two_days, None)
    error = [np.abs(each.expected - values)[:, later].mean() for each in (seen, without)]
    assert error[0] < error[1]
    surprising = [(each.surprise[:, from_change:] >= 2.0).sum() for each in (seen, without)]
    assert surprising[0] < surprising[1]


# -- gaps, intervals, restarts ----------------------------------------------------------------------------------------


def test_a_gap_of_hours_is_neither_surprising_nor_forgotten() -> None:
    values = gauges(HISTORY + 500)
    values[:, HISTORY : HISTORY + 300] = np.nan
    values[:, HISTORY + 400] += 80
    seen = Watch(values)
    assert np.isnan(seen.surprise[:, HISTORY : HISTORY + 300]).all()
    back = seen.surprise[:, HISTORY + 300 : HISTORY + 400]
    assert np.isfinite(back).all()
    assert (back >= SURPRISING).mean() < 5e-3
    assert (seen.surprise[:, HISTORY + 400] >= SURPRISING).sum() >= MOST


def test_windows_that_become_five_times_as_long_are_no_anomaly() -> None:
    values = gauges(HISTORY + 500)
    values[:, HISTORY + 400] += 80
    lengths = np.where(np.arange(HISTORY + 500) < HISTORY, 60.0, 300.0)
    seen = Watch(values, times=START + np.cumsum(lengths))
    after = seen.surprise[:, HISTORY : HISTORY + 400]
    assert np.isfinite(after).all()
    assert (after >= SURPRISING).mean() < 2e-3
    assert (seen.surprise[:, HISTORY + 400] >= SURPRISING).sum() >= MOST


@pytest.mark.parametrize("seconds", [1.0, 10.0, 60.0, 300.0, 3600.0, 86_400.0])
def test_windows_of_any_length_are_scored_sensibly(seconds: float) -> None:
    values = gauges(1001, 10)
    values[:, 1000] += 100
    seen = Watch(values, seconds)
    assert np.isfinite(seen.surprise).all()
    assert (seen.surprise[:, :1000] >= SURPRISING).mean() < 2e-3
    assert (seen.surprise[:, 1000] > 2.0).sum() >= 7


def test_a_clock_that_stands_still_or_runs_back_leaves_scores_finite() -> None:
    values = gauges(300, 5)
    times = START + 60.0 * np.concatenate([np.arange(100), np.full(100, 99), np.arange(100)])
    seen = Watch(values, times=times)
    assert np.isfinite(seen.surprise).all()
    assert all(np.isfinite(array).all() for array in seen.state.arrays.values())


def test_a_restart_changes_nothing() -> None:
    values, cut = hurt(gauges(1500, 5), "spike", 1200, 5, 10), 1100
    whole = Watch(values)
    first = Watch(values[:, :cut])
    saved = {name: array.tobytes() for name, array in first.state.arrays.items()}
    fields = ComposedDetector.fields
    arrays = {name: np.frombuffer(saved[name], dtype).copy() for name, dtype in fields.items()}
    rest = Watch(values[:, cut:], state=State(ComposedDetector.version, arrays), times=whole.times[cut:])
    np.testing.assert_array_equal(rest.surprise, whole.surprise[:, cut:])


def test_rows_whose_slow_arrays_changed_say_so() -> None:
    """What is saved apart is saved where a row says that it changed."""
    detector = ComposedDetector()
    values = sample("mixed", 24, 400, day=48)
    state = detector.empty(24)
    state.arrays["phase"][:] = np.arange(24)
    inherited = 0
    for window in range(400):
        before = state.take(slice(None))
        scores = detector.step(state, values[:, window].copy(), np.ones(24, np.bool_), START + 900.0 * window)
        changed = np.zeros(24, np.bool_)
        for name in detector.slow:
            differs = before.arrays[name] != state.arrays[name]
            changed |= differs.reshape(24, -1).any(axis=1)
        assert (scores.slow | ~changed).all(), window
        inherited += int(scores.slow.sum())
    assert inherited < 0.7 * values.size  # most windows change none
