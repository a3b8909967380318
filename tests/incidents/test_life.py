"""The life of an incident: news, the end, coming back, and what people order and hold back."""

from dataclasses import replace

import pytest

from pipeline.incidents.grouping import Grouping
from pipeline.incidents.open_incident import Open
from pipeline.policies.control import Said, SaidControl, What
from pipeline.policies.matcher import Matcher
from pipeline.policies.orders import Action, Order
from pipeline.policies.silence import Silence
from pipeline.records import US, Anomaly, Incident, Kind
from tests.incidents.test_grouping import JOIN, RESOLVE, Story, anomaly

REOPEN = 300


class Desk(Story):
    """A story in which people say something meanwhile."""

    def __init__(self, reopen: int = REOPEN) -> None:
        super().__init__()
        self.grouping = Grouping(JOIN * US, RESOLVE * US, reopen_us=reopen * US)
        self._offset = 0

    def say(self, second: float, *whats: tuple[str, What]) -> list[Incident]:
        """It is heard at this second."""
        self.at(second)
        said = []
        for key, what in whats:
            said.append(Said(self._offset, key, what))
            self._offset += 1
        self.grouping.hear(SaidControl(self._offset, tuple(said)), round(second * US))
        before = len(self.incidents)
        self.at(second)
        return self.incidents[before:]

    def order(self, second: float, action: Action, incident: str, **more: object) -> list[Incident]:
        order = Order(f"o{self._offset}", action, incident, "ann", round(second * US), **more)  # type: ignore[arg-type]
        return self.say(second, (f"order/{incident}/{order.id}", order))

    def silence(self, second: float, until: float, workload: str) -> list[Incident]:
        matchers = (Matcher("workload", "=", workload),)
        at_us, until_us = round(second * US), round(until * US)
        silence = Silence("s1", matchers, "ann", "planned", at_us, until_us, at_us)
        return self.say(second, ("silence/s1", silence))


def end(signal: int, onset: float, at: float) -> Anomaly:
    return anomaly(signal, onset, at, "ended", revision=2)


def transitions(told: list[Incident]) -> list[tuple[str, str]]:
    return [(each.transition, each.state) for each in told]


def test_more_of_the_same_is_no_news_and_a_worse_one_or_another_place_is() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    assert desk.at(130, anomaly(1, 100, 130, "updated", revision=2, surprise=6.0)) == []
    (told,) = desk.at(140, anomaly(1, 100, 140, "updated", revision=3, surprise=9.0))
    assert (told.transition, desk.incidents[-1].severity) == ("updated", "error")
    (told,) = desk.at(150, anomaly(2, 130, 150))
    assert told.members == ("a1-100", "a2-130")


def test_of_a_storm_not_every_place_is_told_at_once_and_none_is_lost() -> None:
    desk = Desk()
    for number in range(200):
        desk.at(120 + number, anomaly(number, 110 + number, 120 + number))
    assert len(desk.incidents) < 25
    desk.at(400, *(anomaly(number, 110 + number, 400, "ended", revision=2) for number in range(200)))
    desk.at(1000)
    assert [(each.transition, each.member_count) for each in desk.incidents[-1:]] == [("resolved", 200)]


def test_it_comes_back_with_a_signal_that_it_had_and_a_new_one_is_opened_for_another() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    desk.at(150, end(1, 100, 150))
    assert [told.transition for told in desk.at(300, anomaly(1, 280, 300))] == ["resolved", "reopened"]
    again = desk.incidents[-1]
    assert (again.id, again.revision, again.state, again.resolved_us) == ("inc-a1-100", 3, "open", None)
    assert [member.joined_by for member in again.members] == [
        "first member", "the same signal, soon after the incident was over",
    ]  # fmt: skip
    desk.at(320, end(1, 280, 320))
    assert [(told.transition, told.id) for told in desk.at(500, anomaly(2, 480, 500))][1:] == [("opened", "inc-a2-480")]


def test_after_the_time_for_coming_back_it_is_a_new_incident() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    desk.at(150, end(1, 100, 150))
    assert [told.transition for told in desk.at(150 + RESOLVE + REOPEN + 1, anomaly(1, 470, 481))][-1] == "opened"


def test_it_is_acknowledged_once_and_says_by_whom_from_then_on() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    (told,) = desk.order(130, "ack", "inc-a1-100", comment="looking")
    assert (told.transition, told.state, told.by, told.comment) == ("acknowledged", "acknowledged", "ann", "looking")
    assert desk.order(131, "ack", "inc-a1-100") == []
    assert desk.grouping.refused == ["order_not_possible"]
    desk.at(150, anomaly(2, 130, 150))
    assert (desk.incidents[-1].state, desk.incidents[-1].acknowledged_by, desk.incidents[-1].by) == (
        "acknowledged", "ann", None,
    )  # fmt: skip


