"""Contrasts of behaviour: against a naive twin, by hand, and what is remembered of the usual."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.causes import behaviour
from pipeline.causes.behaviour import Event, Habits, Key, Seen, What, contrast, contrasts, together

ERROR: Event = (What.TEMPLATE, "error")
QUERY: Event = (What.STEP, "query")
KEY: Key = ("cart", "POST /cart")
counts = st.tuples(st.integers(1, 500), st.floats(0, 1)).map(lambda pair: (round(pair[0] * pair[1]), pair[0]))


def naive(x: float, n: float, c: float, total: float) -> float:
    """One event, in plain Python."""
    p = (c + 0.5) / (total + 1)
    least = 0.5 / (total + 1)
    if x / n > p:
        p = min(p + 0.05, 1 - least)
        if x / n <= p:
            return 0.0
    else:
        p = max(p - 0.05, least)
        if x / n >= p:
            return 0.0

    def likelihood(yes: float, of: float, share: float) -> float:
        return (yes * log(share) if yes else 0.0) + ((of - yes) * log(1 - share) if of > yes else 0.0)

    usual = p * total
    pooled = (x + usual) / (n + total)
    apart = likelihood(x, n, x / n) + likelihood(usual, total, p)
    return apart - likelihood(x, n, pooled) - likelihood(usual, total, pooled)


def strength(x: float, n: float, c: float, total: float) -> float:
    return float(contrast(*(np.array([value], np.float64) for value in (x, n, c, total)))[0])


def learnt(calls: float, **events: float) -> Habits:
    habits = Habits()
    habits.learn({KEY: Seen(calls, {(What.TEMPLATE, name): times for name, times in events.items()})}, 0)
    return habits


@given(counts, counts)
def test_a_contrast_is_that_of_its_naive_twin(window: tuple[int, int], usual: tuple[int, int]) -> None:
    assert strength(*window, *usual) == pytest.approx(max(naive(*window, *usual), 0.0), abs=1e-9)


def test_a_contrast_by_hand() -> None:
    # Of 10 calls 10, usually 0 of 99: usual share .5/100 + .05 = .055; pooled (10 + 5.445)/109.
    pooled = 15.445 / 109
    apart = 5.445 * log(0.055) + 93.555 * log(0.945)
    one = 15.445 * log(pooled) + 93.555 * log(1 - pooled)
    assert strength(10, 10, 0, 99) == pytest.approx(apart - one)
    assert apart - one == pytest.approx(23.37, abs=0.05)


@given(counts, counts)
def test_what_is_missing_counts_as_much_as_what_is_new(window: tuple[int, int], usual: tuple[int, int]) -> None:
    (x, n), (c, total) = window, usual
    assert strength(x, n, c, total) == pytest.approx(strength(n - x, n, total - c, total), abs=1e-6)


def test_a_difference_that_nobody_minds_has_no_strength_however_many_calls_there_are() -> None:
    assert strength(54_000, 1_000_000, 10_000, 1_000_000) == 0.0
    assert strength(80_000, 1_000_000, 10_000, 1_000_000) > 100.0


@given(counts, counts)
def test_more_calls_with_the_same_shares_are_no_weaker(window: tuple[int, int], usual: tuple[int, int]) -> None:
    (x, n), (c, total) = window, usual
    assert strength(3 * x, 3 * n, c, total) >= strength(x, n, c, total) - 1e-9


def test_the_strongest_contrast_of_a_workload_is_told_with_its_numbers() -> None:
    habits = learnt(320.0, ok=320.0)
    found = contrasts({KEY: Seen(41.0, {ERROR: 40.0, (What.TEMPLATE, "ok"): 38.0})}, habits, 0)
    one = found.strongest["cart"]
    assert (one.event, one.happened, one.calls, one.usual_happened, one.usual_calls) == (ERROR, 40, 41, 0, 320)
    assert found.compared == 2


def test_kinds_of_calls_that_are_new_or_were_hardly_seen_are_not_compared() -> None:
    new = {KEY: Seen(50.0, {ERROR: 50.0})}
    assert contrasts(new, Habits(), 0).compared == 0
    assert contrasts(new, learnt(4.0, ok=4.0), 0).compared == 0
    assert contrasts(new, learnt(5.0, ok=5.0), 0).compared == 2


def test_a_kind_of_call_that_is_not_in_the_window_says_nothing() -> None:
    assert contrasts({}, learnt(100.0, ok=100.0), 0).strongest == {}


def test_what_was_a_day_ago_counts_half() -> None:
    usual = learnt(100.0, ok=50.0).usual(KEY, behaviour.HALF_LIFE_US)
    assert usual is not None
    assert (usual.calls, usual.events[What.TEMPLATE, "ok"]) == (50.0, 25.0)


def test_workloads_that_an_incident_comes_from_are_not_learnt() -> None:
    habits = Habits()
    habits.learn({KEY: Seen(1.0, {}), ("shop", ""): Seen(1.0, {})}, 0, frozenset({"cart"}))
    assert habits.usual(KEY, 0) is None
    assert habits.usual(("shop", ""), 0) == Seen(1.0, {})


def test_of_kinds_and_events_beyond_what_is_held_the_oldest_and_the_rarest_go_and_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(behaviour, "MOST_KEYS", 2)
    monkeypatch.setattr(behaviour, "MOST_EVENTS", 1)
    habits = Habits()
    for at, name in enumerate(("a", "b", "a", "c")):
        habits.learn({(name, ""): Seen(2.0, {ERROR: 1.0, QUERY: 2.0})}, at)
    assert habits.usual(("b", ""), 4) is None
    kept = habits.usual(("a", ""), 2)
    assert kept is not None
    assert list(kept.events) == [QUERY]
    assert (len(habits), habits.forgotten_kinds, habits.forgotten_events) == (2, 1, 4)


def test_templates_that_turn_out_to_be_one_are_counted_as_one_and_at_most_in_all_calls() -> None:
    habits = learnt(10.0, one=7.0, two=6.0, three=1.0)
    habits.rename({(What.TEMPLATE, "two"): (What.TEMPLATE, "one")})
    usual = habits.usual(KEY, 0)
    assert usual is not None
    assert usual.events == {(What.TEMPLATE, "one"): 10.0, (What.TEMPLATE, "three"): 1.0}


@given(st.lists(st.tuples(st.sampled_from("abc"), counts, st.integers(0, 3)), max_size=8))
def test_what_was_saved_goes_on_as_if_it_had_never_stopped(told: list[tuple[str, tuple[int, int], int]]) -> None:
    one, other, at = Habits(), Habits(), 0
    for name, (happened, calls), later in told:
        at += later * behaviour.HALF_LIFE_US // 3
        window = {(name, ""): Seen(float(calls), {ERROR: float(happened)})}
        one.learn(window, at)
        other = Habits(other.dump())
        other.learn(window, at)
    assert one.dump() == other.dump()


@given(st.lists(st.tuples(st.sampled_from("ab"), counts), max_size=6))
def test_windows_together_are_the_same_in_any_order(told: list[tuple[str, tuple[int, int]]]) -> None:
    windows = [{(name, ""): Seen(float(n), {ERROR: float(x)})} for name, (x, n) in told]
    assert together(windows) == together(windows[::-1])
    assert sum(seen.calls for seen in together(windows).values()) == sum(n for _, (_, n) in told)
