"""Slowdowns: parts by hand, facets of workloads, and what is remembered of the usual."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.causes import self_time
from pipeline.causes.self_time import Paces, Part, Shift, Usual, bucket_middle, logged, shift, shifts, slowdowns

OWN: Part = ("cart", "", "POST /cart", "query")
WAY: Part = ("shop", "cart", "POST /cart", "")


def a_shift(part: Part, z: float, times: int = 9) -> Shift:
    return Shift(part, z, times, 1.0, 1.0)


def paces(milliseconds: list[float], windows: int = 1, part: Part = OWN) -> Paces:
    found = Paces()
    for at in range(windows):
        found.learn({part: logged(np.array(milliseconds))}, at)
    return found


def test_fractions_of_a_millisecond_make_no_difference() -> None:
    assert logged(np.array([0.01]))[0] - logged(np.array([0.0]))[0] < 0.04
    assert logged(np.array([-1.0]))[0] == log(0.3)


def test_a_shift_by_hand() -> None:
    usual = Usual(centre=1.0, scale=0.2, drift=0.3)
    found = shift(OWN, np.array([1.9, 2.0, 2.1, 40.0, 2.0]), usual)
    assert found.z == pytest.approx(1.0 / sqrt(0.3**2 + 1.57 * 0.2**2 / 5))
    assert found.median_ms == pytest.approx(exp(2.0) - 0.3)
    assert found.usual_ms == pytest.approx(exp(1.0) - 0.3)


def test_more_times_are_surer_up_to_how_much_windows_differ_anyway() -> None:
    usual = Usual(1.0, 1.0, 0.3)
    few, many = (shift(OWN, np.full(count, 2.0), usual).z for count in (2, 10_000))
    assert few < many < 1.0 / 0.3


@given(st.lists(st.floats(0.0, 1e6), min_size=5, max_size=40))
def test_what_is_usual_is_near_the_quantiles_of_what_was_seen(milliseconds: list[float]) -> None:
    y = np.sort(logged(np.array(milliseconds)))
    usual = paces(milliseconds).usual(OWN, 0)
    assert usual is not None
    at = (y.size - 1) / 2
    assert y[int(at)] - 0.11 <= usual.centre <= y[int(np.ceil(at))] + 0.11
    assert usual.scale >= 0.1


def test_nothing_is_usual_before_some_times_were_seen() -> None:
    assert paces([1.0] * 4).usual(OWN, 0) is None
    assert paces([1.0] * 5).usual(OWN, 0) is not None
    assert paces([1.0] * 5).usual(WAY, 0) is None


def test_how_far_windows_differ_is_learnt_and_never_less_than_people_mind() -> None:
    assert [_drift(windows) for windows in (1, 2, 3)] == [0.5, 0.5, 0.3]
    restless = Paces()
    for at in range(9):
        restless.learn({OWN: np.full(9, at % 3 * 1.0)}, at)
    usual = restless.usual(OWN, 9)
    assert usual is not None
    assert usual.drift == pytest.approx(1.4826)


def _drift(windows: int) -> float:
    usual = paces([1.0] * 9, windows).usual(OWN, 9)
    assert usual is not None
    return usual.drift


def test_the_way_to_a_neighbour_is_a_facet_of_both_ends() -> None:
    found = slowdowns([a_shift(WAY, 4.0)])
    assert {workload: one.strength for workload, one in found.items()} == {"shop": 4.0, "cart": 4.0}


def test_facets_that_agree_are_stronger_than_one_and_one_that_disagrees_weakens() -> None:
    own = slowdowns([a_shift(OWN, 4.0)])["cart"].strength
    both = slowdowns([a_shift(OWN, 4.0), a_shift(WAY, 4.0)])["cart"].strength
    apart = slowdowns([a_shift(OWN, 4.0), a_shift(WAY, 0.0)])["cart"].strength
    assert [own, both, apart] == pytest.approx([4.0, 4.0 * sqrt(2), 2.0 * sqrt(2)])


def test_parts_of_a_facet_weigh_by_the_root_of_their_times() -> None:
    other: Part = ("cart", "", "POST /cart", "commit")
    found = slowdowns([a_shift(OWN, 4.0, 9), a_shift(other, 0.0, 1)])["cart"]
    assert found.strength == pytest.approx(3.0)
    assert found.furthest.part == OWN


def test_one_part_weighs_no_more_than_a_limit() -> None:
    assert slowdowns([a_shift(OWN, 400.0)])["cart"].strength == 6.0
    assert slowdowns([a_shift(OWN, -400.0)])["cart"].strength == -2.0


@given(st.permutations([a_shift(OWN, 2.0), a_shift(WAY, 1.0), a_shift(("shop", "", "GET /", "render"), 0.5)]))
def test_the_order_of_parts_does_not_matter(told: list[Shift]) -> None:
    assert slowdowns(told) == slowdowns(sorted(told, key=lambda one: one.part))


def test_parts_that_are_new_say_nothing() -> None:
    window = {OWN: logged(np.full(9, 100.0)), WAY: logged(np.full(9, 100.0))}
    assert [one.part for one in shifts(window, paces([1.0] * 9), 0)] == [OWN]


def test_parts_of_workloads_that_an_incident_comes_from_are_not_learnt() -> None:
    found = Paces()
    found.learn({OWN: np.ones(9), WAY: np.ones(9)}, 0, frozenset({"shop"}))
    assert found.usual(OWN, 0) is not None
    assert found.usual(WAY, 0) is None


def test_of_parts_beyond_what_is_held_the_oldest_go_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_time, "MOST_PARTS", 2)
    found = Paces()
    for at, step in enumerate(("a", "b", "a", "c")):
        found.learn({("cart", "", "", step): np.ones(9)}, at)
    assert found.usual(("cart", "", "", "b"), 4) is None
    assert (len(found), found.forgotten_parts) == (2, 1)


@given(st.lists(st.lists(st.floats(0.0, 1e5), min_size=1, max_size=5), max_size=6))
def test_what_was_saved_goes_on_as_if_it_had_never_stopped(windows: list[list[float]]) -> None:
    one, other = Paces(), Paces()
    for number, milliseconds in enumerate(windows):
        at = number * self_time.HALF_LIFE_US // 3
        one.learn({OWN: logged(np.array(milliseconds))}, at)
        other = Paces(other.dump())
        other.learn({OWN: logged(np.array(milliseconds))}, at)
    assert one.dump() == other.dump()


def test_a_histogram_is_as_good_as_times_in_the_middle_of_its_buckets() -> None:
    assert np.allclose(bucket_middle(np.array([1.0, 3.0, np.inf])), logged(np.array([0.5, 2.0, 3.0])))
