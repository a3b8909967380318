"""How the level detector behaves: cold start, outliers, lasting shifts, constants."""

import numpy as np
import pytest

from detectors import LevelDetector, State, StateVersionError
from tests.detectors.running import many, one
from tests.detectors.signals import noise, shifted, spiked

THRESHOLD = 4.0
SURPRISE = 3


@pytest.mark.parametrize("min_history", [5, 20, 60])
def test_a_cold_signal_says_nothing_however_wild(min_history: int) -> None:
    wild = 10.0 ** np.random.default_rng(1).uniform(-6, 6, 100)
    found, _ = one(LevelDetector(min_history=min_history), wild)
    assert not found[SURPRISE, :min_history].any()
    assert found[SURPRISE, min_history:].any()


def test_the_first_window_expects_itself() -> None:
    found, _ = one(LevelDetector(), [7.0])
    assert found[:, 0].tolist() == [7.0, 7.0, 7.0, 0.0]


def test_plain_noise_is_not_surprising() -> None:
    found, _ = many(LevelDetector(), [noise(100, 5, 1000, seed) for seed in range(50)])
    assert (found[SURPRISE] >= THRESHOLD).mean() < 0.0005


def test_a_short_history_has_a_wider_band_than_a_long_one() -> None:
    found, _ = one(LevelDetector(), np.tile([99.0, 101.0], 100))
    width = found[2] - found[1]
    assert width[3] > 1.5 * width[150]


def test_one_outlier_moves_neither_the_level_nor_the_band_by_much() -> None:
    values = noise(100, 5, 400)
    found, _ = many(LevelDetector(), [values, *(spiked(values, 200, to) for to in (300.0, 1e6, 1e12, -1e12))])
    clean, with_outlier = found[:, :1], found[:, 1:]
    assert (with_outlier[SURPRISE, :, 200] > 8).all()
    assert np.abs(with_outlier[0] - clean[0]).max() < 1.0
    assert (with_outlier[2] - with_outlier[1]).max() < 1.3 * (clean[2] - clean[1]).max()


def test_after_an_outlier_the_next_deviation_is_seen_as_before() -> None:
    values = shifted(noise(100, 5, 400), 330, 60.0)
    found, _ = many(LevelDetector(), [spiked(values, 300, to) for to in (1e4, 1e9, 1e12, -1e12)])
    assert (found[SURPRISE, :, 331:333] >= THRESHOLD).all()


def test_a_lasting_shift_of_a_noisy_signal_is_adopted_within_120_windows() -> None:
    found, _ = many(LevelDetector(), [shifted(noise(100, 5, 500, seed), 200, 50.0) for seed in range(20)])
    assert (found[SURPRISE, :, 200] >= THRESHOLD).all()
    assert np.abs(found[0, :, 320:] - 150).max() < 7.5
    assert (found[SURPRISE, :, 320:] < THRESHOLD).all()


def test_a_lasting_jump_of_a_constant_is_seen_at_once_and_adopted_within_250_windows() -> None:
    before = np.array([[0.0], [0.0], [100.0], [1.0], [-5.0]])
    after = np.array([[1.0], [1e9], [200.0], [0.0], [5.0]])
    found, _ = many(LevelDetector(), np.hstack([before.repeat(100, axis=1), after.repeat(400, axis=1)]))
    assert not found[SURPRISE, :, :100].any()
    assert (found[SURPRISE, :, 100:103] >= THRESHOLD).all()
    assert (np.abs(found[0, :, 350:] - after) <= 0.05 * np.abs(after - before)).all()
    assert (found[SURPRISE, :, 350:] < THRESHOLD).all()


def test_up_and_down_are_equally_surprising() -> None:
    values = np.tile([99.0, 101.0], 50)
    up, _ = one(LevelDetector(), spiked(values, 60, 130.0))
    down, _ = one(LevelDetector(), spiked(200 - values, 60, 70.0))
    assert up[SURPRISE, 60] == pytest.approx(down[SURPRISE, 60])


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e6])
def test_the_unit_does_not_matter(factor: float) -> None:
    values = shifted(noise(100, 5, 300), 200, 40.0)
    (found, _), (scaled, _) = one(LevelDetector(), values), one(LevelDetector(), values * factor)
    np.testing.assert_allclose(scaled[:3], found[:3] * factor, rtol=1e-6)
    np.testing.assert_allclose(scaled[SURPRISE], found[SURPRISE], rtol=1e-6, atol=1e-9)


def test_a_farther_value_is_more_surprising_without_end() -> None:
    values = noise(100, 5, 200)
    found, _ = many(LevelDetector(), [spiked(values, 150, 100 + 10.0**power) for power in range(2, 299)])
    per_decade = np.diff(found[SURPRISE, :, 150])
    assert (per_decade > 0).all()
    np.testing.assert_allclose(per_decade[4:], 8.0, rtol=1e-6)  # Student's t with 8 degrees of freedom falls as z⁻⁸


def test_a_narrower_band_is_inside_a_wider_one() -> None:
    values = noise(100, 5, 100)
    (narrow, _), (wide, _) = one(LevelDetector(band_p=0.1), values), one(LevelDetector(band_p=0.001), values)
    assert (narrow[2] <= wide[2]).all()
    assert (narrow[1] >= wide[1]).all()


def test_a_value_at_the_edge_of_the_band_has_the_tail_probability_of_the_band() -> None:
    detector = LevelDetector(band_p=0.01)
    values = noise(100, 5, 101)
    found, _ = one(detector, values)
    at_edge, _ = one(detector, spiked(values, 100, found[2, 100]))
    assert at_edge[SURPRISE, 100] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "state",
    [
        State("level/0", LevelDetector().empty(1).arrays),
        State("level/1", {"seen": np.zeros(1)}),
        State("level/1", {**LevelDetector().empty(1).arrays, "more": np.zeros(1)}),
    ],
)
def test_a_state_of_another_version_or_with_other_arrays_is_refused_by_name(state: State) -> None:
    with pytest.raises(StateVersionError, match=r"cannot be read by level/1, which needs \['last', 'level'"):
        LevelDetector().check(state)


def test_its_own_state_is_accepted() -> None:
    LevelDetector().check(LevelDetector().empty(2))
