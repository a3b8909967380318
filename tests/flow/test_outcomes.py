"""What became of an anomaly and of an incident is told from their events, and what no event says is said so."""

from dataclasses import replace
from typing import Any

from pipeline.codecs import anomaly_event, incident_event, suppression_event
from pipeline.flow import outcomes
from pipeline.incidents.telling import MEMBERS_SHOWN
from pipeline.records import US, Anomaly, Change, Event, Happened, Incident, Suppression, iso
from tests.incidents.test_grouping import Story, anomaly

Body = dict[str, Any]


def bodies(incidents: list[Incident]) -> dict[str, list[Body]]:
    found: dict[str, list[Body]] = {}
    for incident in incidents:
        found.setdefault(incident.id, []).append(incident_event.body(incident))
    return found


def ended(opened: Anomaly, at: float) -> Anomaly:
    return replace(opened, revision=2, transition="ended", step_us=round(at * US), end_us=round(at * US))


FIRST = replace(anomaly(1, 100, 120), threshold=3.25)
SECOND = anomaly(2, 130, 150)


def life(events: list[Anomaly], story: Story | None = None, *held: Suppression) -> list[outcomes.Told]:
    incidents = bodies(story.incidents) if story is not None else {}
    suppressed = [suppression_event.body(each) for each in held]
    return outcomes.life_of_anomaly([anomaly_event.body(each) for each in events], incidents, suppressed)


def test_who_started_an_incident_and_who_joined_is_told() -> None:
    story = Story()
    story.at(120, FIRST)
    story.at(150, SECOND)
    started, joined = life([FIRST, ended(FIRST, 200)], story), life([SECOND], story)
    assert [told.what for told in started] == ["anomaly_opened", "in_incident", "anomaly_ended"]
    assert started[1].words.startswith("it started incident inc-a1-100; that one is open (")
    assert "surprise 5, 3.25 was needed: higher than usual; policy default@0" in started[0].words
    assert joined[1].words.startswith(
        "it is in incident inc-a1-100: the same scope, onset 30 s from the newest member's"
    )


def test_a_suppression_is_told_with_its_numbers_and_what_came_after_it() -> None:
    story = Story()
    story.at(150, replace(FIRST, revision=2, transition="updated", step_us=150 * US))
    held = replace(FIRST, owner="pay", owner_budget=2.0)
    told = life([FIRST], story, Suppression(held, "owner_budget", 120 * US, 1.5))
    assert [each.what for each in told] == ["anomaly_opened", "suppressed", "in_incident"]
    assert "its owner pay may start 2 incidents a week, of which 1.5 were spent; one more would be 2.5" in told[1].words
    false = replace(FIRST, discovered=False, false_discovery_rate=0.2)
    (_, told_false) = life([FIRST], None, Suppression(false, "false_discovery", 120 * US))
    assert "at most a share of 0.2 may be false" in told_false.words


def test_what_no_event_says_is_unknown() -> None:
    assert [told.what for told in life([FIRST])] == ["anomaly_opened", "unknown"]


def test_one_of_very_many_is_in_the_incident_that_does_not_write_out_all() -> None:
    story = Story()
    many = [anomaly(number, 100, 120, surprise=9.0) for number in range(2, MEMBERS_SHOWN + 10)]
    story.at(120, *many, FIRST)
    (_, told) = life([FIRST], story)
    assert (told.what, told.incident) == ("in_incident", story.incidents[0].id)
    assert "had more members than its events write out" in told.words


def test_the_window_finds_its_anomaly() -> None:
    events = {"a": [anomaly_event.body(each) for each in (FIRST, ended(FIRST, 200))]}

    def at(start: float, end: float, *, opens: bool = False, waits: bool = False) -> bool:
        times = (iso(round(each * US)) for each in (start, end))
        return outcomes.anomaly_at(events, *times, opens=opens, waits=waits) is not None

    assert at(110, 120, opens=True)
    assert at(120, 130)
    assert at(190, 200)
    assert not at(200, 210)
    assert at(100, 110, waits=True)
    assert not at(90, 100, waits=True)
    assert not at(100, 110)


def test_the_life_of_an_incident_says_what_was_new_each_time() -> None:
    story = Story()
    story.at(120, FIRST)
    story.at(150, SECOND)
    story.at(160, replace(SECOND, revision=2, transition="updated", surprise=9.0, step_us=160 * US))
    story.at(200, ended(FIRST, 200))
    story.at(210, replace(ended(SECOND, 210), surprise=9.0, revision=3))
    story.at(300)
    told = outcomes.life_of_incident(bodies(story.incidents)["inc-a1-100"])
    assert [each.what for each in told] == ["opened", "updated", "updated", "resolved"]
    words = [each.words for each in told]
    assert words[0] == "latency{route=/} of service:s1 pod-1 joined (first member)"
    assert (
        words[1] == "latency{route=/} of service:s2 pod-1 joined (the same scope, onset 30 s from the newest member's)"
    )
    assert words[2] == "latency{route=/} of service:s2 pod-1 got worse (surprise 5 → 9)"
    assert words[3] == (
        "all members ended (2), the last one at 1970-01-01T00:03:30Z, and nothing new came until 1970-01-01T00:04:00Z"
    )


def wrong(found: Anomaly, at: float) -> Anomaly:
    why = "late_data: 1 point came late"
    end_us = found.end_us or found.last_seen_us
    step_us, revision = round(at * US), found.revision + 1
    return replace(found, revision=revision, transition="withdrawn", step_us=step_us, end_us=end_us, why=why)


