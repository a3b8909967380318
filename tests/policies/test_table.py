"""Which policy a signal gets: precedence, versions, owners, and that remembering changes nothing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.policies import DetectorPolicy, Policy, PolicyError, PolicyTable
from pipeline.policies.matcher import Matcher, parse
from pipeline.records import Kind, Signal

SIGNAL = Signal(255, "cart.latency", "ms", Kind.GAUGE, "prod", "deployment:shop/cart", "pod-1", (("owner", "pay"),))


def policy(name: str, *match: str, priority: int = 0, **changes: Any) -> Policy:
    matchers = [parse(text) for text in match]
    assert all(isinstance(matcher, Matcher) for matcher in matchers)
    return Policy(name, tuple(matchers), changes, priority)  # type: ignore[arg-type]


def test_a_signal_that_no_policy_means_has_the_base() -> None:
    table = PolicyTable(DetectorPolicy(direction="up"), (policy("cart", "service.name=pay", direction="down"),))
    found = table.resolve(SIGNAL)
    assert found.policy == table.base
    assert found.version == table.base_version
    assert (found.owner, found.owner_budget) == ("pay", None)


def test_all_that_match_apply_in_order_of_priority_and_name_and_later_ones_win() -> None:
    table = PolicyTable(
        policies=(
            policy("b", "name=~.*latency", direction="down", min_relative=0.3),
            policy("a", "service.name=cart", direction="up", min_absolute=7),
            policy("override", "id=00000000000000ff", priority=10, min_absolute=9),
            policy("z", "unit=s", direction="both", min_history_windows=99),
        )
    )
    found = table.resolve(SIGNAL).policy
    assert (found.direction, found.min_relative, found.min_absolute) == ("down", 0.3, 9)
    assert found.min_history_windows == DetectorPolicy().min_history_windows
    names = [version.partition("@")[0] for version in table.resolve(SIGNAL).version.split("+")]
    assert names == ["override", "b", "a", "default"]
    assert table.resolve(replace(SIGNAL, id=254)).policy.min_absolute == 7


def test_versions_name_the_content_and_nothing_else() -> None:
    first = policy("cart", "service.name=cart", alert_budget=1)
    assert policy("cart", "service.name=cart", alert_budget=1.0).version == first.version
    assert replace(first, effective_us=5).version == first.version
    others = {
        policy("cart", "service.name=cart", alert_budget=2).version,
        policy("cart", "service.name=pay", alert_budget=1).version,
        policy("cart", "service.name=cart", alert_budget=1, priority=1).version,
        policy("pay", "service.name=cart", alert_budget=1).version,
    }
    assert len(others | {first.version}) == 5
    second = policy("x", "unit=ms", direction="up")
    assert PolicyTable(policies=(first, second)).version == PolicyTable(policies=(second, first)).version
    assert PolicyTable(policies=(first,)).version != PolicyTable().version
    assert PolicyTable(DetectorPolicy(min_relative=1)).version != PolicyTable().version


def test_a_budget_of_a_policy_that_names_the_owner_is_for_the_owner_as_a_whole() -> None:
    for written in ("owner=pay", "owner!=shop", "owner=~.+"):
        found = PolicyTable(policies=(policy("team", written, alert_budget=3, direction="up"),)).resolve(SIGNAL)
        assert (found.owner, found.owner_budget) == ("pay", 3.0)
        assert found.policy == DetectorPolicy(direction="up")  # each signal keeps its own budget


def test_the_last_budget_for_an_owner_wins_and_a_fixed_threshold_may_stand_beside_it() -> None:
    table = PolicyTable(
        policies=(
            policy("a", "owner=~.+", alert_budget=3, threshold_surprise=6),
            policy("b", "owner=pay", alert_budget=7),
            policy("c", "unit=ms", direction="up"),
        )
    )
    assert table.resolve(SIGNAL).owner_budget == 7
    assert table.resolve(SIGNAL).policy.threshold_surprise == 6


def test_a_signal_without_an_owner_has_no_budget_of_an_owner() -> None:
    table = PolicyTable(policies=(policy("team", "owner!=shop", alert_budget=3),))
    found = table.resolve(replace(SIGNAL, attributes=()))
    assert (found.owner, found.owner_budget) == (None, None)


def test_signals_that_no_matcher_tells_apart_share_one_answer() -> None:
    table = PolicyTable(
        policies=(policy("a", "id=00000000000000ff", direction="up"), policy("b", "unit=~m.*", direction="up"))
    )
    found = {id(table.resolve(replace(SIGNAL, id=number, instance=f"pod-{number}"))) for number in range(1000)}
    assert len(found) == 2


def test_a_table_refuses_two_policies_of_one_name() -> None:
    with pytest.raises(PolicyError, match="'a' is given twice; every policy needs a name of its own"):
        PolicyTable(policies=(policy("a", "unit=s", direction="up"), policy("a", "unit=ms", direction="up")))


@pytest.mark.parametrize("name", ["", "a b", "default", "-a", "a/b", "x" * 101, None])
def test_a_name_must_fit_into_keys_and_versions(name: Any) -> None:
    with pytest.raises(PolicyError, match=r"name is .*; use letters, digits, "):
        Policy(name, (), {"direction": "up"})


def test_a_policy_that_changes_nothing_is_refused() -> None:
    with pytest.raises(PolicyError, match="detection is empty; name what is to be different"):
        Policy("a", (), {})


VALUES = st.sampled_from(["", "a", "b", "ab"])
MATCHERS = st.builds(
    Matcher,
    st.sampled_from(["name", "unit", "owner", "x", "service.name", "k8s.namespace.name", "instance"]),
    st.sampled_from(["=", "!=", "=~"]),
    VALUES | st.just("a.*"),
)
SIGNALS = st.builds(
    Signal,
    st.integers(0, 3),
    VALUES,
    VALUES,
    st.sampled_from([Kind.GAUGE, Kind.COUNTER]),
    VALUES,
    st.builds("{}:{}/{}".format, st.sampled_from(["service", "deployment", "host"]), VALUES, VALUES),
    VALUES,
    st.dictionaries(st.sampled_from(["owner", "x"]), VALUES).map(lambda found: tuple(sorted(found.items()))),
)


@given(st.lists(st.lists(MATCHERS, max_size=3), max_size=5), st.lists(SIGNALS, min_size=1, max_size=20))
def test_what_is_remembered_is_what_would_be_found_anew(matches: list[list[Matcher]], signals: list[Signal]) -> None:
    policies = tuple(
        Policy(f"p{i}", tuple(match), {"alert_budget": i + 1.0, "min_relative": i + 1.0}, priority=-i)
        for i, match in enumerate(matches)
    )
    table = PolicyTable(policies=policies)
    for signal in [*signals, *signals]:
        assert table.resolve(signal) == PolicyTable(policies=policies).resolve(signal)
