"""What every row detector of the catalogue keeps: the common checks. The composed one is
checked also without each of its parts."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest

from detectors import CATALOGUE, ROW_PARTS, ComposedDetector, RowDetector, State, StateVersionError
from tests.detectors.naive import TWINS
from tests.detectors.running import START, WINDOW_SECONDS, one, run
from tests.detectors.signals import Sample, mixed, noise, spiked

#: Bytes of state that a row may take.
BYTES_PER_ROW = {"composed": 3 * 1024, "level": 40, "counts": 40, "ratio": 24, "rarity": 232}

#: How far a detector may be from its twin, relative and absolute; the composed one keeps much in single precision.
TOLERANCE = {"composed": (1e-5, 1e-9), "level": (1e-9, 1e-300), "counts": (1e-9, 1e-9), "ratio": (1e-9, 1e-9)}
TOLERANCE["rarity"] = (1e-9, 1e-9)

SEEDS = [1, 2]

DETECTORS: Mapping[str, RowDetector] = {name: made() for name, made in CATALOGUE.items()} | {
    f"composed without {part}": ComposedDetector(parts=tuple(other for other in ROW_PARTS if other != part))
    for part in ROW_PARTS
}


@pytest.fixture(params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> RowDetector:
    return DETECTORS[str(request.param)]


@pytest.fixture
def name(detector: RowDetector) -> str:
    """The detector's name in the catalogue."""
    return detector.version.split("/")[0]


def same(state: State, other: State) -> bool:
    return state.version == other.version and all(
        np.array_equal(array, other.arrays[key]) for key, array in state.arrays.items()
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_it_agrees_with_its_naive_twin(name: str, detector: RowDetector, seed: int) -> None:
    sample = mixed(seed)
    found, _ = run(detector, sample)
    rtol, atol = TOLERANCE[name]
    for row in range(sample.rows):
        twin = TWINS[name](detector)
        for window in np.flatnonzero(sample.mask[row]).tolist():
            expected = twin.step(float(sample.values[row, window]), START + window * WINDOW_SECONDS)
            np.testing.assert_allclose(found[:, row, window], expected, rtol, atol, err_msg=f"row {row}")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_rows_does_not_matter(detector: RowDetector, seed: int) -> None:
    sample = mixed(seed)
    order = np.random.default_rng(seed).permutation(sample.rows)
    found, state = run(detector, sample)
    moved, moved_state = run(detector, sample.take(order))
    np.testing.assert_array_equal(moved, found[:, order])
    assert same(moved_state, state.take(order))


def test_other_signals_do_not_matter(detector: RowDetector) -> None:
    sample = mixed(3)
    found, _ = run(detector, sample)
    for row in range(sample.rows):
        alone, _ = run(detector, sample.take([row]))
        np.testing.assert_array_equal(alone[:, 0], found[:, row])


def test_a_gap_is_as_if_the_window_was_not_there(detector: RowDetector) -> None:
    sample = mixed(4, gaps=0.5)
    found, state = run(detector, sample)
    for row in range(sample.rows):
        there = sample.mask[row]
        numbers = np.flatnonzero(there)
        part = Sample(sample.values[[row]][:, there], sample.mask[[row]][:, there])
        without, after = run(detector, part, numbers=numbers)
        np.testing.assert_array_equal(without[:, 0], found[:, row, there])
        assert same(after, state.take(slice(row, row + 1)))


def test_many_windows_at_once_are_the_same_as_one_after_the_other(detector: RowDetector) -> None:
    sample = mixed(5)
    found, state = run(detector, sample)
    cut_state = detector.empty(sample.rows)
    parts = []
    for start, end in pairwise([0, 1, 40, 41, sample.windows]):
        part = Sample(sample.values[:, start:end], sample.mask[:, start:end])
        scores, cut_state = run(detector, part, cut_state, start)
        parts.append(scores)
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), found)
    assert same(cut_state, state)


def test_a_state_restored_from_bytes_scores_on_as_if_nothing_had_happened(detector: RowDetector) -> None:
    sample = mixed(6)
    early = Sample(sample.values[:, :80], sample.mask[:, :80])
    late = Sample(sample.values[:, 80:], sample.mask[:, 80:])
    _, state = run(detector, early)
    saved = {key: array.tobytes() for key, array in state.arrays.items()}
    arrays = {key: np.frombuffer(saved[key], dtype).copy() for key, dtype in detector.fields.items()}
    found, after = run(detector, late, state, 80)
    again, after_again = run(detector, late, State(detector.version, arrays), 80)
    np.testing.assert_array_equal(again, found)
    assert same(after_again, after)


def test_rows_taken_apart_and_joined_again_are_the_original(detector: RowDetector) -> None:
    sample = mixed(7)
    _, state = run(detector, sample)
    first, rest = np.arange(0, 5), np.arange(5, sample.rows)
    assert same(state.take(first).grown(state.take(rest)), state)
    assert same(state.take(np.arange(sample.rows) < 5), state.take(first))


