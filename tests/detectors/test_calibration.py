"""What a fleet teaches about its totals and its surprises, and when it teaches nothing."""

import numpy as np
import numpy.typing as npt
import pytest

from detectors import calibration
from detectors.calibration import BINS, FleetCalibration
from detectors.composed import TotalsPrior
from detectors.layout import TOTAL_EXCESSES, TOTAL_MEAN, TOTAL_U, TOTALS

Floats = npt.NDArray[np.float64]
SHIPPED = TotalsPrior()


def totals(threshold: npt.ArrayLike, excess: npt.ArrayLike, excesses: float = 100.0) -> npt.NDArray[np.float32]:
    """What rows have seen of their totals, (rows, TOTALS)."""
    found = np.zeros((np.size(threshold), TOTALS), np.float32)
    found[:, TOTAL_U], found[:, TOTAL_MEAN], found[:, TOTAL_EXCESSES] = threshold, excess, excesses
    return found


def shown(
    pool: FleetCalibration, members: npt.NDArray[np.float32], surprise: Floats | None = None, steps: int = 2000
) -> TotalsPrior:
    """What rows are drawn towards after the pool has seen these members for long."""
    calm = np.full(len(members), 0.3) if surprise is None else surprise
    for _ in range(steps):
        pool.learn(calm, calm)
        pool.look(members, calm)
    return pool.prior


def close(found: TotalsPrior, threshold: float, excess: float, rel: float) -> bool:
    return found.threshold == pytest.approx(threshold, rel=rel) and found.excess == pytest.approx(excess, rel=rel)


# -- totals -----------------------------------------------------------------------------------------------------------


def test_the_prior_moves_to_what_is_usual_in_a_large_fleet() -> None:
    assert close(shown(FleetCalibration(), totals(np.full(5000, 5.0), 2.0)), 5.0, 2.0, 0.02)


def test_it_moves_in_small_steps() -> None:
    members, calm, pool = totals(np.full(500, 9.0), 4.0), np.full(500, 0.3), FleetCalibration()
    largest = 0.0
    for _ in range(500):
        before = pool.prior.threshold
        pool.learn(calm, calm)
        pool.look(members, calm)
        largest = max(largest, abs(pool.prior.threshold - before))
    assert 0 < largest <= 0.11 * (9.0 - SHIPPED.threshold)


def test_the_least_and_the_greatest_tenth_have_no_say() -> None:
    thresholds = np.full(1000, 4.0)
    thresholds[:90], thresholds[-90:] = 0.5, 1e6
    plain = shown(FleetCalibration(), totals(np.full(1000, 4.0), 1.0))
    assert shown(FleetCalibration(), totals(thresholds, 1.0)) == plain


def test_a_fleet_of_one_stays_near_the_shipped_prior() -> None:
    found = shown(FleetCalibration(), totals([SHIPPED.threshold + 10.0], SHIPPED.excess + 10.0))
    assert SHIPPED.threshold < found.threshold < SHIPPED.threshold + 1.0
    assert SHIPPED.excess < found.excess < SHIPPED.excess + 1.0


def test_rows_that_have_shown_little_are_no_members() -> None:
    assert shown(FleetCalibration(), totals(np.full(100, 50.0), 9.0, excesses=5.0)) == SHIPPED


def test_the_order_of_rows_does_not_matter() -> None:
    dice = np.random.default_rng(0)
    members, order = totals(dice.uniform(2, 6, 300), dice.uniform(0.5, 2, 300)), dice.permutation(300)
    plain, moved = shown(FleetCalibration(), members), shown(FleetCalibration(), members[order])
    assert close(moved, plain.threshold, plain.excess, 1e-9)


def test_nothing_is_learned_while_half_the_fleet_is_out() -> None:
    members, outage = totals(np.full(1000, 9.0), 5.0), np.full(1000, 0.3)
    outage[:500] = 8.0
    pool = FleetCalibration()
    grid = np.linspace(0, 15, 50)
    before = pool.surprise(grid)
    assert shown(pool, members, outage) == SHIPPED
    np.testing.assert_allclose(pool.surprise(grid), before, rtol=0.01)


def test_an_own_prior_is_what_a_fleet_begins_with() -> None:
    own = TotalsPrior(7.0, 2.0)
    assert FleetCalibration(own).prior == own


# -- surprises --------------------------------------------------------------------------------------------------------


def drawn(rows: int, seed: int) -> Floats:
    return -np.log10(1 - np.random.default_rng(seed).random(rows))


def taught(factor: float, steps: int = 800, rows: int = 1000) -> FleetCalibration:
    """A fleet in which every surprise is so many times what it should be."""
    pool = FleetCalibration()
    for step in range(steps):
        raw = factor * drawn(rows, step)
        pool.learn(raw, np.minimum(raw, 1.0))
    return pool


def test_before_anything_is_known_a_surprise_is_itself() -> None:
    raw = np.array([0.0, 0.31, 1.0, 4.05, 11.0, 30.0])
    np.testing.assert_allclose(FleetCalibration().surprise(raw), raw, atol=0.01)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.6])
def test_a_surprise_comes_as_often_as_it_says_whatever_the_detector_says(factor: float) -> None:
    found = taught(factor).surprise(factor * drawn(1_000_000, 10**6))
    for level in (1.0, 2.0, 3.0, 4.0):
        assert 0.6 <= (found >= level).mean() / 10**-level <= 1.6, level


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.6])
def test_the_order_of_surprises_is_kept_without_end(factor: float) -> None:
    pool, raw = taught(factor, steps=64), np.linspace(0, 40, 4001)
    found = pool.surprise(raw)
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(pool.surprise(raw[:4000].reshape(40, 100)), found[:4000].reshape(40, 100))


def test_windows_that_may_not_teach_do_not() -> None:
    pool, grid = FleetCalibration(), np.linspace(0, 12, 40)
    before = pool.surprise(grid)
    for _ in range(64):
        pool.learn(np.zeros(0), np.full(100, 0.5))
    np.testing.assert_allclose(pool.surprise(grid), before, rtol=0.01)


# -- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_calibration_restored_goes_on_as_if_nothing_had_happened() -> None:
    pool, again = taught(1.4, steps=37), FleetCalibration()
    shown(pool, totals(np.full(50, 5.0), 2.0), steps=20)
    again.load({name: array.copy() for name, array in pool.dump().items()})
    for each in (pool, again):
        shown(each, totals(np.full(50, 6.0), 2.5), drawn(50, 3) / 4, steps=40)
    assert again.prior == pool.prior
    grid = np.linspace(0, 20, 60)
    np.testing.assert_array_equal(again.surprise(grid), pool.surprise(grid))


def test_a_state_of_another_shape_is_refused() -> None:
    saved = FleetCalibration().dump() | {"histogram": np.zeros(BINS + 1)}
    with pytest.raises(ValueError, match=f"has {BINS} bins"):
        FleetCalibration().load(saved)


def test_steps_without_rows_change_nothing() -> None:
    pool = FleetCalibration()
    assert shown(pool, totals([], []), steps=2 * calibration._EVERY) == SHIPPED
