"""What a PromQL expression gives at a time, as Prometheus 3 computes it, over series that are given.

Guarantee: what is not computed here is refused by name. Ranges and the look-back of five minutes are open at their
beginning and closed at their end, as they are since Prometheus 3.
"""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from tests.deploy.promql import COMPARISONS, SETS, Aggregation, Binary, Call, Expression, Number, Selector, parse

Labels: TypeAlias = Mapping[str, str]
Vector: TypeAlias = list["Sample"]

#: How long a sample counts when no newer one has come.
LOOK_BACK_SECONDS = 300.0
NAME = "__name__"
#: Of a series that is no longer exported.
STALE = None


@dataclass(frozen=True)
class Series:
    """``samples``: (seconds, value) in their order; STALE for a value says that the series ended there."""

    labels: Labels
    samples: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Sample:
    labels: Labels
    value: float
    key: frozenset[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", frozenset(self.labels.items()))


def evaluate(expression: str | Expression, series: Iterable[Series], at: float) -> Vector | float:
    """The vector, or number, that an expression gives ``at`` seconds."""
    tree = parse(expression) if isinstance(expression, str) else expression
    return _Evaluation(list(series), at).value(tree)


class _Evaluation:
    def __init__(self, series: list[Series], at: float) -> None:
        self._series = series
        self._at = at

    def value(self, tree: Expression) -> Vector | float:
        match tree:
            case Number(value):
                return value
            case Call("time"):
                return self._at
            case Selector(range_seconds=None):
                return self._instant(tree)
            case Selector():
                raise ValueError(f"{tree.metric} is a range, which only a function takes")
            case Call():
                return self._called(tree)
            case Aggregation():
                return _aggregated(tree, self._vector(tree.argument))
            case Binary():
                return self._binary(tree)

    def _vector(self, tree: Expression) -> Vector:
        value = self.value(tree)
        if isinstance(value, float | int):
            raise ValueError("a number stands where a vector is asked for")
        return value

    # -- selectors -------------------------------------------------------------------------------------------------

    def _selected(self, selector: Selector, span: float) -> list[tuple[Labels, list[tuple[float, float | None]]]]:
        """Series that fit, with their samples of the span up to now."""
        until = self._at - selector.offset_seconds
        fitting = (series for series in self._series if _fits(series.labels, selector))
        return [(each.labels, [s for s in each.samples if until - span < s[0] <= until]) for each in fitting]

    def _instant(self, selector: Selector) -> Vector:
        found = []
        for labels, samples in self._selected(selector, LOOK_BACK_SECONDS):
            newest = samples[-1][1] if samples else STALE
            if newest is not STALE:
                found.append(Sample(labels, newest))
        return found

    def _called(self, call: Call) -> Vector:
        if call.function == "absent":
            return _absent(call.arguments[0], self._vector(call.arguments[0]))
        if call.function == "histogram_quantile":
            quantile, buckets = call.arguments
            wanted = self.value(quantile)
            assert isinstance(wanted, float)
            return _quantiles(wanted, self._vector(buckets))
        (selector,) = call.arguments
        assert isinstance(selector, Selector)
        span = selector.range_seconds
        if span is None or math.isnan(span):
            raise ValueError(f"the range of {selector.metric} is a variable of the dashboard: it has no value here")
        until = self._at - selector.offset_seconds
        found = []
        for labels, samples in self._selected(selector, span):
            numbers = [(when, value) for when, value in samples if value is not STALE]
            value = _over_time(call.function, numbers, until - span, until)
            if value is not None:
                found.append(Sample(_unnamed(labels), value))
        return found

    # -- operators -------------------------------------------------------------------------------------------------

    def _binary(self, tree: Binary) -> Vector | float:
        left, right = self.value(tree.left), self.value(tree.right)
        if isinstance(left, float | int) or isinstance(right, float | int):
            if tree.operator in SETS or tree.group_left is not None:
                raise ValueError(f"{tree.operator} is between vectors only")
            return _with_number(tree, left, right)
        if tree.operator in SETS:
            return _set(tree, left, right)
        return _matched(tree, left, right)


def _fits(labels: Labels, selector: Selector) -> bool:
    tests: dict[str, Callable[[str, str], bool]] = {
        "=": lambda has, wanted: has == wanted,
        "!=": lambda has, wanted: has != wanted,
        "=~": lambda has, wanted: re.fullmatch(wanted, has) is not None,
        "!~": lambda has, wanted: re.fullmatch(wanted, has) is None,
    }
    return labels[NAME] == selector.metric and all(
        tests[sign](labels.get(label, ""), wanted) for label, sign, wanted in selector.matchers
    )


def _unnamed(labels: Labels, without: Iterable[str] = ()) -> Labels:
    return {label: value for label, value in labels.items() if label != NAME and label not in set(without)}


# -- functions -----------------------------------------------------------------------------------------------------


def _over_time(function: str, samples: list[tuple[float, float]], begin: float, end: float) -> float | None:
    if function == "changes":
        pairs = pairwise(samples)
        return float(sum(before != after for (_, before), (_, after) in pairs)) if samples else None
    if len(samples) < 2:
        return None
    if function == "deriv":
        return _slope(samples)
    growth = _growth(samples, begin, end)
    return growth / (end - begin) if function == "rate" else growth


def _growth(samples: list[tuple[float, float]], begin: float, end: float) -> float:
    """``increase``: what a counter grew by, resets included, carried on to the edges of the range where the nearest
    sample is not much further from them than samples are from each other, and never back below zero."""
    (first_at, first), (last_at, last) = samples[0], samples[-1]
    pairs = pairwise(samples)
    growth = last - first + sum(before for (_, before), (_, after) in pairs if after < before)
    covered = last_at - first_at
    between = covered / (len(samples) - 1)
    to_begin, to_end = (edge if edge < 1.1 * between else between / 2 for edge in (first_at - begin, end - last_at))
    if growth > 0 and first >= 0:
        to_begin = min(to_begin, covered * first / growth)
    return growth * (covered + to_begin + to_end) / covered


def _slope(samples: list[tuple[float, float]]) -> float:
    """``deriv``: by least squares."""
    times = [when - samples[0][0] for when, _ in samples]
    values = [value for _, value in samples]
    if len(set(values)) == 1:
        return 0.0
    mean_time, mean_value = math.fsum(times) / len(times), math.fsum(values) / len(values)
    apart = [time - mean_time for time in times]
    together = math.fsum(a * (value - mean_value) for a, value in zip(apart, values, strict=True))
    return together / math.fsum(a * a for a in apart)


def _absent(argument: Expression, found: Vector) -> Vector:
    if found:
        return []
    equal = [m for m in argument.matchers if m[1] == "="] if isinstance(argument, Selector) else []
    return [Sample({label: value for label, _, value in equal}, 1.0)]


def _quantiles(wanted: float, found: Vector) -> Vector:
    grouped: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for sample in found:
        if "le" in sample.labels:
            key = frozenset(_unnamed(sample.labels, ["le"]).items())
            grouped.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
    return [Sample(dict(key), _quantile(wanted, sorted(buckets))) for key, buckets in grouped.items()]


def _quantile(wanted: float, buckets: list[tuple[float, float]]) -> float:
    """Buckets are (upper bound, how many up to it); within one, values are taken to lie evenly."""
    total = buckets[-1][1]
    if not 0 <= wanted <= 1 or buckets[-1][0] != math.inf:
        raise ValueError("histogram_quantile is known for 0 to 1 and a bucket +Inf only")
    if len(buckets) < 2 or not total > 0:
        return math.nan
    rank = wanted * total
    place = next((number for number, (_, count) in enumerate(buckets[:-1]) if count >= rank), len(buckets) - 1)
    if place == len(buckets) - 1:
        return buckets[-2][0]
    bound, count = buckets[place]
    if place == 0 and bound <= 0:
        return bound
    below, before = buckets[place - 1] if place else (0.0, 0.0)
    return below + (bound - below) * (rank - before) / (count - before)


def _aggregated(tree: Aggregation, found: Vector) -> Vector:
    how: dict[str, Callable[[list[float]], float]] = {"sum": math.fsum, "min": min, "max": max}
    groups: dict[frozenset[tuple[str, str]], list[float]] = {}
    for sample in found:
        key = frozenset((label, value) for label, value in sample.labels.items() if label in tree.by)
        groups.setdefault(key, []).append(sample.value)
    return [Sample(dict(key), how[tree.operator](values)) for key, values in groups.items()]


# -- operators -----------------------------------------------------------------------------------------------------

_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else math.nan if not left else math.copysign(math.inf, left),
}
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def _with_number(tree: Binary, left: Vector | float, right: Vector | float) -> Vector | float:
    if isinstance(left, float | int) and isinstance(right, float | int):
        if tree.operator in COMPARISONS and not tree.returns_bool:
            raise ValueError("a comparison of two numbers needs bool")
        value = _applied(tree, left, right, kept=0.0)
        assert value is not None
        return value
    found = []
    for sample in left if isinstance(left, list) else right if isinstance(right, list) else []:
        a = sample.value if isinstance(left, list) else left
        b = sample.value if isinstance(right, list) else right
        assert isinstance(a, float | int)
        assert isinstance(b, float | int)
        value = _applied(tree, a, b, kept=sample.value)
        if value is not None:
            found.append(Sample(_named_as(tree, sample.labels), value))
    return found


