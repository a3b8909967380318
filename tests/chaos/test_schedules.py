"""Schedules are what their seed says, the 200 of the long form hold every fault, and results are resumed."""

from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import results, schedules
from tests.chaos.campaign import Outcome
from tests.chaos.crew import mistake
from tests.chaos.fault_run import SESSION_SECONDS, Result
from tests.chaos.schedules import SAME_WEATHER, fresh, schedule, weather_of
from tests.chaos.stories import again_and_again
from tests.streams.every_input import Sent

LONG = [schedule(seed) for seed in range(200)]


def outcome(seed: int, *, ok: bool) -> Outcome:
    return Outcome(seed, ok, [] if ok else ["1 incidents lost"], "metrics", False, [], [], 1, 2, 3, 4.5, [], [], [])


def test_a_seed_always_gives_the_same_schedule_and_another_gives_another() -> None:
    assert [schedule(seed) for seed in range(200)] == LONG
    assert len({each.actions for each in LONG}) == 200


def test_the_long_form_holds_every_fault_story_and_layout() -> None:
    done = Counter(action.what for each in LONG for action in each.actions)
    assert {*schedules.WHATS, schedules.LEAVE_IN_FAULT} == set(done)
    assert min(done.values()) >= 20
    weather = Counter(fault.what for each in LONG for fault in each.weather)
    assert set(weather) == {schedules.RESTART, schedules.CRASH, schedules.FREEZE, schedules.HICCUP}
    assert any(not each.weather for each in LONG)
    assert {(each.story, each.repeated) for each in LONG} == {
        (name, repeated) for name in ("metrics", "everything") for repeated in (False, True)
    }
    assert len({each.layout for each in LONG}) == 3
    assert any(each.stalls for each in LONG)


def test_the_short_form_holds_every_kind_of_fault_of_a_worker_and_of_the_broker() -> None:
    short = LONG[:9]
    assert {*schedules.WHATS, schedules.LEAVE_IN_FAULT} == {each.what for plan in short for each in plan.actions}
    faults = {fault.what for plan in short for fault in plan.weather}
    assert faults == {schedules.RESTART, schedules.CRASH, schedules.FREEZE, schedules.HICCUP}
    assert {plan.story for plan in short} == {"metrics", "everything"}


def test_neighbours_have_the_same_weather_and_so_has_a_fresh_seed() -> None:
    for seed in range(0, 200, SAME_WEATHER):
        assert len({weather_of(seed + number) for number in range(SAME_WEATHER)}) == 1
    assert weather_of(fresh(range(9))) == weather_of(8)
    assert fresh(range(9)) > 1000


def test_long_pauses_are_longer_than_a_session_and_short_ones_are_not() -> None:
    for action in (action for each in LONG for action in each.actions):
        if action.what == schedules.LONG_PAUSE:
            assert action.seconds > SESSION_SECONDS
        if action.what == schedules.SHORT_PAUSE:
            assert action.seconds < SESSION_SECONDS


def test_what_is_sent_again_is_what_was_sent_last_in_the_same_order() -> None:
    once = [Sent(second, "points", second % 4, b"%d" % second) for second in range(5000)]
    repeated = list(again_and_again(once))
    assert len(repeated) > len(once)
    newest, at = -1, 0
    for message in repeated:
        if message.second == newest + 1:
            newest += 1
        else:  # a stretch that was sent already
            assert message.second <= newest
            assert message.second == at + 1 or at == newest
        at = message.second
    assert newest == 4999


def test_seeds_that_were_right_are_not_held_again_and_those_that_were_not_are(tmp_path: Path) -> None:
    path = tmp_path / "chaos" / "results.jsonl"
    assert results.right(path) == set()
    for seed, ok in ((1, True), (2, False), (3, False), (3, True), (4, True), (4, False)):
        results.add(path, outcome(seed, ok=ok))
    with path.open("a") as file:
        file.write('{"seed": 9, "ok"')  # the power went
    results.add(path, outcome(5, ok=True))
    assert results.right(path) == {1, 3, 5}


def test_a_stretch_of_seeds_is_named_by_its_ends() -> None:
    assert results.seeds("3..5") == range(3, 6)
    assert results.seeds("7") == range(7, 8)
    for text in ("5..3", "a..b", "-1", ""):
        with pytest.raises(ValueError):
            results.seeds(text)


def test_differences_are_said_in_words_and_what_is_the_same_has_none() -> None:
    one = Result({("a", 1): b"1", ("a", 2): b"2"}, {(1, 5): (1.0,)}, 1)
    other = Result({("a", 1): b"x", ("b", 1): b"2"}, {}, 0)
    assert one.differences(one) == []
    assert other.differences(one) == [
        "1 incidents lost, for instance ('a', 2)",
        "1 incidents unexpected, for instance ('b', 1)",
        "1 incidents other, for instance ('a', 1)",
        "1 windows lost, for instance (1, 5)",
        "0 points counted in windows instead of 1",
    ]


def test_a_mistake_of_ours_is_found_in_a_log_and_what_a_missing_broker_explains_is_not() -> None:
    ours = ["Traceback (most recent call last):", '  File "/x/aiokafka/client.py", line 1, in send']
    ours += ['  File "/x/pipeline/streams/shard.py", line 2, in _turn', "    row = rows[key]", "KeyError: 7"]
    theirs = [*ours[:1], ours[2], ours[1], "RuntimeError: the handler is closed"]
    gone = [*ours[:3], "pipeline.streams.exits.WorkerExit: the broker has not acknowledged a record"]
    assert "KeyError: 7" in mistake("\n".join([*theirs, *gone, *ours]), calm=False)
    assert mistake("\n".join([*theirs, *gone]), calm=False) == ""
    assert mistake("\n".join(theirs), calm=True)
    assert mistake("worker with the roles score\n", calm=True) == ""
