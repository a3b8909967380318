"""Anomalies that late data show to be wrong: what becomes of the incidents that they are in."""

from dataclasses import replace

import pytest

from pipeline.incidents.grouping import Grouping
from pipeline.records import US, Anomaly
from tests.incidents.test_grouping import JOIN, RESOLVE, anomaly
from tests.incidents.test_life import REOPEN, Desk, end, transitions


def wrong(found: Anomaly, at: float) -> Anomaly:
    """The same anomaly, withdrawn."""
    return replace(
        found,
        revision=found.revision + 1,
        transition="withdrawn",
        step_us=round(at * US),
        end_us=found.end_us or found.last_seen_us,
        why="late_data: 3 points came late",
    )


def test_an_incident_whose_only_member_is_withdrawn_is_withdrawn_and_over() -> None:
    desk = Desk()
    first = anomaly(1, 100, 120)
    desk.at(120, first)
    (told,) = desk.at(140, wrong(first, 140))
    assert (told.transition, told.id, told.revision) == ("withdrawn", "inc-a1-100", 2)
    incident = desk.incidents[-1]
    assert (incident.state, incident.close_reason, incident.resolved_us) == ("withdrawn", "late_data", 120 * US)
    assert incident.title.startswith("withdrawn: late data do not bear out that latency")
    assert (incident.member_count, incident.ended_count, incident.causes, incident.impacted) == (1, 1, (), ())
    assert incident.members[0].anomaly.why == "late_data: 3 points came late"
    assert not desk.grouping.open
    assert desk.at(1000) == []


def test_it_does_not_come_back_and_nothing_remembers_it() -> None:
    desk = Desk()
    first = anomaly(1, 100, 120)
    desk.at(120, first)
    desk.at(140, wrong(first, 140))
    (told,) = desk.at(200, anomaly(1, 180, 200))
    assert (told.transition, told.id) == ("opened", "inc-a1-180")
    assert desk.incidents[-1].rarity.of_all == 0
    assert desk.incidents[-1].similar == ()


def test_what_is_left_goes_on_and_says_who_left() -> None:
    desk = Desk()
    first, second = anomaly(1, 100, 120, surprise=9.0), anomaly(2, 110, 130)
    desk.at(120, first)
    desk.at(130, second)
    (told,) = desk.at(150, wrong(first, 150))
    assert (told.transition, told.id, told.members) == ("updated", "inc-a1-100", ("a2-110",))
    incident = desk.incidents[-1]
    assert incident.comment == "late_data: latency{route=/} of service:s1 pod-1 withdrawn"
    assert (incident.onset_us, incident.surprise, incident.member_count) == (110 * US, 5.0, 1)
    desk.at(160, end(2, 110, 160))
    assert [each.transition for each in desk.at(160 + RESOLVE + 1)] == ["resolved"]


def test_members_that_may_start_none_do_not_keep_it_and_are_suppressed() -> None:
    desk = Desk()
    first = anomaly(1, 100, 120)
    unfelt = anomaly(2, 110, 130, felt=False)
    desk.at(120, first)
    desk.at(130, unfelt)
    desk.grouping.suppressed.clear()
    told = desk.at(150, wrong(first, 150))
    assert [(each.transition, each.members) for each in told] == [("withdrawn", ("a1-100",))]
    assert [(each.reason, each.anomaly.id) for each in desk.grouping.suppressed] == [("not_felt", "a2-110")]
    assert desk.at(160, end(2, 110, 160)) == []


def test_all_at_once_is_told_once() -> None:
    desk = Desk()
    members = [anomaly(number, 100, 120) for number in range(1, 6)]
    desk.at(120, *members)
    told = desk.at(150, *(wrong(each, 150) for each in members))
    assert [each.transition for each in told] == ["withdrawn"]
    assert desk.incidents[-1].member_count == 5


def test_what_opens_and_is_withdrawn_in_one_step_was_nothing() -> None:
    desk = Desk()
    first = anomaly(1, 100, 120)
    assert desk.at(120, first, wrong(first, 120)) == []
    assert not desk.grouping.open


def test_what_nobody_was_told_of_goes_without_a_word() -> None:
    desk = Desk()
    desk.silence(110, 500, "service:s1")
    first, second = anomaly(1, 100, 120), anomaly(2, 700, 720)
    desk.at(120, first)
    assert desk.at(150, wrong(first, 150)) == []
    assert not desk.grouping.open
    assert desk.at(600) == []
    assert [each.id for each in desk.at(720, second)] == ["inc-a2-700"]


def test_a_part_of_what_is_held_back_goes_and_the_rest_is_told_at_the_end() -> None:
    desk = Desk()
    desk.silence(110, 500, "service:s1")
    first, again = anomaly(1, 100, 120), anomaly(1, 115, 130)
    desk.at(120, first)
    desk.at(130, again)
    assert desk.at(150, wrong(first, 150)) == []
    (told,) = desk.at(500)
    assert (told.transition, told.members) == ("opened", ("a1-115",))


def test_of_one_that_is_over_all_members_must_be_withdrawn() -> None:
    desk = Desk()
    first, second = anomaly(1, 100, 120), anomaly(2, 110, 130)
    desk.at(120, first)
    desk.at(130, second)
    desk.at(150, end(1, 100, 150), end(2, 110, 150))
    assert [each.transition for each in desk.at(190)] == ["resolved"]
    assert desk.at(200, wrong(end(1, 100, 150), 200)) == []
    (told,) = desk.at(210, wrong(end(2, 110, 150), 210))
    assert (told.transition, told.id, told.members) == ("withdrawn", "inc-a1-100", ("a2-110",))
    (back,) = desk.at(300, anomaly(2, 280, 300))
    assert (back.transition, back.id) == ("opened", "inc-a2-280")
    assert desk.incidents[-1].rarity.of_all == 0
    assert transitions(desk.incidents)[-2:] == [("withdrawn", "withdrawn"), ("opened", "open")]


@pytest.mark.parametrize(("after", "told"), [(0, ["withdrawn"]), (1, [])])
def test_what_may_not_come_back_any_more_stays_resolved(after: int, told: list[str]) -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    desk.at(150, end(1, 100, 150))
    desk.at(190)
    at = 150 + RESOLVE + REOPEN + after
    assert [each.transition for each in desk.at(at, wrong(end(1, 100, 150), at))] == told


def test_of_one_that_is_over_and_had_very_many_members_not_all_are_known_so_it_stays() -> None:
    desk = Desk()
    members = [anomaly(number, 100, 120) for number in range(60)]
    desk.at(120, *members)
    ended = [end(number, 100, 150) for number in range(60)]
    desk.at(150, *ended)
    desk.at(190)
    assert desk.at(200, *(wrong(each, 200) for each in ended)) == []


def test_what_is_in_no_incident_changes_nothing() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    assert desk.at(130, wrong(anomaly(2, 110, 125), 130)) == []
    assert list(desk.grouping.open) == ["inc-a1-100"]


def test_severity_is_found_anew_from_what_is_left() -> None:
    grouping = Grouping(JOIN * US, RESOLVE * US)
    bad, mild = anomaly(1, 100, 120, surprise=9.0), anomaly(2, 100, 120)
    (opened,) = grouping.step([bad, mild], 120 * US)
    (told,) = grouping.step([wrong(bad, 150)], 150 * US)
    assert (opened.severity, told.severity) == ("error", "warning")
