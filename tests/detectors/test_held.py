"""What an incident leaves behind: little after one, more the more often it comes; a new normal is believed."""

import numpy as np

from detectors import ComposedDetector, State, held, inherit, tails
from detectors import layout as at
from tests.detectors.naive_composed import NaiveComposed
from tests.detectors.watching import HISTORY, MOST, SEEDS, START, SURPRISING, Floats, Watch, gauges, hurt

BEFORE = HISTORY // 2
EVERY, LENGTH, TIMES = 200, 12, 16
BURST = 80.0


class Holding:
    """Follows ``core[HELD]`` (windows, rows) and the records (windows, rows)."""

    def __init__(self) -> None:
        self.held: list[Floats] = []
        self.most: list[Floats] = []

    def __call__(self, state: State, window: int) -> None:
        core = state.arrays["core"]
        self.held.append(core[:, at.HELD].copy())
        self.most.append(core[:, at.MOST].copy())


def recurring() -> tuple[Floats, list[int]]:
    """Gauges with TIMES equal bursts, and where they begin."""
    values = gauges(BEFORE + EVERY * TIMES)
    starts = [BEFORE + EVERY * time for time in range(TIMES)]
    for start in starts:
        values[:, start : start + LENGTH] += BURST
    return values, starts


def spread(seen: Watch) -> Floats:
    """The threshold of the deviation from the forecast, (rows,)."""
    return np.asarray(seen.state.arrays["tails"][:, at.RESIDUAL, tails.U], np.float64)


def test_half_of_a_burst_that_recurs_is_usual_after_three_times() -> None:
    values, starts = recurring()
    holding = Holding()
    Watch(values, after=holding)
    assert (np.log(0.5) / np.log(1 - held.KEPT)).round(1) == 3.1
    most = np.array(holding.most)
    top, usual = values.max(axis=1), most[BEFORE - 1]
    missing = [np.median((top - most[start - 1]) / (top - usual)) for start in starts]
    np.testing.assert_allclose(missing[:5], (1 - held.KEPT) ** np.arange(5), atol=0.06)
    assert (np.diff(missing[:5]) < 0).all()
    assert missing[-1] < 0.1
    assert not any(holding.held[start - 1].any() for start in starts)


def test_a_burst_that_recurs_surprises_the_second_time_and_no_more_the_sixteenth() -> None:
    values, starts = recurring()
    seen = Watch(values)
    peaks = [seen.surprise[:, start : start + LENGTH].max(axis=1) for start in starts]
    assert (peaks[1] >= SURPRISING).sum() >= MOST
    assert (peaks[-1] >= SURPRISING).sum() <= SEEDS - MOST
    assert np.median(peaks[-1]) < 0.6 * np.median(peaks[0])


def test_after_an_incident_a_row_is_much_as_it_was_before() -> None:
    quiet = gauges(HISTORY)
    noisy = hurt(quiet, "noise_burst", BEFORE, 600, 8)
    before, after, never = Watch(noisy[:, :BEFORE]), Watch(noisy), Watch(quiet)
    during = Watch(noisy[:, : BEFORE + 600])
    assert (during.core(at.HELD) > 0).sum() >= MOST
    assert not after.core(at.HELD).any()
    assert np.median(spread(during) / spread(before)) > 3
    assert np.median(spread(after) / spread(never)) < 1.8
    span = [seen.core(at.HIGH) - seen.core(at.LOW) for seen in (never, after)]
    assert np.median(span[1] / span[0]) < 1.25


def test_one_odd_window_is_no_incident() -> None:
    holding = Holding()
    Watch(hurt(gauges(BEFORE + 60), "spike", BEFORE, 1, 8), after=holding)
    found = np.array(holding.held)
    assert (found[BEFORE] == -1).sum() >= MOST
    assert (found.max(axis=0) == 0).sum() >= MOST
    assert not found[-1].any()


def test_a_new_level_lets_go_of_what_was_held() -> None:
    holding = Holding()
    seen = Watch(hurt(gauges(HISTORY + 300), "level_shift", HISTORY, 300, 12), after=holding)
    adopted = (seen.shift != 0).argmax(axis=1)
    rows = np.arange(SEEDS)
    found = np.array(holding.held)
    assert (found[adopted - 1, rows] > 0).all()
    assert not found[adopted, rows].any()
    assert (seen.core(at.LEAST) > 100).all()  # records are those of the new level


def test_what_lasts_for_two_days_of_minutes_is_the_new_normal() -> None:
    assert held.LONGEST == 2 * 24 * 60
    length = int(held.LONGEST) + 200
    values = hurt(gauges(BEFORE + length + 300, 5), "noise_burst", BEFORE, length, 8)
    holding = Holding()
    before, after = Watch(values[:, :BEFORE]), Watch(values, after=holding)
    found = np.array(holding.held)
    assert found.max() == held.LONGEST
    begins = (found > 0).argmax(axis=0)
    assert not found[begins + int(held.LONGEST), np.arange(5)].any()
    assert (spread(after) > 2 * spread(before)).all()


def test_an_heir_holds_nothing_of_its_donors_incident() -> None:
    donors = Watch(hurt(gauges(BEFORE + 30, 3), "noise_burst", BEFORE, 30, 8))
    assert (donors.core(at.HELD) > 0).all()
    state = donors.state.grown(ComposedDetector().empty(3))
    for row in range(3):
        inherit(state, 3 + row, row)
    heirs = np.vstack([np.full((3, 5), np.nan), gauges(5, 3)])
    seen = Watch(heirs, state=state, times=donors.times[-1] + 60.0 * np.arange(1, 6))
    assert not seen.core(at.HELD)[3:].any()
    assert (seen.core(at.HELD)[:3] > 0).all()


def test_its_twin_agrees_through_incidents_that_are_gone_back_from() -> None:
    values, _ = recurring()
    values = values[:1, 1000:2600]
    holding = Holding()
    state = ComposedDetector().empty(1)
    state.arrays["phase"][:] = 5
    seen = Watch(values, state=state, after=holding)
    twin = NaiveComposed(ComposedDetector(), phase=5)
    steps = zip(values[0].tolist(), seen.times.tolist(), strict=True)
    expected = np.array([twin.step(value, now) for value, now in steps]).T
    found = np.stack([seen.expected[0], seen.lower[0], seen.upper[0], seen.surprise[0]])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    windows = np.array(holding.held)[:, 0]
    gone_back = (windows[1:] == 0) & (windows[:-1] > 0)
    assert gone_back.sum() >= 3


def test_a_row_says_when_what_is_held_of_it_changed() -> None:
    values, _ = recurring()
    values, detector = values[:5, 1000:1900], ComposedDetector()
    state, changes = detector.empty(5), 0
    for window, now in enumerate(START + 60.0 * np.arange(900)):
        before = state.take(slice(None)).arrays
        scores = detector.step(state, values[:, window].copy(), np.ones(5, np.bool_), float(now))
        changed = (before["held"] != state.arrays["held"]).any(axis=1)
        changed |= (before["held_core"] != state.arrays["held_core"]).any(axis=1)
        assert (scores.slow | ~changed).all(), window
        changes += int(changed.sum())
    assert 0 < changes < 0.05 * values.size
