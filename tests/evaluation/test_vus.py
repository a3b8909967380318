"""VUS-PR against cases worked by hand, a slow and obvious twin, and what it must be for any score."""

import time
from math import sqrt

import numpy as np
import pytest

from pipeline.evaluation.vus import vus_pr


def labels_of(rows: int, *events: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(rows, np.bool_)
    for first, last in events:
        labels[first : last + 1] = True
    return labels


def naive(score: np.ndarray, labels: np.ndarray, longest: int, thresholds: int) -> float:
    """The definition, threshold by threshold and row by row."""
    rows, descending = len(score), sorted(score.tolist(), reverse=True)
    cuts = [descending[int(rank)] for rank in np.linspace(0, rows - 1, thresholds)]
    inside = [row for row in range(rows) if labels[row]]
    events = [(row, next(end for end in range(row, rows) if end + 1 == rows or not labels[end + 1])) for row in inside]
    events = [(first, last) for first, last in events if first == 0 or not labels[first - 1]]
    areas = []
    for buffer in range(longest + 1):
        reach = buffer // 2
        label = [1.0 if marked else 0.0 for marked in labels]
        for first, last in events:
            for row in range(rows):
                distance = max(first - row, row - last)
                if 0 < distance <= reach:
                    label[row] = min(label[row] + sqrt(1 - distance / buffer), 1.0)
        zones: list[set[int]] = []
        for first, last in events:
            zone = set(range(first - reach, last + reach + 1))
            if zones and zones[-1] & zone:
                zones[-1] |= zone
            else:
                zones.append(zone)
        recall_before, area = 0.0, 0.0
        for cut in cuts:
            chosen = [row for row in range(rows) if score[row] >= cut]
            true = sum(label[row] for row in chosen)
            beside = sum(label[row] for row in chosen if not labels[row])
            noticed = sum(any(0 <= row < rows and score[row] >= cut for row in zone) for zone in zones)
            recall = min(true / (len(inside) + beside / 2), 1.0) * noticed / len(zones)
            area += (recall - recall_before) * true / len(chosen)
            recall_before = recall
        areas.append(area)
    return sum(areas) / len(areas)


def test_with_no_buffer_it_is_the_area_of_steps_under_precision_and_recall() -> None:
    # by score: hit, miss, hit, miss → recall ½ at precision 1, recall 1 at precision ⅔; one event, so all or nothing
    assert vus_pr(np.array([0.1, 0.9, 0.7, 0.8]), labels_of(4, (1, 2)), 0, 4) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_two_events_of_which_one_is_noticed_count_half() -> None:
    # the first threshold predicts row 0: recall ½ × one of two events = ¼ at precision 1;
    # then rows 0, 2: ¼ at ½; then 0, 2, 3: recall 1, both noticed, at ⅔; then all
    found = vus_pr(np.array([0.9, 0.1, 0.8, 0.7]), labels_of(4, (0, 0), (3, 3)), 0, 4)
    assert found == pytest.approx(0.25 + 0.75 * 2 / 3)


def test_a_row_beside_an_event_counts_as_much_as_its_slope() -> None:
    # one event, row 2; ℓ = 2 labels rows 1 and 3 with √(1 − ½); the score has row 1 first, then row 2, then the rest
    slope = sqrt(0.5)
    recalls = [slope / (1 + slope / 2), (1 + slope) / (1 + slope / 2), 1, 1, 1]
    recalls = [min(recall, 1) for recall in recalls]
    precisions = [slope / 1, (1 + slope) / 2]
    at_2 = recalls[0] * precisions[0] + (recalls[1] - recalls[0]) * precisions[1]
    assert recalls[1] == 1
    at_0_and_1 = 1 * 1 / 2  # the first is a miss; the second finds all at precision ½
    score = np.array([0.1, 0.9, 0.8, 0.3, 0.2])
    assert vus_pr(score, labels_of(5, (2, 2)), 2, 5) == pytest.approx((2 * at_0_and_1 + at_2) / 3)


@pytest.mark.parametrize("seed", range(6))
def test_it_agrees_with_the_slow_twin(seed: int) -> None:
    dice = np.random.default_rng(seed)
    rows = int(dice.integers(30, 70))
    labels = np.zeros(rows, np.bool_)
    for _ in range(int(dice.integers(1, 5))):
        first = int(dice.integers(0, rows))
        labels[first : first + int(dice.integers(1, 6))] = True
    labels[-1] = seed % 2 == 0
    score = dice.random(rows) if seed % 3 else dice.integers(0, 4, rows).astype(float)
    assert vus_pr(score, labels, 13, 20) == pytest.approx(naive(score, labels, 13, 20))


def test_a_score_that_is_the_label_with_its_buffer_is_nearly_perfect() -> None:
    labels = labels_of(5000, (700, 760), (2500, 2600), (4000, 4030))
    assert vus_pr(labels + 0.0, labels, 0) == pytest.approx(1)
    ramp = np.convolve(labels, np.hanning(60), "same") + labels * 100
    found = vus_pr(ramp, labels)
    assert found is not None
    assert found > 0.93


def test_a_random_score_is_worth_the_share_of_labels() -> None:
    labels = labels_of(20_000, (3000, 3999), (12_000, 12_999))
    dice = np.random.default_rng(1)
    found = [vus_pr(dice.random(20_000), labels) for _ in range(3)]
    assert found == pytest.approx([0.1] * 3, abs=0.015)


def test_only_the_order_of_scores_matters() -> None:
    dice = np.random.default_rng(2)
    labels, score = labels_of(500, (100, 120), (300, 301)), dice.random(500)
    assert vus_pr(score, labels) == pytest.approx(vus_pr(np.exp(7 * score) - 1000, labels))


def test_one_score_for_every_row_is_worth_the_labelled_share() -> None:
    assert vus_pr(np.zeros(1000), labels_of(1000, (0, 99)), 0) == pytest.approx(0.1)


def test_without_both_kinds_of_rows_there_is_no_figure() -> None:
    assert vus_pr(np.arange(9.0), np.zeros(9, np.bool_)) is None
    assert vus_pr(np.arange(9.0), np.ones(9, np.bool_)) is None


def test_a_month_of_minutes_takes_seconds_at_most() -> None:
    dice = np.random.default_rng(4)
    labels = labels_of(30_000, *((place, place + 20) for place in range(500, 29_000, 700)))
    started = time.process_time()
    vus_pr(dice.random(30_000), labels)
    assert time.process_time() - started < 5
