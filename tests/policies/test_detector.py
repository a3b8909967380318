"""What a detector policy may say, what is refused with which words, and how changes go over a base."""

import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detectors
from pipeline.policies.detector import KEYS, MIN_ABSOLUTE_BY_UNIT, PART_NAMES, DetectorPolicy, PolicyError

LIMITS = st.floats(-1e6, 1e6) | st.integers(-1000, 1000) | st.none()
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "alert_budget": st.floats(1e-3, 100),
        "direction": st.sampled_from(["both", "up", "down"]),
        "min_absolute": st.floats(0, 1e9),
        "min_absolute_by_unit": st.dictionaries(st.sampled_from(["ms", "s", "{x}"]), st.floats(0, 9)),
        "min_relative": st.floats(0, 10),
        "hard_lower": LIMITS,
        "hard_upper": LIMITS,
        "season": st.sampled_from(["auto", "none", "daily", "weekly"]),
        "parts_off": st.lists(st.sampled_from(PART_NAMES)),
        "min_history_windows": st.integers(5, 1000),
        "open_windows": st.integers(1, 8),
        "of_windows": st.integers(1, 8),
        "close_windows": st.integers(1, 255),
        "false_discovery_rate": st.floats(0.01, 0.99) | st.none(),
        "above": LIMITS,
        "slo": st.floats(50, 99.999) | st.none(),
    },
)


def changed(base: DetectorPolicy, changes: dict[str, Any]) -> DetectorPolicy | None:
    """None where the changes contradict themselves."""
    try:
        return base.changed(changes)
    except PolicyError:
        return None


def test_the_parts_that_can_be_turned_off_are_those_of_the_detector() -> None:
    assert detectors.PARTS == PART_NAMES


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alert_budget": 0}, r"detection.alert_budget is 0; it must be above 0"),
        ({"alert_budget": "few"}, r"detection.alert_budget is 'few'; it must be a number"),
        ({"alert_budget": True}, r"detection.alert_budget is True; it must be a number"),
        ({"alert_budget": float("inf")}, r"detection.alert_budget is inf; it must be a number"),
        ({"threshold_surprise": -1}, r"detection.threshold_surprise is -1; it must be above 0"),
        (
            {"threshold_surprise": 4, "alert_budget": 1},
            r"threshold_surprise replaces alert_budget; name one of the two",
        ),
        ({"direction": "sideways"}, r"detection.direction is 'sideways'; use both, up or down"),
        ({"min_relative": -0.1}, r"detection.min_relative is -0.1; it must be 0 or more"),
        ({"min_absolute_by_unit": {"ms": "x"}}, r"detection.min_absolute_by_unit.ms is 'x'; it must be a number"),
        ({"min_absolute_by_unit": 5}, r"min_absolute_by_unit is 5; it must map units to numbers, .* \{ms: 5\}"),
        ({"hard_lower": 5, "hard_upper": 5}, r"detection.hard_lower is 5; it must be below hard_upper, which is 5"),
        ({"hard_upper": "x"}, r"detection.hard_upper is 'x'; it must be a number"),
        ({"season": "yearly"}, r"detection.season is 'yearly'; use auto, none, daily or weekly"),
        ({"parts_off": ["drifts"]}, r"detection.parts_off names 'drifts', which is no part; there are residual, "),
        ({"parts_off": "drift"}, r"detection.parts_off is 'drift'; it must be a list of parts"),
        ({"min_history_windows": 4}, r"min_history_windows is 4; it must be a whole number from 5 to"),
        ({"open_windows": 9}, r"detection.open_windows is 9; it must be a whole number from 1 to 8"),
        ({"open_windows": 1.5}, r"detection.open_windows is 1.5; it must be a whole number from 1 to 8"),
        ({"open_windows": 4, "of_windows": 3}, r"1 <= open_windows <= of_windows <= 8, not 4 of 3"),
        ({"close_windows": 0}, r"detection.close_windows is 0; it must be a whole number from 1 to 255"),
        ({"above": "0.5 s"}, r"detection.above is '0.5 s'; it must be a number"),
        ({"slo": 100}, r"detection.slo is 100; it must be percent, from 50 to below 100, for instance 99.9"),
        ({"slo": 0.999}, r"detection.slo is 0.999; it must be percent, from 50"),
        ({"slo": True}, r"detection.slo is True; it must be percent"),
        ({"false_discovery_rate": 1}, r"detection.false_discovery_rate is 1; it must be between 0 and 1"),
        ({"sensitivity": 3}, r"detection.sensitivity is not a key; there are alert_budget, threshold_surprise, "),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_its_key_and_the_right_form(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said) as refused:
        DetectorPolicy().changed(changes)
    assert refused.value.key.split(".")[1] in changes


def test_every_key_has_a_check() -> None:
    for each in fields(DetectorPolicy):
        with pytest.raises(PolicyError, match=f"detection.{each.name}"):
            DetectorPolicy(**{each.name: object()})  # type: ignore[arg-type]


def test_a_budget_takes_away_a_fixed_threshold_and_the_other_way_round() -> None:
    fixed = DetectorPolicy().changed({"threshold_surprise": 5})
    assert fixed.threshold_surprise == 5
    assert fixed.changed({"alert_budget": 2}).threshold_surprise is None
    assert fixed.changed({"alert_budget": 2, "threshold_surprise": None}).alert_budget == 2


def test_what_contradicts_a_change_gives_way() -> None:
    base = DetectorPolicy(open_windows=2, of_windows=3, hard_lower=0, hard_upper=10)
    assert base.changed({"open_windows": 5}).of_windows == 5
    assert base.changed({"of_windows": 1}).open_windows == 1
    assert base.changed({"hard_lower": 20}).hard_upper is None
    assert base.changed({"hard_upper": -5}).hard_lower is None
    assert base.changed({"hard_upper": 5}).hard_lower == 0


def test_units_join_those_of_the_base_and_parts_replace_them() -> None:
    base = DetectorPolicy(parts_off=("drift",))
    changed = base.changed({"min_absolute_by_unit": {"ms": 50}, "parts_off": ["flat", "residual"]})
    assert changed.min_absolute_by_unit == {**MIN_ABSOLUTE_BY_UNIT, "ms": 50}
    assert changed.parts_off == ("residual", "flat")
    assert (changed.least_deviation("ms"), changed.least_deviation("Cel")) == (50, 0)


@given(CHANGES, CHANGES)
def test_changes_that_are_valid_by_themselves_are_valid_over_any_policy(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    bases = [policy for policy in (DetectorPolicy(), changed(DetectorPolicy(), first)) if policy is not None]
    if changed(DetectorPolicy(), second) is None:
        return
    for base in bases:
        after = base.changed(second)
        for key in second:
            if key not in ("min_absolute_by_unit", "parts_off"):
                assert getattr(after, key) == second[key]
        assert after.changed(second) == after
        assert json.loads(json.dumps(asdict(after))).keys() == KEYS.keys()
