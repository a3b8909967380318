"""How the ratio detector behaves: volume is what makes a ratio mean something; calibration; cold rows; outliers."""

import numpy as np
import pytest

from detectors.protocol import Scores, State, StateVersionError
from detectors.ratio import RatioDetector, ratio_surprise
from tests.detectors.naive_ratio import NaiveRatio
from tests.detectors.naive_ratio import surprise as naive_surprise
from tests.detectors.signals import Floats

ALPHAS = np.array([1e-2, 1e-3, 1e-4])


def windows_of(
    detector: RatioDetector, values: Floats, volumes: Floats | None, state: State | None = None
) -> tuple[list[Scores], State]:
    """Scores of every window of (rows, windows)."""
    state = state or detector.empty(len(values))
    mask = np.isfinite(values)
    steps = range(values.shape[1])
    volume = [None if volumes is None else volumes[:, at].copy() for at in steps]
    return [detector.step(state, values[:, at].copy(), mask[:, at], 0.0, volume[at]) for at in steps], state


def surprises(scores: list[Scores]) -> Floats:
    return np.array([scored.surprise for scored in scores]).T


def requests(
    dice: np.random.Generator, rows: int, windows: int, volume: float, mean: float, dispersion: float
) -> tuple[Floats, Floats]:
    """Error ratios and their volumes; the ratio behind a window varies with this dispersion (variance over mean²)."""
    trials = np.maximum(dice.poisson(volume, (rows, windows)), 1)
    c = 1 / (dispersion * min(mean, 1 - mean)) - 1 if dispersion else 0.0
    ratio = dice.beta(mean * c, (1 - mean) * c, trials.shape) if dispersion else mean
    return dice.binomial(trials, ratio) / trials, trials.astype(float)


@pytest.mark.parametrize(
    ("volume", "mean", "dispersion"),
    [(1000, 0.01, 0.3), (500, 0.05, 0.1), (3000, 0.999, 0.5), (50, 0.3, 0.05), (5000, 0.001, 1.0), (30, 0.5, 0.02)],
)
def test_p_is_calibrated(volume: float, mean: float, dispersion: float) -> None:
    values, volumes = requests(np.random.default_rng(1), 1000, 1000, volume, mean, dispersion)
    scores, _ = windows_of(RatioDetector(), values, volumes)
    found = surprises(scores)[:, 500:]
    ratios = np.array([(found >= -np.log10(alpha) - 1e-12).mean() for alpha in ALPHAS]) / ALPHAS
    assert (ratios >= 0.3).all(), ratios
    assert (ratios <= 2).all(), ratios
    held = [(scored.lower - 1e-9 <= x) & (x <= scored.upper + 1e-9) for scored, x in zip(scores, values.T, strict=True)]
    assert np.mean(held[500:]) > 0.98


@pytest.mark.parametrize(("volume", "mean"), [(2, 0.01), (20, 0.01), (1, 0.5), (100, 0.01)])
def test_p_of_few_trials_is_valid(volume: float, mean: float) -> None:
    values, volumes = requests(np.random.default_rng(2), 1000, 700, volume, mean, 0.0)
    found = surprises(windows_of(RatioDetector(), values, volumes)[0])[:, 200:]
    ratios = np.array([(found >= -np.log10(alpha) - 1e-12).mean() for alpha in ALPHAS]) / ALPHAS
    assert (ratios <= 1.3).all(), ratios


def test_it_agrees_with_its_naive_twin() -> None:
    dice = np.random.default_rng(3)
    cases = [(2, 0.01, 0.0), (40, 0.05, 0.3), (300, 0.5, 0.1), (200, 0.97, 0.5), (1500, 0.002, 0.0)]
    drawn = [requests(dice, 1, 250, *case) for case in cases]
    values, volumes = (np.vstack(parts) for parts in zip(*drawn, strict=True))
    values[1, 100], values[2, 50], values[3, 60], volumes[3, 70], volumes[2, 80] = 1.0, 7.0, np.nan, 0.0, np.nan
    scores, _ = windows_of(RatioDetector(), values, volumes)
    for row in range(len(values)):
        twin = NaiveRatio(RatioDetector())
        for at, scored in enumerate(scores):
            found = [getattr(scored, name)[row] for name in ("expected", "lower", "upper", "surprise")]
            expected = twin.step(float(values[row, at]), float(volumes[row, at]))
            np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8, err_msg=f"row {row} window {at}")


def test_an_error_burst_at_low_volume_is_nothing_and_at_high_volume_is_much() -> None:
    dice = np.random.default_rng(4)
    quiet, trials = requests(dice, 2, 400, 100, 0.01, 0.2)
    quiet[0, 300:305], trials[0, 300:305] = [0.5, 0, 0, 0.5, 0], 2  # one of two requests failed, twice
    quiet[1, 300:305], trials[1, 300:305] = 0.5, 100
    found = surprises(windows_of(RatioDetector(), quiet, trials)[0])
    assert (found[0, 300:305] < 2.5).all()
    assert (found[1, 300:305] > 8).all()
    assert (found[1, :300] < 5).all()


