"""docs/schema/event.json and change.json accept what the codecs accept and what we write; both refuse the same."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from pipeline.codecs import own_forms
from pipeline.codecs.changes import Changes
from pipeline.codecs.events import Events
from pipeline.codecs.series_table import Limits
from pipeline.records import Change, ChangeKind, ChangePhase, DecodedChanges, DecodedEvents, Event
from tests.codecs.otlp_sent import Sent
from tests.codecs.test_happening_event import CHANGES, EVENTS

FOLDER = Path(__file__).parents[2] / "docs/schema"
SCHEMAS: dict[str, Any] = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("event", "change")}
CODECS: dict[str, Any] = {"event": Events, "change": Changes}
LEAST: dict[str, Any] = {"event": {"ts": 1_700_000_000, "type": "x"}, "change": {"ts": 1_700_000_000, "kind": "config"}}
FLAG = {"feature_flag.key": "k"}

BOTH_ACCEPT: dict[str, Any] = {
    "the least": {},
    "fractional seconds": {"ts": 1_700_000_000.25},
    "RFC 3339": {"ts": "2026-01-31T12:00:00Z"},
    "RFC 3339 with an offset and a fraction": {"ts": "2026-01-31T12:00:00.123456+02:00"},
    "RFC 3339 without an offset": {"ts": "2026-01-31 12:00:00"},
    "everything that both have": {
        "id": "1",
        "entity": {"service.name": "a"},
        "attributes": {"a": 1, "b": 0.5, "c": True},
    },
    "nulls where something may be left out": {"id": None, "entity": None, "attributes": None},
    "an attribute that is null": {"attributes": {"a": None}},
    "64 attributes": {"attributes": {f"a{i}": i for i in range(64)}},
    "members that nobody knows": {"host": "h", "tags": ["x"]},
}
BOTH_REFUSE: dict[str, Any] = {
    "milliseconds": {"ts": 1_700_000_000_000},
    "before 1970": {"ts": -1},
    "RFC 3339 before 1970": {"ts": "1969-12-31T23:59:59Z"},
    "a day": {"ts": "2026-01-31"},
    "time as null": {"ts": None},
    "time as a boolean": {"ts": True},
    "seconds as a text": {"ts": "1700000000"},
    "an id that is no text": {"id": 7},
    "an id that is too long": {"id": "x" * 1025},
    "an entity as a text": {"entity": "cart"},
    "an attribute of the entity that is a list": {"entity": {"a": [1]}},
    "attributes as a list": {"attributes": ["a"]},
    "an attribute that is an object": {"attributes": {"a": {"b": 1}}},
    "65 attributes": {"attributes": {f"a{i}": i for i in range(65)}},
    "an attribute that is too long": {"attributes": {"a": "x" * 1025}},
    "a name of an attribute that is too long": {"attributes": {"x" * 1025: "a"}},
}
ACCEPTED: dict[str, dict[str, Any]] = {
    "event": BOTH_ACCEPT
    | {f"severity {level}": {"severity": level} for level in (0, 24, "WARN", "ERROR3", None)}
    | {"a text": {"text": "x" * 20_000}},
    "change": BOTH_ACCEPT
    | {kind: {"kind": kind} for kind in get_args(ChangeKind)}
    | {phase: {"phase": phase} for phase in (*get_args(ChangePhase), None)}
    | {
        "all texts": {name: "x" for name in ("source", "version", "before", "title", "url", "author", "chain")},
        "a flag without a kind": {"kind": None, "attributes": FLAG},
    },
}
REFUSED: dict[str, dict[str, Any]] = {
    "event": BOTH_REFUSE
    | {f"severity {level}": {"severity": level} for level in (-1, 25, 1.5, "purple", [])}
    | {f"type {type_!r:.9}": {"type": type_} for type_ in ("", None, 7, "x" * 1025)}
    | {"a text that is none": {"text": 7}},
    "change": BOTH_REFUSE
    | {f"kind {kind!r}": {"kind": kind} for kind in ("", None, 7, "party")}
    | {f"phase {phase!r}": {"phase": phase} for phase in (7, "soon")}
    | {
        f"{name} that is no text": {name: 7}
        for name in ("source", "version", "before", "title", "url", "author", "chain")
    },
}


def codec_accepts(name: str, value: Any) -> bool:
    found: DecodedEvents | DecodedChanges = CODECS[name](Limits()).decode([Sent(json.dumps(value).encode())])
    return not found.rejections and not found.dropped


def schema_accepts(name: str, value: Any) -> bool:
    return Draft202012Validator(SCHEMAS[name]).is_valid(value)


def cases(table: dict[str, dict[str, Any]]) -> list[Any]:
    return [
        pytest.param(name, LEAST[name] | case, id=f"{name}: {id_}")
        for name in table
        for id_, case in table[name].items()
    ]


@pytest.mark.parametrize(("name", "value"), cases(ACCEPTED))
def test_schema_and_codec_accept(name: str, value: Any) -> None:
    assert codec_accepts(name, value)
    assert schema_accepts(name, value)
    assert schema_accepts(name, [value, value])


@pytest.mark.parametrize(("name", "value"), cases(REFUSED))
def test_schema_and_codec_refuse(name: str, value: Any) -> None:
    assert not codec_accepts(name, value)
    assert not schema_accepts(name, value)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("value", [3, "x", None, [3], {}], ids=repr)
def test_schema_and_codec_refuse_what_is_no_object_of_the_form(name: str, value: Any) -> None:
    assert not codec_accepts(name, value)
    assert not schema_accepts(name, value)


@given(EVENTS)
def test_every_event_that_we_write_fits(event: Event) -> None:
    assert schema_accepts("event", own_forms.event_form(event))


@given(CHANGES)
def test_every_change_that_we_write_fits(change: Change) -> None:
    assert schema_accepts("change", own_forms.change_form(change))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_explains_every_property_and_names_what_we_write(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    properties = SCHEMAS[name]["$defs"][name]["properties"]
    assert all(value["description"] for value in properties.values())
    empty = Event("1", 0, "x", ()) if name == "event" else Change("1", 0, "code", "finished", (), "x")
    form = own_forms.event_form(empty) if isinstance(empty, Event) else own_forms.change_form(empty)
    assert set(form) == set(properties)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schemas_own_examples_are_right(name: str) -> None:
    for example in SCHEMAS[name]["examples"]:
        assert schema_accepts(name, example)
        assert codec_accepts(name, example)
