"""The NAB rule against cases worked by hand from its formula.

Most cases have 100 rows, no probation, and one window from row 20 to row 29: w = 10, r = 29; σ(−1) = 0.98661.
"""

from math import exp

import numpy as np
import pytest

from pipeline.evaluation import nab
from pipeline.evaluation.nab import PROFILES, Parts, file_parts

WINDOW = (20, 29)
ALL = sorted(PROFILES)


def sigma(y: float) -> float:
    return -1.0 if y > 3 else 2 / (1 + exp(5 * y)) - 1


def parts(*rows: int, windows: tuple[tuple[int, int], ...] = (WINDOW,), start: int = 0, length: int = 100) -> Parts:
    detections = np.zeros((1, length), np.bool_)
    detections[0, list(rows)] = True
    return file_parts(detections, windows, start)


def score(profile: str, *rows: int, **more: object) -> float:
    found = nab.scores([parts(*rows, **more)], PROFILES[profile])  # type: ignore[arg-type]
    assert found is not None
    return float(found[0])


def test_sigma_is_nothing_at_0_almost_1_far_before_and_exactly_minus_1_from_3_on() -> None:
    assert nab.sigma(np.array([-1.0, 0.0, 1.0, 3.0001, 1e6])).tolist() == pytest.approx(
        [0.986614, 0.0, -0.986614, -1.0, -1.0], abs=1e-6
    )


@pytest.mark.parametrize("profile", ALL)
def test_a_detection_in_the_first_row_of_a_window_is_perfect(profile: str) -> None:
    assert score(profile, 20) == pytest.approx(100)


@pytest.mark.parametrize("profile", ALL)
def test_silence_scores_0(profile: str) -> None:
    assert score(profile) == pytest.approx(0)


@pytest.mark.parametrize("profile", ALL)
def test_the_last_row_of_a_window_still_earns_something(profile: str) -> None:
    earned = sigma(-0.1) / sigma(-1)  # y = −(29 − 29 + 1)/10
    fn = PROFILES[profile].fn
    assert earned == pytest.approx(0.248242, abs=1e-6)
    assert score(profile, 29) == pytest.approx(100 * (earned + fn) / (1 + fn))


def test_only_the_earliest_detection_of_a_window_counts() -> None:
    assert score("standard", 22, 25, 29) == score("standard", 22)
    assert score("standard", 22) == pytest.approx(50 + 50 * sigma(-0.8) / sigma(-1))


# y of row 30 = (30 − 29)/9; of row 56 = 3; of row 57 beyond 3
@pytest.mark.parametrize("profile", ALL)
@pytest.mark.parametrize(("row", "y"), [(30, 1 / 9), (38, 1.0), (56, 3.0), (57, 4.0), (99, 99.0)])
def test_a_false_detection_costs_more_the_further_it_is_behind_the_window(profile: str, row: int, y: float) -> None:
    weights = PROFILES[profile]
    assert score(profile, 20, row) == pytest.approx(100 * (1 + weights.fp * sigma(y) + weights.fn) / (1 + weights.fn))


@pytest.mark.parametrize(
    ("profile", "expected"), [("standard", 100 * 1.89 / 2), ("low_fp", 100 * 1.78 / 2), ("low_fn", 100 * 2.89 / 3)]
)
def test_a_false_detection_before_any_window_costs_it_all(profile: str, expected: float) -> None:
    assert score(profile, 5, 20) == pytest.approx(expected)


@pytest.mark.parametrize(("profile", "expected"), [("standard", 50), ("low_fp", 50), ("low_fn", 50)])
def test_one_of_two_windows_missed_is_half(profile: str, expected: float) -> None:
    assert score(profile, 20, windows=(WINDOW, (60, 69))) == pytest.approx(expected)


def test_between_windows_the_one_before_is_what_counts() -> None:
    both = score("standard", 20, 60, 45, windows=(WINDOW, (60, 69)))
    y = (45 - 29) / 9
    assert both == pytest.approx(100 * (2 + 0.11 * sigma(y) + 2) / 4)


def test_after_a_narrow_window_false_detections_are_far_away_sooner() -> None:
    windows = (WINDOW, (60, 62))
    assert score("standard", 20, 60, 64, windows=windows) == pytest.approx(100 * (4 + 0.11 * sigma(2 / 2)) / 4)


