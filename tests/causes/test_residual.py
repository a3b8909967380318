"""Where trouble starts: small graphs worked out by hand, and what holds for all."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.causes.residual import rank
from pipeline.causes.vitals import Sign, Vitals
from pipeline.records import US, Candidate, Edge
from tests.causes.made import calls, failing, slow

NAN = float("nan")


def names(candidates: list[Candidate]) -> list[str]:
    return [candidate.entity for candidate in candidates]


def test_a_caller_whose_work_its_callee_explains_comes_last() -> None:
    rows = [slow("front", 10.0, z=20.0), slow("middle", 10.0), slow("data", 9.0)]
    found = rank(rows, calls("front middle", "middle data"))
    # R: front 10 − 10, middle 10 − 9, data 9; latency weighs 20.
    assert names(found) == ["data", "middle", "front"]
    assert [each.score for each in found] == pytest.approx([18.0, 2.0, 0.0])
    assert {each.signal for each in found} == {"latency"}


def test_what_a_callee_lost_is_shared_out_among_its_callers_by_what_they_lost() -> None:
    rows = [slow("big", 30.0), slow("small", 10.0), slow("data", 20.0)]
    # data explains 15 of big and 5 of small: R = 15, 5, 20.
    found = {each.entity: each.score for each in rank(rows, calls("big data", "small data"))}
    assert found == pytest.approx({"data": 8.0 * 20 / 40, "big": 8.0 * 15 / 40, "small": 8.0 * 5 / 40})


def test_without_calls_the_one_with_the_most_work_is_first() -> None:
    assert names(rank([slow("a", 1.0, z=50.0), slow("b", 5.0)], [])) == ["b", "a"]


def test_the_role_that_is_felt_at_the_entry_decides() -> None:
    rows = [
        Vitals("front", 60, 100.0, Sign("latency", 0.5, 0.0, 0.1, 0.1), Sign("errors", 9.0, 10.0, 0.1, 0.0)),
        slow("cache", 100.0, z=30.0),
        failing("data", 10.0),
    ]
    found = rank(rows, calls("front cache", "front data"))
    assert names(found)[0] == "data"
    assert found[0].signal == "errors"


def test_where_nothing_is_felt_at_the_entry_what_is_felt_anywhere_decides() -> None:
    rows = [slow("front", 0.0, z=0.0), slow("cache", 0.2, z=3.0, requests=10.0), failing("data", 10.0, z=9.0)]
    assert names(rank(rows, calls("front cache", "front data"), entries=["front"]))[0] == "data"


def test_windows_add_up() -> None:
    once = [slow("a", 5.0), slow("b", 3.0)]
    more = [*once, slow("b", 3.0, end_us=120)]
    assert names(rank(once, [])) == ["a", "b"]
    assert names(rank(more, [])) == ["b", "a"]


def test_a_call_that_began_with_the_trouble_explains_nothing_away() -> None:
    rows = [failing("worker", 10.0), failing("gone", 10.0)]
    onset = 10_000 * US
    old, new = calls("worker gone"), calls("worker gone", since_us=onset)
    assert names(rank(rows, old, onset_us=onset)) == ["gone", "worker"]
    found = rank([failing("worker", 10.0)], new, onset_us=onset)
    assert names(found) == ["worker"]
    assert found[0].evidence[-1] == "began to call gone about when the trouble began"
    assert {each.score for each in rank(rows, new, onset_us=onset)} == {4.0}


def test_calls_pass_through_those_that_are_not_measured() -> None:
    rows = [slow("front", 10.0), slow("data", 10.0)]
    through = calls("front balancer", "balancer data", "balancer front")
    known = {"front", "data"}
    assert rank(rows, through, measured=known)[-1].score == 0.0
    assert names(rank(rows, through, measured=known)) == ["data", "front"]
    assert {each.score for each in rank(rows, through)} == {4.0}  # the balancer sends vitals, and was as usual


def test_calls_to_workloads_of_which_nothing_is_known_are_no_trouble() -> None:
    assert names(rank([slow("a", 1.0)], calls("a b", "c a", "d e"))) == ["a"]


def test_calls_in_circles_and_to_oneself_end_and_leave_nobody_out() -> None:
    rows = [slow("a", 10.0), slow("b", 10.0), slow("c", 4.0)]
    circle = calls("a b", "b a", "a a", "c c", "c a")
    assert sorted(names(rank(rows, circle))) == ["a", "b", "c"]
    assert sorted(names(rank(rows, circle, measured={"a", "b", "c"}))) == ["a", "b", "c"]


def test_where_requests_are_not_known_those_of_the_callers_count() -> None:
    rows = [slow("front", 10.0, requests=100.0), slow("data", 0.1, requests=NAN)]
    found = rank(rows, calls("front data"))
    assert names(found) == ["data", "front"]
    assert [each.score for each in found] == [8.0, 0.0]


def test_where_nobodys_requests_are_known_each_counts_once() -> None:
    assert names(rank([slow("a", 0.1, requests=NAN), slow("b", 0.2, requests=NAN)], [])) == ["b", "a"]


def test_a_window_given_twice_counts_once() -> None:
    rows = [slow("a", 5.0), slow("b", 3.0)]
    assert rank([*rows, rows[1]], []) == rank(rows, [])


def test_where_nobody_is_out_of_the_ordinary_there_are_no_candidates() -> None:
    assert rank([], calls("a b")) == []
    assert rank([slow("a", 5.0, z=2.9), failing("b", 3.0, z=1.0)], []) == []


def test_one_that_is_full_but_does_no_more_work_than_usual_is_named_after_those_that_do() -> None:
    full = Vitals("node", 60, NAN, saturation=Sign("cpu", 12.0, 0.0, 97.0, 40.0))
    found = rank([slow("a", 5.0), full], [])
    assert [(each.entity, each.signal) for each in found] == [("a", "latency"), ("node", "cpu")]
    assert found[1].evidence == ("cpu 97, usually 40",)


# -- what holds for all ------------------------------------------------------------------------------------------------

NAMES = "abcdef"
signs = st.none() | st.builds(
    Sign, st.just("s"), st.floats(0, 40), st.floats(-100, 1000), st.floats(0.001, 1), st.floats(0.001, 1)
)
row = st.builds(
    Vitals,
    st.sampled_from(NAMES),
    st.sampled_from([60, 120]),
    st.floats(0, 1e4) | st.just(NAN),
    signs,
    signs,
    signs,
)
rows_of = st.lists(row, max_size=10, unique_by=lambda each: (each.entity, each.end_us))
pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=12, unique=True)


def edges_of(found: list[tuple[str, str]]) -> list[Edge]:
    return calls(*(f"{client} {server}" for client, server in found))


@given(rows_of, pairs, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_calls_does_not_matter(
    rows: list[Vitals], found: list[tuple[str, str]], chance: object
) -> None:
    edges = edges_of(found)
    before = rank(rows, edges)
    chance.shuffle(rows)  # type: ignore[attr-defined]
    chance.shuffle(edges)  # type: ignore[attr-defined]
    assert repr(rank(rows, edges)) == repr(before)


@given(rows_of, pairs)
def test_nobody_out_of_the_ordinary_is_left_out(rows: list[Vitals], found: list[tuple[str, str]]) -> None:
    candidates = rank(rows, edges_of(found))
    assert {each.entity for each in rows if each.z >= 3.0} <= set(names(candidates))
    assert len(set(names(candidates))) == len(candidates)
    assert all(later.score <= sooner.score for sooner, later in pairwise(candidates))
    assert all(each.evidence for each in candidates)


@given(rows_of, pairs, st.sampled_from([0.125, 0.5, 4.0, 1024.0]))
def test_counting_requests_in_other_units_changes_no_score(
    rows: list[Vitals], found: list[tuple[str, str]], factor: float
) -> None:
    def scaled(each: Vitals) -> Vitals:
        def more(sign: Sign | None) -> Sign | None:
            return None if sign is None else replace(sign, excess=sign.excess * factor)

        return replace(each, requests=each.requests * factor, latency=more(each.latency), errors=more(each.errors))

    rows = [each for each in rows if each.requests == each.requests]
    before, after = (rank(some, edges_of(found)) for some in (rows, [scaled(each) for each in rows]))
    assert names(after) == names(before)
    assert [each.score for each in after] == pytest.approx([each.score for each in before])


@given(st.floats(1, 1000), st.floats(3, 40), st.integers(2, 6))
def test_along_a_chain_of_calls_the_last_is_first_and_its_callers_sink(excess: float, z: float, length: int) -> None:
    chain = NAMES[:length]
    edges = calls(*(f"{one} {two}" for one, two in pairwise(chain)))
    found = rank([slow(each, excess, z) for each in chain], edges)
    assert found[0].entity == chain[-1]
    assert [each.score for each in found[1:]] == [0.0] * (length - 1)
