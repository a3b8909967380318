"""How the counts detector behaves: lattices of any step, calibration by family, cold rows, outliers, lasting shifts."""

from collections.abc import Callable

import numpy as np
import pytest

from detectors.counts import CountsDetector, count_surprise, dispersion_of
from detectors.lattice import common_step, count_on
from detectors.protocol import State, StateVersionError
from tests.detectors.naive_counts import NaiveCounts, ln_tails
from tests.detectors.running import many, one, run
from tests.detectors.signals import Floats, Sample, mixed, noise, spiked

SURPRISE = 3
ALPHAS = np.array([1e-2, 1e-3, 1e-4])


def poisson(mean: float) -> Callable[[np.random.Generator, int], Floats]:
    return lambda dice, rows: dice.poisson(mean, rows).astype(float)


def negative_binomial(mean: float, size: float) -> Callable[[np.random.Generator, int], Floats]:
    return lambda dice, rows: dice.negative_binomial(size, size / (size + mean), rows).astype(float)


def inflated(mean: float, presence: float) -> Callable[[np.random.Generator, int], Floats]:
    return lambda dice, rows: np.where(dice.random(rows) < presence, dice.poisson(mean, rows), 0).astype(float)


def calibration(
    draw: Callable[[np.random.Generator, int], Floats], rows: int, windows: int, warm: int, quantum: float = 1.0
) -> tuple[Floats, float]:
    """P(p ≤ α)/α at ALPHAS from window ``warm`` on, and the share of values in their band."""
    detector, dice = CountsDetector(), np.random.default_rng(7)
    state, mask = detector.empty(rows), np.ones(rows, np.bool_)
    hits, held = np.zeros(ALPHAS.size), 0
    for window in range(windows):
        values = draw(dice, rows) * quantum
        scores = detector.step(state, values, mask, 0.0)
        if window >= warm:
            hits += (scores.surprise[:, None] >= -np.log10(ALPHAS) - 1e-12).sum(axis=0)
            held += int(((values >= scores.lower - 1e-9) & (values <= scores.upper + 1e-9)).sum())
    tests = rows * (windows - warm)
    return hits / tests / ALPHAS, held / tests


SMOOTH_ENOUGH = {
    "poisson 5": poisson(5),
    "poisson 20": poisson(20),
    "poisson 100": poisson(100),
    "poisson 1000": poisson(1000),
    "bursty 2": negative_binomial(2, 0.5),
    "bursty 20": negative_binomial(20, 3),
    "bursty 1000": negative_binomial(1000, 1),
    "often empty 20": inflated(20, 0.1),
    "often empty 100": inflated(100, 0.5),
}


@pytest.mark.parametrize("family", SMOOTH_ENOUGH)
def test_p_is_calibrated(family: str) -> None:
    ratios, held = calibration(SMOOTH_ENOUGH[family], 1500, 1300, 600, quantum=1 / 60)
    assert (ratios >= 0.3).all(), ratios
    assert (ratios <= 2).all(), ratios
    assert held >= 0.985


@pytest.mark.parametrize("mean", [0.02, 0.2, 1.0])
def test_p_of_few_counts_is_valid_though_there_are_few_values_to_take(mean: float) -> None:
    ratios, held = calibration(poisson(mean), 1500, 1300, 600, quantum=0.1)
    assert (ratios <= 1.5).all(), ratios
    assert held >= 0.985


@pytest.mark.parametrize("family", SMOOTH_ENOUGH)
def test_a_row_that_has_just_begun_is_cautious(family: str) -> None:
    ratios, _ = calibration(SMOOTH_ENOUGH[family], 5000, 60, 12)
    assert (ratios <= [1.2, 2, 5]).all(), ratios


def test_it_agrees_with_its_naive_twin_on_counts() -> None:
    dice, windows = np.random.default_rng(3), 600
    rows = np.array(
        [
            dice.poisson(0.2, windows) / 60,
            dice.poisson(20, windows) * 0.1,
            dice.negative_binomial(0.5, 0.1, windows),
            np.where(dice.random(windows) < 0.2, dice.poisson(20, windows), 0.0),
            2.0 * dice.poisson(3, windows),
            spiked(dice.poisson(3, windows).astype(float), 300, 1e9),
            np.append(dice.poisson(3, 300), dice.poisson(300, 300) / 2),
        ]
    )
    found, _ = many(CountsDetector(), rows)
    for row, values in enumerate(rows):
        twin = NaiveCounts(CountsDetector())
        expected = np.array([twin.step(float(x)) for x in values]).T
        np.testing.assert_allclose(found[:, row], expected, rtol=1e-9, atol=1e-9, err_msg=f"row {row}")


