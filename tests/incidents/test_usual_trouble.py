"""What usually passes, is frequent or regular is held back until it is worse than it was, and nothing else is."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.incidents.grouping import Grouping
from pipeline.incidents.usual_trouble import IN_A_DAY, TRANSIENTS, Habits
from pipeline.records import US, Suppression
from tests.incidents.test_grouping import JOIN, RESOLVE, anomaly
from tests.incidents.test_life import REOPEN, Desk, alert, end

MINUTE, HOUR, DAY = 60, 3600, 86_400


def once(desk: Desk, onset: float, *, length: float = 80, surprise: float = 5.0, order: str = "") -> None:
    """One incident of workload 1, seen 20 s after its onset; ``order``: what somebody says 10 s later."""
    desk.at(onset + 20, anomaly(1, onset, onset + 20, surprise=surprise))
    (key, *_) = desk.grouping.open
    if order == "ack":
        desk.order(onset + 30, "ack", key)
    elif order:
        desk.order(onset + 30, "resolve", key, reason=order, comment="said so")
    desk.at(onset + length, replace(end(1, onset, onset + length), surprise=surprise))
    desk.at(onset + length + 2 * RESOLVE)


def past(*onsets: float, **more: object) -> Desk:
    desk = Desk()
    for onset in onsets:
        once(desk, onset, **more)  # type: ignore[arg-type]
    desk.incidents.clear()
    desk.grouping.suppressed.clear()
    return desk


def held(desk: Desk) -> list[Suppression]:
    return desk.grouping.suppressed


def told(desk: Desk) -> list[str]:
    return [each.transition for each in desk.incidents]


#: Three of a minute, hours apart, and when the next begins.
SHORT, NEXT = (1 * HOUR, 8 * HOUR, 29 * HOUR), 90 * HOUR


# -- transient ---------------------------------------------------------------------------------------------------------


def test_what_was_over_by_itself_each_time_is_waited_for_and_of_its_end_nobody_hears() -> None:
    desk = past(*SHORT)
    once(desk, NEXT)
    assert told(desk) == []
    (one,) = held(desk)
    assert (one.reason, one.until_us) == ("transient", (NEXT + 20 + 120) * US)
    assert one.why == "it came 3 times before and was over by itself within 1 min each time"
    assert one.incident == f"inc-a1-{NEXT}"
    assert desk.grouping.open == {}


def test_what_lasts_longer_is_told_with_its_true_onset_and_what_was_held_back() -> None:
    desk = past(*SHORT)
    desk.at(NEXT + 20, anomaly(1, NEXT, NEXT + 20))
    assert desk.grouping.next_deadline() == (NEXT + 140) * US
    desk.at(NEXT + 10_000)
    (one,) = desk.incidents
    assert (one.transition, one.revision, one.onset_us, one.detected_us, one.step_us) == (
        "opened", 1, NEXT * US, (NEXT + 140) * US, (NEXT + 140) * US,
    )  # fmt: skip
    assert one.suppressed == (("transient", 1),)


def test_the_wait_is_half_as_long_again_as_the_longest() -> None:
    desk = past(*SHORT, length=260)
    desk.at(NEXT + 20, anomaly(1, NEXT, NEXT + 20))
    assert desk.grouping.next_deadline() == (NEXT + 20 + 360) * US


@pytest.mark.parametrize(
    "more", [{"length": 400}, {"order": "ack"}, {"order": "fixed"}], ids=["long", "acknowledged", "fixed"]
)
def test_what_lasted_or_was_taken_for_real_is_told_at_once(more: dict[str, object]) -> None:
    desk = past(*SHORT, **more)
    once(desk, NEXT)
    assert told(desk)[0] == "opened"


def test_twice_is_not_enough() -> None:
    desk = past(*SHORT[: TRANSIENTS - 1])
    once(desk, NEXT)
    assert told(desk)[0] == "opened"


def test_a_more_severe_one_is_told_at_once_and_one_that_gets_so_when_it_does() -> None:
    desk = past(*SHORT)
    once(desk, NEXT, surprise=9.0)
    assert told(desk)[0] == "opened"
    desk = past(*SHORT)
    desk.at(NEXT + 20, anomaly(1, NEXT, NEXT + 20))
    (one,) = desk.at(NEXT + 30, anomaly(1, NEXT, NEXT + 30, "updated", revision=2, surprise=9.0))
    assert one.transition == "opened"


def test_one_that_is_at_a_place_where_its_kind_never_was_is_told() -> None:
    desk = past(*SHORT)
    desk.at(NEXT + 20, anomaly(1, NEXT, NEXT + 20))
    (one,) = desk.at(NEXT + 30, anomaly(2, NEXT + 10, NEXT + 30))
    assert (one.transition, one.members) == ("opened", (f"a1-{NEXT}", f"a2-{NEXT + 10}"))


def test_one_that_came_just_before_is_no_transient_but_comes_and_goes() -> None:
    desk = past(*SHORT)
    once(desk, NEXT)
    once(desk, NEXT + REOPEN)
    assert told(desk)[0] == "opened"


def test_nothing_is_held_back_where_that_is_turned_off() -> None:
    desk = Desk()
    desk.grouping = Grouping(JOIN * US, RESOLVE * US, reopen_us=REOPEN * US, habits=Habits(on=False))
    for onset in (*SHORT, NEXT):
        once(desk, onset)
    assert told(desk).count("opened") == 4


# -- frequent ----------------------------------------------------------------------------------------------------------


def irregular(number: int, first: float = HOUR) -> list[float]:
    """So many, at odd times of a day."""
    return [first + HOUR * (2 * each + each * each / 5) for each in range(number)]


def test_what_came_often_within_a_day_and_nobody_acted_on_is_held_back() -> None:
    desk = past(*irregular(IN_A_DAY), length=400)
    last = irregular(IN_A_DAY + 1)[-1]
    once(desk, last, length=400)
    assert told(desk) == []
    (one,) = held(desk)
    assert (one.reason, one.why) == ("frequent", "it came 5 times within a day, and nobody acted on it")
    assert one.until_us == (last + 20 + 2 * 380) * US


def test_what_came_on_most_days_of_a_week_is_frequent() -> None:
    days = (0.1, 1.5, 2.2, 3.9)
    desk = past(*(day * DAY for day in days), length=400)
    once(desk, 4.6 * DAY, length=400)
    (one,) = held(desk)
    assert (one.reason, one.why) == ("frequent", "it came on 4 of the last 7 days, and nobody acted on it")


def test_longer_than_twice_the_longest_is_told() -> None:
    desk = past(*irregular(IN_A_DAY), length=400)
    last = irregular(IN_A_DAY + 1)[-1]
    desk.at(last + 20, anomaly(1, last, last + 20))
    desk.at(last + 5000)
    (one,) = desk.incidents
    assert (one.transition, one.step_us) == ("opened", round((last + 20 + 2 * 380) * US))


def test_what_was_held_back_makes_no_one_after_it_less_bad() -> None:
    desk = past(*irregular(IN_A_DAY), length=400)
    onset = irregular(IN_A_DAY + 1)[-1]
    for _ in range(3):  # each a little longer than the one before
        once(desk, onset, length=700)
        onset += 3.3 * HOUR
    desk.at(onset + 20, anomaly(1, onset, onset + 20))
    assert {one.until_us for one in held(desk)[-1:]} == {round((onset + 20 + 2 * 380) * US)}


def several(desk: Desk, onset: float, *numbers: int, length: float = 400) -> None:
    """One incident of these workloads."""
    for number in numbers:
        desk.at(onset + 20 + number, anomaly(number, onset + number, onset + 20 + number))
    desk.at(onset + length, *(end(number, onset + number, onset + length) for number in numbers))
    desk.at(onset + length + 2 * RESOLVE)


def test_only_those_count_that_were_where_it_is() -> None:
    desk, onsets = Desk(), irregular(6)
    for onset, others in zip(onsets, ((2,), (2,), (2,), (2,), (3,)), strict=False):
        several(desk, onset, 1, *others)
    desk.incidents.clear()
    last = onsets[-1]
    assert desk.at(last + 21, anomaly(1, last + 1, last + 21)) == []  # all five began like this
    (one,) = desk.at(last + 22, anomaly(2, last + 2, last + 22))  # four of them went on like this
    assert (one.transition, len(one.members)) == ("opened", 2)


def test_a_large_one_that_is_usual_is_held_back_and_a_wider_one_is_told() -> None:
    desk = Desk()
    for onset in irregular(IN_A_DAY):
        several(desk, onset, *range(1, 51))
    desk.incidents.clear()
    last = irregular(6)[-1]
    several(desk, last, *range(1, 51))
    assert desk.incidents == []
    several(desk, last + 5 * HOUR, *range(1, 51), *range(100, 120))
    assert told(desk)[0] == "opened"


@pytest.mark.parametrize("order", ["ack", "fixed", "other"])
def test_what_people_act_on_is_not_damped(order: str) -> None:
    desk = past(*irregular(IN_A_DAY), length=400, order=order)
    once(desk, irregular(IN_A_DAY + 1)[-1], length=400)
    assert told(desk)[0] == "opened"


def test_two_that_people_called_expected_are_enough() -> None:
    for order in ("expected", "new_normal"):
        desk = past(HOUR, 9 * DAY, length=400, order=order)
        once(desk, 20 * DAY, length=300)
        (one,) = held(desk)
        assert (one.reason, one.why) == ("frequent", "people resolved it as expected 2 times")


def test_a_false_alarm_is_nothing_to_act_on() -> None:
    desk = past(*irregular(IN_A_DAY), length=400, order="false_alarm")
    desk.at(irregular(IN_A_DAY + 1)[-1] + 20, anomaly(1, irregular(6)[-1], irregular(6)[-1] + 20))
    (one,) = held(desk)
    assert one.why == "it came 5 times within a day, and people resolved it as nothing to act on"


def test_what_people_say_last_counts() -> None:
    desk = past(*irregular(IN_A_DAY), length=400, order="expected")
    later = 30 * HOUR
    desk.grouping = Grouping(JOIN * US, RESOLVE * US, reopen_us=0, history=desk.grouping.history, habits=Habits(False))
    once(desk, later, length=400, order="fixed")
    desk.grouping = Grouping(JOIN * US, RESOLVE * US, reopen_us=0, history=desk.grouping.history)
    desk.incidents.clear()
    once(desk, later + 2 * HOUR, length=400)
    assert told(desk)[0] == "opened"


# -- periodic ----------------------------------------------------------------------------------------------------------


def test_what_comes_at_regular_times_is_held_back_and_the_period_is_told() -> None:
    desk = past(*(HOUR + 2 * DAY * number for number in range(4)), length=400)
    once(desk, HOUR + 8 * DAY + 5 * MINUTE, length=400)
    (one,) = held(desk)
    assert (one.reason, one.why) == ("periodic", "it comes every 2 d, 4 times so far, and came when it was expected")


def test_one_that_comes_at_another_time_is_told_and_says_the_period() -> None:
    desk = past(*(HOUR + 2 * DAY * number for number in range(4)), length=400)
    once(desk, HOUR + 7 * DAY, length=400)
    assert told(desk)[0] == "opened"
    rarity = desk.incidents[0].rarity
    assert rarity.every_us == 2 * DAY * US
    assert rarity.why.endswith("; it comes every 2 d")


def test_one_time_may_be_left_out() -> None:
    desk = past(*(HOUR + 2 * DAY * number for number in (0, 1, 3, 4, 5)), length=400)
    once(desk, HOUR + 14 * DAY, length=400)
    assert [one.reason for one in held(desk)] == ["periodic"]


@pytest.mark.parametrize(
    ("onsets", "period"),
    [
        ((0, 60, 120, 180), 60),
        ((0, 60, 120), None),
        ((0, 60, 120, 200), None),
        ((0, 60, 126, 180), 60),
        ((0, 9, 18, 27), None),
        ((0, 500, 560, 620, 680, 740, 800, 860, 920), 60),
    ],
    ids=["regular", "too few", "irregular", "nearly", "too often", "regular lately"],
)
def test_times_are_regular_or_not(onsets: Iterable[int], period: int | None) -> None:
    found = Habits().every_us([each * MINUTE * US for each in onsets])
    assert found == (None if period is None else period * MINUTE * US)


# -- never -------------------------------------------------------------------------------------------------------------


def test_a_silence_comes_first_and_what_it_ends_with_is_judged_then() -> None:
    desk = past(*SHORT)
    desk.silence(NEXT - 10, NEXT + 60, "service:s1")
    desk.at(NEXT + 20, anomaly(1, NEXT, NEXT + 20))
    desk.at(NEXT + 70)
    assert [one.reason for one in held(desk)] == ["silence"]
    assert told(desk) == []
    desk.at(NEXT + 1000)
    assert told(desk) == ["opened"]
    assert desk.incidents[0].suppressed == (("silence", 1),)


def test_what_people_know_of_is_told_whatever_the_past_says() -> None:
    desk = past(*SHORT)
    desk.at(NEXT + 20, anomaly(1, NEXT, NEXT + 20), anomaly(2, NEXT, NEXT + 20))
    (part,) = [
        one for one in desk.order(NEXT + 30, "split", f"inc-a1-{NEXT}", members=(f"a1-{NEXT}",)) if one.came_from
    ]
    assert part.transition == "opened"
    desk.order(NEXT + 40, "merge", part.id, into=f"inc-a1-{NEXT}")
    assert told(desk) == ["opened", "split", "opened", "merged", "updated"]


def test_alerts_of_others_are_never_held_back() -> None:
    desk = Desk()
    for number in range(5):
        onset = HOUR * 5 * (number + 1)
        both = [alert(10 * number + each, f"kind{number}-{each}", onset, onset + 20) for each in (1, 2)]
        both = [replace(one, signal=replace(one.signal, workload="service:ids")) for one in both]
        desk.at(onset + 20, *both)
        desk.at(onset + 60, *(replace(one, transition="ended", revision=2, end_us=(onset + 60) * US) for one in both))
        desk.at(onset + 4 * HOUR)
    assert told(desk).count("opened") == 5


def test_what_is_held_back_spends_nothing_of_a_budget() -> None:
    desk = past(*SHORT)
    once_more = replace(anomaly(1, NEXT, NEXT + 20), owner="pay", owner_budget=1.0)
    desk.at(NEXT + 20, once_more)
    assert desk.grouping.budgets.used("prod", "pay", (NEXT + 20) * US) == 0.0


# -- nothing is lost ---------------------------------------------------------------------------------------------------

#: When one of a few workloads begins, for how long, and how bad it is; in tens of seconds.
_EPISODES = st.lists(
    st.tuples(
        st.integers(1, 3), st.integers(0, 4000), st.integers(1, 120), st.sampled_from([5.0, 5.0, 5.0, 9.0, 13.0])
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(_EPISODES, st.booleans())
def test_every_anomaly_is_in_an_incident_that_was_told_or_was_told_to_be_held_back(
    episodes: list[tuple[int, int, int, float]], often: bool
) -> None:
    desk, busy_until = Desk(), {1: -1, 2: -1, 3: -1}
    steps: dict[int, list[tuple[int, int, float, bool]]] = {}
    begun = set()
    for number, at, length, surprise in sorted(episodes, key=lambda one: one[1]):
        onset = at * (40 if often else 240)
        if onset <= busy_until[number]:
            continue
        busy_until[number] = onset + 20 + length * 10
        steps.setdefault(onset + 20, []).append((number, onset, surprise, False))
        steps.setdefault(busy_until[number], []).append((number, onset, surprise, True))
        begun.add(f"a{number}-{onset}")
    for second in sorted(steps):
        desk.at(
            second,
            *(
                replace(end(number, onset, second) if over else anomaly(number, onset, second), surprise=surprise)
                for number, onset, surprise, over in steps[second]
            ),
        )
    last = max(steps, default=0) + 3 * DAY
    desk.at(last)
    assert desk.grouping.open == {}
    shown = {member.anomaly.id for told in desk.incidents for member in told.members}
    assert shown | {one.anomaly.id for one in desk.grouping.suppressed} == begun
    for one in desk.grouping.suppressed:
        if one.reason in ("transient", "frequent", "periodic"):
            ids = [told.id for told in desk.incidents]
            over_us = busy_until_us(steps, one)
            assert one.incident in ids or over_us <= (one.until_us or 0)


def busy_until_us(steps: dict[int, list[tuple[int, int, float, bool]]], one: Suppression) -> int:
    """When the anomaly ended."""
    number, _, onset = one.anomaly.id.removeprefix("a").partition("-")
    return next(
        second * US
        for second, found in steps.items()
        if any(over and (of, since) == (int(number), int(onset)) for of, since, _, over in found)
    )
