"""The synthetic signals are what they say, so that what is measured on them means something."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from tests.detectors.synthetic import CLASSES, INJECTORS, columns, inject, noise_of, sample

DAY = 96  # windows of a quarter of an hour, so that a week is short
WEEK = 7 * DAY


@pytest.mark.parametrize("name", [*CLASSES, "mixed"])
def test_the_same_seed_gives_the_same_values_and_another_seed_others(name: str) -> None:
    first = sample(name, 12, 150, seed=1)
    assert first.shape == (12, 150)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, sample(name, 12, 150, seed=1))
    np.testing.assert_array_equal(first[:, :70], sample(name, 12, 70, seed=1))
    assert not np.array_equal(first, sample(name, 12, 150, seed=2))


@pytest.mark.parametrize("name", CLASSES)
def test_parameters_differ_between_signals(name: str) -> None:
    assert np.unique(sample(name, 60, 600).std(axis=1)).size == 60


@pytest.mark.parametrize("name", CLASSES)
def test_one_stretch_of_weeks_is_like_the_next(name: str) -> None:
    values = sample(name, 200, 8 * WEEK, day=DAY)
    middles = [np.median(part, axis=1) for part in np.split(values, 2, axis=1)]
    spread = np.quantile(values, 0.9, axis=1) - np.quantile(values, 0.1, axis=1)
    moved = np.abs(middles[1] - middles[0]) / np.maximum(spread, 1e-9)
    assert np.quantile(moved, 0.99) < 0.25


@pytest.mark.parametrize("name", CLASSES)
def test_the_first_windows_are_like_the_later_ones(name: str) -> None:
    values = sample(name, 500, 200 + DAY, day=DAY)
    early, late = values[:, :100], values[:, -100:]
    spreads = np.mean(np.abs(np.diff(early)), axis=1), np.mean(np.abs(np.diff(late)), axis=1)
    alive = (spreads[0] > 0) & (spreads[1] > 0)
    assert abs(np.median(np.log(spreads[1][alive] / spreads[0][alive]))) < 0.1


def test_smooth_signals_repeat_every_week_up_to_a_little_noise() -> None:
    values = sample("smooth", 100, 2 * WEEK, day=DAY)
    first, second = np.split(values, 2, axis=1)
    unexplained = np.var(second - first, axis=1) / np.var(values, axis=1)
    assert np.median(unexplained) < 0.1


def test_heavy_tails_go_far_beyond_their_middle() -> None:
    values = sample("heavy_tailed", 100, 5000)
    quartiles = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
    reach = (values.max(axis=1) - quartiles[1]) / (quartiles[2] - quartiles[0])
    assert np.median(reach) > 5


def test_zero_inflated_signals_are_zero_in_most_windows() -> None:
    zero = (sample("zero_inflated", 200, 5000) == 0).mean(axis=1)
    assert zero.min() > 0.6
    assert zero.max() < 0.995
    assert 0.85 < np.median(zero) < 0.97


def test_counts_are_whole_numbers_from_rare_to_frequent() -> None:
    values = sample("counts", 200, 2000)
    np.testing.assert_array_equal(values, np.round(values))
    means = values.mean(axis=1)
    assert values.min() == 0
    assert means.min() < 1
    assert means.max() > 80
    dispersion = values.var(axis=1) / means
    assert np.median(dispersion[100:]) < np.median(dispersion[:100])  # Poisson after negative binomial


def test_bounded_signals_stay_between_0_and_100_percent() -> None:
    values = sample("bounded", 200, 1000)
    assert values.min() >= 0
    assert values.max() <= 100
    assert values.mean(axis=1).min() < 10
    assert values.mean(axis=1).max() > 90


def test_autocorrelated_signals_depend_on_the_window_before() -> None:
    values = sample("autocorrelated", 90, 5000)
    centred = values - values.mean(axis=1, keepdims=True)
    lag_one = (centred[:, 1:] * centred[:, :-1]).mean(axis=1) / centred.var(axis=1)
    assert lag_one.min() > 0.5
    assert lag_one.max() < 1
    assert np.quantile(lag_one, 0.1) > 0.7


def test_mixed_has_a_row_of_every_class_in_turn() -> None:
    values = sample("mixed", 60, 1000)
    bounded = values[list(CLASSES).index("bounded") :: len(CLASSES)]
    counts = values[list(CLASSES).index("counts") :: len(CLASSES)]
    assert bounded.min() >= 0
    assert bounded.max() <= 100
    np.testing.assert_array_equal(counts, np.round(counts))


def test_many_windows_take_no_more_memory_than_few() -> None:
    tracemalloc.start()
    try:
        peaks = []
        for windows in (200, 2000):
            tracemalloc.reset_peak()
            for _ in islice(columns("mixed", 300), windows):
                pass
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("kind", INJECTORS)
@pytest.mark.parametrize("name", CLASSES)
def test_an_anomaly_changes_its_own_windows_alone(name: str, kind: str) -> None:
    for row in sample(name, 6, 3 * DAY, day=DAY):
        before = row.copy()
        changed = inject(row, kind, 2 * DAY, DAY // 2, 8.0, np.random.default_rng(0))
        np.testing.assert_array_equal(row, before)
        np.testing.assert_array_equal(changed[: 2 * DAY], row[: 2 * DAY])
        after = slice(2 * DAY + DAY // 2, None)
        assert (changed[after] != row[after]).all() if kind == "trend" else (changed[after] == row[after]).all()


def test_an_anomaly_is_as_strong_as_the_noise_before_it() -> None:
    dice = np.random.default_rng(3)
    quiet = dice.normal(50, 2, 1000)
    assert noise_of(quiet) == pytest.approx(2, rel=0.1)
    by = 8 * noise_of(quiet[:500])
    difference = {kind: inject(quiet, kind, 500, 100, 8.0, dice) - quiet for kind in INJECTORS}
    assert difference["spike"][500] == pytest.approx(by)
    assert 0 < difference["spike"][599] < by / 50
    np.testing.assert_allclose(difference["level_shift"][500:600], by)
    np.testing.assert_allclose(difference["drift"][[500, 599, 600]], [0, by, 0], atol=1e-9)
    np.testing.assert_allclose(difference["trend"][[500, 599, 999]], [0, by, by], atol=1e-9)
    assert difference["noise_burst"][500:600].std() == pytest.approx(by, rel=0.3)
    assert np.ptp(inject(quiet, "stuck", 500, 100, 8.0, dice)[500:600]) == 0


def test_cycles_go_missing_and_are_swapped() -> None:
    course = np.tile(np.sin(np.arange(DAY) * 2 * np.pi / DAY), 5)
    dice = np.random.default_rng(4)
    assert inject(course, "missing_cycle", 3 * DAY, DAY, 0.0, dice)[3 * DAY : 4 * DAY].max() < -0.5
    swapped = inject(course, "swapped_cycle", 3 * DAY, DAY, 0.0, dice)[3 * DAY : 4 * DAY]
    np.testing.assert_allclose(swapped, -course[:DAY], atol=1e-9)


def test_a_signal_that_never_moves_still_gets_an_anomaly() -> None:
    for level in (0.0, 42.0):
        flat = np.full(100, level)
        assert inject(flat, "spike", 50, 1, 5.0, np.random.default_rng(0))[50] > level