def _applied(tree: Binary, left: float, right: float, *, kept: float) -> float | None:
    """None where a comparison does not hold; where it does, the value that is ``kept``."""
    if tree.operator in _ARITHMETIC:
        return _ARITHMETIC[tree.operator](left, right)
    holds = _COMPARED[tree.operator](left, right)
    if tree.returns_bool:
        return float(holds)
    return kept if holds else None


def _named_as(tree: Binary, labels: Labels) -> Labels:
    """Filters leave a series its name, all else makes another of it."""
    return labels if tree.operator in COMPARISONS and not tree.returns_bool else _unnamed(labels)


def _signature(tree: Binary, sample: Sample) -> frozenset[tuple[str, str]]:
    if tree.on:
        return frozenset((label, value) for label, value in sample.labels.items() if label in tree.labels)
    return frozenset(_unnamed(sample.labels, tree.labels).items())


def _set(tree: Binary, left: Vector, right: Vector) -> Vector:
    on_right = {_signature(tree, sample) for sample in right}
    if tree.operator == "or":
        on_left = {_signature(tree, sample) for sample in left}
        return left + [sample for sample in right if _signature(tree, sample) not in on_left]
    return [sample for sample in left if (_signature(tree, sample) in on_right) == (tree.operator == "and")]


def _matched(tree: Binary, left: Vector, right: Vector) -> Vector:
    """One to one, or with ``group_left`` many to one."""
    others: dict[frozenset[tuple[str, str]], Sample] = {}
    for sample in right:
        if others.setdefault(_signature(tree, sample), sample) is not sample:
            raise ValueError(f"{tree.operator}: several series of the right side have the same labels")
    found, taken = [], set()
    for sample in left:
        signature = _signature(tree, sample)
        if signature not in others:
            continue
        if tree.group_left is None and signature in taken:
            raise ValueError(f"{tree.operator}: several series of the left side have the same labels")
        taken.add(signature)
        other = others[signature]
        value = _applied(tree, sample.value, other.value, kept=sample.value)
        if value is not None:
            found.append(Sample(_matched_labels(tree, sample, other), value))
    if len({sample.key for sample in found}) < len(found):
        raise ValueError(f"{tree.operator}: several series of the result have the same labels")
    return found


def _matched_labels(tree: Binary, left: Sample, right: Sample) -> Labels:
    labels = _named_as(tree, left.labels)
    if tree.group_left is not None:
        taken = {label: right.labels.get(label, "") for label in tree.group_left}
        return {label: value for label, value in (dict(labels) | taken).items() if value}
    if tree.on:
        return {label: value for label, value in labels.items() if label in tree.labels}
    return {label: value for label, value in labels.items() if label not in tree.labels}
