"""The title: one sentence that is true."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.incidents.open_incident import worst_first
from pipeline.incidents.sentence import MOST, Story, title
from pipeline.records import US, Anomaly, Candidate, Change, Happened, Kind
from tests.incidents.suffering import ROLES, T, failing, full, impact, incident, of, orders, signal, slow


def said(*anomalies: Anomaly, now: float = 30, **more: Any) -> str:
    suffering = impact().of(incident(*anomalies), (), T + round(now * US), 60 * US)
    members = sorted(anomalies, key=worst_first)
    workloads = len({one.signal.workload for one in anomalies})
    return title(Story(T, members, workloads, suffering.impacted, **more), ROLES)


def cause(workload: str, label: str) -> Candidate:
    return Candidate(f"service:{workload}", label, 1.0)


def deployed(workload: str, seconds: float, **more: Any) -> Happened:
    change = Change("c1", T - round(seconds * US), more.pop("kind", "deployment"), "finished", (), "x", **more)
    return Happened(change, "prod", f"service:{workload}")


def test_one_signal() -> None:
    assert said(full("db")) == "connections.used of db rose to 100 % (expected 40 %) since 12:03:20Z"
    assert said(full("db", 3.0)) == "connections.used of db fell to 3 % (expected 40 %) since 12:03:20Z"


def test_everything() -> None:
    found = said(
        failing("web", 0.12), failing("cart", 0.1), full("db"), orders(2, 10, seconds=42.5),
        causes=[cause("db", "connections.used")], changes=[deployed("db", 40, version="2.1")],
    )  # fmt: skip
    assert found == (
        "web fails 12 % of requests (expected 0.1 %) since 12:03:20Z; it likely starts in db (connections.used 100 %); "
        "4 workloads are affected, users feel it; about 340 orders fewer than expected"
    )


def test_what_just_changed_there() -> None:
    causes = [cause("db", "connections.used")]
    for change, words in (
        (deployed("db", 40, version="2.1"), "; db 2.1 was deployed 40 s before"),
        (deployed("db", 40, kind="scaling", version="3"), "; db was scaled to 3 40 s before"),
        (deployed("db", 40, kind="other"), "; db was changed 40 s before"),
        (deployed("mail", 40), ""),
        (deployed("db", 601), ""),
        (deployed("db", -1), ""),
    ):
        found = said(full("db"), causes=causes, changes=[change])
        assert found == f"connections.used of db rose to 100 % (expected 40 %) since 12:03:20Z{words}"


def test_where_it_starts_is_said_once() -> None:
    assert "starts" not in said(slow("web"), causes=[cause("web", "x")])
    assert "; it likely starts there; 2 work" in said(slow("web"), slow("db"), causes=[cause("web", "x")])
    assert "; it likely starts in db (x); 2 work" in said(slow("web"), slow("db"), causes=[cause("db", "x")])


def test_it_counts_what_there_is() -> None:
    assert said(full("db"), slow("db")).endswith("; 2 signals are unusual")
    assert said(full("db"), slow("cart")).endswith("; 2 workloads are affected")
    assert said(slow("web")).endswith("; users feel it")


def test_losses_of_one_thing_are_one_number() -> None:
    parts = [
        of(signal("shop", "shop.orders", "{order}/s", Kind.COUNTER, attributes=(("region", name),)), 2, 10, id=name)
        for name in ("eu", "us")
    ]
    assert said(*parts).endswith("; about 480 orders fewer than expected")


def test_failed_requests() -> None:
    load = of(signal("web", "traces.operation.duration.rate", "1/s"), 50.0, 100.0)
    assert said(failing("web", 0.201), load).endswith("; about 300 requests failed beyond the usual")


@pytest.mark.parametrize(
    ("anomaly", "words"),
    [
        (slow("db", end_us=T + 90 * US), " rose to 2 s (expected 0.2 s) from 12:03:20Z to 12:04:50Z"),
        (full("db", silent=True, excess=None), "db sends no connections.used since 12:03:20Z"),
        (full("db", silent=True, end_us=T + US), "db sent no connections.used from 12:03:20Z to 12:03:21Z"),
        (full("db", 40.0), "connections.used of db is unlike usual (higher than usual) since 12:03:20Z"),
        (of(signal("db", "calm.entity", ""), 9.0, 3.0), "the signals of db together are far from usual since"),
        (
            of(signal("db", "events", "", Kind.COUNT, attributes=(("event.type", "alert.HighLatency"),)), 1.0, 0.0),
            "alerts HighLatency come for db since 12:03:20Z",
        ),
        (
            of(signal("web", "traces.call.failed.share", "1", attributes=(("peer", "a:b/pay"),)), 0.5, 0.001),
            "web fails 50 % of calls to pay (expected 0.1 %) since 12:03:20Z; users feel it",
        ),
        (of(signal("db", "error.rate", "1"), 0.5, 0.01), "error.rate of db rose to 50 % (expected 1 %) since"),
        (full("db", signal=signal("db", "x", "%", instance="pod-1")), "x of db (pod-1) rose to 100 % (expected 40 %)"),
    ],
)  # fmt: skip
def test_what_is_broken_is_said_as_it_is(anomaly: Anomaly, words: str) -> None:
    assert words in said(anomaly)


TEXT = st.text(max_size=300)


@given(TEXT, TEXT, TEXT, st.floats(), st.floats(allow_nan=False), st.integers(1, 5))
def test_whatever_the_names_it_is_never_empty_nor_too_long(
    name: str, workload: str, unit: str, value: float, expected: float, count: int
) -> None:
    named = signal(workload, name, unit, attributes=(("a", workload), ("peer", name)), instance=name)
    members = [of(named, value, expected, id=f"a{number}", excess=None) for number in range(count)]
    causes, changes = [cause(workload, name)], [deployed(workload, 5, version=name)]
    found = said(*members, causes=causes, changes=changes)
    assert 0 < len(found) <= MOST
