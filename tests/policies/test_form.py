"""How a policy is written, and what is said to what is no policy."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.policies import Policy, PolicyError
from pipeline.policies.detector import DetectorPolicy
from pipeline.policies.form import form_of, policy_of
from pipeline.policies.matcher import Matcher
from pipeline.records import NO_TIME, US
from tests.policies.test_detector import CHANGES, changed

CART = {"name": "cart", "match": ["service.name=cart", "name=~.*latency"], "detection": {"alert_budget": 0.1}}
NAMES = st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True).filter(lambda name: name != "default")
TEXTS = st.text(max_size=6).map(str.strip).filter(lambda text: text[:1] not in ("~", "="))


def test_a_policy_is_read_as_it_is_written() -> None:
    policy = policy_of(CART | {"priority": 3, "effective_at": "2026-01-31T14:00:00.5+01:00"})
    assert policy.match == (Matcher("service.name", "=", "cart"), Matcher("name", "=~", ".*latency"))
    assert (policy.name, policy.priority, policy.changes) == ("cart", 3, {"alert_budget": 0.1})
    assert policy.effective_us == round(datetime(2026, 1, 31, 13, tzinfo=UTC).timestamp() * US) + US // 2


@pytest.mark.parametrize(
    "written", [1769868000, 1769868000.0, "2026-01-31T14:00:00", datetime(2026, 1, 31, 14)], ids=str
)
def test_a_time_may_be_seconds_a_text_or_what_yaml_makes_of_one(written: Any) -> None:
    assert policy_of(CART | {"effective_at": written}).effective_us == 1769868000 * US
    assert policy_of(CART | {"effective_at": None}).effective_us == NO_TIME


@given(
    NAMES,
    st.lists(st.builds(Matcher, st.sampled_from(["unit", "a.b"]), st.sampled_from(["=", "!="]), TEXTS), max_size=3),
    CHANGES.filter(bool),
    st.integers(-1000, 1000),
    st.just(NO_TIME) | st.integers(0, 4_000_000_000_000_000),
)
def test_what_is_written_of_a_policy_is_the_policy(
    name: str, match: list[Matcher], changes: dict[str, Any], priority: int, effective_us: int
) -> None:
    if changed(DetectorPolicy(), changes) is None:
        return
    policy = Policy(name, tuple(match), changes, priority, effective_us)
    assert policy_of(json.loads(json.dumps(form_of(policy)))) == policy


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in CART.items() if name != key}


@pytest.mark.parametrize(
    ("written", "key", "said"),
    [
        ("cart", "policy", "it must be a mapping with the keys name, match, priority, effective_at, detection"),
        (without("name"), "name", "is missing; give the policy a name of its own"),
        (without("match"), "match", "is missing; list the conditions that all must hold"),
        (without("detection"), "detection", "is missing; say what is to be different"),
        (CART | {"matchers": []}, "matchers", "is not a key of a policy; there are name, match"),
        (CART | {"match": "unit=s"}, "match", "is 'unit=s'; it must be a list"),
        (CART | {"match": ["unit=s", "cart"]}, "match.1", "is 'cart'; write name=value, name!=value or name=~regex"),
        (CART | {"match": [7]}, "match.0", "is 7; write name=value"),
        (CART | {"match": ["name=~("]}, "match.0", "is not a regular expression"),
        (CART | {"match": ["name!~x"]}, "match.0", "use name=value, name!=value or name=~regex"),
        (CART | {"detection": "strict"}, "detection", "it must be a mapping"),
        (CART | {"detection": {"direction": 5}}, "detection.direction", "use both, up or down"),
        (CART | {"detection": {}}, "detection", "is empty"),
        (CART | {"priority": "high"}, "priority", "it must be a whole number, the greatest wins"),
        (CART | {"effective_at": "tomorrow"}, "effective_at", "write 2026-01-31T14:00:00Z, or seconds since"),
        (CART | {"effective_at": -1}, "effective_at", "write 2026-01-31T14:00:00Z"),
        (CART | {"effective_at": True}, "effective_at", "write 2026-01-31T14:00:00Z"),
        (CART | {"effective_at": 1e300}, "effective_at", "write 2026-01-31T14:00:00Z"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_policy_is_refused_with_its_key_and_the_right_form(written: Any, key: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        policy_of(written)
    assert refused.value.key == key
    assert said in str(refused.value)
