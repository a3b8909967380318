"""The reader of PromQL finds what a query asks for and refuses what it does not know."""

import pytest

from tests.deploy.promql import Use, uses


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


@pytest.mark.parametrize(
    "expression", ["sum(x) by (a)", "sum(x", "x)", "no_such_function(x)", "rate(x[5m]) ^ 2", "x{a='b'}"]
)
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        uses(expression)
