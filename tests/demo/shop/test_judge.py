"""The judge of the shop's demo, on timelines: payment 1.5.0 deployed at t = 100 and rolled back at t = 120."""

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.demo.shop import judge
from pipeline.demo.shop.judge import Release
from pipeline.demo.shop.town import Deployment
from pipeline.demo.transitions import Transition

RELEASE = Release(Deployment("payment", "1.5.0", "1.4.2"), deployed=100.0, rolled_back=120.0)
CHANGE = {"id": "/delivery/1", "kind": "deployment", "phase": "finished", "version": "1.5.0"}
ROLLBACK = {"id": "/delivery/2", "kind": "rollback", "phase": "finished", "version": "1.4.2"}
NAMES = ("before", "one", "member", "evidence", "opened", "resolved")


def told(
    received: float,
    what: str,
    *services: str,
    changes: Sequence[dict[str, Any]] = (CHANGE,),
    affected: Sequence[str] = (),
    incident: str = "inc-1",
) -> Transition:
    members = [{"signal": {"workload": f"service:{service}"}} for service in services]
    body = {"id": incident, "transition": what, "members": members, "affected": affected, "changes": list(changes)}
    return Transition(received, received, body)


def failed(*transitions: Transition) -> set[str]:
    """Which checks failed."""
    checks = judge.judge(RELEASE, transitions)
    return {name for name, check in zip(NAMES, checks, strict=True) if not check.passed}


def test_one_incident_in_time_that_names_service_and_change_passes() -> None:
    assert failed(told(107, "opened", "orders", "payment"), told(140, "resolved", "orders", "payment")) == set()


def test_nothing_received_fails_all_but_the_silence_before() -> None:
    assert failed() == {"one", "member", "evidence", "opened", "resolved"}


def test_an_incident_before_the_deployment_fails() -> None:
    early = told(99, "opened", "cart", incident="inc-0")
    assert failed(early, told(107, "opened", "payment"), told(140, "resolved", "payment")) == {"before"}


def test_an_incident_of_before_that_takes_the_service_in_is_not_the_one_sought() -> None:
    grown = [told(99, "opened", "cart"), told(107, "updated", "cart", "payment"), told(140, "resolved", "payment")]
    assert failed(*grown) == {"before", "one", "member", "evidence", "opened", "resolved"}


def test_two_incidents_since_fail() -> None:
    other = told(109, "opened", "cart", incident="inc-2")
    assert failed(told(107, "opened", "payment"), other, told(140, "resolved", "payment")) == {"one"}


def test_an_incident_of_its_callers_alone_fails() -> None:
    assert failed(told(107, "opened", "orders"), told(140, "resolved", "orders")) == {
        "member",
        "evidence",
        "opened",
        "resolved",
    }


def test_a_service_that_is_affected_but_not_written_out_is_a_member() -> None:
    named = {"affected": ["service:frontend", "service:payment payment-0"]}
    assert failed(told(107, "opened", "orders", **named), told(140, "resolved", "orders", **named)) == set()


@pytest.mark.parametrize("changes", [[], [ROLLBACK], [{**CHANGE, "version": "1.4.2"}]], ids=str)
def test_another_change_or_none_in_the_evidence_fails(changes: list[dict[str, Any]]) -> None:
    assert failed(
        told(107, "opened", "payment", changes=changes), told(140, "resolved", "payment", changes=changes)
    ) == {"evidence"}


def test_the_change_may_be_learnt_after_the_incident_opened() -> None:
    first = told(107, "opened", "payment", changes=[])
    assert failed(first, told(109, "updated", "payment"), told(140, "resolved", "payment", changes=[])) == set()


@pytest.mark.parametrize(("opened", "expected"), [(130.0, set()), (130.1, {"opened"})])
def test_thirty_seconds_are_in_time_to_open(opened: float, expected: set[str]) -> None:
    assert failed(told(opened, "opened", "payment"), told(140, "resolved", "payment")) == expected


@pytest.mark.parametrize(("resolved", "expected"), [(165.0, set()), (165.1, {"resolved"}), (119.0, {"resolved"})])
def test_it_resolves_after_the_rollback_and_in_time(resolved: float, expected: set[str]) -> None:
    assert failed(told(107, "opened", "payment"), told(resolved, "resolved", "payment")) == expected
