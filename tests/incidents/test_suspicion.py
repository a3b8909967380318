"""How likely a change has to do with an incident: by time, by place, and by whether it breaks its neighbours."""

from dataclasses import replace

import pytest

from pipeline.incidents.evidence import Evidence
from pipeline.incidents.suspicion import Scene, suspicion
from pipeline.records import US, Change, Happened

ONSET = 10_000 * US
AROUND = {"cart": frozenset({"web", "db"}), "web": frozenset({"cart"}), "db": frozenset({"cart"})}
#: It starts in cart, and web suffers.
SCENE = Scene(ONSET, {"cart": ONSET, "web": ONSET + 20 * US}, ("cart",), AROUND)


def change(second: float, **more: object) -> Change:
    made = Change("c1", ONSET + round(second * US), "deployment", "finished", (), "cdevents", "2")
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_change_of_the_likeliest_workload_just_before_the_onset_is_nearly_sure() -> None:
    assert suspicion(change(-30), "cart", SCENE) == (
        0.977,
        "30 s before the onset; where it most likely starts; cart was as usual before it and is unusual since",
    )


def test_who_changed_and_is_as_usual_may_break_its_neighbours() -> None:
    score, why = suspicion(change(-30), "db", SCENE)
    assert score == pytest.approx(0.25 * 0.7 * 0.977, abs=2e-3)
    assert why.endswith("a call away from cart; cart, a call away, was as usual before it and is unusual since")


@pytest.mark.parametrize(
    ("second", "name", "most", "words"),
    [
        (-3600, "cart", 0.07, "60 min before the onset"),
        (300, "cart", 0.06, "5 min after the onset"),
        (300, "cart", 0.06, "cart was unusual before it already"),
        (-30, "mail", 0.02, "elsewhere in the scope"),
        (-30, "mail", 0.02, "neither mail nor who is a call away is unusual"),
    ],
)
def test_what_does_not_fit_is_hardly_suspected(second: float, name: str, most: float, words: str) -> None:
    score, why = suspicion(change(second), name, SCENE)
    assert score <= most
    assert words in why


def test_a_change_that_is_told_when_it_is_done_may_come_a_moment_after_the_onset() -> None:
    assert suspicion(change(40), "cart", SCENE)[0] == 0.5


def test_what_is_only_planned_changed_nothing_yet() -> None:
    assert suspicion(change(-30, phase="planned"), "cart", SCENE)[0] < 0.2


class Calls:
    def around(self, scope: str, workload: str) -> list[str]:
        return {"service:cart": ["service:web"], "service:web": ["service:cart"]}.get(workload, [])


def test_evidence_has_the_most_suspected_change_first_and_says_why() -> None:
    evidence = Evidence()
    evidence.graph = Calls()
    for number, (second, workload) in enumerate(((-5, "service:mail"), (-600, "service:cart"), (-3000, "service:web"))):
        evidence.add(Happened(change(second, id=f"c{number}"), "prod", workload))
    since = {"deployment:shop/cart": ONSET, "service:web": ONSET}
    found = evidence.near("prod", since, ONSET, ONSET + 60 * US, ["deployment:shop/cart"])
    assert [each.workload for each in found.changes] == ["service:cart", "service:web", "service:mail"]
    scores = [each.score for each in found.changes]
    assert scores == sorted(scores, reverse=True)
    assert found.changes[0].why.startswith("10 min before the onset; where it most likely starts; cart was")
