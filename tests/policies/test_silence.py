"""When a silence holds back, what it means, and what is no silence."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.policies.detector import PolicyError
from pipeline.policies.matcher import Matcher
from pipeline.policies.said import id_of
from pipeline.policies.silence import MOST_US, Silence
from pipeline.records import NO_TIME, US, Kind, Signal

DAY = 86_400 * US
T = 20_000 * DAY
SIGNAL = Signal(7, "latency", "ms", Kind.GAUGE, "production", "service:shop/cart", "cart-1", (("route", "/pay"),))
CART = Silence("cart", (Matcher("service.name", "=", "cart"),), "ann", "new disks", T, T + 3600 * US)


def silence(**changes: Any) -> Silence:
    return replace(CART, **changes)


def test_it_holds_back_from_its_start_up_to_and_without_its_end() -> None:
    later = silence(starts_us=T + 60 * US)
    assert [later.active(at) for at in (T, T + 60 * US - 1, T + 60 * US, T + 3600 * US - 1, T + 3600 * US)] == [
        *(False, False, True, True, False)
    ]
    assert [later.next_change_us(at) for at in (T, T + 60 * US, T + 3600 * US)] == [T + 60 * US, T + 3600 * US, None]
    assert (later.until_us(T), later.until_us(T + 60 * US)) == (None, T + 3600 * US)


def test_without_a_start_it_holds_back_at_once() -> None:
    assert CART.active(0)
    assert CART.next_change_us(NO_TIME) == T + 3600 * US


@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        (Matcher("workload", "=", "service:shop/cart"), True),
        (Matcher("entity", "=", "service:shop/cart cart-1"), True),
        (Matcher("entity", "=~", "service:shop/.*"), True),
        (Matcher("scope", "=", "production"), True),
        (Matcher("name", "=~", "lat.*"), True),
        (Matcher("route", "=", "/pay"), True),
        (Matcher("team", "=", ""), True),
        (Matcher("severity", "=~", "warning|error"), True),
        (Matcher("severity", "!=", "error"), False),
        (Matcher("severity", "=", "critical"), False),
        (Matcher("service.name", "=", "pay"), False),
    ],
    ids=str,
)
def test_it_means_by_workload_entity_scope_name_attribute_and_severity(condition: Matcher, meant: bool) -> None:
    assert silence(match=(condition,)).matches(SIGNAL, "error") is meant
    assert silence(match=(Matcher("unit", "=", "ms"), condition)).matches(SIGNAL, "error") is meant
    assert not silence(match=(Matcher("unit", "=", "s"), condition)).matches(SIGNAL, "error")


def test_a_silence_ended_early_says_by_whom_and_one_that_is_over_stays_as_it_is() -> None:
    ended = CART.expired(T + 60 * US, "bob")
    assert (ended.expires_us, ended.expired_by, ended.author) == (T + 60 * US, "bob", "ann")
    assert not ended.active(T + 60 * US)
    assert CART.expired(T + 7200 * US, "bob") is CART
    never = silence(starts_us=T + 600 * US).expired(T + 60 * US, "bob")
    assert not any(never.active(at) for at in (T, T + 60 * US, T + 600 * US))
    assert never.next_change_us(T - 1) is None


@given(st.integers(T - DAY, T + 2 * DAY), st.none() | st.integers(0, DAY), st.integers(1, DAY))
def test_it_turns_at_its_next_change_and_nowhere_between(at: int, after: int | None, lasts: int) -> None:
    starts = NO_TIME if after is None else T + after
    one = silence(starts_us=starts, expires_us=T + (after or 0) + lasts)
    change = one.next_change_us(at)
    if change is None:
        assert not one.active(at)
        assert not one.active(at + DAY)
    else:
        assert one.active(change - 1) == one.active(at)
        assert one.active(change) != one.active(at)


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"id": "a b"}, "id", "use letters, digits"),
        ({"id": ""}, "id", "is ''"),
        ({"id": 5}, "id", "is 5"),
        ({"match": ()}, "match", "is empty; name at least one condition, scope=~.* where everything is meant"),
        ({"match": (Matcher("a", "=", "b"),) * 21}, "match", "has 21 conditions; at most 20"),
        ({"match": (Matcher("a", "=", "x" * 500),)}, "match.0", "has 502 characters; at most 500"),
        ({"match": (Matcher("a", "=", "~x"),)}, "match.0", "which is read as a=~x; use name=~regex"),
        ({"match": (Matcher("a", "=", "\udcff"),)}, "match.0", "bytes in it that are no UTF-8"),
        ({"author": " "}, "author", "say who says it"),
        ({"author": "x" * 101}, "author", "has 101 characters; at most 100"),
        ({"comment": ""}, "comment", "say why"),
        ({"comment": None}, "comment", "is None"),
        ({"comment": "x" * 1001}, "comment", "at most 1000"),
        ({"created_us": -1}, "created", "it must be a time"),
        ({"created_us": True}, "created", "is True"),
        ({"expires_us": T}, "expires", "is not after starts"),
        ({"starts_us": T + 7200 * US}, "expires", "is not after starts; give a later time"),
        ({"expires_us": T + MOST_US + 1}, "expires", "is more than 366 days after starts; for what comes back"),
        ({"expires_us": 2**62}, "expires", "it must be a time"),
    ],
    ids=str,
)
def test_what_is_no_silence_is_refused_with_its_key_and_the_right_form(
    changes: dict[str, Any], key: str, said: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        silence(**changes)
    assert refused.value.key == key
    assert said in str(refused.value)


def test_a_name_is_made_of_what_is_said() -> None:
    assert id_of("a", 1) == id_of("a", 1) != id_of("a", 2)
    assert silence(id=id_of(["x\udcff"], T))
