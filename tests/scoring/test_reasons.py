"""Why a window is unlikely, in words."""

import numpy as np
import pytest

from detectors.layout import EVIDENCE
from pipeline.records import US
from pipeline.scoring import reasons

MONDAY_MORNING = 1_748_851_200 * US  # 2025-06-02T08:00:00Z
KINDS = ("residual", "season", "record", "stillness", "drift", "shape", "long_shape")


def said(value: float = 9.0, expected: float = 5.0, at_us: int = MONDAY_MORNING, **evidence: float) -> str:
    """The words for this evidence; the signal was between 0 and 8 so far."""
    (why,) = reasons.bits(np.array([[evidence.get(kind, 0.0) for kind in KINDS]])).tolist()
    return reasons.words(why, value, expected, at_us, 0.0, 8.0)


def test_there_are_words_for_all_evidence() -> None:
    assert len(KINDS) == EVIDENCE
    assert len({said(**{kind: 3.0}) for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ({"residual": 3.0}, "higher than expected"),
        ({"season": 3.0}, "higher than usual for a Monday morning for a while now"),
        ({"record": 3.0}, "higher than ever seen"),
        ({"stillness": 3.0}, "stuck, or moving less than it ever does"),
        ({"drift": 3.0}, "values of late are distributed unlike before"),
        ({"shape": 3.0}, "a shape never seen before"),
        ({"long_shape": 3.0}, "wrong shape for a Monday morning"),
        ({}, "higher than usual"),
    ],
)
def test_each_kind_of_evidence_has_its_words(evidence: dict[str, float], words: str) -> None:
    assert said(**evidence) == words


def test_the_strongest_comes_first_and_two_are_enough() -> None:
    assert said(residual=2.0, record=4.0, drift=1.5) == "higher than ever seen; higher than expected"
    assert said(residual=4.0, record=2.0, drift=1.5) == "higher than expected; higher than ever seen"


def test_weak_evidence_is_not_worth_a_word() -> None:
    assert said(residual=0.9, record=4.0) == "higher than ever seen"
    assert said(residual=0.9) == "higher than usual"


def test_the_side_is_the_one_of_the_value() -> None:
    assert said(-1.0, residual=3.0, record=2.0) == "lower than expected; lower than ever seen"


def test_a_record_that_was_passed_since_is_almost_one() -> None:
    assert said(7.9, record=3.0) == "higher than almost ever seen"


@pytest.mark.parametrize(
    ("hours", "time"),
    [
        (-8, "Monday night"),
        (-2, "Monday morning"),
        (4, "Monday afternoon"),
        (10, "Monday evening"),
        (16, "Tuesday night"),
    ],
)
def test_the_time_is_the_part_of_the_day_in_utc(hours: int, time: str) -> None:
    assert said(at_us=MONDAY_MORNING + hours * 3600 * US, long_shape=2.0) == f"wrong shape for a {time}"


def test_the_hard_range_and_the_entity_have_words_of_their_own() -> None:
    assert reasons.words(reasons.OUT_OF_RANGE, 9, 5, 0, 0, 8) == "outside the range that it must keep"
    assert reasons.words(reasons.OUT_OF_RANGE | reasons.RECORD, 9, 5, 0, 0, 8) == (
        "outside the range that it must keep; higher than ever seen"
    )
    assert reasons.words(reasons.TOGETHER, 9, 5, 0, 0, 8) == (
        "the signals of this entity together are far from how they usually are"
    )


def test_how_it_moves_is_told_from_the_value_it_has() -> None:
    rows = np.eye(EVIDENCE) * 3.0
    assert reasons.of_movement(reasons.bits(rows)).tolist() == [False, False, False, True, True, True, True]
    assert not reasons.of_movement(reasons.bits(np.zeros((1, EVIDENCE)))).any()
