"""``calmstream incidents show|ack|resolve|reopen|merge|split``: what a person asks for, and what is written."""

import json

import pytest

from pipeline.policies.orders import Order
from pipeline.records import NO_TIME
from pipeline.streams.embedded import EmbeddedBroker
from tests.cli.said import ONSET, Desk, incident, member

CART, PAY, DB = "service:shop/cart", "service:shop/pay", "service:shop/db"


@pytest.fixture
def desk(embedded_broker: EmbeddedBroker, topic_prefix: str) -> Desk:
    found = Desk(
        {
            "CALMSTREAM_BROKER__BOOTSTRAP": embedded_broker.bootstrap,
            "CALMSTREAM_TOPIC_PREFIX": topic_prefix,
            "CALMSTREAM_TOPICS__PARTITIONS": "2",
        }
    )
    found.done("topics", "create")
    found.tell(
        incident("inc-1", member("a1", CART, 1), member("a2", PAY, 2)),
        incident("inc-2", member("a3", DB, 3)),
        incident("inc-3", member("a4", DB, 3), state="resolved"),
        incident("inc-4", member("a5", DB, 3), scope="staging"),
        incident("inc-5", member("a6", DB, 3), state="merged"),
        incident("inc-6", member("a7", DB, 3), state="withdrawn"),
    )
    return found


def only(desk: Desk) -> Order:
    (order,) = desk.whats()
    assert isinstance(order, Order)
    return order


def test_an_incident_is_acknowledged(desk: Desk) -> None:
    done = desk.done("incidents", "ack", "inc-1", "--comment", "on it", "--author", "ann")
    assert done.startswith("ordered  ack  inc-1  as soon as it is heard")
    order = only(desk)
    assert (order.action, order.incident, order.author, order.comment) == ("ack", "inc-1", "ann", "on it")
    assert order.effective_us == NO_TIME


def test_an_incident_is_resolved_with_a_reason(desk: Desk) -> None:
    desk.done("incidents", "resolve", "inc-1", "--reason", "false_alarm", "--at", "+1h", "--author", "ann")
    order = only(desk)
    assert (order.action, order.reason) == ("resolve", "false_alarm")
    assert order.effective_us >= order.created_us


def test_an_incident_that_was_resolved_is_reopened_and_no_other(desk: Desk) -> None:
    assert "inc-1 is open: there is nothing to reopen" in desk.refused(1, "incidents", "reopen", "inc-1")
    assert "inc-5 is merged; only what is resolved is reopened" in desk.refused(1, "incidents", "reopen", "inc-5")
    assert "inc-6 is withdrawn; only what is resolved is reopened" in desk.refused(1, "incidents", "reopen", "inc-6")
    desk.done("incidents", "reopen", "inc-3")
    assert (only(desk).action, only(desk).incident) == ("reopen", "inc-3")


def test_one_incident_is_merged_into_another_one_after_both_were_shown(desk: Desk) -> None:
    merge = ("incidents", "merge", "inc-2", "--into", "inc-1")
    shown = desk.done(*merge, "--dry-run")
    assert "merges  inc-2 (trouble of inc-2), 1 member," in shown
    assert "into    inc-1 (trouble of inc-1)" in shown
    assert desk.run(*merge, sent=b"n\n").returncode == 1
    assert desk.whats() == []
    desk.done(*merge, "--yes")
    assert (only(desk).action, only(desk).incident, only(desk).into) == ("merge", "inc-2", "inc-1")


