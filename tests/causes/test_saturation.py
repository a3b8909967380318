"""Saturation: how near to a limit and how much nearer than usual, by hand."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.causes.saturation import saturation

Array = npt.NDArray[Any]
QUIET = np.full(60, 10.0)


def strength(value: float, reference: Array = QUIET) -> float:
    found = saturation("cpu", np.array([value]), reference)
    assert found is not None
    return found.strength


def test_what_is_unusual_and_far_from_the_limit_is_no_saturation() -> None:
    assert strength(30.0) == 0.0


def test_what_is_near_the_limit_as_ever_is_no_saturation() -> None:
    assert strength(95.0, np.full(60, 95.0)) == 0.0


def test_strength_by_hand() -> None:
    # The scale is half a point, so z is at its limit of 20; 55 % is half way to where it counts whole.
    assert strength(55.0) == pytest.approx(20.0 * 0.5)
    assert strength(80.0) == strength(100.0) == 20.0


def test_levels_that_vary_anyway_are_less_unusual() -> None:
    restless = np.tile([10.0, 40.0, 70.0], 20)
    assert strength(90.0, restless) == pytest.approx((90 - 40) / (1.4826 * 30))


def test_too_little_is_known_to_say_anything() -> None:
    assert saturation("cpu", np.array([90.0]), np.full(4, 10.0)) is None
    assert saturation("cpu", np.array([np.nan]), QUIET) is None
    assert saturation("cpu", np.array([np.nan, 90.0]), np.append(QUIET, np.nan)) is not None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=9), st.lists(st.floats(0, 100), min_size=5, max_size=30))
def test_strength_stays_within_its_limits(window: list[float], reference: list[float]) -> None:
    found = saturation("cpu", np.array(window), np.array(reference))
    assert found is not None
    assert 0.0 <= found.strength <= 20.0