def test_what_late_data_took_back_is_told_of_anomalies_and_incidents() -> None:
    story = Story()
    story.at(120, FIRST)
    story.at(150, SECOND)
    story.at(160, wrong(SECOND, 160))
    story.at(170, wrong(FIRST, 170))
    words = [(each.what, each.words) for each in outcomes.life_of_incident(bodies(story.incidents)["inc-a1-100"])]
    assert words[2:] == [
        ("updated", "late_data: latency{route=/} of service:s2 pod-1 withdrawn"),
        (
            "withdrawn",
            "nothing of it is left: latency{route=/} of service:s1 pod-1: late_data: 1 point came late",
        ),
    ]
    told = life([FIRST, wrong(FIRST, 170)], story)
    assert told[-1].what == "anomaly_withdrawn"
    assert told[-1].words == "anomaly a1-100 was wrong and is withdrawn: late_data: 1 point came late"
    assert told[1].words.endswith("that one is withdrawn (" + story.incidents[-1].title + ")")


def test_a_window_after_an_anomaly_was_withdrawn_is_no_part_of_it() -> None:
    events = {"a1-100": [anomaly_event.body(each) for each in (FIRST, wrong(FIRST, 170))]}
    for at, found in ((165, True), (180, False)):
        window = iso((at - 5) * US), iso(at * US)
        assert (outcomes.anomaly_at(events, *window, opens=False, waits=False) is not None) is found


def test_members_that_are_not_written_out_are_counted() -> None:
    story = Story()
    story.at(120, *(anomaly(number, 100, 120, surprise=9.0) for number in range(MEMBERS_SHOWN + 7)))
    (told,) = outcomes.life_of_incident(bodies(story.incidents)[story.incidents[0].id])
    assert told.words.endswith("7 more members joined that are not written out")


def test_what_stands_beside_an_incident_says_of_whom_it_is_and_when_it_was() -> None:
    story = Story()
    change = Change("c", 90 * US, "deployment", "finished", (), "json", version="1.4")
    event = Event("e", 110 * US, "restarted", (), 9, "out of memory", ())
    story.grouping.evidence.add(Happened(change, "prod", "service:other"))
    story.grouping.evidence.add(Happened(event, "prod", "service:s1", "pod-1"))
    story.at(120, FIRST)
    body = incident_event.body(story.incidents[-1])
    assert outcomes.beside_words(body["changes"][0], body) == (
        "deployment (version 1.4) of service:other at 1970-01-01T00:01:30Z: another workload of its scope, "
        "10 s before the incident's onset"
    )
    assert outcomes.beside_words(body["events"][0], body) == (
        "restarted (text out of memory) of service:s1 at 1970-01-01T00:01:50Z: a workload of the incident, "
        "10 s after the incident's onset"
    )


def test_a_member_says_by_what_it_was_judged_where_its_anomaly_is_kept() -> None:
    story = Story()
    story.at(120, FIRST)
    (member,) = incident_event.body(story.incidents[0])["members"]
    assert "surprise 5, 3.25 was needed; policy default@0; higher than usual; since" in outcomes.member_words(
        member, anomaly_event.body(FIRST)
    )
    assert "surprise 5; higher than usual; since" in outcomes.member_words(member, None)


def test_what_the_past_held_back_is_told_with_its_reason_and_until_when() -> None:
    why = "it came 3 times before and was over by itself within 1 min each time"
    held = Suppression(FIRST, "transient", 120 * US, until_us=240 * US, incident="inc-a1-100", why=why)
    told = life([FIRST], None, held)
    assert told[1].words == (
        f"held back (transient): {why}; it is told as inc-a1-100 if it gets worse or goes on until 1970-01-01T00:04:00Z"
    )
    turn = Suppression(FIRST, "flapping", 120 * US, incident="inc-a1-0", why="it came back 4 times lately")
    assert life([FIRST], None, turn)[1].words == (
        "not told at once (flapping): it is in incident inc-a1-0: it came back 4 times lately"
    )


def test_the_life_of_an_incident_says_what_was_held_back_before_and_that_it_comes_and_goes() -> None:
    story = Story()
    story.at(120, FIRST)
    (opened,) = bodies(story.incidents)["inc-a1-100"]
    events = [opened | {"suppressed_counts": {"periodic": 1, "silence": 2}}]
    events.append(opened | {"revision": 2, "transition": "updated", "flapping": True})
    first, second = outcomes.life_of_incident(events)
    assert first.words.startswith("held back until then: 1 anomaly (periodic), 2 anomalies (silence); latency")
    assert second.words.startswith("it comes and goes: from now on it stays open until it was quiet for twice as long")


def test_what_the_past_says_of_an_incident_is_told_in_words() -> None:
    story = Story()
    for onset in (100, 9100, 29_100):
        one = anomaly(1, onset, onset + 20)
        story.at(onset + 20, one)
        story.at(onset + 100, ended(one, onset + 100))
    newest = bodies(story.incidents)["inc-a1-29100"][0]
    assert list(outcomes.past_words(newest)) == [
        "occasional: the kind came 2 times before, which is 100% of what is remembered",
        "like inc-a1-9100: 100% of the same places, warning, from 1970-01-01T02:31:40Z to 1970-01-01T02:33:20Z, "
        "all members ended",
        "like inc-a1-100: 100% of the same places, warning, from 1970-01-01T00:01:40Z to 1970-01-01T00:03:20Z, "
        "all members ended",
    ]
    more = {"flapping": True, "suppressed_counts": {"flapping": 3}, "similar_past": []}
    assert list(outcomes.past_words(newest | more))[::2] == [
        "it comes and goes; as of its newest event 1 of it went on",
        "not told at once: 3 anomalies (flapping)",
    ]
    assert list(outcomes.past_words({})) == []
