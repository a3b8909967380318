"""Who suffers from an incident, and what was lost."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.incidents.felt import Felt, burn_rate, failing_share
from pipeline.incidents.losses import amount_of, amount_words, lost_of
from pipeline.records import US, Anomaly, Impacted, Kind
from tests.incidents.suffering import (
    ROLES,
    SHOP,
    Calls,
    T,
    failing,
    full,
    impact,
    incident,
    of,
    orders,
    signal,
    slow,
    weighed,
)


def told(*anomalies: object, now: float = 30, calls: Calls = SHOP) -> list[tuple[str, str, bool]]:
    """Role, entity, and whether it is felt."""
    found = impact(calls).of(incident(*anomalies), (), T + round(now * US), 60 * US)  # type: ignore[arg-type]
    return [(each.role, each.entity.removeprefix("service:"), each.felt) for each in found.impacted]


def business(*anomalies: object, now: float) -> Impacted:
    (found,) = impact().of(incident(*anomalies), (), T + round(now * US), 60 * US).impacted  # type: ignore[arg-type]
    return found


def test_users_feel_it_at_workloads_that_nobody_calls_and_that_fail_or_are_slow() -> None:
    assert told(failing("db", 0.2), failing("web", 0.2)) == [("users", "web", True), ("users", "jobs", False)]
    assert told(slow("db"), slow("web")) == [("users", "web", True)]
    assert told(slow("cart"), full("web")) == []
    assert told(failing("db", 0.2), calls=Calls()) == []


def test_faster_or_failing_less_than_usual_hurts_nobody() -> None:
    assert told(slow("web", 0.1), failing("db", 0.0, 0.1)) == []


def test_users_may_suffer_where_an_entry_depends_on_what_fails_and_is_no_member() -> None:
    assert told(failing("db", 0.2)) == [("users", "jobs", False), ("users", "web", False)]
    (first, _) = impact().of(incident(failing("db", 0.2)), (), T, 0).impacted
    assert first.why == "it depends on service:db, which fails, and nobody else calls it"
    assert told(slow("db")) == []


def test_calls_in_circles_are_walked_once() -> None:
    circle = Calls((("service:a", "service:b"), ("service:b", "service:a"), ("service:web", "service:a")))
    assert told(failing("b", 0.2), calls=circle) == [("users", "web", False)]


def test_what_is_said_to_be_felt_by_users_needs_no_calls() -> None:
    assert told(of(signal("edge", "probe.seconds", "s"), 3.0, 0.3), calls=Calls()) == [("users", "edge", True)]


def test_the_business_suffers_where_less_comes_than_expected_or_nothing() -> None:
    assert told(orders(2, 10)) == [("business", "shop", True)]
    assert told(orders(20, 10)) == []
    assert told(orders(12, 3, silent=True, excess=None)) == [("business", "shop", True)]


def test_what_was_lost_is_the_sum_over_the_windows_that_were_counted_and_goes_on_as_it_was() -> None:
    lost = business(orders(2, 10, excess=-170.0), now=30).lost
    assert lost is not None
    assert (lost.amount, lost.unit, lost.more, lost.counted) == (170.0, "orders", False, 170.0)
    assert lost.words == "about 170 orders fewer than expected since 12:03:20Z"
    later = business(orders(2, 10, excess=-170.0), now=60).lost
    assert later is not None
    assert (later.amount, later.counted, later.until_us) == (340.0, 170.0, T + 60 * US)
    assert later.words == (
        "about 340 orders fewer than expected since 12:03:20Z (170 counted until 12:03:50Z, as many a second since)"
    )


def test_of_what_has_ended_only_what_was_counted_is_lost() -> None:
    over = orders(2, 10, excess=-170.0, end_us=T + 20 * US, transition="ended")
    lost = business(over, now=600).lost
    assert lost is not None
    assert (lost.amount, lost.until_us) == (170.0, T + 30 * US)


@pytest.mark.parametrize(
    ("unit", "kind", "amount"),
    [
        ("{order}/s", Kind.COUNTER, ("orders", 1.0)),
        ("1/s", Kind.DELTA, ("", 1.0)),
        ("EUR/min", Kind.GAUGE, ("EUR", 60.0)),
        ("{orders}/h", Kind.GAUGE, ("orders", 3600.0)),
        ("", Kind.COUNT, ("", 1.0)),
        ("1", Kind.GAUGE, None),
        ("ms", Kind.GAUGE, None),
        ("By/op", Kind.GAUGE, None),
    ],
)
def test_amounts_are_told_by_units_in_a_time(unit: str, kind: Kind, amount: object) -> None:
    assert amount_of(signal("a", "b", unit, kind)) == amount


def test_of_a_signal_without_amounts_nothing_is_said_to_be_lost() -> None:
    assert lost_of(full("db"), T) is None
    assert lost_of(orders(2, 10, excess=None), T) is None
    assert lost_of(orders(2, 10, excess=float("nan")), T) is None


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0.0, "0"), (0.034, "0.034"), (1, "1"), (9.99, "10"), (340.2, "340"), (1234, "1,200"), (98_765_432, "99,000,000")],
)
def test_estimates_have_two_digits(amount: float, words: str) -> None:
    assert amount_words(amount) == words


def test_failed_requests_are_counted_where_the_load_is_a_member() -> None:
    load = of(signal("web", "traces.operation.duration.rate", "1/s"), 50.0, 100.0)
    (users, *_) = impact().of(incident(failing("web", 0.201), load), (), T, 0).impacted
    assert users.lost is not None
    assert users.lost.amount == pytest.approx(0.2 * 30 * 50)
    assert users.lost.words == "about 300 failed requests more than expected since 12:03:20Z"
    (users, *_) = impact().of(incident(failing("web", 0.201)), (), T, 0).impacted
    assert users.lost is None
    errors = of(signal("web", "http.errors", "{error}/s", Kind.COUNTER), 5.0, 1.0)
    (users, *_) = impact().of(incident(errors), (), T, 0).impacted
    assert users.lost is not None
    assert (users.lost.amount, users.lost.unit, users.lost.more) == (120.0, "errors", True)


def test_the_business_of_another_incident_at_the_same_time_is_only_likely() -> None:
    here, there = incident(slow("web")), incident(orders(2, 10), id_="inc-2")
    found = impact().of(here, [here, there], T, 60 * US).impacted
    assert [(each.role, each.felt) for each in found] == [("users", True), ("business", False)]
    assert found[1].why == "worse than expected at the same time in this scope, in incident inc-2"
    long_ago = incident(orders(2, 10, onset_us=T - 61 * US), id_="inc-2")
    assert len(impact().of(here, [long_ago], T, 60 * US).impacted) == 1
    elsewhere = incident(orders(2, 10), id_="inc-2")
    elsewhere.scope = "staging"
    assert len(impact().of(here, [elsewhere], T, 60 * US).impacted) == 1


def test_a_burn_rate_is_how_many_times_too_fast_a_budget_goes_on_the_average() -> None:
    part = ROLES.of(failing("web", 0.02).signal)
    assert burn_rate(failing("web", 0.02), part) == pytest.approx(20.0)
    assert burn_rate(failing("web", 0.02, slo=99.0), part) == pytest.approx(2.0)
    assert burn_rate(failing("web", 0.5, excess=0.3), part) == pytest.approx(11.0)  # most windows were as usual
    assert burn_rate(failing("web", 0.02, excess=None), part) == pytest.approx(20.0)
    assert burn_rate(slow("web"), ROLES.of(slow("web").signal)) is None
    assert burn_rate(failing("web", 0.02, silent=True), part) is None


@pytest.mark.parametrize(
    ("name", "unit", "slo", "share"),
    [
        ("error.rate", "1", None, 0.02),
        ("errors", "%", None, 0.0002),
        ("error.ratio", "", None, 0.02),
        ("errors", "", None, None),
        ("errors", "{error}/s", None, None),
        ("http.server.request.duration.above", "1", None, None),
        ("http.server.request.duration.above", "1", 99.0, 0.02),
    ],
)
def test_a_share_of_failures_is_told_from_name_and_unit(
    name: str, unit: str, slo: float | None, share: float | None
) -> None:
    anomaly = of(signal("web", name, unit), 0.02, 0.001, slo=slo)
    assert failing_share(anomaly, ROLES.of(anomaly.signal)) == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_up_is_what_the_members_say(seed: int) -> None:
    draw = random.Random(seed)
    known = weighed(orders(2, 10))
    assert known.felt is not None
    for _ in range(60):
        makers: list[Callable[..., Anomaly]] = [failing, slow]
        made = draw.choice(makers)(draw.choice(["web", "cart", "db"]), draw.choice([0.0, 0.5, 3.0]))
        again = draw.choice([made, orders(draw.choice([2, 20]), 10), full("db")])
        joined = replace(next(iter(known.members.values())), anomaly=again)
        known.join(joined)
    anew = Felt(ROLES, known.members.values())
    assert (known.felt.burning, known.felt.hurting) == (anew.burning, anew.hurting)
    assert (known.felt.business, known.felt.users) == (anew.business, anew.users)