def test_members_are_split_out_by_anomaly_or_signal(desk: Desk) -> None:
    shown = desk.done("incidents", "split", "inc-1", "-m", f"{2:016x}", "--yes")
    assert "splits out  a2  latency of service:shop/pay" in shown
    assert only(desk).members == ("a2",)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ack", "inc-9"), 1, "No incident has the id inc-9; calmstream incidents lists them."),
        (("ack", "inc-3"), 1, "inc-3 is resolved already"),
        (("resolve", "inc-5", "--reason", "fixed"), 1, "inc-5 is merged already"),
        (("ack", "inc-6"), 1, "inc-6 is withdrawn already"),
        (
            ("resolve", "inc-1", "--reason", "tired"),
            2,
            "use fixed, expected, false_alarm, new_normal, duplicate or oth",
        ),
        (("resolve", "inc-1", "--reason", "other"), 2, "with the reason other say what it was"),
        (("merge", "inc-1", "--into", "inc-1", "--yes"), 2, "into is the incident itself; name another one"),
        (("merge", "inc-1", "--into", "inc-9", "--yes"), 1, "No incident has the id inc-9"),
        (("merge", "inc-1", "--into", "inc-3", "--yes"), 1, "inc-3 is resolved already"),
        (("merge", "inc-1", "--into", "inc-4", "--yes"), 1, "inc-1 is of scope production, inc-4 of staging"),
        (("split", "inc-1", "-m", "a9", "--yes"), 1, "inc-1 has no member a9; calmstream incidents show inc-1 lists"),
        (("split", "inc-1", "-m", "a1", "-m", "a2", "--yes"), 1, "that is all of inc-1; leave at least one member"),
        (("ack", "inc-1", "--at", "+9d"), 2, "effective_at is more than 7 days ahead"),
        (("ack", "inc/1"), 2, "incident is 'inc/1'; use letters, digits"),
        (("show", "inc-9"), 1, "No incident has the id inc-9"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_fit_is_said_and_nothing_is_written(
    desk: Desk, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert said in desk.refused(code, "incidents", *arguments)
    assert desk.whats() == []


def test_one_incident_is_shown_with_its_life_members_candidates_and_orders(desk: Desk) -> None:
    later = "2026-01-31T14:05:00.000000Z"
    candidates = [
        {"entity": PAY, "signal": "latency", "score": 0.91234, "evidence": ["first to deviate", "30 s before"]}
    ]
    changes = [{"change": "deployment 1.2", "score": 0.5, "why": "40 s before"}]
    lost = {"words": "about 340 orders fewer than expected since 14:00:00Z"}
    impacted = [
        {"entity": CART, "signal": "shop.orders", "role": "business", "felt": True, "why": "lives by it", "lost": lost},
        {"entity": PAY, "signal": None, "role": "users", "felt": False, "why": "it depends on cart", "lost": None},
    ]
    desk.tell(
        incident("inc-1", member("a1", CART, 1), member("a2", PAY, 2), revision=2, transition="updated",
                 updated_time=later, root_cause_candidates=candidates, suspected_changes=changes, impacted=impacted,
                 severity_reasons=["error, for somebody feels it", "users feel it at \x1b[31m"])
    )  # fmt: skip
    desk.done("incidents", "ack", "inc-1", "--comment", "on it", "--author", "ann")
    desk.done("incidents", "merge", "inc-2", "--into", "inc-1", "--author", "bob", "--yes")
    desk.done("silence", "add", "service.name=cart", "--comment", "x", "--for", "2h", "--id", "s", "--yes")
    shown = desk.done("incidents", "show", "inc-1")
    for said in (
        "trouble of inc-1\ninc-1: open, error, scope production, since 2026-01-31T14:00:00Z",
        "silence/s is active and means 1 of 2 members",
        "2026-01-31T14:00:00Z  r1 opened, error, 2 members: latency{route=/pay} of service:shop/cart pod-1 joined",
        "2026-01-31T14:05:00Z  r2 updated, error, 2 members",
        "ack of inc-1 by ann: on it",
        "merge of inc-2 by bob: into inc-1",
        "2 members:\n  a1  latency{route=/pay} of service:shop/cart pod-1: 90 ms, expected 20 ms",
        "entity service:shop/pay, signal latency, score 0.9123, evidence first to deviate; 30 s before",
        "change deployment 1.2, score 0.5, why 40 s before",
        "why it is so severe:\n  error, for somebody feels it\n  users feel it at \\x1b[31m",
        "impacted:\n  business of service:shop/cart (shop.orders): lives by it; about 340 orders fewer than expected "
        "since 14:00:00Z\n  likely users of service:shop/pay: it depends on cart",
    ):
        assert said in shown
    found = json.loads(desk.done("incidents", "show", "inc-1", "--json"))
    assert [told["transition"] for told in found["life"]] == ["opened", "updated"]
    assert found["incident"]["revision"] == 2
    assert [form["action"] for form in found["orders"]] == ["ack", "merge"]
    assert found["held_back_by"] == [{"key": "silence/s", "members": 1}]


def test_the_list_stays_what_incidents_shows_by_itself(desk: Desk) -> None:
    listed = [json.loads(line) for line in desk.done("incidents", "--json").splitlines()]
    assert sorted(body["id"] for body in listed) == [f"inc-{number}" for number in range(1, 7)]
    still = [json.loads(line)["id"] for line in desk.done("incidents", "--open", "--json").splitlines()]
    assert sorted(still) == ["inc-1", "inc-2", "inc-4"]
    assert "options of show stand behind its name" in desk.refused(2, "incidents", "--json", "show", "inc-1")


def test_text_of_others_is_shown_and_never_obeyed(desk: Desk) -> None:
    evil = "[red]x[/red]\x1b[31m\u202e\r\nforged"
    signal = member("a7", CART, 1)
    signal["signal"] |= {"name": evil, "workload": evil}
    desk.tell(incident("inc-7", signal, member("a8", PAY, 2), title=evil, scope=evil, affected=[evil],
                       root_cause_candidates=[{evil: evil}], changes=[{evil: evil}], updated_time=ONSET))  # fmt: skip
    desk.done("incidents", "ack", "inc-7", "--comment", evil, "--author", evil)
    shown = desk.done("incidents", "show", "inc-7") + desk.done("incidents", "split", "inc-7", "-m", "a7", "--yes")
    assert not {"\x1b", "\r", "\u202e"} & set(shown)
    assert shown.count("[red]x[/red]\\x1b[31m\\u202e") >= 6
