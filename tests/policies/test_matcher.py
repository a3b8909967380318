"""Which signals a condition means, and what is refused."""

from dataclasses import replace

import pytest

from pipeline.policies.matcher import Containing, Matcher, matches_all, parse, value_of
from pipeline.records import Kind, Signal

SIGNAL = Signal(
    id=0xABC,
    name="http.server.request.duration",
    unit="s",
    kind=Kind.HISTOGRAM,
    scope="production",
    workload="service:shop/checkout",
    instance="pod-1",
    attributes=(("http.route", "/api/pay"), ("name", "shadowed")),
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("name=http.server.request.duration", True),
        ("name=http.server", False),
        ("name!=http.server", True),
        ("workload=service:shop/checkout", True),
        ("workload!=service:shop/checkout", False),
        ("http.route=~/api/.*", True),
        ("http.route=~/api", False),  # the whole value
        ("http.route =~ /api/pay|/api/cart", True),
        ("kind=histogram", True),
        ("id=0000000000000abc", True),
        ("name=shadowed", False),  # a field goes before an attribute
        ("http.status=", True),  # no such attribute
        ("http.status!=500", True),
        ("http.status=~.+", False),
        ("http.route=/api/pay?a=b", False),
        ("CHECKOUT", True),
        ("route=/api", True),
        ("prod", True),
        ("staging", False),
    ],
)
def test_a_condition_or_a_text_means_a_signal_or_not(text: str, meant: bool) -> None:
    matcher = Containing(text) if text == "route=/api" else parse(text)
    assert matcher.matches(SIGNAL) is meant


def test_a_condition_is_read_as_it_is_written() -> None:
    assert parse("http.route=~a=b") == Matcher("http.route", "=~", "a=b")
    assert parse("http.route=a!=b") == Matcher("http.route", "=", "a!=b")
    assert str(Matcher("unit", "!=", "ms")) == "unit!=ms"
    assert parse("some text") == Containing("some text")


def test_every_matcher_must_mean_the_signal() -> None:
    assert matches_all([], SIGNAL)
    assert matches_all([parse("unit=s"), parse("scope=production")], SIGNAL)
    assert not matches_all([parse("unit=s"), parse("scope=staging")], SIGNAL)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name!~x", "use name=value, name!=value or name=~regex"),
        ("name==x", "use name=value, name!=value or name=~regex"),
        ("name~=x", "use name=value, name!=value or name=~regex"),
        ("two words=x", "use name=value, name!=value or name=~regex"),
        ("=x", "matcher name is ''; name a field"),
        ("name=~(", "'\\(' in name=~\\( is not a regular expression: "),
        ("", "an empty text matches every signal"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_a_matcher_that_is_made_in_code_is_checked_too() -> None:
    with pytest.raises(ValueError, match="matcher operator is '>'; use =, != or =~"):
        Matcher("unit", ">", "3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="matcher name is 'a b'"):
        Matcher("a b", "=", "3")


def test_the_value_of_what_a_signal_does_not_have_is_empty() -> None:
    assert value_of(SIGNAL, "http.route") == "/api/pay"
    assert value_of(SIGNAL, "nothing") == ""


@pytest.mark.parametrize(
    ("workload", "values"),
    [
        ("service:shop/cart", {"service.name": "cart", "service.namespace": "shop", "k8s.namespace.name": ""}),
        ("service:cart", {"service.name": "cart", "service.namespace": ""}),
        (
            "deployment:shop/cart",
            {
                "service.name": "cart",
                "k8s.deployment.name": "cart",
                "k8s.namespace.name": "shop",
                "k8s.pod.name": "pod-1",
                "k8s.job.name": "",
                "service.namespace": "",
            },
        ),
        ("host:web-1", {"host.name": "web-1", "service.name": "", "k8s.pod.name": ""}),
        ("node:n1", {"k8s.node.name": "n1", "host.name": ""}),
        ("function:pay", {"faas.name": "pay", "service.name": "pay"}),
        ("unknown", {"service.name": "", "host.name": ""}),
    ],
)
def test_attributes_that_name_the_entity_are_read_from_its_workload(workload: str, values: dict[str, str]) -> None:
    signal = replace(SIGNAL, workload=workload)
    assert {name: value_of(signal, name) for name in values} == values


def test_an_attribute_of_the_signal_goes_before_what_its_workload_says() -> None:
    assert value_of(replace(SIGNAL, attributes=(("host.name", "x"),), workload="host:y"), "host.name") == "x"


@pytest.mark.parametrize("regex", ["(", "a{99999999999999999999}", "(" * 20_000], ids=lambda text: text[:9])
def test_whatever_is_no_regular_expression_is_refused_in_one_way(regex: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        Matcher("name", "=~", regex)


def test_a_condition_says_of_a_value_whether_it_is_meant() -> None:
    assert Matcher("severity", "=~", "warning|error").accepts("error")
    assert not Matcher("severity", "!=", "error").accepts("error")
