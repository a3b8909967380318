"""What types weigh together, by hand."""

from math import log10
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.incidents.weight import HALF_LIFE_US, MOST_PAIRS, MOST_TYPES, Company
from pipeline.records import US

DAY = 86_400 * US


def weight(company: Company, at_us: int = 0, **surprises: float) -> float:
    return company.weight("prod", surprises, at_us)


def test_types_that_never_met_add_up_to_the_most_that_each_may_weigh() -> None:
    assert weight(Company(), a=2.5, b=3.0) == 5.5
    assert weight(Company(), a=9.0) == 4.0
    assert weight(Company()) == 0.0


def test_a_type_that_always_comes_with_another_adds_next_to_nothing() -> None:
    company = Company()
    company.note("prod", {"a": 3.0, "b": 3.0}, 0)
    assert weight(company, a=3.0, b=2.0) == pytest.approx(3.0 - log10((1 + 0.01) / 2))
    for _ in range(98):
        company.note("prod", {"a": 3.0, "b": 3.0}, 0)
    assert weight(company, a=3.0, b=2.0) == pytest.approx(3.0, abs=0.01)
    assert weight(company, a=3.0, c=2.0) == 5.0


def test_a_type_that_seldom_comes_with_another_is_nearly_as_surprising_as_alone() -> None:
    company = Company()
    company.note("prod", {"a": 3.0, "b": 3.0}, 0)
    for _ in range(98):
        company.note("prod", {"a": 3.0}, 0)
    assert weight(company, a=3.0, b=2.0) == pytest.approx(3.0 - log10(1.01 / 100))


def test_company_fades_with_a_half_life_of_a_week() -> None:
    company = Company()
    company.note("prod", {"a": 3.0, "b": 3.0}, 0)
    assert weight(company, HALF_LIFE_US, a=3.0, b=2.0) == pytest.approx(3.0 - log10((0.5 + 0.01) / 1.5))
    company.forget(4 * HALF_LIFE_US)
    assert len(company.dump()) == 3
    company.forget(4 * HALF_LIFE_US + DAY)
    assert company.dump() == []


def test_scopes_know_nothing_of_each_other() -> None:
    company = Company()
    company.note("test", {"a": 3.0, "b": 3.0}, 0)
    assert weight(company, a=3.0, b=2.0) == 5.0


def test_pairs_are_bounded_and_those_that_came_most_often_stay() -> None:
    company = Company()
    company.note("prod", {"often": 3.0, "too": 3.0}, 0)
    for number in range(60):
        company.note(
            "prod", {f"{number}-{place}": 1.0 for place in range(MOST_TYPES + 5)} | {"often": 3.0, "too": 3.0}, 0
        )
        assert len(company.dump()) <= MOST_PAIRS
    assert weight(company, often=3.0, too=3.0) < 3.1


NOTED = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 6)), st.integers(0, 20)), max_size=12
)


@given(NOTED, st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 6)), st.randoms())
def test_the_order_of_types_does_not_matter_nor_does_a_restart(
    noted: list[tuple[dict[str, float], int]], asked: dict[str, float], dice: Random
) -> None:
    one, other = Company(), Company()
    for types, days in noted:
        mixed = list(types.items())
        dice.shuffle(mixed)
        one.note("prod", types, days * DAY)
        other.note("prod", dict(mixed), days * DAY)
        other = Company(other.dump())
    mixed = list(asked.items())
    dice.shuffle(mixed)
    found = one.weight("prod", asked, 21 * DAY)
    assert other.weight("prod", dict(mixed), 21 * DAY) == found
    assert 0.0 <= found <= sum(min(surprise, 4.0) for surprise in asked.values()) + 1e-9