def test_a_window_of_one_row_can_be_scored() -> None:
    assert score("standard", 20, windows=((20, 20),)) == pytest.approx(100)
    assert score("standard", 20, 21, windows=((20, 20),)) == pytest.approx(100 * (2 + 0.11 * sigma(1)) / 2)


def test_detections_in_the_probation_cost_nothing_and_find_nothing() -> None:
    assert score("standard", 3, 14, 20, start=15) == pytest.approx(100)
    assert parts(3, 14, 20, start=15).alarms.tolist() == [1]


def test_a_window_that_the_probation_cuts_is_found_in_what_is_left_of_it() -> None:
    inside = parts(21, 26, start=25)
    assert inside.earned.tolist() == pytest.approx([sigma(-0.4) / sigma(-1)])
    assert parts(21, 26, start=30).windows == 0


@pytest.mark.parametrize(("rows", "expected"), [(100, 15), (4032, 604), (5000, 750), (22695, 750), (3, 0)])
def test_the_probation_is_15_per_cent_and_at_most_750_rows(rows: int, expected: int) -> None:
    assert nab.probation(rows) == expected


@pytest.mark.parametrize(
    ("profile", "expected"),
    # raw = tp·(1 + 0.248242) − fn·1 + fp·(−1), null = −3·fn, perfect = 3·tp
    [
        ("standard", 100 * (1.248246 - 1 - 0.11 + 3) / 6),
        ("low_fp", 100 * (1.248246 - 1 - 0.22 + 3) / 6),
        ("low_fn", 100 * (1.248246 - 2 - 0.11 + 6) / 9),
    ],
)
def test_a_corpus_is_the_sum_of_its_files(profile: str, expected: float) -> None:
    files = [parts(20), parts(29, windows=(WINDOW, (60, 69))), parts(50, windows=())]
    found = nab.scores(files, PROFILES[profile])
    assert found is not None
    assert found[0] == pytest.approx(expected, abs=1e-3)


def test_many_detectors_at_once_are_scored_as_one_by_one() -> None:
    dice = np.random.default_rng(5)
    windows = ((20, 29), (45, 52), (90, 99))
    detections = dice.random((40, 100)) < np.linspace(0, 0.3, 40)[:, None]
    together = file_parts(detections, windows, 15)
    for place in range(40):
        alone = parts(*np.flatnonzero(detections[place]).tolist(), windows=windows, start=15)
        for name, profile in PROFILES.items():
            assert together.raw(profile)[place] == pytest.approx(alone.raw(profile)[0]), name
            assert alone.raw(profile)[0] == pytest.approx(naive_raw(detections[place], windows, 15, name))


def naive_raw(detected: np.ndarray, windows: tuple[tuple[int, int], ...], start: int, profile: str) -> float:
    """The formula, row by row, as it is written."""
    weights, total, found = PROFILES[profile], 0.0, {window: 0.0 for window in windows if window[1] >= start}
    for row in range(start, detected.size):
        if not detected[row]:
            continue
        inside = [window for window in windows if window[0] <= row <= window[1]]
        before = [window for window in windows if window[1] < row]
        if inside:
            (first, last) = inside[0]
            y = -(last - row + 1) / (last - first + 1)
            found[inside[0]] = max(found[inside[0]], sigma(y) / sigma(-1) * weights.tp)
        elif before:
            first, last = before[-1]
            total += weights.fp * sigma((row - last) / (last - first))
        else:
            total -= weights.fp
    return total + sum(earned or -weights.fn for earned in found.values())


def test_a_corpus_without_windows_has_no_score() -> None:
    files = [parts(20, windows=())]
    assert nab.scores(files, PROFILES["standard"]) is None
    assert nab.standard_error(files, PROFILES["standard"], 0) is None


def test_the_standard_error_is_that_of_the_mean_over_files() -> None:
    files = [parts(20) if place % 2 else parts() for place in range(100)]
    error = nab.standard_error(files, PROFILES["standard"], 0)
    assert error == nab.standard_error(files, PROFILES["standard"], 0)
    assert error == pytest.approx(50 / 10, rel=0.1)  # half of them 100, half 0: deviation 50, over √100
    assert nab.standard_error([parts(20)] * 10, PROFILES["standard"], 0) == pytest.approx(0)
