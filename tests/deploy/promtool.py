"""What ``promtool test rules`` does: a file of test cases in promtool's own format, held against the alerting rules.

Guarantee: what is not known here (recording rules, ``keep_firing_for``, native histograms, other templates, other keys)
is refused by name, so that no case passes without being looked at.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.promql import Expression, Selector, parse, seconds
from tests.deploy.promql_values import NAME, STALE, Labels, Series, evaluate

_VALUE = re.compile(r"(?P<first>[+-]?(?:[\d.]+|Inf|NaN))(?:(?P<step>[+-][\d.]+)?x(?P<times>\d+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """An alerting rule."""

    alert: str
    expression: Expression
    for_seconds: float
    labels: Labels
    annotations: Labels


@dataclass(frozen=True)
class Alert:
    """As it stands at a time; ``since`` is when the expression began to hold."""

    labels: Labels
    annotations: Labels
    since: float
    firing: bool


@dataclass(frozen=True)
class Check:
    """``expected``: (labels, annotations) of all alerts of a name that fire at a time."""

    at: float
    alert: str
    expected: tuple[tuple[Labels, Labels], ...]


@dataclass(frozen=True)
class Case:
    name: str
    series: tuple[Series, ...]
    checks: tuple[Check, ...]
    every: float


def rules(path: Path) -> list[Rule]:
    """The alerting rules of a file."""
    found = []
    for group in _only(yaml.safe_load(path.read_text()), {"groups"})["groups"]:
        for rule in _only(group, {"name", "rules"})["rules"]:
            given = _only(rule, {"alert", "expr", "for", "labels", "annotations"})
            labels = {"alertname": given["alert"], **given.get("labels", {})}
            waits = seconds(given.get("for", "0s"))
            found.append(Rule(given["alert"], parse(given["expr"]), waits, labels, given.get("annotations", {})))
    return found


def cases(path: Path) -> tuple[list[Path], list[Case]]:
    """The rule files that a test file names, and its cases."""
    given = _only(yaml.safe_load(path.read_text()), {"rule_files", "evaluation_interval", "tests"})
    every = seconds(given.get("evaluation_interval", "1m"))
    return [path.parent / name for name in given["rule_files"]], [_case(case, every) for case in given["tests"]]


def _case(given: dict[str, Any], every: float) -> Case:
    _only(given, {"name", "interval", "input_series", "alert_rule_test"})
    interval = seconds(given["interval"]) if "interval" in given else every
    series = []
    for one in given["input_series"]:
        values = _expanded(_only(one, {"series", "values"})["values"])
        samples = [(number * interval, value) for number, (there, value) in enumerate(values) if there]
        series.append(Series(_series_labels(one["series"]), samples))
    return Case(given["name"], tuple(series), tuple(_check(one) for one in given["alert_rule_test"]), every)


def _check(given: dict[str, Any]) -> Check:
    _only(given, {"eval_time", "alertname", "exp_alerts"})
    expected = []
    for alert in given.get("exp_alerts") or ():
        _only(alert, {"exp_labels", "exp_annotations"})
        labels = {"alertname": given["alertname"], **alert.get("exp_labels", {})}
        expected.append((labels, alert.get("exp_annotations", {})))
    return Check(seconds(given["eval_time"]), given["alertname"], tuple(expected))


def _series_labels(text: str) -> Labels:
    selector = parse(text)
    if not isinstance(selector, Selector) or any(sign != "=" for _, sign, _ in selector.matchers):
        raise ValueError(f"{text} names no series")
    return {NAME: selector.metric} | {label: value for label, _, value in selector.matchers}


def _expanded(text: str) -> list[tuple[bool, float | None]]:
    """(is there, value) of each sample of promtool's notation; STALE is a value too."""
    found: list[tuple[bool, float | None]] = []
    for word in str(text).split():
        if word == "stale":
            found.append((True, STALE))
        elif missing := re.fullmatch(r"_(?:x(\d+))?", word):
            found += [(False, None)] * int(missing[1] or 1)
        elif number := _VALUE.fullmatch(word):
            first, step = float(number["first"]), float(number["step"] or 0)
            found += [(True, first + step * place) for place in range(int(number["times"] or 0) + 1)]
        else:
            raise ValueError(f"{word!r} is not understood in the values {text!r}")
    return found