@pytest.mark.parametrize("seed", [1, 2])
def test_it_agrees_with_its_naive_twin_on_anything(seed: int) -> None:
    sample = mixed(seed)
    found, _ = run(CountsDetector(), sample)
    for row in range(sample.rows):
        twin = NaiveCounts(CountsDetector())
        there = np.flatnonzero(sample.mask[row])
        expected = np.array([twin.step(float(sample.values[row, window])) for window in there]).T
        np.testing.assert_allclose(found[:, row, there], expected, rtol=1e-9, atol=1e-9, err_msg=f"row {row}")


@pytest.mark.parametrize("quantum", [1.0, 0.1, 1 / 60, 7.0, 1e-6, 1e6])
@pytest.mark.parametrize("mean", [0.3, 4.0, 900.0])
def test_the_step_of_the_lattice_is_learned_and_does_not_matter(quantum: float, mean: float) -> None:
    counts = np.random.default_rng(1).poisson(mean, 400).astype(float)
    found, state = one(CountsDetector(), counts * quantum)
    plain, _ = one(CountsDetector(), counts)
    assert state.arrays["quantum"][0] == pytest.approx(quantum, rel=1e-9)
    np.testing.assert_allclose(found[SURPRISE], plain[SURPRISE], rtol=1e-4, atol=1e-4)


def test_values_on_no_lattice_say_nothing() -> None:
    dice = np.random.default_rng(2)
    rows = [noise(10, 1, 600), dice.exponential(1.0, 600), -noise(10, 1, 600), dice.random(600), 1e6 * dice.random(600)]
    found, _ = many(CountsDetector(), [spiked(row, 500, 1e4 + 0.123456789) for row in rows])
    assert not found[SURPRISE].any()


def test_a_value_off_a_well_known_lattice_says_nothing_and_leaves_it_as_it_was() -> None:
    counts = np.random.default_rng(3).poisson(4, 500).astype(float)
    found, state = one(CountsDetector(), spiked(counts, 400, 7.123456))
    assert found[SURPRISE, 400] == 0
    assert state.arrays["quantum"][0] == 1.0
    assert found[SURPRISE, 401:].any()


def test_a_finer_lattice_is_taken_on_and_a_coarser_one_found_again() -> None:
    dice = np.random.default_rng(4)
    values = np.concatenate([dice.poisson(9, 200) * 1.0, dice.poisson(9, 200) / 4, dice.poisson(9, 800) * 1.0])
    _, early = one(CountsDetector(), values[:300])
    _, late = one(CountsDetector(), values)
    assert early.arrays["quantum"][0] == 0.25
    assert late.arrays["quantum"][0] == 1.0


def test_rare_errors_that_come_in_a_row_are_seen_at_once() -> None:
    dice = np.random.default_rng(5)
    rows = [np.append(dice.poisson(0.2, 500), [3.0] * 4) for _ in range(40)]
    found, _ = many(CountsDetector(), rows)
    assert (found[SURPRISE, :, 500:].sum(axis=1) > 8).all()
    assert (found[SURPRISE, :, 500] > 2).all()
    assert (found[SURPRISE, :, 50:500] > 5).mean() < 1e-4


def test_the_first_count_after_many_empty_windows_is_worth_what_the_history_is() -> None:
    (after_few, _), (after_many, _) = (one(CountsDetector(), np.append(np.zeros(n), 1.0)) for n in (20, 2000))
    assert 1 < after_few[SURPRISE, -1] < 2.5
    assert 2.5 < after_many[SURPRISE, -1] < 4


@pytest.mark.parametrize("min_history", [2, 12, 40])
def test_a_cold_row_says_nothing(min_history: int) -> None:
    values = np.append(np.tile([1.0, 2.0], 40), [500.0] * 5)
    found, _ = one(CountsDetector(min_history=min_history), values)
    assert not found[SURPRISE, :min_history].any()
    assert found[SURPRISE, 80] > 10


