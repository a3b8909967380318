"""What callers feel, judged by its size: slow and failing requests, and what is nearly full."""

import numpy as np
import numpy.typing as npt
import pytest

from detectors import felt

Array = npt.NDArray[np.float64]


def state(*what: int, scale: float = 1.0) -> dict[str, npt.NDArray[np.generic]]:
    found = {name: np.zeros(len(what), dtype) for name, dtype in felt.FIELDS.items()}
    found["what"][:], found["scale"][:] = what, scale
    return found


def troubled(what: int, values: Array, scale: float = 1.0) -> list[int]:
    """Windows in which a row is in trouble."""
    rows = state(what, scale=scale)
    row = np.zeros(1, np.int64)
    return [k for k, value in enumerate(values) if felt.step(rows, row, np.array([value])).place.size]


def latency(windows: int, seed: int = 1, spread: float = 0.2) -> Array:
    return np.asarray(0.2 * np.exp(np.random.default_rng(seed).normal(0, spread, windows)))


def failures(windows: int, requests: int, share: float, seed: int = 1) -> Array:
    return np.random.default_rng(seed).binomial(requests, share, windows) / requests


def test_requests_that_take_three_times_as_long_are_trouble_within_three_windows() -> None:
    values = latency(160)
    values[100:] *= 3
    found = troubled(felt.LATENCY, values)
    assert found[0] in (101, 102, 103)
    assert found == list(range(found[0], 160))


def test_so_they_are_in_any_unit() -> None:
    values = latency(160)
    values[100:] *= 3
    assert troubled(felt.LATENCY, values * 1000, scale=0.001) == troubled(felt.LATENCY, values)


def test_a_fifth_more_for_minutes_is_seen_in_the_mean() -> None:
    values = latency(200, spread=0.05)
    values[100:] *= 1.5
    assert 100 < troubled(felt.LATENCY, values)[0] < 115


@pytest.mark.parametrize("spread", [0.05, 0.3, 1.0])
def test_noise_alone_is_hardly_ever_trouble(spread: float) -> None:
    found = [troubled(felt.LATENCY, latency(2000, seed, spread)) for seed in range(10)]
    assert sum(map(len, found)) <= 5  # of 20,000 windows


def test_heavy_tails_are_hardly_ever_trouble() -> None:
    found = [troubled(felt.LATENCY, 0.1 * (1 + np.random.default_rng(seed).pareto(1.5, 2000))) for seed in range(10)]
    assert sum(map(len, found)) <= 10


def test_one_odd_window_is_no_trouble_however_odd_it_is() -> None:
    values = latency(200)
    values[[80, 120, 160]] = 1e6
    assert troubled(felt.LATENCY, values) == []


def test_what_is_faster_is_no_trouble() -> None:
    values = latency(160)
    values[100:] /= 10
    assert troubled(felt.LATENCY, values) == []


def test_a_difference_that_nobody_feels_is_none() -> None:
    values = latency(160, spread=0.01) / 1000  # a fifth of a millisecond
    values[100:] *= 10
    assert troubled(felt.LATENCY, values) == []


@pytest.mark.parametrize("requests", [5, 20, 200])
def test_a_quarter_of_requests_that_fail_is_trouble(requests: int) -> None:
    values = np.concatenate([failures(150, requests, 0.002), failures(60, requests, 0.25, 2)])
    found = troubled(felt.SHARE, values)
    assert 150 <= found[0] <= 160
    assert len(found) > 40


@pytest.mark.parametrize("requests", [1, 3, 20, 200])
def test_failures_now_and_then_are_none(requests: int) -> None:
    found = [troubled(felt.SHARE, failures(2000, requests, 0.003, seed)) for seed in range(10)]
    assert sum(map(len, found)) <= 5


def test_what_always_fails_a_little_is_held_to_that() -> None:
    usual = failures(400, 100, 0.1)
    assert troubled(felt.SHARE, usual) == []
    assert troubled(felt.SHARE, np.concatenate([usual, failures(40, 100, 0.5, 3)]))[0] < 405


def test_memory_that_was_never_nearly_full_and_now_is() -> None:
    values = np.full(200, 0.4) + np.random.default_rng(1).normal(0, 0.005, 200)
    values[100:140] = np.linspace(0.4, 1.0, 40)
    found = troubled(felt.FULL, values)
    assert found
    assert values[found[0]] >= felt.NEARLY_FULL
    assert troubled(felt.FULL, np.full(200, 0.95)) == []


def test_a_level_that_lasts_is_the_usual_one_in_the_end() -> None:
    values = latency(700)
    values[100:] *= 3
    found = troubled(felt.LATENCY, values)
    assert found[-1] - found[0] < felt.ADOPTED + 20
    values = np.concatenate([values, values[-100:] * 3])
    assert troubled(felt.LATENCY, values)[-1] > 700


def test_nothing_is_said_before_enough_is_known() -> None:
    values = latency(felt.LEARNING)
    values[-10:] *= 30
    assert troubled(felt.LATENCY, values) == []


def test_what_was_usual_is_said_and_stays_while_the_trouble_lasts() -> None:
    values = latency(160)
    values[100:] *= 3
    rows, row = state(felt.LATENCY), np.zeros(1, np.int64)
    said = [felt.step(rows, row, np.array([value])) for value in values]
    usual = [each.usual[0] for each in said if each.place.size]
    assert usual == pytest.approx([0.2] * len(usual), rel=0.25)
    assert len(usual) > 50
    assert all(each.upper[0] > each.usual[0] and each.z[0] > 0 for each in said if each.place.size)


def test_rows_do_not_matter_to_each_other() -> None:
    what = (felt.LATENCY, felt.NOTHING, felt.SHARE, felt.LATENCY)
    values = np.stack([latency(200), latency(200, 2), failures(200, 20, 0.01), latency(200, 3)], axis=1)
    values[120:, [0, 2]] += 0.6
    values[::7, 3] = np.nan
    together, alone = state(*what), [state(each) for each in what]
    order = np.array([3, 0, 2, 1])
    for window in values:
        at_once = felt.step(together, order, window[order])
        single = [felt.step(each, np.zeros(1, np.int64), window[k : k + 1]).place.size for k, each in enumerate(alone)]
        assert sorted(order[at_once.place]) == [k for k, found in enumerate(single) if found]
    for name in felt.FIELDS:
        assert np.array_equal(together[name], np.concatenate([each[name] for each in alone]), equal_nan=True)


def test_a_row_is_away_while_two_of_its_last_windows_are() -> None:
    rows, row = state(felt.LATENCY), np.zeros(1, np.int64)
    for value in latency(100):
        felt.step(rows, row, np.array([value]))
    assert not felt.is_away(rows, row)[0]
    felt.step(rows, row, np.array([20.0]))
    assert not felt.is_away(rows, row)[0]
    felt.step(rows, row, np.array([20.0]))
    assert felt.is_away(rows, row)[0]
