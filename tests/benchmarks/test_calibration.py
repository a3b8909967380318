"""The arithmetic of the calibration figures."""

import numpy as np
import pytest

from tests.benchmarks import calibration


def test_a_rate_is_a_ratio_of_sums_and_lies_in_its_interval() -> None:
    found, expected = np.array([0, 4, 2, 2]), np.array([2.0, 2.0, 2.0, 2.0])
    value, (low, high) = calibration.rate(found, expected)
    assert value == 1.0
    assert 0 < low < 1 < high < 2


def test_the_interval_is_as_wide_as_the_signals_differ() -> None:
    dice = np.random.default_rng(1)
    expected = np.full(1000, 10.0)
    _, alike = calibration.rate(dice.poisson(10, 1000), expected)
    _, differing = calibration.rate(dice.poisson(10, 1000) * dice.choice([0, 2], 1000), expected)
    assert alike[1] - alike[0] == pytest.approx(4 * np.sqrt(10 / 1000) / 10, rel=0.1)
    assert differing[1] - differing[0] > 3 * (alike[1] - alike[0])


def test_a_few_windows_of_a_class_are_counted_after_the_warm_up() -> None:
    tally = calibration.measure("smooth", 5, 10, warm_up=30)
    assert tally.windows.tolist() == [10] * 5
    assert (tally.inside <= 10).all()
    assert tally.beyond.shape == (5, len(calibration.ALPHAS))
    assert (np.diff(tally.beyond, axis=1) <= 0).all()