def test_one_outlier_moves_the_expected_value_by_little() -> None:
    values = np.random.default_rng(6).poisson(5, 500).astype(float)
    found, _ = many(CountsDetector(), [values, *(spiked(values, 300, to) for to in (100.0, 1e5, 1e9, 1e300))])
    assert (found[SURPRISE, 1:, 300] > 20).all()
    assert np.abs(found[0, 1:] - found[0, :1]).max() < 0.2
    assert (found[2, 1:, 301:] <= 1.25 * found[2, :1, 301:]).all()


@pytest.mark.parametrize(("before", "after"), [(1.0, 20.0), (20.0, 1.0), (5.0, 0.0), (0.0, 5.0), (1000.0, 0.0)])
def test_a_lasting_shift_is_seen_and_adopted_within_700_windows(before: float, after: float) -> None:
    dice = np.random.default_rng(8)
    values = np.hstack([dice.poisson(before, (20, 500)), dice.poisson(after, (20, 1200))])
    found, _ = many(CountsDetector(), values)
    assert (found[SURPRISE, :, 500:504].sum(axis=1) > 3).all()
    assert (found[SURPRISE, :, 1200:] < 4).mean() > 0.999


def test_an_empty_window_of_a_busy_row_is_as_surprising_as_a_flood() -> None:
    values = np.random.default_rng(9).poisson(200, 400).astype(float)
    (low, _), (high, _) = (one(CountsDetector(), spiked(values, 300, to)) for to in (0.0, 600.0))
    assert low[SURPRISE, 300] > 30
    assert high[SURPRISE, 300] > 30


@pytest.mark.parametrize(("k", "mean", "dispersion"), [(9, 1.0, 1e-4), (0, 30.0, 0.1), (60, 20.0, 0.5), (3, 0.1, 2.0)])
def test_the_surprise_of_a_count_is_that_of_scipys_tails(k: int, mean: float, dispersion: float) -> None:
    lower, upper = ln_tails(k, mean, dispersion)
    zero, _ = ln_tails(0, mean, dispersion)
    doubled = 1 if upper < min(lower, zero) else 2
    assert count_surprise(float(k), mean, dispersion) == pytest.approx(
        -(min(lower, upper) + np.log(doubled)) / np.log(10), rel=1e-9
    )


def test_a_count_is_told_from_a_value_between_counts() -> None:
    assert count_on(0.3, 0.1) == 3
    assert count_on(0.35, 0.1) == -1
    assert count_on(-0.3, 0.1) == -1
    assert count_on(0.0, 0.0) == 0
    assert common_step(0.6, 0.8) == pytest.approx(0.2)
    assert common_step(1000.0, np.pi) == 0
    assert dispersion_of(20.0, 20.0 + 0.5 * 400, 1e6) == pytest.approx(0.5, rel=1e-3)


def test_a_window_is_scored_before_it_is_learned() -> None:
    values = np.random.default_rng(12).poisson(10, 100).astype(float)
    values[60] = 10.0
    found, _ = one(CountsDetector(), values)
    for outlier in (1e9, 40.0, 0.0, 7.5, -5.0, 33.333):
        changed, _ = one(CountsDetector(), spiked(values, 60, outlier))
        np.testing.assert_array_equal(changed[:3, 60], found[:3, 60])
        if outlier in (1e9, 40.0, 0.0, 7.5):
            assert changed[SURPRISE, 60] >= found[SURPRISE, 60]


def test_gaps_are_as_if_they_were_not_there() -> None:
    dice = np.random.default_rng(10)
    values, there = dice.poisson(3, (5, 400)).astype(float), dice.random((5, 400)) < 0.6
    found, _ = run(CountsDetector(), Sample(values, there))
    for row in range(5):
        without, _ = one(CountsDetector(), values[row, there[row]])
        np.testing.assert_array_equal(found[:, row, there[row]], without)


def test_a_state_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(StateVersionError, match=r"cannot be read by counts/1, which needs \['absence'"):
        CountsDetector().check(State("level/1", {"seen": np.zeros(1)}))
    CountsDetector().check(CountsDetector().empty(2))