def test_what_somebody_resolved_is_over_though_its_members_go_on() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    (told,) = desk.order(130, "resolve", "inc-a1-100", reason="fixed")
    assert (told.transition, told.close_reason, told.by, told.resolved_us) == ("resolved", "fixed", "ann", 130 * US)
    assert desk.at(140, anomaly(1, 100, 140, "updated", revision=2, surprise=20.0)) == []
    assert desk.at(150, anomaly(1, 100, 150, "ended", revision=3)) == []
    assert [told.transition for told in desk.at(200, anomaly(1, 180, 200))] == ["reopened"]


def test_what_was_no_incident_does_not_come_back_but_a_new_one_may_open() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    desk.order(130, "resolve", "inc-a1-100", reason="false_alarm")
    desk.at(150, end(1, 100, 150))
    assert [(told.transition, told.id) for told in desk.at(200, anomaly(1, 180, 200))] == [("opened", "inc-a1-180")]


def test_what_somebody_reopened_stays_open_until_somebody_resolves_it() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    desk.at(150, end(1, 100, 150))
    desk.at(200)
    assert transitions(desk.order(210, "reopen", "inc-a1-100")) == [("reopened", "open")]
    assert desk.at(90_000) == []
    assert transitions(desk.order(90_001, "resolve", "inc-a1-100", reason="other", comment="was a drill")) == [
        ("resolved", "resolved")
    ]


def test_one_goes_into_another_with_its_members_which_say_so() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    desk.at(300, anomaly(2, 280, 300))
    merged, into = desk.order(310, "merge", "inc-a2-280", into="inc-a1-100")
    assert (merged.transition, merged.state, merged.merged_into) == ("merged", "merged", "inc-a1-100")
    assert (into.id, into.transition, into.member_count) == ("inc-a1-100", "updated", 2)
    assert into.members[1].joined_by == "merged from inc-a2-280 by ann"
    desk.at(330, end(1, 100, 330), end(2, 280, 330))
    desk.at(400)
    assert [(each.id, each.transition) for each in desk.incidents[-1:]] == [("inc-a1-100", "resolved")]
    assert desk.grouping.open == {}


def test_members_that_are_split_out_are_an_incident_of_their_own() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120), anomaly(2, 100, 120), anomaly(3, 100, 120))
    rest, part = desk.order(130, "split", "inc-a1-100", members=("a2-100", "a3-100"))
    assert (rest.id, rest.transition, rest.member_count) == ("inc-a1-100", "split", 1)
    assert (part.transition, part.member_count, part.came_from) == ("opened", 2, "inc-a1-100")
    assert part.members[0].joined_by == "split from inc-a1-100 by ann"
    desk.at(150, end(1, 100, 150))
    assert [told.id for told in desk.at(200)] == ["inc-a1-100"]
    assert list(desk.grouping.open) == [part.id]


@pytest.mark.parametrize(
    ("action", "incident", "more"),
    [
        ("reopen", "inc-a1-100", {}),
        ("merge", "inc-a1-100", {"into": "inc-none"}),
        ("split", "inc-a1-100", {"members": ("a1-100",)}),
        ("split", "inc-a1-100", {"members": ("nobody",)}),
    ],
)
def test_an_order_that_does_not_fit_changes_nothing_and_is_counted(
    action: Action, incident: str, more: dict[str, object]
) -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    assert desk.order(130, action, incident, **more) == []
    assert desk.grouping.refused == ["order_not_possible"]


@pytest.mark.parametrize(("action", "more"), [("ack", {}), ("reopen", {}), ("resolve", {"reason": "fixed"})])
def test_an_order_for_an_incident_of_another_shard_is_passed_over(action: Action, more: dict[str, object]) -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    assert desk.order(130, action, "inc-none", **more) == []
    assert desk.grouping.refused == []


def test_what_a_silence_holds_back_is_told_when_it_ends_and_goes_on() -> None:
    desk = Desk()
    desk.silence(50, 200, "service:s1")
    assert desk.at(120, anomaly(1, 100, 120)) == []
    (held,) = desk.grouping.suppressed
    assert (held.reason, held.by, held.until_us) == ("silence", ("silence/s1",), 200 * US)
    (told,) = desk.grouping.step((), 200 * US)
    assert (told.transition, told.revision, told.detected_us, told.onset_us) == ("opened", 1, 200 * US, 100 * US)


def test_of_what_ends_while_it_is_held_back_nobody_hears() -> None:
    desk = Desk()
    desk.silence(50, 200, "service:s1")
    desk.at(120, anomaly(1, 100, 120))
    desk.at(150, end(1, 100, 150))
    assert desk.at(1000) == []
    assert desk.incidents == []
    assert desk.grouping.open == {}


