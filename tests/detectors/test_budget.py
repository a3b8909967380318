"""What the alert budget learns from a fleet, and what it does not: thresholds by the rate of episodes."""

import numpy as np
import numpy.typing as npt
import pytest

from detectors import budget
from detectors.budget import BINS, FIELDS, REFERENCE, TRIMMED, AlertBudget, frozen

Floats = npt.NDArray[np.float64]
Rows = dict[str, npt.NDArray[np.generic]]
BLOCK = 10


def empty(rows: int) -> Rows:
    return {name: np.zeros(rows, dtype) for name, dtype in FIELDS.items()}


def learned(surprise: Floats, pool: AlertBudget | None = None, trim: float = TRIMMED) -> AlertBudget:
    """A budget that has taken in (rows, windows)."""
    pool, rows = pool or AlertBudget(), empty(len(surprise))
    every, block = np.arange(len(surprise)), np.full(len(surprise), BLOCK)
    for column in surprise.T:
        pool.learn(rows, every, column, block, trim)
    return pool


def calm(rows: int, windows: int, seed: int = 0, excess: float = 1.0) -> Floats:
    """Surprise where p is uniform; ``excess`` stretches its tail from REFERENCE on."""
    found = -np.log10(1 - np.random.default_rng(seed).random((rows, windows)))
    return np.where(found > REFERENCE, REFERENCE + excess * (found - REFERENCE), found)


def clustered(rows: int, windows: int, seed: int = 0) -> Floats:
    """The same in bursts: each surprise lasts for some windows, and fades."""
    found = calm(rows, windows, seed)
    for back in range(1, 6):
        found[:, back:] = np.maximum(found[:, back:], found[:, :-back] - 0.3 * back)
    return found


def peaks_above(surprise: Floats, threshold: float) -> float:
    """Rate of blocks with a peak above: a block begins at REFERENCE and lasts for BLOCK windows."""
    number = 0
    for row in surprise:
        at = 0
        while at < row.size:
            begins = np.flatnonzero(row[at:] >= REFERENCE)
            if not begins.size:
                break
            at += int(begins[0])
            number += bool((row[at : at + BLOCK + 1] >= threshold).any())
            at += BLOCK + 1
    return number / surprise.size


@pytest.mark.parametrize("rate", [1e-3, 2e-4, 5e-5])
@pytest.mark.parametrize("kind", ["calibrated", "heavy", "light", "clustered"])
def test_as_many_peaks_pass_the_threshold_as_were_asked_for(kind: str, rate: float) -> None:
    excess = {"heavy": 1.3, "light": 0.7}.get(kind, 1.0)
    fleet = [clustered(200, 3000, s) if kind == "clustered" else calm(200, 3000, s, excess) for s in (1, 2)]
    threshold = float(learned(fleet[0]).threshold(np.array(rate)))
    assert 0.5 * rate <= peaks_above(fleet[1], threshold) <= 1.5 * rate


def test_before_anything_is_known_p_is_taken_to_be_calibrated_and_the_threshold_is_careful() -> None:
    rate = np.array([1e-3, 1e-4, 5e-5])
    beyond_calibrated = AlertBudget().threshold(rate) + np.log10(budget._PRIOR_CLUSTER * rate)
    assert (beyond_calibrated > -0.05).all()
    assert (beyond_calibrated < 0.8).all()


def test_the_more_is_asked_for_the_lower_is_the_threshold() -> None:
    rates = 10.0 ** np.linspace(-9, 1, 60)
    for pool in (AlertBudget(), learned(calm(50, 400)), learned(np.full((5, 40), 6.5)), learned(np.zeros((5, 40)))):
        threshold = pool.threshold(rates)
        assert (np.diff(threshold) <= 1e-9).all()
        assert (threshold >= REFERENCE / 2).all()
        assert np.isfinite(threshold).all()
        np.testing.assert_array_equal(pool.threshold(rates.reshape(6, 10)), threshold.reshape(6, 10))


