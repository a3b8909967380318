"""How severe an incident is, and why."""

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import pytest

from pipeline.incidents import obeying
from pipeline.incidents.grouping import Grouping
from pipeline.incidents.severity import SEVERITIES, Facts, Standing, judge
from pipeline.policies.orders import Order
from pipeline.records import US
from tests.incidents.suffering import Calls, T, failing, full, impact, orders, slow, weighed


@pytest.mark.parametrize(
    ("facts", "severity"),
    [
        (Facts(5.0, 1), "warning"),
        (Facts(7.9, 2), "warning"),
        (Facts(8.0, 1), "error"),
        (Facts(20.0, 1), "error"),  # certain to be unusual, and nobody is known to feel it
        (Facts(20.0, 4), "error"),
        (Facts(12.0, 5), "critical"),
        (Facts(11.9, 50), "error"),
        (Facts(6.0, 3), "error"),
        (Facts(5.9, 3), "warning"),
        (Facts(4.0, 1, burn=6.0), "error"),
        (Facts(4.0, 1, burn=5.9), "warning"),
        (Facts(20.0, 1, burn=900.0), "error"),
        (Facts(4.0, 1, users=("service:web",)), "error"),
        (Facts(6.0, 1, users=("service:web",)), "error"),
        (Facts(6.0, 1, users=("service:web",), burn=14.4), "critical"),
        (Facts(5.9, 1, users=("service:web",), burn=14.4), "error"),
        (Facts(6.0, 3, users=("service:web",)), "critical"),
        (Facts(6.0, 1, business=("shop.orders",), missing=0.1), "critical"),
        (Facts(6.0, 1, business=("shop.orders",), missing=0.09), "error"),
    ],
)
def test_the_rule(facts: Facts, severity: str) -> None:
    found = judge(facts)
    assert found.severity == severity
    assert found.reasons[0].startswith(f"{severity}, for ")


def test_more_of_anything_never_makes_it_less_severe() -> None:
    steps: dict[str, tuple[Any, ...]] = {
        "surprise": (1.0, 5.9, 6.0, 8.0, 12.0),
        "workloads": (1, 2, 3, 5),
        "burn": (0.0, 6.0, 14.4),
        "users": ((), ("a",)),
        "business": ((), ("b",)),
        "missing": (0.0, 0.1),
    }
    for values in product(*steps.values()):
        facts = Facts(**dict(zip(steps, values, strict=True)))
        for name, each in steps.items():
            for less, more in pairwise(each):
                if getattr(facts, name) == less:
                    assert judge(replace(facts, **{name: more})).rank >= judge(facts).rank


def test_it_says_why_in_words() -> None:
    found = weighed(failing("web", 0.12), failing("db", 0.2), orders(2, 10))
    assert found.standing == Standing(
        "critical",
        (
            "critical, for somebody feels it, p is below 1e-6, and an error budget burns 14.4 times too fast or more",
            "users feel it at service:web",
            "the business feels it: shop.orders, of which 80% is missing",
            "traces.operation.failed.share of service:db is at 20 %, 200 times what 99.9 % leave to fail",
            "3 workloads affected",
            "the most unlikely window has a surprise of 7 (p = 1e-7)",
        ),
    )


def test_hosts_without_roles_or_calls_are_errors_by_p_and_critical_when_much_is_hit() -> None:
    alone = Calls()
    assert weighed(full("a"), calls=alone).severity == "warning"
    assert weighed(full("a", surprise=30.0), calls=alone).severity == "error"
    assert weighed(*(full(name, surprise=13.0) for name in "abcde"), calls=alone).severity == "critical"


def test_it_never_goes_down_while_the_members_stay() -> None:
    found = weighed(failing("web", 0.12))
    assert found.severity == "critical"
    reasons = found.standing.reasons
    (member,) = found.members.values()
    found.join(replace(member, anomaly=failing("web", 0.12, excess=0.0, end_us=T + 600 * US, step_us=T + 600 * US)))
    impact().weigh(found)
    assert (found.severity, found.standing.reasons) == ("critical", reasons)


def test_of_what_is_as_severe_the_newest_reasons_are_told() -> None:
    found = weighed(failing("web", 0.12))
    (member,) = found.members.values()
    found.join(replace(member, anomaly=failing("web", 0.5)))
    impact().weigh(found)
    assert "is at 50 %" in found.standing.reasons[2]


def test_after_a_split_both_parts_are_judged_anew() -> None:
    grouping = Grouping(60 * US, 30 * US, impact=impact())
    now_us = T + 30 * US
    bad, mild = failing("web", 0.12), slow("db", surprise=4.0)
    (told,) = grouping.step([bad, mild], now_us)
    assert (told.severity, told.severity_reasons[1]) == ("critical", "users feel it at service:web")
    order = Order("o1", "split", told.id, "ann", now_us, members=(bad.id,))
    rest, part = obeying.obey(order, grouping, now_us)
    assert (part.severity, rest.severity) == ("critical", "warning")
    assert {part.severity, rest.severity} <= set(SEVERITIES)


def test_a_higher_severity_is_news() -> None:
    grouping = Grouping(60 * US, 30 * US, impact=impact())
    (told,) = grouping.step([failing("web", 0.002, surprise=4.0)], T + 30 * US)
    assert told.severity == "error"
    assert told.burn_rate == pytest.approx(2.0)
    worse = failing("web", 0.2, surprise=8.0, revision=2, transition="updated", step_us=T + 60 * US)
    (told,) = grouping.step([worse], T + 60 * US)
    assert (told.transition, told.severity) == ("updated", "critical")
    assert grouping.step([replace(worse, revision=3)], T + 70 * US) == []
