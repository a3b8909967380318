"""Policies in the shadow: they change nothing that is live, and make what they make when they are live."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from pipeline.codecs import happening_event, policy_event
from pipeline.flow.shadow_copy import ShadowCopyChain
from pipeline.policies import Change, Control, Policy
from pipeline.policies.control import Said, SaidControl
from pipeline.policies.matcher import Matcher
from pipeline.policies.silence import Silence
from pipeline.records import US
from pipeline.records import Change as Deployment
from pipeline.settings import Settings, load
from tests.flow.line import CONFIG
from tests.flow.shadowing import ShadowRun
from tests.flow.simulation import Log

START = 1_770_000_000
SECONDS = 240
EFFECTIVE_US = (START + 60) * US
#: Above 100 is trouble, unless a policy says something else.
BASE = {"hard_upper": 100.0, "min_absolute": 1e9}
STRICT = Policy("strict", (Matcher("service.name", "=", "cart"),), {"hard_upper": 60.0}, 0, EFFECTIVE_US)
LENIENT = Policy("lenient", (Matcher("service.name", "=", "pay"),), {"hard_upper": 1e6}, 0, EFFECTIVE_US)
#: A live policy of the same name, which the one in the shadow takes the place of.
BEFORE = Policy("strict", (Matcher("service.name", "=", "cart"),), {"hard_upper": 90.0})
SHADOW = (
    Change(1, "strict", STRICT, shadow=True),
    Change(2, "lenient", LENIENT, shadow=True),
)
PROMOTED = (
    Change(3, "strict", STRICT),
    Change(4, "lenient", LENIENT),
    Change(5, "strict", None, shadow=True),
    Change(6, "lenient", None, shadow=True),
)
#: Service → when it is in trouble, and how far it goes then.
TROUBLE = {
    "cart": ({range(80, 95): 80.0, range(200, 215): 80.0}),
    "pay": ({range(110, 125): 150.0, range(205, 220): 150.0}),
    "search": ({range(84, 99): 150.0, range(150, 165): 200.0}),
    "mail": ({range(170, 185): 150.0}),
}


def settings() -> Settings:
    return load(
        overrides={
            "inputs": [
                {"topic": "calm.points", "format": "json_points"},
                {"topic": "calm.changes", "format": "changes"},
            ],
            "topics": {"partitions": 2, "partitions_by_topic": {"calm.points": 1, "calm.changes": 1}},
            "time": {"window_seconds": 1, "allowed_lateness_seconds": 0},
            "incidents": {"join_windows": 4, "reopen_windows": 5, "habits": False},
            "detection": BASE,
        }
    )


def value(service: str, second: int) -> float:
    calm = 50 + (7 * second + len(service)) % 5
    return next((high for when, high in TROUBLE[service].items() if second in when), calm)


def points(second: int) -> Iterator[dict[str, Any]]:
    for number, service in enumerate(TROUBLE):
        attributes = {"service.name": service, "deployment.environment.name": f"env{number}"}
        yield {"ts": START + second + 0.5, "name": "load", "value": value(service, second), "attributes": attributes}


def deployment(second: int) -> dict[str, Any]:
    entity = {"service.name": "cart", "deployment.environment.name": "env0"}
    return {"ts": START + second, "kind": "deployment", "entity": entity, "title": "cart 2"}


def silence() -> SaidControl:
    begins, ends = (START + 160) * US, (START + 600) * US
    said = Silence("s1", (Matcher("service.name", "=", "mail"),), "ann", "new disks", begins, ends)
    return SaidControl(1, (Said(0, "silence/s1", said),))


def run(
    *controls: tuple[int, tuple[Change, ...]], shadow: bool, restarts: tuple[int, ...] = (), seconds: int = SECONDS
) -> ShadowRun:
    """The story, with what is told of policies at which second."""
    made = ShadowRun(settings(), shadow=shadow)
    made.control(Control(1, (Change(0, "strict", BEFORE),)))
    made.idle("changes")
    for second in range(seconds):
        for at, changes in controls:
            if at == second:
                made.control(Control(changes[-1].offset + 1, changes))
        if second == 78:
            made.send("changes", deployment(second), START + second)
            made.idle("changes")
        if second == 140:
            made.say(silence())
        if second in restarts:
            made.restart_shadow()
        made.send("points", list(points(second)), START + second + 1)
    return made


@cache
def without() -> ShadowRun:
    return run(shadow=False)


@cache
def tried() -> ShadowRun:
    return run((30, SHADOW), shadow=True)


@cache
def live() -> ShadowRun:
    return run((30, tuple(Change(one.offset, one.name, one.policy) for one in SHADOW)), shadow=False)


def test_the_story_has_what_only_the_shadow_finds_what_only_live_has_and_what_both_have() -> None:
    shadow, other = ({id_ for id_, _ in tried().incidents(topic)} for topic in ("shadow.incidents", "incidents"))
    assert shadow - other
    assert other - shadow
    assert shadow & other
    bodies = [body for body, _ in tried().incidents("shadow.incidents").values()]
    assert any(change["kind"] == "deployment" for body in bodies for change in body["changes"])
    assert any(b"silence" in value for _, _, value, _ in tried().written("shadow.suppressions"))


def test_it_changes_nothing_that_is_live() -> None:
    topics = without().topics()
    assert {"scores", "anomalies", "incidents", "suppressions"} <= topics
    for topic in topics - {"signals"}:  # in which the policies themselves stand
        assert tried().written(topic) == without().written(topic), topic
    values = [record for record in tried().written("signals") if not policy_event.is_control(record[3])]
    assert values == [record for record in without().written("signals") if not policy_event.is_control(record[3])]
    assert {topic for topic in tried().topics() - topics if not topic.startswith("shadow.")} == set()
    for role in without().counts:
        assert tried().counts[role] == without().counts[role], role


def test_its_incidents_are_those_that_there_are_when_it_is_live() -> None:
    assert tried().incidents("shadow.incidents") == live().incidents("incidents")
    assert tried().written("shadow.suppressions") == live().written("suppressions")
    assert live().incidents("incidents") != without().incidents("incidents")


def test_without_policies_in_it_the_shadow_says_what_is_live() -> None:
    made = run(shadow=True)
    assert made.incidents("shadow.incidents") == made.incidents("incidents") == without().incidents("incidents")


def test_its_newest_states_stand_beside_its_transitions() -> None:
    assert tried().written("shadow.incidents.state") == tried().written("shadow.incidents")


def test_only_its_own_counters_count_what_it_finds() -> None:
    counts = tried().counts["shadow-correlate"]
    assert counts["shadow_incident", "opened"] >= 3
    assert {what for role in tried().counts if role.startswith("shadow") for what, _ in tried().counts[role]} <= {
        "shadow_incident",
        "notice",
        "drop",
    }


def test_promoted_it_goes_on_live_and_the_shadow_says_the_same_as_before() -> None:
    made = run((30, SHADOW), (130, PROMOTED), shadow=True)
    assert made.incidents("shadow.incidents") == tried().incidents("shadow.incidents")

    def late(made: ShadowRun, topic: str) -> list[tuple[str, int]]:
        """What was decided after all that was open at the promotion had ended."""
        found = made.incidents(topic).items()
        return sorted(key for key, (_, head) in found if int(dict(head)["calm_decided_us"]) > (START + 190) * US)

    assert late(made, "incidents") == late(made, "shadow.incidents") == late(live(), "incidents")
    assert late(made, "incidents") != late(without(), "incidents")


def test_a_policy_that_is_taken_out_of_the_shadow_leaves_what_is_live() -> None:
    gone = (Change(3, "strict", None, shadow=True), Change(4, "lenient", None, shadow=True))
    made = run((30, SHADOW), (40, gone), shadow=True)
    assert made.incidents("shadow.incidents") == without().incidents("incidents")


@pytest.mark.parametrize("restarts", [(1, 85, 86, 142), tuple(range(5, SECONDS, 9))])
def test_restarts_change_nothing(restarts: tuple[int, ...]) -> None:
    made = run((30, SHADOW), shadow=True, restarts=restarts)
    assert made.incidents("shadow.incidents") == tried().incidents("shadow.incidents")


# -- the copy ----------------------------------------------------------------------------------------------------------


def copied(chain: ShadowCopyChain, log: Log, begin: int = 0) -> list[tuple[str, bytes]]:
    """Source and number of what it copies of events and changes."""
    out = chain.apply(log.partitions["anomalies", 0][begin:])
    named = [dict(record.headers) for record in out.records]
    return [(head["calm_source"].decode(), head["calm_sequence"]) for head in named]


def said(log: Log, source: str, *numbers: int) -> None:
    for number in numbers:
        what = Deployment("c", START * US, "deployment", "finished", (("service.name", "cart"),), "cdevents")
        value, headers = happening_event.encode(what, source, number)
        log.append("anomalies", 0, b"env0", value, 0, headers)


def test_what_is_copied_is_numbered_anew_and_once_whatever_was_sent_again_or_is_lost() -> None:
    log, chain = Log(), ShadowCopyChain(0, CONFIG)
    said(log, "points/0", 5, 6, 5, 6, 7)
    said(log, "signals/0", 0, 1)  # a score shard's, which the shadow has of its own
    said(log, "changes/0", 0)
    first = copied(chain, log)
    assert first == [("anomalies/0", str(number).encode()) for number in range(4)]
    again = ShadowCopyChain(0, CONFIG)
    again.restore(chain.snapshot(full=True))
    end = len(log.partitions["anomalies", 0])
    said(log, "points/0", 7, 8)
    assert copied(again, log, end) == [("anomalies/0", b"4")]
    end = len(log.partitions["anomalies", 0])
    said(log, "points/0", 20)
    assert copied(again, log, end) == []  # its writer will send again what is missing
    again.lost_history()  # nobody will
    assert copied(again, log, end) == [("anomalies/0", b"5")]
