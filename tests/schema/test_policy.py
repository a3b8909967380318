"""docs/schema/policy.json accepts what the codec accepts and writes, refuses what it refuses, and names every key."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.policies import PART_NAMES, Policy, PolicyError
from pipeline.policies.detector import KEYS, DetectorPolicy
from pipeline.policies.form import KEYS as FORM_KEYS
from pipeline.policies.form import form_of, policy_of
from pipeline.policies.matcher import Matcher
from pipeline.records import NO_TIME
from tests.policies.test_detector import CHANGES, changed

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs/schema/policy.json").read_text())
DETECTION = SCHEMA["$defs"]["detection"]["properties"]
CART = {"name": "cart", "match": ["service.name=cart"], "detection": {"alert_budget": 0.1}}


def fits(written: Any) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(written)


def test_the_schema_is_valid_names_every_key_and_explains_it() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert tuple(SCHEMA["properties"]) == FORM_KEYS
    assert list(DETECTION) == list(KEYS)
    assert DETECTION["parts_off"]["items"]["enum"] == list(PART_NAMES)
    for key, value in (SCHEMA["properties"] | DETECTION).items():
        assert "description" in value or "$ref" in value, f"{key} has no description"


@given(CHANGES.filter(bool), st.integers(-5, 5), st.just(NO_TIME) | st.integers(0, 4_000_000_000_000_000))
def test_what_is_written_of_a_policy_fits(changes: dict[str, Any], priority: int, effective_us: int) -> None:
    if changed(DetectorPolicy(), changes) is not None:
        match = (Matcher("name", "=~", ".*"), Matcher("unit", "!=", ""))
        assert fits(form_of(Policy("a", match, changes, priority, effective_us)))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"match": []},
        {"match": [" unit = ms ", "name=~a|b", "x!="]},
        {"priority": -3},
        {"effective_at": 1_700_000_000.5},
        {"effective_at": "2026-01-31T14:00:00+01:00"},
        {"effective_at": None},
        {"detection": {"threshold_surprise": None, "hard_lower": None, "false_discovery_rate": None}},
        {"detection": {"hard_upper": 5, "min_absolute_by_unit": {}, "parts_off": []}},
    ],
    ids=json.dumps,
)
def test_what_the_codec_accepts_fits(change: dict[str, Any]) -> None:
    assert policy_of(CART | change)
    assert fits(CART | change)


REFUSED: list[Any] = [
    3,
    [],
    {},
    {key: value for key, value in CART.items() if key != "match"},
    *(CART | {"name": name} for name in ("", "a b", "default", None, 3)),
    *(CART | {"match": match} for match in ("unit=ms", ["cart"], ["=x"], [3], None)),
    *(CART | {"priority": priority} for priority in ("1", 1.5, None)),
    *(CART | {"effective_at": moment} for moment in ("soon", -1, True, 1e15)),
    *(CART | {"detection": detection} for detection in (None, {}, [], {"budget": 1})),
    *(CART | {"detection": {key: wrong}} for key in KEYS for wrong in ({"a": []}, "x", True)),
    CART | {"extra": 1},
]


@pytest.mark.parametrize("written", REFUSED, ids=json.dumps)
def test_what_the_codec_refuses_does_not_fit(written: Any) -> None:
    with pytest.raises(PolicyError):
        policy_of(written)
    assert not fits(written)
