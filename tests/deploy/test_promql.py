"""The reader of PromQL finds what a query asks for and refuses what it does not know."""

import pytest

from tests.deploy.promql import Binary, Call, Selector, Use, parse, uses


def test_a_bare_metric_is_found() -> None:
    assert uses("calmstream_ready == 0") == [Use("calmstream_ready", {}, (), ())]


def test_matchers_aggregations_and_functions_around_a_metric_are_found() -> None:
    expression = 'histogram_quantile(0.9, sum by (le, role) (rate(x_bucket{role="score",a!~"b|c"}[$__rate_interval])))'
    kept = (frozenset({"le", "role"}),)
    functions = ("histogram_quantile", "sum", "rate")
    assert uses(expression) == [Use("x_bucket", {"role": "score", "a": "b|c"}, kept, functions)]
    assert uses(expression)[0].labels == {"le", "role", "a"}


def test_both_sides_of_an_operator_are_found() -> None:
    expression = "sum by (a) (x) > on () group_left () 0.01 * sum(rate(y[5m])) unless z offset 15m or time() - w"
    assert [use.metric for use in uses(expression)] == ["x", "y", "z", "w"]
    assert [use.kept for use in uses(expression)] == [(frozenset("a"),), (frozenset(),), (), ()]


def test_what_binds_tighter_is_read_first_and_equals_from_the_left() -> None:
    assert parse("1 - 2 - 3 * 4") == parse("(1 - 2) - (3 * 4)")
    assert parse("a or b and c > d + 1") == parse("a or (b and (c > (d + 1)))")
    assert parse("a unless b and c") == parse("(a unless b) and c")


def test_ranges_offsets_and_matching_are_kept() -> None:
    assert parse('rate(x{a!="b"}[1h30m] offset 5m)') == Call(
        "rate", (Selector("x", (("a", "!=", "b"),), range_seconds=5400.0, offset_seconds=300.0),)
    )
    tree = parse("x == bool ignoring (a) group_left (b) y")
    assert tree == Binary("==", Selector("x"), Selector("y"), True, False, frozenset("a"), frozenset("b"))


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("sum(x) by (a)", r"write by \(…\) before"),
        ("sum without (a) (x)", "without"),
        ("sum(x", "missing"),
        ("x)", r"'\)'"),
        ("no_such_function(x)", "no_such_function is not known"),
        ("avg by (a) (x)", "avg is not known"),
        ("rate(x[5m]) ^ 2", r"\^"),
        ("x{a='b'}", "not understood"),
        ("rate(x)", r"rate takes \(range\)"),
        ("histogram_quantile(x, y)", r"takes \(scalar, vector\)"),
        ("rate(x[5m:1m])", ":"),
        ("x @ 100", "@"),
        ("x + group_right () y", "group_right"),
        ("x offset banana", "banana"),
        ("-x", "-"),
        ("", "missing at the end"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(expression: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        uses(expression)
