"""What is the same incident in two backtests, what is different of it, and the figures of one."""

from typing import Any

from pipeline.records import US
from pipeline.replay.backtest import compare
from pipeline.replay.tales import Tale


def tale(name: str, onset: int, end: int | None = None, signals: str = "a", **other: Any) -> Tale:
    """One that was told 10 s after its onset; times in seconds."""
    found = {one: f"{one} of service:x" for one in signals}
    told = {"severity": "error", "signals": found, "state": "open" if end is None else "resolved"} | other
    ended_us = None if end is None else end * US
    return Tale(name, "default", onset * US, (onset + 10) * US, ended_us, **told)


def test_the_same_incident_is_the_same_and_what_differs_is_said() -> None:
    pairs = compare([tale("i", 0, 60)], [tale("i", 0, 60)])
    assert [(pair.what, pair.differences) for pair in pairs] == [("same", ())]
    other = tale("i", 0, 90, "ab", severity="warning", cause="service:db")
    (pair,) = compare([tale("i", 0, 60)], [other])
    assert pair.what == "changed"
    assert pair.differences == (
        "end 1970-01-01T00:01:00Z → 1970-01-01T00:01:30Z",
        "severity error → warning",
        "first cause none → service:db",
        "with b of service:x",
    )


def test_incidents_of_other_ids_are_one_where_they_share_a_signal_and_some_time() -> None:
    a = [tale("a1", 0, 60), tale("a2", 1000, 1060, "cd"), tale("a3", 5000, 5060)]
    b = [tale("b1", 20, 80), tale("b2", 1010, 1060, "c"), tale("b2x", 1020, 1060, "cd"), tale("b3", 6000)]
    found = [(pair.what, pair.a and pair.a.id, pair.b and pair.b.id) for pair in compare(a, b)]
    assert found == [
        ("changed", "a1", "b1"),
        ("changed", "a2", "b2x"),  # most in common
        ("only_b", None, "b2"),
        ("only_a", "a3", None),
        ("only_b", None, "b3"),
    ]


def test_incidents_of_other_scopes_or_signals_are_never_the_same() -> None:
    other = tale("b", 0, 60)
    other.scope = "staging"
    assert {pair.what for pair in compare([tale("a", 0, 60)], [other])} == {"only_a", "only_b"}
    assert {pair.what for pair in compare([tale("a", 0)], [tale("b", 0, None, "z")])} == {"only_a", "only_b"}


def test_an_incident_is_compared_once_whatever_the_order() -> None:
    a, b = [tale("a", 0, 60), tale("b", 10, 60)], [tale("c", 5, 60)]
    forward, back = compare(a, b), compare(b, a)
    assert [pair.what for pair in forward] == ["changed", "only_a"]
    assert [pair.what for pair in back] == ["changed", "only_b"]
    assert compare(list(reversed(a)), b) == forward
