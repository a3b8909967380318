"""How the detector that people get behaves, as timelines: what it sees, what it adopts, what it leaves alone."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from detectors import ROW_PARTS, ComposedDetector, RowOptions, State, StateVersionError, inherit
from detectors import layout as at
from detectors.composed import PARTS, TotalsPrior
from detectors.shift import LASTING_WINDOWS
from tests.detectors.naive_composed import NaiveComposed
from tests.detectors.signals import noise
from tests.detectors.synthetic import CLASSES, inject, sample

Floats = npt.NDArray[np.float64]

START = 1_700_000_000.0
SURPRISING = 3.5
SEEDS = 20
MOST = 15  # of the seeds
HISTORY = 3000
HOUR, DAY, WEEK = 3600, 86_400, 7 * 86_400

FIELDS = ("expected", "lower", "upper", "surprise", "shift")


class Watch:
    """A detector over rows (rows, windows): the scores (rows, windows), evidence (rows, windows, kinds), and the state."""

    def __init__(
        self,
        values: npt.ArrayLike,
        seconds: float = 60.0,
        *,
        detector: ComposedDetector | None = None,
        state: State | None = None,
        times: Floats | None = None,
        most: Floats | None = None,
        after: Callable[[State, int], None] | None = None,
    ) -> None:
        rows = np.atleast_2d(np.asarray(values, np.float64))
        detector = detector or ComposedDetector()
        self.state = state or detector.empty(len(rows))
        self.times = START + seconds * np.arange(1, rows.shape[1] + 1) if times is None else times
        found = {name: np.full(rows.shape, np.nan) for name in FIELDS}
        self.evidence = np.zeros((*rows.shape, at.EVIDENCE))
        for window, now in enumerate(self.times):
            value = rows[:, window].copy()
            scores = detector.step(self.state, value, np.isfinite(value), float(now), most=most)
            for name, array in found.items():
                array[:, window] = getattr(scores, name)
            self.evidence[:, window] = scores.evidence
            if after is not None:
                after(self.state, window)
        self.expected, self.lower, self.upper, self.surprise, self.shift = found.values()

    def core(self, column: int) -> Floats:
        return self.state.arrays["core"][:, column]


def gauges(windows: int, seeds: int = SEEDS) -> Floats:
    return np.array([noise(100, 5, windows, seed) for seed in range(seeds)])


def cycles(windows: int, period: int, seeds: int = SEEDS) -> Floats:
    phase = np.random.default_rng(7).uniform(0, 2 * np.pi, (seeds, 1))
    return 100 + 30 * np.sin(2 * np.pi * np.arange(windows) / period + phase) + gauges(windows, seeds) / 5 - 20


def hurt(values: Floats, kind: str, start: int, length: int, strength: float) -> Floats:
    """Each row with an anomaly of its own."""
    return np.array(
        [inject(row, kind, start, length, strength, np.random.default_rng(i)) for i, row in enumerate(values)]
    )


def quieter(values: Floats, kind: str, start: int, length: int, strength: float) -> Floats:
    out = values.copy()
    out[:, start : start + length] = 100 + strength * (out[:, start : start + length] - 100)
    return out


def dropped(values: Floats, kind: str, start: int, length: int, strength: float) -> Floats:
    out = values.copy()
    out[:, start : start + length] = strength
    return out


# -- what is seen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "strength", "length", "within"),
    [
        ("spike", 12, 1, 1),
        ("spike", -12, 1, 1),
        ("level_shift", 6, 60, 6),
        ("level_shift", -12, 60, 2),
        ("stuck", 0, 60, 30),
        ("noise_burst", 6, 60, 10),
        ("quiet", 0.02, 100, 60),
    ],
)
def test_what_is_wrong_with_a_gauge_is_seen_in_time(kind: str, strength: float, length: int, within: int) -> None:
    change = quieter if kind == "quiet" else hurt
    seen = Watch(change(gauges(HISTORY + length), kind, HISTORY, length, strength))
    assert ((seen.surprise[:, HISTORY : HISTORY + within] >= SURPRISING).any(axis=1)).sum() >= MOST
    assert (seen.surprise[:, 500:HISTORY] >= SURPRISING).mean() < 1e-3


@pytest.mark.parametrize(("period", "kind"), [(24, "missing_cycle"), (24, "stuck"), (48, "stuck"), (120, "stuck")])
def test_a_cycle_that_does_not_come_is_seen_before_it_would_be_over(period: int, kind: str) -> None:
    length = max(period, 48)
    seen = Watch(hurt(cycles(HISTORY + length, period), kind, HISTORY, length, 0))
    assert ((seen.surprise[:, HISTORY:] >= SURPRISING).any(axis=1)).sum() >= MOST


def test_a_cycle_of_the_wrong_shape_is_more_surprising_than_any_before_it() -> None:
    values = cycles(HISTORY + 48, 24)
    faster = 100 + 30 * np.sin(2 * np.pi * np.arange(24) / 8)
    values[:, HISTORY : HISTORY + 24] = faster
    seen = Watch(values)
    before, during = (seen.surprise[:, windows].max(axis=1) for windows in (slice(1000, HISTORY), slice(HISTORY, None)))
    assert (during > np.median(before)).sum() >= MOST
    assert (seen.evidence[:, HISTORY:, [at.BY_SHAPE, at.BY_LONG_SHAPE]].max(axis=(1, 2)) > 2).sum() >= MOST


def test_evidence_says_why() -> None:
    values = gauges(HISTORY + 60)
    spike = Watch(hurt(values, "spike", HISTORY, 1, 20)).evidence[:, HISTORY]
    stuck = Watch(hurt(values, "stuck", HISTORY, 60, 0)).evidence[:, HISTORY + 30]
    assert (np.median(spike[:, [at.BY_RESIDUAL, at.BY_RECORD]], axis=0) > 2).all()
    assert (stuck.argmax(axis=1) == at.BY_STILLNESS).sum() >= MOST


# -- new normals, and incidents that are not -------------------------------------------------------------------------


def test_a_level_that_lasts_is_adopted_once_and_is_then_normal() -> None:
    seen = Watch(hurt(gauges(HISTORY + 500), "level_shift", HISTORY, 500, 12))
    shifts = seen.shift[:, HISTORY:]
    assert ((shifts != 0).sum(axis=1) == 1).all()
    first = (shifts != 0).argmax(axis=1)
    assert (first >= LASTING_WINDOWS - 1).all()
    assert (first < LASTING_WINDOWS + 30).all()
    np.testing.assert_allclose(shifts.sum(axis=1), 60, atol=15)
    assert np.abs(seen.expected[:, HISTORY + 200 :].mean(axis=1) - 160).max() < 5
    assert (seen.surprise[:, HISTORY + 200 :] >= SURPRISING).mean() < 1e-3
    assert not seen.shift[:, :HISTORY].any()


def test_a_level_that_does_not_last_is_not_adopted() -> None:
    length = LASTING_WINDOWS - 30
    seen = Watch(hurt(gauges(HISTORY + length + 200), "level_shift", HISTORY, length, 12))
    assert not seen.shift.any()
    assert np.abs(seen.expected[:, -50:] - 100).max() < 10


BLINDED = pytest.mark.xfail(reason="an incident of many hours teaches the tails more than it should", strict=False)


@pytest.mark.parametrize(
    ("kind", "strength", "hours"),
    [
        ("level_shift", 12, 1.5),
        ("noise_burst", 8, 1.0),
        ("drop", 0, 1.5),
        pytest.param("level_shift", 12, 24, marks=BLINDED),
        pytest.param("noise_burst", 8, 24, marks=BLINDED),
        pytest.param("drop", 0, 24, marks=BLINDED),
    ],
)
def test_an_incident_does_not_hide_the_next_one_a_day_later(kind: str, strength: float, hours: float) -> None:
    day = DAY // 60
    change = dropped if kind == "drop" else hurt
    once = change(gauges(HISTORY + 2 * day + 60), kind, HISTORY, int(60 * hours), strength)
    seen = Watch(change(once, kind, HISTORY + 2 * day, 60, strength))
    again = seen.surprise[:, HISTORY + 2 * day :]
    assert ((again[:, :20] >= SURPRISING).any(axis=1)).sum() >= MOST
    assert (seen.surprise[:, HISTORY + 2 * day - 600 : HISTORY + 2 * day] >= SURPRISING).mean() < 2e-3


# -- the season ------------------------------------------------------------------------------------------------------


def weekly(seconds: int, days: int, early: int | None = None, seeds: int = SEEDS) -> Floats:
    """A load that is high in working hours of working days; from day ``early`` on all of it is an hour earlier."""
    windows = days * DAY // seconds
    time = START + seconds * np.arange(1, windows + 1) - 0.5 * seconds
    if early is not None:
        time = time + np.where(np.arange(windows) >= early * DAY // seconds, HOUR, 0)
    hour, weekday = time % DAY / HOUR, time // DAY % 7
    busy = (hour >= 8) & (hour < 18) & (weekday < 5)
    rows = np.array([noise(0, 2, windows, seed) for seed in range(seeds)])
    return np.where(busy, 150.0, 50.0) + rows


@pytest.mark.parametrize(("hot", "most"), [(False, 0.25), (True, 0.05)])
def test_one_anomalous_hour_hardly_moves_what_is_expected_of_it_next_week(hot: bool, most: float) -> None:
    seconds, by = 300, 60.0
    windows = 5 * WEEK // seconds
    values = np.array([noise(100, 5, windows, seed) for seed in range(SEEDS)])
    start = 4 * WEEK // seconds + int((-START % HOUR) // seconds)  # where an hour begins
    hurt_once = values.copy()
    hurt_once[:, start : start + HOUR // seconds] += by
    detector = ComposedDetector() if hot else ComposedDetector(min_history=10**9)  # never surprised, so never hot
    until = start + 3 * HOUR // seconds
    usual, moved = (Watch(v[:, :until], seconds, detector=detector).state.arrays["week"] for v in (values, hurt_once))
    change = np.abs(moved - usual).max(axis=1) / by
    assert (change <= most + 0.01).sum() >= MOST
    assert (change > 0).all()


def test_a_change_of_the_clocks_is_adopted_within_two_days() -> None:
    seconds, change = 600, 23  # a Monday, UTC
    values = weekly(seconds, 28, early=change)

    def deaf(state: State, window: int) -> None:
        state.arrays["core"][:, [at.EARLY, at.TARDY]] = 1e300

    seen = Watch(values, seconds)
    without = Watch(values, seconds, after=deaf)
    from_change, two_days = change * DAY // seconds, 2 * DAY // seconds
    adopted = Watch(values[:, : from_change + two_days], seconds)
    before = Watch(values[:, :from_change], seconds)
    assert (adopted.core(at.CLOCK) - before.core(at.CLOCK) == 1).all()
    later = slice(from_change + two_days, None)
    error = [np.abs(each.expected - values)[:, later].mean() for each in (seen, without)]
    assert error[0] < error[1]
    surprising = [(each.surprise[:, from_change:] >= 2.0).sum() for each in (seen, without)]
    assert surprising[0] < surprising[1]


# -- gaps, intervals, restarts ----------------------------------------------------------------------------------------


def test_a_gap_of_hours_is_neither_surprising_nor_forgotten() -> None:
    values = gauges(HISTORY + 500)
    values[:, HISTORY : HISTORY + 300] = np.nan
    values[:, HISTORY + 400] += 80
    seen = Watch(values)
    assert np.isnan(seen.surprise[:, HISTORY : HISTORY + 300]).all()
    back = seen.surprise[:, HISTORY + 300 : HISTORY + 400]
    assert np.isfinite(back).all()
    assert (back >= SURPRISING).mean() < 2e-3
    assert (seen.surprise[:, HISTORY + 400] >= SURPRISING).sum() >= MOST


def test_windows_that_become_five_times_as_long_are_no_anomaly() -> None:
    values = gauges(HISTORY + 500)
    values[:, HISTORY + 400] += 80
    lengths = np.where(np.arange(HISTORY + 500) < HISTORY, 60.0, 300.0)
    seen = Watch(values, times=START + np.cumsum(lengths))
    after = seen.surprise[:, HISTORY : HISTORY + 400]
    assert np.isfinite(after).all()
    assert (after >= SURPRISING).mean() < 2e-3
    assert (seen.surprise[:, HISTORY + 400] >= SURPRISING).sum() >= MOST


@pytest.mark.parametrize("seconds", [1.0, 10.0, 60.0, 300.0, 3600.0, 86_400.0])
def test_windows_of_any_length_are_scored_sensibly(seconds: float) -> None:
    values = gauges(1001, 10)
    values[:, 1000] += 100
    seen = Watch(values, seconds)
    assert np.isfinite(seen.surprise).all()
    assert (seen.surprise[:, :1000] >= SURPRISING).mean() < 2e-3
    assert (seen.surprise[:, 1000] > 2.0).sum() >= 7


def test_a_clock_that_stands_still_or_runs_back_leaves_scores_finite() -> None:
    values = gauges(300, 5)
    times = START + 60.0 * np.concatenate([np.arange(100), np.full(100, 99), np.arange(100)])
    seen = Watch(values, times=times)
    assert np.isfinite(seen.surprise).all()
    assert all(np.isfinite(array).all() for array in seen.state.arrays.values())


def test_a_restart_changes_nothing() -> None:
    values, cut = hurt(gauges(1500, 5), "spike", 1200, 5, 10), 1100
    whole = Watch(values)
    first = Watch(values[:, :cut])
    saved = {name: array.tobytes() for name, array in first.state.arrays.items()}
    fields = ComposedDetector.fields
    arrays = {name: np.frombuffer(saved[name], dtype).copy() for name, dtype in fields.items()}
    rest = Watch(values[:, cut:], state=State(ComposedDetector.version, arrays), times=whole.times[cut:])
    np.testing.assert_array_equal(rest.surprise, whole.surprise[:, cut:])


def test_rows_whose_slow_arrays_changed_say_so() -> None:
    """What is saved apart is saved where a row says that it changed."""
    detector = ComposedDetector()
    values = sample("mixed", 24, 400, day=48)
    state = detector.empty(24)
    state.arrays["phase"][:] = np.arange(24)
    inherited = 0
    for window in range(400):
        before = state.take(slice(None))
        scores = detector.step(state, values[:, window].copy(), np.ones(24, np.bool_), START + 900.0 * window)
        changed = np.zeros(24, np.bool_)
        for name in detector.slow:
            differs = before.arrays[name] != state.arrays[name]
            changed |= differs.reshape(24, -1).any(axis=1)
        assert (scores.slow | ~changed).all(), window
        inherited += int(scores.slow.sum())
    assert inherited < 0.7 * values.size  # most windows change none


# -- bands and calibration --------------------------------------------------------------------------------------------


def test_a_short_history_has_a_wider_band_than_a_long_one() -> None:
    seen = Watch(gauges(2000))
    width = seen.upper - seen.lower
    assert np.median(width[:, 45]) > 1.15 * np.median(width[:, 1990])
    assert np.median(width[:, 10]) > np.median(width[:, 1990])


@pytest.fixture(scope="module", params=CLASSES)
def normal(request: pytest.FixtureRequest) -> tuple[str, Floats, Watch]:
    """A class of signals in which nothing is wrong, and that move from the beginning: name, values, what is said."""
    values = sample(request.param, 90, 4000, seed=3, day=144)
    moving = (values[:, :30] != values[:, :1]).any(axis=1)
    values = values[moving][:60]
    return request.param, values, Watch(values, 600.0)


def test_the_band_holds_about_99_of_100_windows(normal: tuple[str, Floats, Watch]) -> None:
    name, values, seen = normal
    held = (values >= seen.lower) & (values <= seen.upper)
    least = 0.95 if name == "zero_inflated" else 0.97
    assert least <= held[:, 200:].mean() <= 0.998


def test_p_is_about_what_it_says(normal: tuple[str, Floats, Watch]) -> None:
    name, _, seen = normal
    ratio = (seen.surprise[:, 200:] >= 2.0).mean() / 1e-2
    if name == "smooth" and ratio < 0.4:
        pytest.xfail(f"too cautious where a season explains most: P(p ≤ 0.01) is {ratio:.2f} of what it should be")
    assert 0.4 <= ratio <= 2.2


@pytest.mark.xfail(reason="a tail that began at nothing never grows", strict=False)
def test_rows_that_begin_with_zeros_are_judged_like_the_others() -> None:
    dice = np.random.default_rng(1)
    values = np.where(dice.random((40, 3000)) < 0.1, dice.lognormal(0, 0.5, (40, 3000)), 0.0)
    values[:, :40] = 0.0
    seen = Watch(values)
    held = (values >= seen.lower) & (values <= seen.upper)
    assert held[:, 1000:].mean() > 0.95
    assert (seen.surprise[:, 1000:] >= 2.0).mean() < 3e-2


def test_nothing_is_said_before_min_history() -> None:
    wild = 10.0 ** np.random.default_rng(1).uniform(-6, 6, (5, 100))
    for least in (5, 40):
        seen = Watch(wild, detector=ComposedDetector(min_history=least))
        assert not seen.surprise[:, :least].any()
        assert seen.surprise[:, least:].any()


def test_a_greater_prior_makes_a_young_row_less_surprised_and_an_old_one_hardly() -> None:
    values = gauges(200)
    values[:, 150] += 60
    usual = TotalsPrior()
    cautious = ComposedDetector(prior=TotalsPrior(2 * usual.threshold, 2 * usual.excess))
    bold, shy = Watch(values), Watch(values, detector=cautious)
    assert (shy.surprise[:, 150] < bold.surprise[:, 150]).all()
    bold.state.arrays["totals"][:, at.TOTAL_EXCESSES] = 1e6
    times = bold.times[-1] + 60.0 * np.arange(1, 31)
    next_windows = gauges(30) + 40
    again = [
        Watch(next_windows, detector=each, state=bold.state.take(slice(None)), times=times).surprise
        for each in (ComposedDetector(), cautious)
    ]
    np.testing.assert_allclose(again[1], again[0], rtol=1e-2)


# -- siblings ---------------------------------------------------------------------------------------------------------


def heirs(values: Floats, level: float) -> Watch:
    """Rows (rows, windows) with another level that inherit from as many rows that have seen HISTORY windows."""
    rows, windows = values.shape
    donors = Watch(gauges(HISTORY, rows))
    state = donors.state.grown(ComposedDetector().empty(rows))
    for row in range(rows):
        inherit(state, rows + row, row)
    times = donors.times[-1] + 60.0 * np.arange(1, windows + 1)
    others = np.full((rows, windows), np.nan)
    return Watch(np.vstack([others, values + level]), state=state, times=times)


def test_an_heir_is_fitted_to_its_own_level_in_five_windows_and_then_watched() -> None:
    own = np.array([noise(0, 5, 60, 100 + seed) for seed in range(SEEDS)])
    own[:, 7] += 80
    seen = heirs(own, 500.0)
    surprise, expected = seen.surprise[SEEDS:], seen.expected[SEEDS:]
    assert not surprise[:, :5].any()
    assert (surprise[:, 5:] > 0).any(axis=1).all()
    assert np.abs(expected[:, 5:7] - 500).max() < 20
    assert (surprise[:, 7] >= SURPRISING).sum() >= MOST
    normal = np.delete(surprise, range(7, 20), axis=1)
    assert (normal >= SURPRISING).mean() < 5e-3


def test_an_heir_keeps_its_own_phase_and_leaves_its_donor_as_it_was() -> None:
    donors = Watch(gauges(200, 2)).state
    state = donors.grown(ComposedDetector().empty(1))
    state.arrays["phase"][2] = 17
    before = state.take(slice(0, 2))
    inherit(state, 2, 1)
    assert state.arrays["phase"][2] == 17
    assert all(np.array_equal(before.arrays[name], array[:2]) for name, array in state.arrays.items())
    Watch(np.array([[np.nan] * 10, [np.nan] * 10, [5.0] * 10]), state=state)
    assert all(np.array_equal(before.arrays[name], array[:2]) for name, array in state.arrays.items())


# -- parts and options -------------------------------------------------------------------------------------------------

#: What a part is seen in, when it is the only one: its evidence.
ALONE = {
    "residual": at.BY_RESIDUAL,
    "season": at.BY_SEASON,
    "record": at.BY_RECORD,
    "flat": at.BY_STILLNESS,
    "quiet": at.BY_STILLNESS,
    "drift": at.BY_DRIFT,
    "novelty": at.BY_SHAPE,
}


def everything_wrong() -> Floats:
    """Rows in which each part has something to say."""
    values = gauges(1500, 6)
    values = hurt(values, "spike", 800, 3, 15)
    values = hurt(values, "stuck", 1000, 40, 0)
    return hurt(values, "level_shift", 1100, 300, 10)


@pytest.mark.parametrize("part", ALONE)
def test_a_part_alone_speaks_and_no_other_does(part: str) -> None:
    evidence = Watch(everything_wrong(), detector=ComposedDetector(parts=(part,))).evidence
    mine = [ALONE[part], at.BY_LONG_SHAPE] if part == "novelty" else [ALONE[part]]
    assert evidence[:, :, mine].any()
    assert not np.delete(evidence, mine, axis=2).any()


@pytest.mark.parametrize("part", ALONE)
def test_a_part_turned_off_says_nothing(part: str) -> None:
    on = tuple(
        other for other in ROW_PARTS if other != part and not (part in ("flat", "quiet") and other in ("flat", "quiet"))
    )
    evidence = Watch(everything_wrong(), detector=ComposedDetector(parts=on)).evidence
    mine = [ALONE[part], at.BY_LONG_SHAPE] if part == "novelty" else [ALONE[part]]
    assert not evidence[:, :, mine].any()
    assert np.delete(evidence, mine, axis=2).any()


def test_without_shifts_no_level_is_adopted() -> None:
    values = hurt(gauges(HISTORY // 2 + 300, 5), "level_shift", HISTORY // 2, 300, 12)
    on = tuple(part for part in ROW_PARTS if part != "shift")
    assert Watch(values).shift.any()
    assert not Watch(values, detector=ComposedDetector(parts=on)).shift.any()


def test_options_of_rows_take_the_place_of_the_detectors_own() -> None:
    values = np.tile(gauges(400, 1), (3, 1))
    values[:, 300] = 300.0
    detector, state = ComposedDetector(), ComposedDetector().empty(3)
    off = np.array([0, sum(1 << bit for bit in range(len(PARTS))), 0], np.uint16)
    options = RowOptions(off, np.array([0, 0, 1], np.uint8))
    surprise = np.zeros((3, 400))
    for window in range(400):
        now = START + 60.0 * window
        surprise[:, window] = detector.step(
            state, values[:, window].copy(), np.ones(3, np.bool_), now, options
        ).surprise
    assert surprise[0].any()
    assert not surprise[1].any()
    assert surprise[2, 300] > SURPRISING


def test_unknown_parts_and_too_short_histories_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown parts magic; there are residual, season"):
        ComposedDetector(parts=("residual", "magic"))
    with pytest.raises(ValueError, match="min_history is 4; use 5 or more"):
        ComposedDetector(min_history=4)


def test_a_state_of_another_version_is_refused_by_name() -> None:
    detector = ComposedDetector()
    with pytest.raises(StateVersionError, match="cannot be read by composed/1"):
        detector.check(State("composed/0", detector.empty(1).arrays))
    detector.check(detector.empty(1))


def test_what_a_count_can_be_worth_caps_the_evidence_of_its_value() -> None:
    values = np.zeros((4, 600))
    values[:, 500] = 1.0
    free = Watch(values)
    capped = Watch(values, most=np.array([np.inf, 1.5, 0.5, 0.0]))
    on = tuple(part for part in ROW_PARTS if part != "counts")
    off = Watch(values, most=np.zeros(4), detector=ComposedDetector(parts=on))
    single = [at.BY_RESIDUAL, at.BY_SEASON, at.BY_RECORD]
    assert (capped.evidence[:, 500, single] <= np.array([[np.inf], [1.5], [0.5], [0.0]])).all()
    np.testing.assert_array_equal(capped.evidence[0], free.evidence[0])
    np.testing.assert_array_equal(off.evidence, free.evidence)
    assert (np.diff(capped.surprise[:, 500]) <= 0).all()


# -- symmetry, and the twin ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "offset"), [(-1.0, 0.0), (1.0, 1000.0), (1000.0, 0.0), (1e-6, 0.0), (-0.25, 300.0)])
def test_neither_unit_nor_sign_nor_origin_matter_much(factor: float, offset: float) -> None:
    values = hurt(hurt(gauges(2000, 10), "spike", 1500, 3, 10), "level_shift", 1700, 60, 8)
    plain, other = Watch(values), Watch(factor * values + offset)
    difference = np.abs(other.surprise - plain.surprise)
    assert np.median(difference) < 0.05
    assert np.quantile(difference, 0.99) < 1.0
    at_all = (slice(None), [1500, 1701, 1702])
    assert np.abs(other.surprise[at_all] - plain.surprise[at_all]).mean() < 0.7


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("smooth", 300.0), ("zero_inflated", 60.0), ("counts", 1200.0), ("autocorrelated", 600.0), ("weekly", 3600.0)],
)
def test_it_agrees_with_its_naive_twin_over_a_long_time(name: str, seconds: float) -> None:
    """With phases of blocks, gaps, hot windows, adopted shifts, a change of the clocks and full memories of shapes."""
    values = weekly(3600, 42, early=28, seeds=1) if name == "weekly" else sample(name, 1, 1200, seed=9, day=144)
    values = hurt(values, "level_shift", 500, 400, 10) if name != "weekly" else values
    values[:, 300:320] = np.nan
    state = ComposedDetector().empty(1)
    state.arrays["phase"][:] = 13
    seen = Watch(values, seconds, state=state)
    twin = NaiveComposed(ComposedDetector(), phase=13)
    steps = zip(values[0].tolist(), seen.times.tolist(), strict=True)
    expected = np.array([twin.step(value, now) for value, now in steps]).T
    found = np.stack([seen.expected[0], seen.lower[0], seen.upper[0], seen.surprise[0]])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert twin.season.clock == seen.core(at.CLOCK)[0]
    assert [len(scale.known) for scale in twin.shapes] == seen.state.arrays["blocks"][0, :, 7].astype(int).tolist()
