"""Anomalies to incidents: opening, joining by time and scope, resolving after quiet."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.incidents.grouping import Grouping
from pipeline.incidents.open_incident import Open
from pipeline.incidents.telling import MEMBERS_SHOWN
from pipeline.records import US, Anomaly, Incident, Kind, Member, Signal

SIGNAL = Signal(1, "latency", "ms", Kind.GAUGE, "prod", "service:pay", "pod-1", (("route", "/"),))
JOIN, RESOLVE = 60, 30


def anomaly(signal: int, onset: float, at: float, transition: str = "opened", **changes: object) -> Anomaly:
    """Times in seconds; the id is made of signal and onset, as in real ones."""
    scope = str(changes.pop("scope", "prod"))
    opened = Anomaly(
        id=f"a{signal}-{onset:g}",
        revision=1,
        transition=transition,
        signal=replace(SIGNAL, id=signal, scope=scope, workload=f"service:s{signal}"),
        step_us=round(at * US),
        onset_us=round(onset * US),
        last_seen_us=round(at * US),
        end_us=round(at * US) if transition == "ended" else None,
        peak_us=round(onset * US),
        value=200.0,
        expected=100.0,
        lower=90.0,
        upper=110.0,
        surprise=5.0,
        windows=2,
        why="higher than usual",
        detector="level/1",
        policy="default@0",
    )
    return replace(opened, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Told:
    """A transition with times in seconds."""

    transition: str
    id: str
    revision: int
    members: tuple[str, ...]


class Story:
    """Applies anomalies at their times, and timers between them as the chain does."""

    def __init__(self) -> None:
        self.grouping = Grouping(JOIN * US, RESOLVE * US)
        self.incidents: list[Incident] = []

    def at(self, second: float, *anomalies: Anomaly) -> list[Told]:
        """What is told up to and at this second."""
        now_us, found = round(second * US), []
        while (due := self.grouping.next_deadline()) is not None and due < now_us:
            found += self.grouping.step((), due)
        found += self.grouping.step(sorted(anomalies, key=lambda a: (a.signal.id, a.revision)), now_us)
        self.incidents += found
        return [Told(i.transition, i.id, i.revision, tuple(m.anomaly.id for m in i.members)) for i in found]


def test_an_anomaly_opens_an_incident_named_after_it() -> None:
    story = Story()
    assert story.at(120, anomaly(1, 100, 120)) == [Told("opened", "inc-a1-100", 1, ("a1-100",))]
    (incident,) = story.incidents
    assert (incident.onset_us, incident.detected_us, incident.step_us) == (100 * US, 120 * US, 120 * US)
    assert (incident.scope, incident.affected, incident.severity) == ("prod", ("service:s1 pod-1",), "warning")
    assert incident.members[0].joined_by == "first member"
    assert (incident.resolved_us, incident.close_reason) == (None, None)


def test_anomalies_of_one_step_open_one_incident() -> None:
    (told,) = Story().at(120, anomaly(2, 100, 120), anomaly(1, 110, 120))
    assert told == Told("opened", "inc-a1-110", 1, ("a1-110", "a2-100"))


def test_an_anomaly_near_in_time_joins_and_says_why() -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120))
    assert story.at(150, anomaly(2, 130, 150)) == [Told("updated", "inc-a1-100", 2, ("a1-100", "a2-130"))]
    assert story.incidents[-1].members[1].joined_by == "the same scope, onset 30 s from the newest member's"
    assert story.incidents[-1].onset_us == 100 * US


@pytest.mark.parametrize(("onset", "joins"), [(40, True), (39.9, False), (160, True), (160.1, False)])
def test_an_anomaly_joins_when_its_onset_is_at_most_so_far_away(onset: float, joins: bool) -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120))
    (told,) = story.at(200, anomaly(2, onset, 200))
    assert (told.transition == "updated") is joins


def test_an_incident_that_spreads_takes_in_what_is_near_its_newest_onset() -> None:
    story = Story()
    for i in range(5):
        story.at(120 + 50 * i, anomaly(i, 100 + 50 * i, 120 + 50 * i))
    assert len(story.grouping.open) == 1
    assert story.incidents[-1].member_count == 5
    (told,) = story.at(330, anomaly(9, 120, 330))
    assert (told.transition, len(told.members)) == ("updated", 6)


def test_scopes_are_apart() -> None:
    story = Story()
    told = story.at(120, anomaly(1, 100, 120), anomaly(2, 100, 120, scope="staging"))
    assert [one.id for one in told] == ["inc-a1-100", "inc-a2-100"]
    assert [incident.scope for incident in story.incidents] == ["prod", "staging"]


def test_of_two_incidents_that_are_near_the_newest_takes_it() -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120))
    story.at(230, anomaly(2, 200, 230))
    assert [told.id for told in story.at(231, anomaly(3, 150, 231))] == ["inc-a2-200"]


def test_it_resolves_when_all_members_have_ended_for_long_enough() -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120), anomaly(2, 100, 120))
    assert story.at(200, anomaly(1, 100, 200, "ended", revision=2)) == []
    assert story.grouping.next_deadline() is None
    assert story.at(300, anomaly(2, 100, 300, "ended", revision=2)) == []
    assert story.grouping.next_deadline() == 330 * US
    assert story.at(329) == []
    assert [t.transition for t in story.at(330)] == ["resolved"]
    resolved = story.incidents[-1]
    assert (resolved.step_us, resolved.resolved_us) == (330 * US, 300 * US)
    assert (resolved.close_reason, resolved.ended_count, resolved.revision) == ("all members ended", 2, 2)
    assert story.grouping.open == {}


def test_a_timer_fires_at_its_own_time_however_far_the_watermark_jumps() -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120))
    story.at(150, anomaly(1, 100, 150, "ended", revision=2))
    story.at(99_999)
    assert story.incidents[-1].step_us == 180 * US


def test_a_new_member_before_the_end_keeps_it_open() -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120))
    story.at(150, anomaly(1, 100, 150, "ended", revision=2))
    assert [t.transition for t in story.at(170, anomaly(2, 155, 170))] == ["updated"]
    assert story.at(1000) == []
    assert len(story.grouping.open) == 1


def test_after_the_end_the_next_anomaly_opens_a_new_incident() -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120))
    story.at(150, anomaly(1, 100, 150, "ended", revision=2))
    told = story.at(200, anomaly(1, 140, 200))
    assert [(one.transition, one.id) for one in told] == [("resolved", "inc-a1-100"), ("opened", "inc-a1-140")]


def test_an_update_of_a_member_is_an_update_of_the_incident_and_keeps_why_it_joined() -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120))
    story.at(130, anomaly(2, 120, 130))
    story.at(140, anomaly(2, 120, 140, "updated", revision=2, surprise=15.0))
    incident = story.incidents[-1]
    assert (incident.transition, incident.surprise, incident.severity) == ("updated", 15.0, "error")
    assert [member.anomaly.id for member in incident.members] == ["a2-120", "a1-100"]
    assert incident.members[0].joined_by == "the same scope, onset 20 s from the newest member's"


def test_the_end_of_an_anomaly_that_nobody_knows_opens_nothing() -> None:
    assert Story().at(150, anomaly(1, 100, 150, "ended")) == []


def test_members_are_cut_in_the_event_but_all_are_counted() -> None:
    story = Story()
    number = MEMBERS_SHOWN + 7
    story.at(120, *(anomaly(i, 100, 120, surprise=5.0 + i) for i in range(number)))
    (incident,) = story.incidents
    assert (len(incident.members), incident.member_count) == (MEMBERS_SHOWN, number)
    surprises = [member.anomaly.surprise for member in incident.members]
    assert surprises == sorted(surprises, reverse=True)
    assert surprises[0] == 5.0 + number - 1


def test_a_resolve_time_of_zero_resolves_with_the_last_end() -> None:
    story = Story()
    story.grouping = Grouping(JOIN * US, 0)
    story.at(120, anomaly(1, 100, 120))
    told = story.at(150, anomaly(1, 100, 150, "ended", revision=2))
    assert [one.transition for one in told] == ["resolved"]


def test_a_grouping_made_from_open_incidents_goes_on_as_the_one_they_came_from() -> None:
    story = Story()
    story.at(120, anomaly(1, 100, 120), anomaly(2, 110, 120))
    story.at(150, *(anomaly(i, onset, 150, "ended", revision=2) for i, onset in ((1, 100), (2, 110))))
    copies = [Open(i.id, i.scope, i.detected_us, i.revision, dict(i.members)) for i in story.grouping.open.values()]
    restored = Grouping(JOIN * US, RESOLVE * US, copies)
    assert restored.next_deadline() == story.grouping.next_deadline() == 180 * US
    assert restored.step((), 180 * US) == story.grouping.step((), 180 * US)


def test_an_open_incident_knows_its_onsets_from_its_members() -> None:
    members = {f"a{i}": Member(anomaly(i, 100 + i, 120), "") for i in range(3)}
    incident = Open("inc", "prod", 0, 1, members)
    assert (incident.onset_us, incident.newest_onset_us) == (100 * US, 102 * US)


ONSETS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 300), st.integers(1, 80)), min_size=1, max_size=12)


@given(ONSETS)
def test_every_opened_incident_resolves_once_with_revisions_counting_up(drawn: list[tuple[int, int, int]]) -> None:
    events: dict[str, list[Anomaly]] = {}
    for signal, onset, length in drawn:
        one = [anomaly(signal, onset, onset + 20), anomaly(signal, onset, onset + 20 + length, "ended", revision=2)]
        events.setdefault(one[0].id, one)
    story, steps = Story(), {a.step_us for pair in events.values() for a in pair}
    for step_us in sorted(steps):
        story.at(step_us / US, *(a for pair in events.values() for a in pair if a.step_us == step_us))
    story.at(10_000)
    assert story.grouping.open == {}
    lives: dict[str, list[Incident]] = {}
    for incident in story.incidents:
        lives.setdefault(incident.id, []).append(incident)
    for life in lives.values():
        assert [incident.revision for incident in life] == list(range(1, len(life) + 1))
        transitions = [incident.transition for incident in life]
        assert transitions == ["opened", *["updated"] * (len(life) - 2), "resolved"]
        assert [i.step_us for i in life] == sorted(i.step_us for i in life)
    members = [m.anomaly.id for life in lives.values() for m in life[-1].members]
    assert sorted(members) == sorted(events)
