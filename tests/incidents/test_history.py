"""What is remembered of incidents that are over: by kind, bounded, and what it says of a new one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.incidents import history as history_module
from pipeline.incidents.history import KEPT_US, MOST_OF_KIND, MOST_PLACES, History, Occurrence, sample, similarity
from pipeline.incidents.lengths import in_words
from pipeline.incidents.open_incident import Open
from pipeline.records import US, Member
from tests.incidents.test_grouping import anomaly
from tests.incidents.test_life import Desk, end

HOUR = 3600
PLACE = ("service:s1", "latency")


def occurrence(number: int, **changes: object) -> Occurrence:
    """The one of hour ``number``, which took a minute."""
    onset_us = number * HOUR * US
    known = Occurrence(f"inc-{number}", onset_us, onset_us + 60 * US, 60 * US, "warning", sample([PLACE]), 1, True)
    return replace(known, **changes)  # type: ignore[arg-type]


def remembered(*numbers: int) -> History:
    history = History()
    for number in numbers:
        history.remember("prod", PLACE, occurrence(number))
    return history


def test_the_first_of_its_kind_is_told_to_be_the_first() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    (told,) = desk.incidents
    assert (told.rarity.word, told.rarity.share, told.similar) == ("first", 0.0, ())
    assert told.rarity.why == "nothing of the kind is remembered (60 days at most)"


def test_a_new_one_says_how_often_its_kind_came_and_which_were_like_it() -> None:
    desk = Desk()
    for number, hour in enumerate((1, 3, 8, 9)):
        onset = hour * HOUR
        workload = 1 if number < 3 else 2
        desk.at(onset + 20, anomaly(workload, onset, onset + 20))
        desk.at(onset + 1200, end(workload, onset, onset + 1200))
    desk.at(20 * HOUR + 20, anomaly(1, 20 * HOUR, 20 * HOUR + 20))
    told = desk.incidents[-1]
    assert (told.rarity.word, told.rarity.of_kind, told.rarity.of_all) == ("frequent", 3, 4)
    assert told.rarity.why == "the kind came 3 times before, which is 75% of what is remembered"
    assert [(one.id, one.similarity) for one in told.similar] == [
        (f"inc-a1-{hour * HOUR}", 1.0) for hour in (8, 3, 1)
    ]  # fmt: skip
    assert (told.similar[0].close_reason, told.similar[0].severity) == ("all members ended", "warning")
    assert told.similar[0].resolved_us == (8 * HOUR + 1200) * US


@pytest.mark.parametrize(
    ("of_kind", "others", "word"), [(0, 5, "first"), (1, 19, "rare"), (1, 4, "occasional"), (3, 12, "frequent")]
)
def test_the_word_follows_from_the_share(of_kind: int, others: int, word: str) -> None:
    history = remembered(*range(of_kind))
    for number in range(others):
        history.remember("prod", (f"service:{number}", "latency"), occurrence(100 + number))
    assert history.rarity("prod", PLACE, 200 * HOUR * US).word == word


def test_scopes_remember_apart() -> None:
    history = remembered(1, 2, 3)
    assert history.rarity("staging", PLACE, 4 * HOUR * US).word == "first"
    assert history.similar(Open("x", "staging", 0, members={"a": Member(anomaly(1, 0, 10), "")}), 4 * HOUR * US) == ()


def test_an_instance_or_rollout_is_the_same_kind_and_so_is_another_signal_that_the_kind_has_had() -> None:
    desk = Desk()
    both = [anomaly(1, 100, 120), replace(anomaly(2, 110, 120), id="b")]
    both[1] = replace(both[1], signal=replace(both[1].signal, workload="service:s1", name="errors"))
    desk.at(120, *both)
    desk.at(200, *(replace(one, transition="ended", revision=2, step_us=200 * US, end_us=200 * US) for one in both))
    desk.at(9000, replace(anomaly(3, 8980, 9000), signal=replace(both[1].signal, id=3, instance="pod-7")))
    told = desk.incidents[-1]
    assert told.transition == "opened"
    assert told.rarity.of_kind == 1


def test_of_a_kind_the_newest_are_kept_and_the_last_that_people_were_told_of() -> None:
    history = remembered(*range(5))
    for number in range(5, 40):
        history.remember("prod", PLACE, occurrence(number, told=False))
    kept = history.past("prod", PLACE, 40 * HOUR * US)
    assert len(kept) == MOST_OF_KIND
    assert [one.id for one in kept][:4] == ["inc-2", "inc-3", "inc-4", "inc-23"]


def test_nothing_is_remembered_for_longer_than_it_may_be() -> None:
    history = remembered(0, 1)
    late_us = occurrence(0).resolved_us + KEPT_US + 1
    assert [one.id for one in history.past("prod", PLACE, late_us)] == ["inc-1"]
    history.forget(late_us)
    assert [one.id for one in history.past("prod", PLACE, 0)] == ["inc-1"]
    history.forget(late_us + HOUR * US)
    assert (len(history), history.dump()) == (0, [])


def test_of_very_many_kinds_the_one_that_came_least_lately_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MOST_KINDS", 3)
    history = History()
    for number in range(5):
        history.remember("prod", (f"service:{number}", "latency"), occurrence(number))
    assert len(history) == 3
    assert history.past("prod", ("service:1", "latency"), 0) == []
    monkeypatch.setattr(history_module, "MOST_IN_ALL", 4)
    history.remember("prod", ("service:4", "latency"), occurrence(6))
    history.remember("prod", ("service:4", "latency"), occurrence(7))
    assert len(history) == 2


def test_an_incident_that_comes_back_is_remembered_once_and_as_a_whole() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120), anomaly(2, 100, 120))
    desk.order(130, "ack", "inc-a1-100")
    desk.at(150, end(1, 100, 150), end(2, 100, 150))
    desk.at(300, anomaly(1, 280, 300))
    desk.at(400, end(1, 280, 400))
    desk.at(500)
    (one,) = desk.grouping.history.past("prod", PLACE, 500 * US)
    assert (one.onset_us, one.resolved_us, one.lasted_us) == (100 * US, 400 * US, 280 * US)
    assert (one.place_count, one.acknowledged, one.told, one.acted_on) == (2, True, True, True)


def test_what_a_silence_held_back_all_its_life_is_not_remembered() -> None:
    desk = Desk()
    desk.silence(50, 500, "service:s1")
    desk.at(120, anomaly(1, 100, 120))
    desk.at(150, end(1, 100, 150))
    desk.at(1000)
    assert len(desk.grouping.history) == 0


def test_how_people_resolved_it_is_remembered() -> None:
    desk = Desk()
    desk.at(120, anomaly(1, 100, 120))
    desk.order(130, "resolve", "inc-a1-100", reason="false_alarm")
    (one,) = desk.grouping.history.past("prod", PLACE, 500 * US)
    assert (one.close_reason, one.dismissed, one.acted_on, one.resolved_us) == ("false_alarm", True, False, 130 * US)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (130, "2 min 10 s"),
        (3600, "1 h"),
        (3 * 3600 + 61, "3 h 1 min"),
        (104_400, "1 d 5 h"),
    ],
)
def test_lengths_are_told_in_the_units_that_people_use(seconds: float, words: str) -> None:
    assert in_words(round(seconds * US)) == words


@given(st.sets(st.integers(0, 200), max_size=120), st.sets(st.integers(0, 200), max_size=120))
def test_similarity_is_the_share_of_the_places_of_both_or_near_it(one: set[int], other: set[int]) -> None:
    places = [sample((str(number), "latency") for number in numbers) for numbers in (one, other)]
    found = similarity(places[0], places[1])
    assert found == similarity(places[1], places[0])
    exact = len(one & other) / len(one | other) if one | other else 0.0
    assert max(map(len, places)) <= MOST_PLACES
    assert found == pytest.approx(exact, abs=0.0 if max(len(one), len(other)) < MOST_PLACES else 0.5)


def test_a_saved_history_is_the_one_that_was_not() -> None:
    history = remembered(1, 2, 3)
    history.remember("staging", PLACE, occurrence(9, close_reason="fixed", cause="service:db", acknowledged=True))
    copy = History(history.dump())
    assert copy.dump() == history.dump()
    assert copy.past("staging", PLACE, 10 * HOUR * US) == history.past("staging", PLACE, 10 * HOUR * US)
