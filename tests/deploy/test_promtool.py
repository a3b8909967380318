"""Our reading of promtool's test files: its notation, when an alert fires, what it says, and what is refused."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.promtool import (
    Case,
    Rule,
    alerts,
    cases,
    deviations,
    humanize,
    humanize_duration,
    rendered,
    rules,
)

SERIES = 'x{a="b"}'
RULE = {
    "alert": "High",
    "expr": "x > 5",
    "for": "2m",
    "labels": {"severity": "warning"},
    "annotations": {"say": "{{ $value | humanize }} of {{ $labels.a }}"},
}


def case_of(folder: Path, values: str, rule: dict[str, Any] = RULE, **check: Any) -> tuple[list[Rule], Case]:
    """A file with one series of a value each minute and one check, and its rule file."""
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": [rule]}]}))
    checks = [{"eval_time": "10m", "alertname": "High", "exp_alerts": [], **check}]
    test = {
        "name": "it",
        "interval": "1m",
        "input_series": [{"series": SERIES, "values": values}],
        "alert_rule_test": checks,
    }
    given = {"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": [test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(given))
    (path,), (case,) = cases(folder / "test.yaml")
    return rules(path), case


@pytest.mark.parametrize(
    ("notation", "samples"),
    [
        ("1 2.5 -3", [(0, 1), (60, 2.5), (120, -3)]),
        ("0+10x3", [(0, 0), (60, 10), (120, 20), (180, 30)]),
        ("1-2x2 7", [(0, 1), (60, -1), (120, -3), (180, 7)]),
        ("-2+4x1", [(0, -2), (60, 2)]),
        ("5x2", [(0, 5), (60, 5), (120, 5)]),
        ("1 _ 2 _x2 3", [(0, 1), (120, 2), (300, 3)]),
        ("1 stale", [(0, 1), (60, None)]),
    ],
)
def test_values_are_written_out(tmp_path: Path, notation: str, samples: list[tuple[float, float | None]]) -> None:
    _, case = case_of(tmp_path, notation)
    assert list(case.series[0].samples) == samples


def test_an_alert_waits_for_as_long_as_it_says_and_begins_anew_after_a_pause(tmp_path: Path) -> None:
    (rule,), case = case_of(tmp_path, "9 9 1 9x9")
    by_time = dict(alerts(rule, case, 6 * 60))
    firing = {at: [alert.firing for alert in standing] for at, standing in by_time.items()}
    assert firing[90] == [False]
    assert firing[120] == []
    assert [firing[at] for at in (180, 270, 300, 330)] == [[False], [False], [True], [True]]


def test_an_alert_that_does_not_wait_fires_at_once(tmp_path: Path) -> None:
    (rule,), case = case_of(tmp_path, "9x9", {**RULE, "for": "0s"})
    assert [alert.firing for alert in dict(alerts(rule, case, 0))[0]] == [True]


@pytest.mark.parametrize(
    ("expected", "right"),
    [
        ({"exp_labels": {"a": "b", "severity": "warning"}, "exp_annotations": {"say": "9 of b"}}, True),
        ({"exp_labels": {"a": "b"}, "exp_annotations": {"say": "9 of b"}}, False),
        ({"exp_labels": {"a": "b", "severity": "warning"}, "exp_annotations": {"say": "8 of b"}}, False),
        ({"exp_labels": {"a": "b", "severity": "warning"}}, False),
        (None, False),
    ],
)
def test_labels_and_annotations_must_be_exactly_as_expected(tmp_path: Path, expected: Any, right: bool) -> None:
    found, case = case_of(tmp_path, "9x19", exp_alerts=[expected] if expected else [])
    assert (deviations(found, case) == []) is right


def test_an_alert_that_no_rule_has_is_found(tmp_path: Path) -> None:
    found, case = case_of(tmp_path, "1", alertname="Hihg")
    assert deviations(found, case) == ["it: no rule is called Hihg"]


def test_a_check_between_two_evaluations_sees_the_one_before(tmp_path: Path) -> None:
    found, case = case_of(tmp_path, "9x19", eval_time="1m59s")
    assert deviations(found, case) == []


@pytest.mark.parametrize(
    ("rule", "check", "named"),
    [
        ({**RULE, "keep_firing_for": "5m"}, {}, "keep_firing_for"),
        ({"record": "y", "expr": "x"}, {}, "record"),
        (RULE, {"exp_smaples": []}, "exp_smaples"),
        (RULE, {"eval_time": "ten minutes"}, "ten minutes"),
    ],
)
def test_what_is_not_known_is_refused_by_name(tmp_path: Path, rule: dict[str, Any], check: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        case_of(tmp_path, "1", rule, **check)


@pytest.mark.parametrize("values", ["1 two", "{{schema:1}}", "1+x3"])
def test_values_that_are_not_known_are_refused(tmp_path: Path, values: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        case_of(tmp_path, values)


@pytest.mark.parametrize("text", ["{{ $value }}", "{{ $labels }}", "{{ with $x }}", "{{ $value | printf }}"])
def test_a_template_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not known"):
        rendered(text, {}, 1.0)


def test_a_label_that_is_not_there_is_empty() -> None:
    assert rendered("<{{ $labels.a }}{{$labels.b}}>", {"a": "x"}, 1.0) == "<x>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (999.94, "999.9"),
        (1000, "1k"),
        (1410, "1.41k"),
        (12_345_678, "12.35M"),
        (0.25, "250m"),
        (-0.001, "-1m"),
        (1.5e-5, "15u"),
        (math.inf, "inf"),
    ],
)
def test_numbers_are_written_with_their_prefix(value: float, text: str) -> None:
    assert humanize(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (12.5, "12.5s"),
        (60, "1m 0s"),
        (375.9, "6m 15s"),
        (3600, "1h 0m 0s"),
        (90_061, "1d 1h 1m 1s"),
        (-65, "-1m 5s"),
    ],
)
def test_durations_are_written_in_days_to_seconds(value: float, text: str) -> None:
    assert humanize_duration(value) == text
