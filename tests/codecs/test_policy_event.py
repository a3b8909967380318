"""Policies as bytes: what goes out comes in again, and everything else is refused."""

from typing import Any

import pytest

from pipeline.codecs import policy_event
from pipeline.codecs.policy_event import BadPolicy
from pipeline.policies import Change, Control, Policy
from pipeline.policies.matcher import Matcher

CART = Policy("cart", (Matcher("service.name", "=", "cart"),), {"parts_off": ["flat"], "hard_lower": 0}, 3, 7_000_000)
KEY, VALUE = policy_event.key_of("cart"), policy_event.encode(CART)


def test_a_policy_comes_back_as_it_was() -> None:
    assert KEY == b"policy/cart"
    assert policy_event.decode(KEY, VALUE, 12) == Change(12, "cart", CART)


def test_a_record_without_a_value_removes_the_policy() -> None:
    assert policy_event.decode(KEY, None, 13) == Change(13, "cart", None)


def test_one_in_the_shadow_has_a_key_of_its_own_and_the_same_value() -> None:
    key = policy_event.key_of("cart", shadow=True)
    assert key == b"policy-shadow/cart"
    assert policy_event.decode(key, VALUE, 12) == Change(12, "cart", CART, shadow=True)
    assert policy_event.decode(key, None, 13) == Change(13, "cart", None, shadow=True)


def test_a_control_record_tells_live_from_shadow_and_keeps_the_order() -> None:
    changes = (Change(1, "a", CART, shadow=True), Change(2, "cart", CART), Change(3, "cart", None, shadow=True))
    control = Control(4, changes, complete=True)
    value, _ = policy_event.encode_control(control)
    assert policy_event.decode_control(value) == control
    before = policy_event.encode_control(Control(4, changes[1:2], complete=True))[0]
    assert b"shadow" not in before  # as it was written before there was a shadow


@pytest.mark.parametrize("complete", [True, False])
def test_a_control_record_comes_back_as_it_was(complete: bool) -> None:
    control = Control(14, (Change(12, "cart", CART), Change(13, "pay", None)), complete)
    value, headers = policy_event.encode_control(control)
    assert policy_event.is_control(headers)
    assert not policy_event.is_control([("calm_type", b"progress")])
    assert policy_event.decode_control(value) == control


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (None, VALUE, "the key is ''; it must be policy/<name>"),
        (b"cart", VALUE, "the key is 'cart'; it must be policy/<name>"),
        (b"policy/", None, "it must be policy/<name>"),
        (b"policy-shadow/", None, "it must be policy/<name> or policy-shadow/<name>"),
        (b"policy-shadow/pay", VALUE, "the key is 'policy-shadow/pay', but the name is 'cart'"),
        (b"\xff", VALUE, "not a policy"),
        (b"policy/pay", VALUE, "the key is 'policy/pay', but the name is 'cart'"),
        (KEY, b"", "not a policy"),
        (KEY, b"{nonsense", "not a policy"),
        (KEY, b"[" * 100_000, "not a policy"),
        (KEY, b"[]", "it must be a mapping"),
        (KEY, b'{"name": "cart", "match": [], "detection": {"alert_budget": 0}}', "detection.alert_budget is 0"),
    ],
)
def test_what_is_no_policy_is_refused(key: bytes | None, value: bytes | None, said: str) -> None:
    with pytest.raises(BadPolicy, match=said):
        policy_event.decode(key, value, 0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"CSC1",
        b"[]",
        b'{"end": 1}',
        b'{"end": 1, "complete": false, "changes": [[0, "x", 5]]}',
        b'{"end": 1, "complete": false, "changes": [[0, "x", {}]]}',
        b'{"end": 1, "complete": false, "changes": [["0", "x", null]]}',
    ],
)
def test_what_is_no_control_record_is_refused(value: Any) -> None:
    with pytest.raises(BadPolicy, match="not a control record"):
        policy_event.decode_control(value)