def test_the_order_of_rows_does_not_matter() -> None:
    surprise = calm(40, 600)
    pool, moved = learned(surprise), learned(surprise[np.random.default_rng(1).permutation(40)])
    np.testing.assert_array_equal(moved.histogram, pool.histogram)
    assert moved.windows == pool.windows


def test_a_row_that_never_surprises_only_adds_to_the_windows_counted() -> None:
    surprise = calm(40, 600)
    pool, more = learned(surprise), learned(np.vstack([surprise, np.zeros((1, 600))]))
    np.testing.assert_array_equal(more.histogram, pool.histogram)
    assert more.windows == pool.windows + 600


def test_rows_that_are_not_there_in_a_step_wait() -> None:
    pool, rows = AlertBudget(), empty(3)
    for window in range(40):
        row = np.array([0, 2]) if window % 2 else np.array([1, 2, 0])
        surprise = np.where(row == 2, 2.5, 0.0) if window == 0 else np.zeros(row.size)
        pool.learn(rows, row, surprise, np.full(row.size, BLOCK))
    assert pool.histogram.sum() == 1
    assert pool.windows == 100


def test_a_block_is_counted_once_by_its_greatest_surprise() -> None:
    surprise = np.zeros((1, 60))
    surprise[0, [5, 7, 9]] = 2.5, 4.0, 3.0
    surprise[0, 40] = 3.3
    pool = learned(surprise)
    counted = REFERENCE + 0.1 * np.flatnonzero(pool.histogram)
    np.testing.assert_allclose(counted, [3.3, 4.0], atol=0.11)


def test_an_outage_of_half_the_fleet_does_not_raise_the_threshold() -> None:
    rate = np.array(5e-5)
    pool = learned(calm(100, 2000))
    before = float(pool.threshold(rate))
    outage = calm(100, 300, 1)
    outage[:50] = np.random.default_rng(2).uniform(4, 6.5, (50, 300))
    windows = pool.windows
    learned(outage, pool)
    assert float(pool.threshold(rate)) == before
    assert pool.windows - windows <= 0.1 * outage.size


@pytest.mark.parametrize("trim", [TRIMMED, 5.0])
def test_peaks_that_no_noise_has_teach_nothing(trim: float) -> None:
    surprise = calm(100, 1000)
    wild = surprise.copy()
    wild[::30, 500] = trim + 1.0
    rate, (pool, trimmed) = np.array(5e-5), (learned(each, trim=trim) for each in (surprise, wild))
    assert abs(float(trimmed.threshold(rate)) - float(pool.threshold(rate))) < 0.05


def test_one_anomalous_member_never_freezes_a_pool_and_more_than_a_twentieth_do() -> None:
    one = np.zeros(3)
    one[0] = 9.0
    assert not frozen(one)
    assert frozen(np.array([9.0, 9.0, 0.0]))
    fleet = np.zeros(100)
    fleet[:5] = 9.0
    assert not frozen(fleet)
    fleet[5] = 9.0
    assert frozen(fleet)
    assert frozen(np.append(fleet, np.full(100, np.nan)))
    assert not frozen(np.zeros(0))


def test_a_budget_restored_goes_on_as_if_nothing_had_happened() -> None:
    rates = 10.0 ** np.linspace(-6, -1, 20)
    pool = learned(calm(50, 505))
    again = AlertBudget()
    again.load({name: array.copy() for name, array in pool.dump().items()})
    np.testing.assert_array_equal(again.threshold(rates), pool.threshold(rates))
    more = calm(50, 300, 1)
    np.testing.assert_array_equal(learned(more, again).threshold(rates), learned(more, pool).threshold(rates))


def test_a_state_of_another_shape_is_refused() -> None:
    saved = AlertBudget().dump() | {"histogram": np.zeros(BINS + 1)}
    with pytest.raises(ValueError, match=f"has {BINS} bins"):
        AlertBudget().load(saved)


def test_a_step_without_rows_changes_nothing() -> None:
    pool = learned(calm(20, 100))
    before = pool.histogram.copy(), pool.windows
    pool.learn(empty(3), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    np.testing.assert_array_equal(pool.histogram, before[0])
    assert pool.windows == before[1]
