"""Rows that begin with what others have learned: fitted in five windows, then watched; the kernel and its twin."""

from typing import Any

import numpy as np
import pytest

from detectors import ComposedDetector, State, heirs, inherit
from detectors import layout as at
from tests.detectors import naive_heirs
from tests.detectors.signals import noise
from tests.detectors.watching import HISTORY, MOST, SEEDS, START, SURPRISING, Floats, Watch, gauges

COLUMNS = {name: getattr(at, name.upper()) for name in ("slow", "low", "high", "least", "most", "scale", "usual_away")}


def heir_of(values: Floats, donors: Floats, *, stranger: bool = False) -> Watch:
    """Rows (rows, windows), each the heir of one of as many donors (rows, windows) and watched after them."""
    rows, windows = values.shape
    old = Watch(donors)
    state = old.state.grown(ComposedDetector().empty(rows))
    for row in range(rows):
        inherit(state, rows + row, row, stranger=stranger)
    times = old.times[-1] + 60.0 * np.arange(1, windows + 1)
    seen = Watch(np.vstack([np.full((rows, windows), np.nan), values]), state=state, times=times)
    for name in ("expected", "lower", "upper", "surprise"):
        setattr(seen, name, getattr(seen, name)[rows:])
    return seen


def rows_around(level: float, spread: float, windows: int, rows: int = SEEDS) -> Floats:
    return np.array([noise(level, spread, windows, 100 + seed) for seed in range(rows)])


def baseline(state: State, row: int) -> naive_heirs.Baseline:
    core, streams = state.arrays["core"][row].tolist(), state.arrays["tails"][row].tolist()
    return naive_heirs.read(core, streams, COLUMNS)


def assert_same(found: naive_heirs.Baseline, expected: naive_heirs.Baseline) -> None:
    for name in COLUMNS:
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-6, abs=1e-9), name
    for ours, theirs in zip(found.tails, expected.tails, strict=True):
        for name in ("mean", "threshold", "first", "second"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-5), name


# -- siblings ---------------------------------------------------------------------------------------------------------


def test_an_heir_is_fitted_to_its_own_level_in_five_windows_and_then_watched() -> None:
    own = rows_around(500, 5, 60)
    own[:, 7] += 80
    seen = heir_of(own, gauges(HISTORY))
    assert not seen.surprise[:, :5].any()
    assert (seen.surprise[:, 5:] > 0).any(axis=1).all()
    assert np.abs(seen.expected[:, 5:7] - 500).max() < 20
    assert (seen.surprise[:, 7] >= SURPRISING).sum() >= MOST
    normal = np.delete(seen.surprise, range(7, 20), axis=1)
    assert (normal >= SURPRISING).mean() < 5e-3


def test_an_heir_keeps_its_own_phase_and_leaves_its_donor_as_it_was() -> None:
    donors = Watch(gauges(200, 2)).state
    state = donors.grown(ComposedDetector().empty(1))
    state.arrays["phase"][2] = 17
    before = state.take(slice(0, 2))
    inherit(state, 2, 1, [0])
    assert state.arrays["phase"][2] == 17
    assert all(np.array_equal(before.arrays[name], array[:2]) for name, array in state.arrays.items())
    Watch(np.array([[np.nan] * 10, [np.nan] * 10, [5.0] * 10]), state=state)
    assert all(np.array_equal(before.arrays[name], array[:2]) for name, array in state.arrays.items())


def test_the_spread_is_that_of_the_first_sibling_or_the_median_whatever_the_order_of_the_others() -> None:
    donors = Watch(np.vstack([rows_around(100, spread, 300, 1) for spread in (1.0, 5.0, 50.0)])).state
    state = donors.grown(ComposedDetector().empty(2))
    inherit(state, 3, 0, [1, 2])
    inherit(state, 4, 0, [2, 1])
    assert_same(baseline(state, 3), naive_heirs.pooled([baseline(state, row) for row in range(3)]))
    assert_same(baseline(state, 3), baseline(state, 4))


# -- strangers --------------------------------------------------------------------------------------------------------


