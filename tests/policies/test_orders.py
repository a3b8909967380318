"""What people may order for an incident, and what they may not."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.policies.detector import PolicyError
from pipeline.policies.orders import MOST_AHEAD_US, Order
from pipeline.records import US

T = 1_770_000_000 * US
ACK = Order("o1", "ack", "inc-1", "ann", T)


def order(action: Any, **changes: Any) -> Order:
    return replace(ACK, action=action, **changes)


def test_each_order_has_what_it_needs() -> None:
    assert order("ack", comment="I look at it").reason is None
    assert order("resolve", reason="false_alarm").comment == ""
    assert order("reopen", effective_us=T + US).effective_us == T + US
    assert order("merge", into="inc-2").into == "inc-2"
    assert order("split", members=["b", "a", "b"]).members == ("b", "a")


@pytest.mark.parametrize(
    ("action", "changes", "key", "said"),
    [
        ("close", {}, "action", "use ack, resolve, reopen, merge or split"),
        ("ack", {"id": ""}, "id", "use letters"),
        ("ack", {"incident": "inc/1"}, "incident", "use letters"),
        ("ack", {"author": ""}, "author", "say who"),
        ("ack", {"comment": None}, "comment", "is None"),
        ("ack", {"created_us": 1.5}, "created", "must be a time"),
        ("ack", {"effective_us": -5}, "effective_at", "must be a time"),
        ("ack", {"effective_us": T + MOST_AHEAD_US + 1}, "effective_at", "more than 7 days ahead"),
        ("ack", {"reason": "fixed"}, "reason", "only resolve has one"),
        ("ack", {"into": "inc-2"}, "into", "only merge has one"),
        ("ack", {"members": ("a",)}, "members", "only split has one"),
        ("resolve", {}, "reason", "is None; use fixed, expected, false_alarm, new_normal, duplicate or other"),
        ("resolve", {"reason": "tired"}, "reason", "is 'tired'"),
        ("resolve", {"reason": "other", "comment": " "}, "comment", "with the reason other say what it was"),
        ("merge", {}, "into", "is None"),
        ("merge", {"into": "inc-1"}, "into", "is the incident itself"),
        ("split", {}, "members", "are 0; name 1 to 500"),
        ("split", {"members": tuple(f"a{i}" for i in range(501))}, "members", "are 501"),
        ("split", {"members": ("a", [])}, "members.1", "use letters"),
    ],
)
def test_what_is_no_order_is_refused_with_its_key_and_the_right_form(
    action: str, changes: dict[str, Any], key: str, said: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        order(action, **changes)
    assert refused.value.key == key
    assert said in str(refused.value)