def _only(given: dict[str, Any], known: set[str]) -> dict[str, Any]:
    if unknown := given.keys() - known:
        raise ValueError(f"{', '.join(sorted(unknown))}: not known here; known are {', '.join(sorted(known))}")
    return given


# -- what the rules do ---------------------------------------------------------------------------------------------


def alerts(rule: Rule, case: Case, until: float) -> Iterator[tuple[float, list[Alert]]]:
    """The alerts of a rule at each of its evaluations, pending ones too."""
    since: dict[frozenset[tuple[str, str]], float] = {}
    for number in range(math.floor(until / case.every) + 1):
        at = number * case.every
        found = evaluate(rule.expression, case.series, at)
        assert isinstance(found, list), f"{rule.alert} is a number"
        standing, still = [], {}
        for sample in found:
            own = {label: value for label, value in sample.labels.items() if label != NAME}
            labels = own | {name: rendered(text, own, sample.value) for name, text in rule.labels.items()}
            key = frozenset(labels.items())
            if key in still:
                raise ValueError(f"{rule.alert}: two alerts have the same labels {labels}")
            still[key] = since.get(key, at)
            texts = {name: rendered(text, own, sample.value) for name, text in rule.annotations.items()}
            standing.append(Alert(labels, texts, still[key], at - still[key] >= rule.for_seconds))
        since = still
        yield at, standing


def deviations(found: list[Rule], case: Case) -> list[str]:
    """What is not as a case expects it."""
    wrong = []
    until = max(check.at for check in case.checks)
    for rule in found:
        by_time = dict(alerts(rule, case, until))
        for check in case.checks:
            if check.alert == rule.alert:
                standing = by_time[math.floor(check.at / case.every) * case.every]
                firing = [(dict(alert.labels), dict(alert.annotations)) for alert in standing if alert.firing]
                if sorted(firing, key=repr) != sorted(map(_dicts, check.expected), key=repr):
                    wrong.append(
                        f"{case.name}, {rule.alert} at {check.at:.0f} s: expected {check.expected}, is {firing}"
                    )
    known = {rule.alert for rule in found}
    return wrong + [
        f"{case.name}: no rule is called {check.alert}" for check in case.checks if check.alert not in known
    ]


def _dicts(expected: tuple[Labels, Labels]) -> tuple[dict[str, str], dict[str, str]]:
    return dict(expected[0]), dict(expected[1])


# -- templates -----------------------------------------------------------------------------------------------------


def rendered(text: str, labels: Mapping[str, str], value: float) -> str:
    """A label or annotation with its ``{{ … }}`` filled in."""

    def filled(found: re.Match[str]) -> str:
        if label := re.fullmatch(r"\$labels\.(\w+)", found[1]):
            return labels.get(label[1], "")
        if found[1] == "$value | humanize":
            return humanize(value)
        if found[1] == "$value | humanizeDuration":
            return humanize_duration(value)
        raise ValueError(f"{found[0]} is not known here")

    return re.sub(r"{{\s*(.*?)\s*}}", filled, text)


def humanize(value: float) -> str:
    """With a metric prefix, four digits."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.4g}"
    power = min(max(math.floor(math.log10(abs(value)) / 3 + 1e-12), -8), 8)
    prefix = "yzafpnum"[power] if power < 0 else ["", *"kMGTPEZY"][power]
    return f"{value / 1000**power:.4g}{prefix}"


def humanize_duration(value: float) -> str:
    """Days to seconds; below a minute with four digits."""
    if not math.isfinite(value):
        return f"{value:.4g}"
    if 0 < abs(value) < 1:
        return f"{humanize(value)}s"
    whole = int(abs(value))
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if whole < 60:
        return f"{value:.4g}s"
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (whole % 60, "s")]
    while parts[0][0] == 0:
        parts.pop(0)
    return ("-" if value < 0 else "") + " ".join(f"{number}{unit}" for number, unit in parts)
