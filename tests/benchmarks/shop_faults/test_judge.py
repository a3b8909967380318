"""What the judge of faults counts as found, false, first and suspected."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.benchmarks.shop_faults.judge import Judgement, Transition, judge
from tests.benchmarks.shop_faults.schedule import Fault

START = 1_790_577_600.0
PAYMENT = Fault(1, "bad deploy", "payment", 100.0, 500.0)
SURGE = Fault(2, "traffic surge", "frontend", 1000.0, 1400.0)
NAMES = {name: f"deployment:shop/{name}" for name in ("payment", "orders", "frontend", "cart", "catalogue")}


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


def told(
    what: str,
    seconds: float,
    *,
    incident: str = "inc-1",
    onset: float | None = None,
    members: tuple[str, ...] = ("payment",),
    causes: tuple[str, ...] = ("payment",),
    changes: tuple[tuple[str, str, float], ...] = (),
    **more: Any,
) -> Transition:
    began = at(seconds - 10.0 if onset is None else onset)
    body = {
        "id": incident,
        "revision": int(seconds),
        "transition": what,
        "onset_time": began,
        "members": [{"signal": {"workload": NAMES[name]}, "onset_time": began} for name in members],
        "affected": [],
        "root_cause_candidates": [{"entity": NAMES[name]} for name in causes],
        "changes": [{"kind": kind, "workload": NAMES[name], "ts": at(when)} for kind, name, when in changes],
        **more,
    }
    return Transition(START + seconds, body)


def judged(*transitions: Transition, faults: tuple[Fault, ...] = (PAYMENT,), **more: Any) -> Judgement:
    return judge(faults, transitions, START, **more)


def test_the_first_incident_of_a_fault_is_found_and_its_delay_has_the_lateness() -> None:
    [verdict] = judged(told("opened", 130.0)).verdicts
    assert verdict.episode is not None
    assert (verdict.delay, verdict.top_1) == (35.0, True)


def test_callers_of_where_it_is_count_as_affected_and_others_do_not() -> None:
    assert judged(told("opened", 130.0, members=("frontend",))).verdicts[0].episode is not None
    missed = judged(told("opened", 130.0, members=("catalogue",)))
    assert missed.verdicts[0].episode is None
    assert missed.figures() == {
        "precision": 0.0,
        "recall": 0.0,
        "top_1": 0.0,
        "change": 0.0,
        "median_delay_seconds": None,
    }


@pytest.mark.parametrize(("onset", "belongs"), [(89.0, False), (90.0, True), (560.0, True), (561.0, False)])
def test_an_incident_belongs_to_a_fault_by_its_onset(onset: float, belongs: bool) -> None:
    found = judged(told("opened", 600.0, onset=onset))
    assert (found.verdicts[0].episode is not None) is belongs
    assert len(found.false) == (not belongs)


def test_a_second_incident_of_a_fault_is_false_unless_it_was_merged_into_the_first() -> None:
    both = told("opened", 130.0), told("opened", 160.0, incident="inc-2", members=("orders",))
    assert judged(*both).figures()["precision"] == 0.5
    merged = told("merged", 200.0, incident="inc-2", merged_into="inc-1")
    assert judged(*both, merged).figures()["precision"] == 1.0


def test_an_incident_that_goes_on_in_an_older_one_is_judged_by_what_that_says() -> None:
    first = told("opened", 130.0, causes=("orders",)), told("merged", 160.0, causes=("orders",), merged_into="inc-0")
    older = told("reopened", 150.0, incident="inc-0", onset=140.0, causes=("cart",))
    found = judged(*first, older)
    assert found.figures()["precision"] == 1.0
    assert [verdict.named for verdict in found.verdicts] == ["deployment:shop/cart"]


def test_an_incident_that_comes_back_in_the_same_fault_is_the_same_incident() -> None:
    again = told("opened", 130.0), told("resolved", 200.0), told("reopened", 300.0)
    assert judged(*again).figures()["precision"] == 1.0


def test_an_incident_that_comes_back_for_another_fault_is_found_there() -> None:
    cart = Fault(3, "latency", "cart", 900.0, 1200.0)
    back = told("reopened", 950.0, onset=940.0, members=("cart",), causes=("cart",))
    found = judged(told("opened", 130.0), told("resolved", 600.0), back, faults=(PAYMENT, cart))
    assert found.figures()["recall"] == 1.0
    assert found.verdicts[1].delay == 55.0


def test_the_cause_is_the_one_named_last_before_the_fault_ends() -> None:
    late = (
        told("opened", 130.0, causes=("orders",)),
        told("updated", 300.0, causes=("payment", "orders")),
        told("updated", 510.0, causes=("frontend",)),
    )
    assert judged(*late).verdicts[0].top_1 is True


def test_only_the_first_change_counts_and_it_must_be_the_one_that_did_it() -> None:
    did, other = ("deployment", "payment", 140.0), ("flag", "payment", 120.0)
    assert judged(told("opened", 130.0, changes=(did, other))).verdicts[0].change is True
    assert judged(told("opened", 130.0, changes=(other, did))).verdicts[0].change is False
    assert judged(told("opened", 130.0, changes=(("deployment", "payment", -900.0),))).verdicts[0].change is False


def test_any_incident_in_a_surge_is_false_unless_the_shop_could_not_take_it() -> None:
    opened = told("opened", 1100.0, members=("frontend",))
    assert judged(opened, faults=(SURGE,)).figures()["precision"] == 0.0
    assert judged(opened, faults=(SURGE,), saturated=frozenset({2})).figures()["precision"] == 1.0
    assert judged(faults=(SURGE,)).figures()["recall"] is None


def test_a_neighbour_is_named_right_by_its_node_or_by_its_workload() -> None:
    noisy = Fault(4, "noisy neighbour", "node-2", 100.0, 500.0)
    for entity in ("node:node-2", "deployment:batch/report-builder"):
        opened = told("opened", 130.0, members=("cart",), root_cause_candidates=[{"entity": entity}])
        assert judged(opened, faults=(noisy,)).verdicts[0].top_1 is True
    assert judged(told("opened", 130.0, members=("cart",)), faults=(noisy,)).verdicts[0].top_1 is False


def test_what_opens_while_the_shop_is_learnt_is_not_judged() -> None:
    early = told("opened", 50.0, incident="inc-0")
    assert judged(early, told("opened", 130.0)).figures()["precision"] == 0.5
    assert judged(early, told("opened", 130.0), warm_up=60.0).figures()["precision"] == 1.0


def test_figures_below_what_is_needed_are_not_good() -> None:
    did = (("deployment", "payment", 140.0),)
    assert judged(told("opened", 130.0, changes=did)).is_good()
    assert not judged(told("opened", 130.0)).is_good()
    assert not judged(told("opened", 130.0, changes=did), told("opened", 700.0, incident="inc-9")).is_good()