def test_rows_taken_apart_score_on_alone_and_leave_the_original_as_it_was(detector: RowDetector) -> None:
    sample, more = mixed(7), mixed(8)
    _, state = run(detector, sample)
    before = state.take(slice(None))
    parts = [run(detector, more.take(rows), state.take(rows))[0] for rows in (slice(0, 5), slice(5, None))]
    assert same(state, before)
    whole, _ = run(detector, more, state)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_new_rows_beside_old_ones_start_from_nothing(detector: RowDetector) -> None:
    _, state = run(detector, mixed(9))
    grown = state.grown(detector.empty(2))
    values = np.append(np.ones(state.rows), [7.0, 8.0])
    scores = detector.step(grown, values, np.ones(values.size, np.bool_), 0.0)
    assert scores.expected[-2:].tolist() == [7.0, 8.0]
    assert scores.surprise[-2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_are_finite_where_there_is_data_and_nan_elsewhere(detector: RowDetector, seed: int) -> None:
    sample = mixed(seed)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found, state = run(detector, sample)
    np.testing.assert_array_equal(np.isfinite(found), np.broadcast_to(sample.mask, found.shape))
    assert np.isnan(found[:, ~sample.mask]).all()
    assert all(np.isfinite(array).all() for array in state.arrays.values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 5, 50])
def test_a_value_that_is_not_finite_is_a_gap(detector: RowDetector, value: float, at: int) -> None:
    values = noise(10, 1, 100)
    masked = np.ones((1, 100), np.bool_)
    masked[0, at] = False
    without, state_without = run(detector, Sample(values[None], masked))
    found, state = one(detector, spiked(values, at, value))
    np.testing.assert_array_equal(found, without[:, 0])
    assert np.isnan(found[:, at]).all()
    assert same(state, state_without)


def test_the_greatest_floats_leave_the_state_finite(detector: RowDetector) -> None:
    greatest = np.finfo(np.float64).max
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found, state = one(detector, [greatest, -greatest] * 30 + [1.0] * 10 + [greatest] * 10)
    assert np.isfinite(found).all()
    assert all(np.isfinite(array).all() for array in state.arrays.values())


def test_the_expected_value_lies_in_its_band_and_surprise_is_not_negative(detector: RowDetector) -> None:
    sample = mixed(10)
    found, _ = run(detector, sample)
    expected, lower, upper, surprise = found[:, sample.mask]
    assert (lower <= expected).all()
    assert (expected <= upper).all()
    assert (surprise >= 0).all()


#: What is normal for a detector, and what is not.
OUTLIERS = {
    "composed": (noise(10, 1, 200), (1e9, -5.0, 0.0)),
    "level": (noise(10, 1, 200), (1e9, -5.0, 0.0)),
    "counts": (np.random.default_rng(1).poisson(20, 200).astype(float), (1e9, 60.0, 0.0)),
    "ratio": (np.zeros(200), (1.0,)),
    "rarity": (np.random.default_rng(1).poisson(20, 200).astype(float), (1e9, 300.0)),
}


def test_a_window_is_scored_before_it_is_learned(name: str, detector: RowDetector) -> None:
    values, outliers = OUTLIERS[name]
    for outlier in outliers:
        (found, _), (with_outlier, _) = one(detector, values), one(detector, spiked(values, 150, outlier))
        np.testing.assert_array_equal(with_outlier[:3, 150], found[:3, 150])
        assert with_outlier[3, 150] > found[3, 150]


def test_inputs_are_left_as_they_were(detector: RowDetector) -> None:
    sample = mixed(11, windows=40)
    before = sample.values.copy(), sample.mask.copy()
    sample.values.flags.writeable = sample.mask.flags.writeable = False
    run(detector, sample)
    np.testing.assert_array_equal(sample.values, before[0])
    np.testing.assert_array_equal(sample.mask, before[1])


def test_two_runs_give_the_same_bytes(detector: RowDetector) -> None:
    (found, state), (again, state_again) = run(detector, mixed(12)), run(detector, mixed(12))
    assert found.tobytes() == again.tobytes()
    assert [a.tobytes() for a in state.arrays.values()] == [a.tobytes() for a in state_again.arrays.values()]


def test_a_window_without_any_data_changes_nothing(detector: RowDetector) -> None:
    _, state = run(detector, mixed(13))
    before = state.take(slice(None))
    scores = detector.step(state, np.full(state.rows, 5.0), np.zeros(state.rows, np.bool_), 0.0)
    assert np.isnan(scores.surprise).all()
    assert same(state, before)


def test_the_state_is_the_arrays_that_are_declared_within_the_bound(name: str, detector: RowDetector) -> None:
    rows = 1000
    state = detector.empty(rows)
    declared = {key: np.dtype(dtype) for key, dtype in detector.fields.items()}
    assert {key: array.dtype for key, array in state.arrays.items()} == {k: each.base for k, each in declared.items()}
    assert all(array.shape == (rows, *declared[key].shape) for key, array in state.arrays.items())
    assert not any(array.any() for array in state.arrays.values())
    assert state.version == detector.version
    assert detector.slow <= detector.fields.keys()
    assert sum(array.nbytes for array in state.arrays.values()) <= rows * BYTES_PER_ROW[name]


def test_states_of_different_versions_are_not_joined(detector: RowDetector) -> None:
    state = detector.empty(3)
    with pytest.raises(StateVersionError, match="another/9"):
        state.grown(State("another/9", state.arrays))


def test_no_rows_at_all_are_scored_to_nothing(detector: RowDetector) -> None:
    scores = detector.step(detector.empty(0), np.empty(0), np.empty(0, np.bool_), 0.0)
    assert scores.surprise.size == 0
