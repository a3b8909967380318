"""The examples on ``docs/events.md`` and ``docs/logs.md`` are read as the pages say; every member and kind is there."""

import json
import re
from typing import Any, get_args

import pytest
import yaml

from pipeline.codecs.changes import Changes
from pipeline.codecs.events import Events
from pipeline.codecs.registry import LINE_CODECS, line_codec
from pipeline.codecs.series_table import Limits
from pipeline.records import Change, ChangeKind, ChangePhase, Event
from tests.codecs.otlp_sent import Sent
from tests.docs.pages import DOCS, code, rows, section, unquoted

PAGE = "events.md"
T = 1_769_860_800_000_000


def example(heading: str, language: str = "json") -> bytes:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", section(PAGE, heading), re.MULTILINE | re.DOTALL)
    return str(found).encode()


def event(heading: str) -> Event:
    found = Events(Limits()).decode([Sent(example(heading))])
    assert (found.rejections, found.dropped) == ([], {})
    ((_, only),) = found.events
    return only


def change(heading: str) -> Change:
    found = Changes(Limits()).decode([Sent(example(heading))])
    assert (found.rejections, found.dropped) == ([], {})
    ((_, only),) = found.changes
    return only


@pytest.mark.parametrize(
    ("heading", "type_", "entity", "severity"),
    [
        ("### Our own form", "backup.failed", {"service.name": "db", "deployment.environment.name": "production"}, 17),
        ("### Any CloudEvent", "com.example.backup.failed", {"service.name": "db"}, 17),
        ("### Alertmanager", "alert.HighLatency", {"k8s.namespace.name": "shop", "service.name": "cart"}, 21),
        (
            "### Kubernetes Events",
            "k8s.BackOff",
            {"k8s.pod.name": "cart-5d4f8c7b9-x2x8z", "k8s.node.name": "node-1"},
            13,
        ),
    ],
)
def test_the_example_of_an_event_is_read(heading: str, type_: str, entity: dict[str, str], severity: int) -> None:
    found = event(heading)
    assert (found.type, found.severity, found.time_us) == (type_, severity, T)
    assert entity.items() <= dict(found.entity).items()
    assert found.text


@pytest.mark.parametrize(
    ("heading", "kind", "entity", "version"),
    [
        ("### A change in our own form", "deployment", {"service.name": "cart"}, "1.2.3"),
        ("### Feature flags", "flag", {"service.name": "cart"}, "on"),
        ("### CDEvents", "deployment", {"service.name": "cart", "service.namespace": "shop"}, "1.2.3"),
        ("### GitHub deployments", "deployment", {"service.name": "cart"}, "v1.2.3"),
        (
            "### Argo CD",
            "deployment",
            {"k8s.deployment.name": "cart", "deployment.environment.name": "production"},
            "1.2.3",
        ),
    ],
)
def test_the_example_of_a_change_is_read(heading: str, kind: str, entity: dict[str, str], version: str) -> None:
    found = change(heading)
    assert (found.kind, found.phase, found.version, found.effective_us) == (kind, "finished", version, T)
    assert entity.items() <= dict(found.entity).items()


@pytest.mark.parametrize(
    ("name", "heading"), [("event", "### Our own form"), ("change", "### A change in our own form")]
)
def test_every_member_of_our_own_forms_is_on_the_page(name: str, heading: str) -> None:
    schema = json.loads((DOCS / f"schema/{name}.json").read_text())
    members = [unquoted(row[0]) for row in rows(section(PAGE, heading))]
    assert sorted(members) == sorted(schema["$defs"][name]["properties"])


def test_every_kind_and_phase_is_on_the_page() -> None:
    listed = [unquoted(row[0]) for row in rows(section(PAGE, "## Changes on `calm.changes`").partition("### ")[0])]
    assert listed == [*get_args(ChangeKind), *get_args(ChangePhase)]


@pytest.mark.parametrize(("type_", "kind"), [row[:2] for row in rows(section(PAGE, "### CDEvents"))])
def test_the_kinds_of_cdevents_are_those_on_the_page(type_: str, kind: str) -> None:
    written: dict[str, Any] = json.loads(example("### CDEvents"))
    written["context"]["type"] = f"dev.cdevents.{unquoted(type_)}.0.3.0"
    ((_, found),) = Changes(Limits()).decode([Sent(json.dumps(written).encode())]).changes
    assert found.kind == unquoted(kind)


def test_the_template_for_argo_cd_is_well_formed() -> None:
    found = yaml.safe_load(example("### Argo CD", "yaml"))
    body = yaml.safe_load(found["template.calmstream"])["webhook"]["calmstream"]["body"]
    assert json.loads(body.replace("{{toJson .app}}", "{}")) == {"app": {}}
    assert yaml.safe_load(found["trigger.calmstream"])


def test_every_reason_on_the_pages_is_in_operations() -> None:
    reasons = {unquoted(row[0]) for row in rows(section("operations.md", "### Reasons of drops"))}
    text = (DOCS / PAGE).read_text() + (DOCS / "logs.md").read_text()
    named = set(re.findall(r"counted as `(\w+)`|counted(?: it)? \(`(\w+)`\)|\ncounted \(`(\w+)`\)", text))
    assert {next(filter(None, found)) for found in named} == {"event_deleted", "superseded", "cut", "blank"} <= reasons


# docs/logs.md


def test_every_format_of_logs_has_a_section() -> None:
    text = (DOCS / "logs.md").read_text()
    assert re.findall(r"^## .*: `(\w+)`$", text, re.MULTILINE) == list(LINE_CODECS)


def test_the_record_of_fluent_bit_is_read() -> None:
    (written,) = code("logs.md", "json")
    codec = line_codec("fluent_bit", Limits())
    columns = codec.decode([Sent(written.encode())])
    assert (columns.body, columns.severity.tolist()) == (["cart is slow"], [13])
    found = dict(codec.resources[0])
    assert (found["service.name"], found["k8s.replicaset.name"]) == ("cart", "cart-5d4f8c7b9")


def test_the_plain_text_is_two_lines() -> None:
    (written,) = code("logs.md", "text")
    columns = line_codec("plain_text", Limits()).decode([Sent(written.encode(), key=b"cart")])
    assert [body.partition("\n")[0] for body in columns.body] == [
        "ERROR [main] com.acme.Cart - cannot pay",
        "INFO [main] com.acme.Cart - again",
    ]
    assert columns.severity.tolist() == [17, 9]
    assert columns.time_us.tolist() == [T + 250_000, T + 1_000_000]