def test_a_success_ratio_is_watched_as_its_error_ratio_is() -> None:
    values, volumes = requests(np.random.default_rng(5), 5, 300, 400, 0.02, 0.2)
    errors = windows_of(RatioDetector(), values, volumes)[0]
    success = windows_of(RatioDetector(), 1 - values, volumes)[0]
    np.testing.assert_allclose(surprises(success), surprises(errors), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(success[-1].upper, 1 - errors[-1].lower, atol=1e-6)


def test_per_cent_is_a_matter_of_the_whole() -> None:
    values, volumes = requests(np.random.default_rng(6), 3, 200, 300, 0.1, 0.2)
    plain = windows_of(RatioDetector(), values, volumes)[0]
    percent = windows_of(RatioDetector(whole=100.0), 100 * values, volumes)[0]
    np.testing.assert_allclose(surprises(percent), surprises(plain), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(percent[-1].expected, 100 * plain[-1].expected, rtol=1e-6)


def test_without_a_volume_each_window_is_one_trial() -> None:
    values, _ = requests(np.random.default_rng(7), 4, 200, 10, 0.1, 0.0)
    none, _ = windows_of(RatioDetector(), values, None)
    ones, _ = windows_of(RatioDetector(), values, np.ones(values.shape))
    np.testing.assert_array_equal(surprises(none), surprises(ones))


@pytest.mark.parametrize("wrong", [-0.1, 1.1, 1e300])
def test_a_value_that_is_no_ratio_says_nothing_and_is_not_learned(wrong: float) -> None:
    values, volumes = requests(np.random.default_rng(8), 1, 100, 100, 0.1, 0.0)
    _, before = windows_of(RatioDetector(), values, volumes)
    kept = before.take(slice(None))
    scores, after = windows_of(RatioDetector(), np.array([[wrong]]), np.array([[50.0]]), before)
    assert scores[0].surprise[0] == 0
    assert np.isfinite(scores[0].upper[0])
    assert all(np.array_equal(kept.arrays[name], array) for name, array in after.arrays.items())


def test_a_window_without_trials_is_not_learned() -> None:
    values, volumes = requests(np.random.default_rng(9), 1, 100, 100, 0.1, 0.0)
    _, state = windows_of(RatioDetector(), values, volumes)
    seen = state.arrays["seen"].copy()
    for volume in (0.0, -3.0, 0.4, np.nan):
        scores, _ = windows_of(RatioDetector(), np.array([[1.0]]), np.array([[volume]]), state)
        assert scores[0].surprise[0] == 0
    assert state.arrays["seen"] == seen


def test_a_cold_row_says_nothing_and_expects_itself() -> None:
    values, volumes = np.full((2, 40), 0.01), np.full((2, 40), 1000.0)
    values[0, 10] = values[1, 30] = 0.5
    scores, _ = windows_of(RatioDetector(), values, volumes)
    assert scores[0].expected.tolist() == [0.01, 0.01]
    assert scores[10].surprise[0] == 0
    assert scores[30].surprise[1] > 4


def test_one_outlier_does_not_become_the_rule_and_a_lasting_shift_does() -> None:
    values, volumes = requests(np.random.default_rng(10), 20, 1500, 500, 0.02, 0.1)
    outlier, shifted = values.copy(), values.copy()
    outlier[:, 300] = 1.0
    shifted[:, 300:] = np.minimum(values[:, 300:] * 5, 1)
    spiked, moved = (windows_of(RatioDetector(), rows, volumes)[0] for rows in (outlier, shifted))
    assert np.abs(spiked[301].expected - spiked[300].expected).max() < 0.002
    assert (surprises(moved)[:, 300:303].sum(axis=1) > 8).all()
    assert (surprises(moved)[:, 1100:] < 4).mean() > 0.999
    assert np.abs(moved[-1].expected - 0.1).max() < 0.02


@pytest.mark.parametrize(
    ("k", "n", "mean", "overlap"), [(1, 2, 0.01, 0.001), (50, 100, 0.01, 0.003), (90, 100, 0.9, 0.1)]
)
def test_the_surprise_of_a_ratio_is_that_of_all_probabilities(k: int, n: int, mean: float, overlap: float) -> None:
    expected = naive_surprise(k, n, mean, overlap)
    assert ratio_surprise(float(k), float(n), mean, overlap) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_window_is_scored_before_it_is_learned() -> None:
    values, volumes = requests(np.random.default_rng(12), 1, 100, 500, 0.05, 0.1)
    values[0, 60] = 0.05
    scores, _ = windows_of(RatioDetector(), values, volumes)
    for outlier in (1.0, 0.3, 0.0, 1e9):
        changed = values.copy()
        changed[0, 60] = outlier
        other, _ = windows_of(RatioDetector(), changed, volumes)
        assert other[60].expected == scores[60].expected
        if outlier <= 1:
            assert (other[60].lower, other[60].upper) == (scores[60].lower, scores[60].upper)
            assert other[60].surprise > scores[60].surprise


def test_huge_volumes_stay_finite() -> None:
    values = np.random.default_rng(11).normal(0.01, 0.0005, (1, 60))
    scores, state = windows_of(RatioDetector(), values, np.full((1, 60), 1e12))
    assert np.isfinite(surprises(scores)).all()
    assert all(np.isfinite(array).all() for array in state.arrays.values())


def test_a_state_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(StateVersionError, match=r"cannot be read by ratio/1, which needs \['events'"):
        RatioDetector().check(State("level/1", {"seen": np.zeros(1)}))
    RatioDetector().check(RatioDetector().empty(2))