def test_a_member_that_no_silence_holds_back_shows_the_incident_with_all_its_members() -> None:
    desk = Desk()
    desk.silence(50, 500, "service:s1")
    desk.at(120, anomaly(1, 100, 120))
    (told,) = desk.at(140, anomaly(2, 120, 140))
    assert (told.transition, told.members) == ("opened", ("a1-100", "a2-120"))


def test_an_open_incident_is_suppressed_by_a_silence_and_reopened_at_its_end() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    assert transitions(desk.silence(130, 300, "service:s1")) == [("suppressed", "suppressed")]
    assert desk.at(200, anomaly(1, 100, 200, "updated", revision=2, surprise=20.0)) == []
    desk.at(310)
    assert transitions(desk.incidents[-1:]) == [("reopened", "open")]
    assert desk.incidents[-1].step_us == 300 * US


def test_a_suppressed_incident_that_ends_is_resolved() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    desk.silence(130, 300, "service:s1")
    desk.at(150, end(1, 100, 150))
    assert [(told.transition, told.revision) for told in desk.at(180)] == [("resolved", 3)]


def test_a_saved_incident_goes_on_as_the_one_that_was_not() -> None:
    one, other = Desk(), Desk()
    for desk in (one, other):
        desk.at(120, anomaly(1, 100, 120), anomaly(2, 100, 120))
        desk.order(130, "ack", "inc-a1-100")
    kept = other.grouping.open["inc-a1-100"]
    copy = Open(
        kept.id, kept.scope, kept.detected_us, kept.revision, dict(kept.members), kept.shown, kept.acknowledged_by,
        kept.kept_open, kept.came_from, kept.told,
    )  # fmt: skip
    other.grouping = Grouping(JOIN * US, RESOLVE * US, [copy], reopen_us=REOPEN * US)
    for desk in (one, other):
        desk.at(140, replace(anomaly(1, 100, 140, "updated"), revision=2, surprise=9.0))
        desk.at(150, end(1, 100, 150), end(2, 100, 150))
        desk.at(200)
    assert one.incidents == other.incidents


def alert(number: int, kind: str, onset: float, at: float, transition: str = "opened", **changes: object) -> Anomaly:
    found = anomaly(number, onset, at, transition, **{"surprise": 4.0, **changes})
    signal = replace(found.signal, name="events", kind=Kind.COUNT, attributes=(("event.type", f"alert.{kind}"),))
    return replace(found, signal=signal)


def test_one_type_of_alert_alone_is_no_incident_and_says_so_at_its_end() -> None:
    desk = Desk()
    assert desk.at(120, alert(1, "scan", 100, 120)) == []
    desk.at(180, alert(1, "scan", 100, 180, "ended", revision=2))
    assert desk.at(5000) == []
    (held,) = desk.grouping.suppressed
    assert (held.reason, held.anomaly.id, held.anomaly.transition) == ("light_weight", "a1-100", "ended")


def test_two_types_that_seldom_come_are_one_incident_that_ends_when_nothing_joins_it_any_more() -> None:
    desk = Desk()
    desk.at(120, alert(1, "scan", 100, 120))
    (told,) = desk.at(500, alert(2, "login", 480, 500))
    assert (told.transition, told.id, told.members) == ("opened", "inc-a1-100", ("a1-100", "a2-480"))
    desk.at(520, alert(1, "scan", 100, 520, "ended", revision=2), alert(2, "login", 480, 520, "ended", revision=2))
    assert desk.at(1300) == []
    desk.at(1301, alert(3, "upload", 1290, 1301))
    assert desk.incidents[-1].transition == "updated"
    desk.at(1400, alert(3, "upload", 1290, 1400, "ended", revision=2))
    desk.at(9000)
    assert [each.transition for each in desk.incidents] == ["opened", "updated", "resolved"]
    assert desk.grouping.open == {}


def test_an_alert_of_a_workload_that_has_an_incident_joins_that() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    found = alert(7, "scan", 125, 130)
    found = replace(found, signal=replace(found.signal, workload="service:s1"))
    (told,) = desk.at(130, found)
    assert (told.transition, told.members) == ("updated", ("a1-100", "a7-125"))
    desk.at(150, replace(found, transition="ended", revision=2, end_us=150 * US, step_us=150 * US), end(1, 100, 150))
    desk.at(9000)
    assert desk.incidents[-1].transition == "resolved"


def test_alerts_that_somebody_has_put_aside_open_nothing_again() -> None:
    desk = Desk()
    desk.at(120, alert(1, "scan", 100, 120), alert(2, "login", 100, 120))
    assert transitions(desk.order(130, "resolve", "inc-a1-100", reason="expected")) == [("resolved", "resolved")]
    assert desk.at(140, alert(3, "upload", 130, 140)) == []
    (aside,) = desk.grouping.suppressed
    assert (aside.reason, aside.anomaly.id) == ("put_aside", "a3-130")
    desk.at(9000)
    assert desk.grouping.open == {}
