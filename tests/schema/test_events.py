"""Every anomaly and incident that is written is as docs/schema says, and the schemas forbid everything else."""

import json
import math
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from pipeline.codecs import anomaly_event, incident_event, suppression_event
from pipeline.incidents.grouping import Grouping
from pipeline.policies import DetectorPolicy
from pipeline.records import US, Anomaly, Change, Event, Happened, Incident, Kind, Member, Produced, Signal
from tests.codecs.test_happening_event import CHANGES, EVENTS
from tests.flow.line import CONFIG, START, Line
from tests.flow.test_correlate_chain import suffering_story, told

FOLDER = Path(__file__).parents[2] / "docs/schema"
SCHEMAS: dict[str, Any] = {
    name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("anomaly", "incident", "suppression", "point")
}


def value_at(signal: int, second: int) -> float:
    """A signal's value: most fail together once, one drops, one gets worse and worse and never ends."""
    calm = 50 + math.sin(second * 1.3 + signal)
    if signal < 60 and 60 <= second < 80:
        return calm + 100
    if signal == 60 and 150 <= second < 160:
        return calm - 40
    if signal == 61 and second >= 35:  # while it is cold its surprise is 0
        return calm + 10.0 ** (second - 32)
    return calm


@cache
def emitted() -> tuple[list[Produced], list[Produced]]:
    """Anomalies and incidents of a run with gauges, counters and deltas of several entities."""
    line = Line(replace(CONFIG, policy=DetectorPolicy(hard_lower=30.0, hard_upper=120.0, threshold_surprise=3.0)))
    totals = [0.0] * 62
    for second in range(200):
        points = []
        for number in range(62):
            value = value_at(number, second)
            kind = ("gauge", "counter", "delta")[number % 3]
            totals[number] += value
            attributes = {"service.name": f"s{number % 7}", "k8s.pod.name": f"p{number}", "disk": f"\x1b[3{number}m"}
            if number == 61:
                attributes["deployment.environment.name"] = "other"
            shown = totals[number] if kind == "counter" else value
            points.append({"name": "load", "value": shown, "kind": kind, "attributes": attributes})
        line.second(second, points)
    anomalies = [record for record in line.written["anomalies"] if dict(record.headers)["calm_type"] == b"anomaly"]
    return anomalies, line.written["incidents"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_valid_and_explains_every_property(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    for found in objects(SCHEMAS[name]):
        for key, value in found["properties"].items():
            assert "description" in value or "$ref" in value, f"{key} has no description"


@pytest.mark.parametrize("name", ["anomaly", "incident", "suppression"])
def test_what_we_write_has_exactly_the_properties_of_the_schema(name: str) -> None:
    for found in objects(SCHEMAS[name]):
        assert found["additionalProperties"] is False
        assert sorted(found["required"]) == sorted(found["properties"])


def test_all_events_name_a_signal_the_same_way() -> None:
    for part in ("signal", "time", "expected", "detector"):
        assert SCHEMAS["anomaly"]["$defs"][part] == SCHEMAS["incident"]["$defs"][part]
    for part in ("signal", "time", "policy"):
        assert SCHEMAS["anomaly"]["$defs"][part] == SCHEMAS["suppression"]["$defs"][part]


def test_every_kind_of_signal_is_in_the_schemas() -> None:
    for name in ("anomaly", "incident", "suppression"):
        assert SCHEMAS[name]["$defs"]["signal"]["properties"]["kind"]["enum"] == list(Kind)


@pytest.mark.parametrize("name", ["event", "change"])
def test_an_incident_shows_what_happened_as_it_is_sent_and_to_whom(name: str) -> None:
    sent = json.loads((FOLDER / f"{name}.json").read_text())["$defs"][name]["properties"]
    judged = ["score", "why"] if name == "change" else []
    assert [*sent, "workload", "instance", *judged] == list(SCHEMAS["incident"]["$defs"][name]["properties"])
    for member in ("kind", "phase"):
        if member in sent:
            shown = SCHEMAS["incident"]["$defs"][name]["properties"][member]["enum"]
            assert [*shown, None] == sent[member]["enum"]


def test_every_emitted_anomaly_is_as_the_schema_says() -> None:
    bodies = [json.loads(record.value or b"") for record in emitted()[0]]
    assert {body["transition"] for body in bodies} == {"opened", "updated", "ended"}
    assert {body["signal"]["kind"] for body in bodies} == {"gauge", "counter", "delta"}
    assert {body["why"].split("; ")[0] for body in bodies} >= {"outside the range that it must keep"}
    for body in bodies:
        validate("anomaly", body)


def test_every_emitted_incident_is_as_the_schema_says() -> None:
    bodies = [json.loads(record.value or b"") for record in emitted()[1]]
    assert {body["transition"] for body in bodies} == {"opened", "resolved"}
    assert max(body["member_count"] for body in bodies) > 50  # more than are written out
    for body in bodies:
        validate("incident", body)


def test_every_emitted_incident_is_a_cloud_event() -> None:
    for record in emitted()[1]:
        headers = {name: value.decode() for name, value in record.headers}
        body = json.loads(record.value or b"")
        assert headers["ce_specversion"] == "1.0"
        assert headers["ce_id"] == f"{body['id']}/{body['revision']}"
        assert headers["ce_type"] == f"dev.calmstream.incident.{body['transition']}"
        assert headers["ce_subject"] == body["id"] == (record.key or b"").decode()
        assert headers["ce_time"] == body["updated_time"]
        assert headers["content-type"] == "application/json"


def test_who_suffers_from_an_incident_and_what_was_lost_is_as_the_schema_says() -> None:
    bodies = [body for topic, body in told(suffering_story()) if topic == "incidents"]
    assert {each["role"] for body in bodies for each in body["impacted"] if each["lost"]} == {"business"}
    assert all(body["severity_reasons"] for body in bodies)
    for body in bodies:
        validate("incident", body)


def incident_of(*happened: Happened) -> Incident:
    """An incident of one anomaly of which no number is known."""
    nan = math.nan
    signal = Signal(1, "a", "", Kind.GAUGE, "default", "unknown", "", ())
    us = START * US
    judged = ("lower than usual", "x/1", "default@0")
    anomaly = Anomaly("0" * 24, 1, "opened", signal, us, us, us, None, us, nan, nan, nan, nan, 5.0, 1, *judged)
    member = Member(anomaly, "first member")
    incident = Incident(
        "inc-" + "0" * 24, 1, "opened", "default", "warning", "t", us, us, us, None, 5.0, (member,), 1, 0, ("a",), "x/1"
    )
    changes = tuple(each for each in happened if isinstance(each.what, Change))
    events = tuple(each for each in happened if isinstance(each.what, Event))
    return replace(incident, changes=changes, events=events)


def test_numbers_that_are_not_known_are_null() -> None:
    incident = incident_of()
    validate("anomaly", json.loads(anomaly_event.encode(incident.members[0].anomaly, "signals/0", 0)[0]))
    validate("incident", json.loads(incident_event.encode(incident)[0]))


@pytest.mark.parametrize(
    "changes", [{"discovered": False, "false_discovery_rate": 0.1}, {"owner": "pay", "owner_budget": 2.0}]
)
def test_every_suppression_is_as_the_schema_says(changes: dict[str, Any]) -> None:
    anomaly = replace(incident_of().members[0].anomaly, **changes)
    grouping = Grouping(0, 0, budgets=[("default", "pay", 2.0, anomaly.step_us, 2.0)])
    assert grouping.step([anomaly], anomaly.step_us) == []
    (found,) = [json.loads(suppression_event.encode(each)[0]) for each in grouping.suppressed]
    validate("suppression", found)
    assert found["owner_budget_used"] == (2.0 if "owner" in changes else None)
    with pytest.raises(AssertionError, match="reason"):
        validate("suppression", found | {"reason": "bored"})


@given(EVENTS, CHANGES)
def test_every_event_and_change_fits_into_an_incident(event: Event, change: Change) -> None:
    incident = incident_of(
        Happened(event, "default", "service:cart", "cart-1"), Happened(change, "default", "service:a")
    )
    body = json.loads(incident_event.encode(incident)[0])
    validate("incident", body)
    assert [(one["id"], one["workload"], one["instance"]) for one in (*body["events"], *body["changes"])] == [
        (event.id, "service:cart", "cart-1"),
        (change.id, "service:a", ""),
    ]
    with pytest.raises(AssertionError, match="workload"):
        validate("incident", body | {"events": [{**body["events"][0], "workload": ""}]})
    with pytest.raises(AssertionError, match="workload"):
        validate("incident", body | {"changes": [{k: v for k, v in body["changes"][0].items() if k != "workload"}]})


def test_the_schema_refuses_an_anomaly_that_has_ended_without_an_end() -> None:
    body = next(found for record in emitted()[0] if (found := json.loads(record.value or b""))["end_time"] is None)
    with pytest.raises(AssertionError, match="end_time"):
        validate("anomaly", body | {"transition": "ended"})


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"transition": "exploded"},
        {"revision": 0},
        {"updated_time": "2026-01-01"},
        {"id": "inc-1"},
        {"state": "resolved"},
        {"members": []},
        {"severity": None},
        {"changes": None},
        {"events": [{}]},
    ],
    ids=json.dumps,
)
def test_the_schema_refuses_an_incident_that_is_otherwise(change: dict[str, Any]) -> None:
    body = next(found for record in emitted()[1] if (found := json.loads(record.value or b""))["state"] == "open")
    validate("incident", body)
    with pytest.raises(AssertionError):
        validate("incident", deepcopy(body) | change)


def validate(name: str, body: dict[str, Any]) -> None:
    errors = list(Draft202012Validator(SCHEMAS[name]).iter_errors(body))
    assert not errors, "\n".join(f"{error.json_path}: {error.message}" for error in errors)


def objects(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Every object with named properties that a schema describes."""
    parts = [schema, *schema["$defs"].values()]
    return [part for part in parts if "properties" in part]