def test_the_heir_of_a_stranger_is_watched_after_five_windows() -> None:
    own = rows_around(130, 5, 20)
    own[:, 7] += 150
    seen = heir_of(own, gauges(HISTORY), stranger=True)
    assert not seen.surprise[:, :5].any()
    assert (seen.surprise[:, 7] >= 3).sum() >= MOST


@pytest.mark.parametrize(("level", "spread"), [(100.0, 5.0), (3000.0, 150.0), (3000.0, 5.0), (5.0, 1.0), (100.0, 60.0)])
def test_it_is_hardly_ever_surprised_by_what_is_usual_for_it(level: float, spread: float) -> None:
    seen = heir_of(rows_around(level, spread, 60), gauges(HISTORY), stranger=True)
    assert (seen.surprise >= SURPRISING).mean() < 5e-3
    held = (rows_around(level, spread, 60) >= seen.lower) & (rows_around(level, spread, 60) <= seen.upper)
    assert held[:, 5:].mean() > 0.97


def test_its_band_is_wider_than_that_of_a_siblings_heir_and_the_wider_the_more_levels_differ() -> None:
    sibling, near, far = (
        heir_of(rows_around(level, 5, 8), gauges(500), stranger=stranger)
        for level, stranger in ((100, False), (100, True), (2000, True))
    )
    width = [float(np.median(seen.upper[:, 7] - seen.lower[:, 7])) for seen in (sibling, near, far)]
    assert width[0] < width[1] < width[2] / 5


def test_constants_of_other_levels_alarm_nobody() -> None:
    levels = np.geomspace(1e-3, 1e6, SEEDS)[:, None] * np.ones(200)
    assert (heir_of(levels[::-1].copy(), levels, stranger=True).surprise < 2).all()


def test_of_a_stranger_comes_neither_season_nor_shape_nor_a_long_history() -> None:
    donors = Watch(gauges(600, 1), 600.0).state
    state = donors.grown(ComposedDetector().empty(1))
    inherit(state, 1, 0, stranger=True)
    arrays = state.arrays
    assert arrays["seen"].tolist() == [600, heirs.STRANGE_SEEN]
    assert all(arrays[name][0].any() and not arrays[name][1].any() for name in ("week", "visits", "blocks", "totals"))
    assert not arrays["core"][1, [at.OFFSET, at.CLOCK, at.VISIT_COUNT]].any()


# -- both -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stranger", [False, True])
@pytest.mark.parametrize("level", [-200.0, 0.0, 3.0, 101.0, 160.0, 9000.0])
def test_it_agrees_with_its_naive_twin(level: float, stranger: bool) -> None:
    donors = Watch(gauges(300, 3)).state
    for name in ("week", "visits", "day", "day_visits"):  # no season: the level is the slow one
        donors.arrays[name][:] = 0
    for own in (noise(level, 2, 5, 1), np.full(5, level)):
        state = donors.grown(ComposedDetector().empty(1))
        state.arrays["core"][:, at.OFFSET] = 0.0
        inherit(state, 3, 0, [1, 2], stranger=stranger)
        pooled = naive_heirs.pooled([baseline(donors, row) for row in range(3)])
        fitted: Any = np.full((4, 5), np.nan)
        fitted[3] = own
        Watch(fitted, state=state, times=START + 1e6 + 60.0 * np.arange(5.0))
        assert_same(baseline(state, 3), naive_heirs.settled(pooled, own.tolist(), stranger=stranger))
        assert not state.arrays["core"][3, [at.ALIGN, at.AWAY, at.HOURLY, at.LASTING, at.RUN]].any()


@pytest.mark.parametrize("stranger", [False, True])
def test_the_unit_does_not_matter(stranger: bool) -> None:
    own, donors = rows_around(140, 5, 40), gauges(500)
    plain, other = heir_of(own, donors, stranger=stranger), heir_of(1000 * own, 1000 * donors, stranger=stranger)
    np.testing.assert_allclose(other.surprise, plain.surprise, atol=0.05)
