"""Alerts fire when they are meant to: ``alerts.test.yaml`` evaluated here, and by promtool where that is on PATH."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.deploy.composition import ROOT
from tests.deploy.promql import AGGREGATIONS, FUNCTIONS, uses
from tests.deploy.promql_values import NAME
from tests.deploy.promtool import Alert, Case, Rule, alerts, cases, deviations, rules

FOLDER = ROOT / "deploy/prometheus"
FILE = FOLDER / "alerts.test.yaml"
RULE_FILES, CASES = cases(FILE)
RULES = [rule for path in RULE_FILES for rule in rules(path)]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.alert)


# -- the alerts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_alerts_fire_as_the_file_says(case: Case) -> None:
    assert deviations(RULES, case) == []


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (of the Debian package prometheus) is not on PATH"
)
@pytest.mark.parametrize("arguments", [("test", "rules", "alerts.test.yaml"), ("check", "rules", "alerts.yaml")])
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_file_tests_the_alerts_that_prometheus_reads() -> None:
    assert [path.name for path in RULE_FILES] == ["alerts.yaml"]


def about(rule: Rule) -> list[Case]:
    return [case for case in CASES if any(check.alert == rule.alert for check in case.checks)]


def states(rule: Rule, case: Case) -> Iterator[tuple[bool, list[Alert]]]:
    """(must it fire, the alerts of the rule) at each check, in the order of time."""
    checks = [check for check in case.checks if check.alert == rule.alert]
    by_time = dict(alerts(rule, case, max(check.at for check in checks)))
    for check in sorted(checks, key=lambda check: check.at):
        yield bool(check.expected), by_time[check.at // case.every * case.every]


@every_rule
def test_every_alert_has_a_case_in_which_it_fires(rule: Rule) -> None:
    assert any(fires for case in about(rule) for fires, _ in states(rule, case))


@every_rule
def test_every_alert_has_a_case_just_below_it_in_which_its_condition_never_holds(rule: Rule) -> None:
    quiet = [case for case in about(rule) if not any(check.expected for check in case.checks)]
    never = [case for case in quiet if not any(held for _, held in alerts(rule, case, case.checks[-1].at))]
    asked = {use.metric for use in uses(rule.expression)}
    assert any(asked <= {series.labels[NAME] for series in case.series} for case in never)


@every_rule
def test_an_alert_that_waits_is_seen_waiting_at_the_evaluation_before_it_fires(rule: Rule) -> None:
    if not rule.for_seconds:
        return
    seen = [list(states(rule, case)) for case in about(rule)]
    assert any(
        held and not any(alert.firing for alert in held) and fires
        for found in seen
        for (_, held), (fires, _) in pairwise(found)
    )


@every_rule
def test_a_case_that_fires_is_checked_just_before(rule: Rule) -> None:
    """No more than two evaluations lie between the last check without an alert and the first with one."""
    for case in about(rule):
        checks = [check for check in case.checks if check.alert == rule.alert]
        for before, after in pairwise(checks):
            if after.expected and not before.expected:
                assert after.at - before.at <= 2 * case.every, (case.name, after.at)


def test_the_evaluator_knows_what_the_alerts_and_the_dashboard_use_and_nothing_more() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/calmstream.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    text = "\n".join([*queries, (FOLDER / "alerts.yaml").read_text()])
    assert [
        name for name in sorted(AGGREGATIONS | FUNCTIONS.keys()) if not re.search(rf"\b{name}( by)? ?\(", text)
    ] == []
