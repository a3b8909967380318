"""Ranking by behaviour, self time and saturation, with what people read."""

from math import e, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.causes.behaviour import Contrast, Contrasts, Event, What
from pipeline.causes.fusion import behaviour_words, rank, standing, time_words
from pipeline.causes.saturation import Saturation
from pipeline.causes.self_time import Shift, Slowdown

REFUSED: Event = (What.TEMPLATE, "Connection refused <*>")
FULL = Saturation("cpu", 99.0, 12.0, 20.0)


def a_contrast(
    strength: float, workload: str = "cart", event: Event = REFUSED, operation: str = "POST /cart"
) -> Contrast:
    return Contrast(workload, operation, event, 40.0, 41.0, 0.0, 320.0, strength)


def a_slowdown(strength: float, called: str = "") -> Slowdown:
    return Slowdown(strength, Shift(("cart", called, "POST /cart", "query"), 5.0, 9, 84.04, 6.73))


def test_each_kind_of_evidence_by_hand() -> None:
    found = standing(a_contrast(10.0 * (e - 1.0) + log(50)), 50, a_slowdown(1.5 + 5.0 * (e - 1.0)), FULL)
    assert [found.behaviour, found.slower, found.saturated] == pytest.approx([10.0, 10.0, 10.0])
    assert found.together == pytest.approx(10 + 0.25 * 20 + 0.1 * (log(50) + 1.5))


def test_what_may_be_chance_only_orders_workloads_among_each_other() -> None:
    found = standing(a_contrast(3.0), 1_000, a_slowdown(1.0), None)
    assert not found.speaks
    assert found.together == pytest.approx(0.4)


def test_of_many_events_compared_one_is_strong_by_chance() -> None:
    few, many = (standing(a_contrast(8.0), compared, None, None) for compared in (10, 10_000))
    assert few.speaks
    assert not many.speaks


def test_the_most_likely_comes_first_with_what_speaks_for_it() -> None:
    found = rank(Contrasts({"cart": a_contrast(60.0)}, 100), {"cart": a_slowdown(4.0)}, {"shop": FULL})
    assert [one.entity for one in found] == ["cart", "shop"]
    assert found[0].signal == "log.lines"
    assert found[0].evidence == (
        "template 'Connection refused <*>' in 40 of 41 calls of POST /cart, usually in 0 of 320",
        "query itself takes 84 ms, usually 6.73 ms",
    )
    assert (found[1].signal, found[1].evidence) == ("cpu", ("cpu 99 %, usually 12 %",))


def test_a_workload_for_which_nothing_speaks_is_no_candidate() -> None:
    assert rank(Contrasts({}, 0), {"cart": a_slowdown(-1.0)}, {}) == []


def test_ties_go_by_name() -> None:
    contrasts = {name: a_contrast(60.0, name) for name in ("b", "a", "c")}
    assert [one.entity for one in rank(Contrasts(contrasts, 9), {}, {})] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("event", "operation", "words"),
    [
        ((What.STEP, "query"), "GET /", "step 'query' in 40 of 41 calls of GET /, usually in 0 of 320"),
        (
            (What.CALL, "pay POST /pay"),
            "GET /",
            "call of pay POST /pay in 40 of 41 calls of GET /, usually in 0 of 320",
        ),
        (REFUSED, "", "template 'Connection refused <*>' in 40 of 41 calls, usually in 0 of 320"),
    ],
)
def test_contrasts_in_words(event: Event, operation: str, words: str) -> None:
    assert behaviour_words(a_contrast(9.0, event=event, operation=operation)) == words


def test_the_way_to_a_neighbour_in_words() -> None:
    told = time_words(a_slowdown(4.0, called="pay").furthest)
    assert told == "the way from cart to pay (POST /cart) takes 84 ms, usually 6.73 ms"


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(1, 10**6))
def test_more_evidence_is_never_less_likely(strength: float, more: float, compared: int) -> None:
    less, greater = (standing(a_contrast(each), compared, None, None).together for each in (strength, strength + more))
    assert greater >= less - 1e-9
