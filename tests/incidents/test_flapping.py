"""An incident that comes and goes is one, says so once, and says truly how much of it goes on."""

from dataclasses import replace

from pipeline.incidents.flapping import ENOUGH, QUIET_US, WITHIN_US, Flapping
from pipeline.records import US
from tests.incidents.test_grouping import RESOLVE, anomaly
from tests.incidents.test_life import Desk, end, transitions


def turns(desk: Desk, *onsets: float, length: float = 40) -> None:
    """The same signal again and again."""
    for onset in onsets:
        desk.at(onset + 20, anomaly(1, onset, onset + 20))
        desk.at(onset + length, end(1, onset, onset + length))


def test_with_the_third_return_it_is_told_to_flap_and_stays_open() -> None:
    desk = Desk()
    turns(desk, 1000, 1200, 1400, 1600)
    assert [told[0] for told in transitions(desk.incidents)] == [
        "opened", "resolved", "reopened", "resolved", "reopened", "resolved", "reopened",
    ]  # fmt: skip
    assert [told.flapping for told in desk.incidents] == [False] * 6 + [True]
    assert desk.incidents[-1].ended_count == 3
    before = len(desk.incidents)
    turns(desk, 1800, 2000, 2200)
    assert desk.incidents[before:] == []
    assert [one.reason for one in desk.grouping.suppressed] == ["flapping"] * 3
    assert desk.grouping.suppressed[0].why == (
        "it came back 4 times lately, and is told when it is over, worse or in more places"
    )


def test_it_is_over_after_quiet_for_twice_as_long_as_its_longest_rest() -> None:
    desk = Desk()
    turns(desk, 1000, 1200, 1400, 1600)
    (key,) = desk.grouping.open
    longest = 1220 - 1040
    assert desk.grouping.next_deadline() == (1640 + 2 * longest) * US
    desk.at(9000)
    over = desk.incidents[-1]
    assert (over.id, over.transition, over.step_us) == (key, "resolved", (1640 + 2 * longest) * US)
    assert (over.resolved_us, over.flapping, over.member_count, over.ended_count) == (1640 * US, True, 4, 4)


def test_returns_within_the_wait_for_its_end_count_and_are_told_as_an_update() -> None:
    desk = Desk()
    turns(desk, 1000, 1030, 1060, 1090, length=22)
    assert [told[0] for told in transitions(desk.incidents)] == ["opened", "updated"]
    told = desk.incidents[-1]
    assert (told.flapping, told.member_count, told.ended_count, told.step_us) == (True, 4, 3, 1110 * US)
    assert told.suppressed == (("no_news", 2),)


def test_what_gets_worse_while_it_flaps_is_told() -> None:
    desk = Desk()
    turns(desk, 1000, 1200, 1400, 1600)
    (told,) = desk.at(1820, anomaly(1, 1800, 1820, surprise=9.0))
    assert (told.transition, desk.incidents[-1].severity, desk.incidents[-1].flapping) == ("updated", "error", True)
    (told,) = desk.at(1830, anomaly(2, 1810, 1830))
    assert told.transition == "updated"


def test_what_went_on_for_long_without_a_rest_flaps_no_more() -> None:
    desk = Desk()
    turns(desk, 1000, 1200, 1400)
    steady = WITHIN_US // US
    turns(desk, 1600, length=steady + 100)
    assert desk.grouping.next_deadline() == (1600 + steady + 100 + RESOLVE) * US
    desk.at(20_000)
    assert (desk.incidents[-1].transition, desk.incidents[-1].flapping) == ("resolved", False)


def test_other_signals_that_join_while_it_waits_for_its_end_are_no_return() -> None:
    desk = Desk()
    for number in range(ENOUGH + 2):
        onset = 1000 + 30 * number
        desk.at(onset + 5, anomaly(number, onset, onset + 5))
        desk.at(onset + 10, end(number, onset, onset + 10))
    assert not any(told.flapping for told in desk.incidents)


def test_an_acknowledged_one_that_flaps_stays_acknowledged() -> None:
    desk = Desk()
    turns(desk, 1000, 1200, 1400, 1600)
    desk.order(1650, "ack", "inc-a1-1000")
    turns(desk, 1800, 2000)
    desk.at(9000)
    assert [(told.transition, told.acknowledged_by) for told in desk.incidents[-2:]] == [
        ("acknowledged", "ann"), ("resolved", "ann"),
    ]  # fmt: skip


def test_one_that_is_likely_to_be_false_does_not_keep_it_open_for_long() -> None:
    desk = Desk()
    turns(desk, 1000, 1200, 1400, 1600)
    assert desk.at(1820, replace(anomaly(1, 1800, 1820), discovered=False)) == []
    assert [one.reason for one in desk.grouping.suppressed] == ["false_discovery"]


def test_no_more_quiet_is_needed_than_is_told() -> None:
    flaps = Flapping()
    for at_hour in (0, 1.9, 3.8):
        flaps.returned(round((at_hour * 3600 - 5400) * US), round(at_hour * 3600 * US))
    assert not flaps.on  # three times, but over nearly four hours
    flaps = Flapping([(10, 3 * 3600 * US), (20, 5), (30, 5)], on=True)
    assert flaps.quiet_us(40, 30 * US) == QUIET_US
    assert Flapping([(10, 5), (20, 5), (30, 5)], on=True).quiet_us(40, 30 * US) == 30 * US


def test_what_ends_and_begins_in_one_step_did_not_rest() -> None:
    flaps = Flapping()
    for at_us in (10, 20, 30, 40):
        flaps.returned(at_us, at_us)
    assert flaps.returns == []


def test_saved_it_flaps_on() -> None:
    flaps = Flapping([(10, 5), (20, 5), (30, 5)], on=True, told=True)
    assert Flapping.load(flaps.dump()) == flaps
