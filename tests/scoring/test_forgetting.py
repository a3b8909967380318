"""What a scorer forgets is gone from every place that knew it."""

from dataclasses import replace

import numpy as np

from pipeline.policies import DetectorPolicy
from pipeline.scoring.relatives import ENTITY_SIGNAL
from tests.scoring.story import SIGNAL, USUAL, Story

MEMBERS = [replace(SIGNAL, id=20 + number, name=f"m{number}") for number in range(3)]
NONE = np.empty(0, np.int64)


def entity_row(story: Story) -> int:
    (row,) = (row for row, signal in enumerate(story.scorer.catalogue.signals) if signal.name == ENTITY_SIGNAL)
    return row


def test_an_entity_of_which_too_few_signals_are_left_ends_and_says_so_if_it_was_anomalous() -> None:
    story = Story(DetectorPolicy(), *MEMBERS).tell(*USUAL)
    row = entity_row(story)
    story.scorer.table.groups["episodes"]["open"][row] = True
    gone, said = story.scorer.forget(np.array([0]), NONE, story.end_us)
    assert [signal.name for signal in gone] == ["m0", ENTITY_SIGNAL]
    assert [(anomaly.signal.name, anomaly.transition) for anomaly in said] == [(ENTITY_SIGNAL, "ended")]
    assert "its signals have ended" in said[0].why
    assert story.scorer.pools.entity_rows == []


def test_where_enough_are_left_the_entity_goes_on_without_the_one_that_is_gone() -> None:
    fourth = replace(SIGNAL, id=30, name="m3")
    story = Story(DetectorPolicy(), *MEMBERS, fourth).tell(*USUAL)
    row = entity_row(story)
    gone, said = story.scorer.forget(np.array([1]), NONE, story.end_us)
    assert ([signal.name for signal in gone], said) == (["m1"], [])
    assert story.scorer.pools.entity_rows == [row]
    assert story.scorer.pools.entities.members(0) == [0, 2, 3]
    story.window({signal.id: 100.0 for signal in (MEMBERS[0], MEMBERS[2], fourth)})
    assert entity_row(story) == row


def test_one_that_waits_for_its_window_keeps_its_row_and_begins_anew() -> None:
    story = Story(DetectorPolicy()).tell(*USUAL)
    gone, _ = story.scorer.forget(np.array([0]), np.array([0]), story.end_us)
    assert gone == []
    assert story.scorer.catalogue.rows(np.array([SIGNAL.id], np.uint64)).tolist() == [0]
    assert story.scorer.table.groups["detector"]["seen"][0] == 0
    story.tell(5.0)
    assert story.scorer.table.groups["detector"]["seen"][0] == 1


def test_the_row_of_one_that_is_gone_serves_the_next_with_nothing_left_of_the_old() -> None:
    story, fresh = Story(DetectorPolicy()).tell(*USUAL), Story(DetectorPolicy(), replace(SIGNAL, id=40))
    story.scorer.forget(np.array([0]), NONE, story.end_us)
    story.add(replace(SIGNAL, id=40))
    story.signals = story.signals[1:]
    fresh.end_us = story.end_us
    for each in (story, fresh):
        each.tell(1.0, 2.0, 1.5)
    for group, arrays in fresh.scorer.table.groups.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(story.scorer.table.groups[group][name][:1], array[:1], err_msg=name)
