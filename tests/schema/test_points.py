"""docs/schema/point.json accepts what the codec accepts and refuses what it refuses."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.codecs.json_points import JsonPoints
from pipeline.codecs.series_table import Limits

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schema/point.json").read_text())
POINT = {"ts": 1_700_000_000, "name": "cpu", "value": 1}


def point(**changed: Any) -> dict[str, Any]:
    return POINT | changed


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in POINT.items() if key != name}


ACCEPTED: dict[str, Any] = {
    "the least": POINT,
    "everything": point(unit="s", kind="delta", attributes={"a": "x", "b": 1, "c": 1.5, "d": True}),
    "an array": [POINT, point(name="b")],
    "an empty array": [],
    "fractional seconds": point(ts=1_700_000_000.25),
    "before 1970": point(ts=-5),
    "RFC 3339": point(ts="2026-01-31T12:00:00Z"),
    "RFC 3339 with an offset and a fraction": point(ts="2026-01-31T12:00:00.123456+02:00"),
    "RFC 3339 without an offset": point(ts="2026-01-31T12:00:00"),
    "RFC 3339 with a space and in small letters": point(ts="2026-01-31 12:00:00z"),
    "a negative value": point(value=-1.5),
    "a gauge": point(kind="gauge"),
    "a counter": point(kind="counter"),
    "nulls where something may be left out": point(unit=None, kind=None, attributes=None),
    "an attribute that is null": point(attributes={"a": None}),
    "no attributes": point(attributes={}),
    "64 attributes": point(attributes={f"a{i}": i for i in range(64)}),
    "a long name": point(name="n" * 1024),
    "members that nobody knows": point(host="h", tags=["x"]),
}

REFUSED: dict[str, Any] = {
    "a number": 3,
    "a text": "cpu 1",
    "null": None,
    "an array of arrays": [[POINT]],
    "an array with something else in it": [POINT, 3],
    "no time": without("ts"),
    "no name": without("name"),
    "no value": without("value"),
    "milliseconds": point(ts=1_700_000_000_000),
    "time as null": point(ts=None),
    "time as a boolean": point(ts=True),
    "seconds as a text": point(ts="1700000000"),
    "a month that is not": point(ts="2026-13-01T00:00:00Z"),
    "an hour that is not": point(ts="2026-01-01T25:00:00Z"),
    "some words as time": point(ts="yesterday"),
    "an empty name": point(name=""),
    "a name that is no text": point(name=3),
    "a name that is too long": point(name="n" * 1025),
    "a value as a text": point(value="1"),
    "a value as a boolean": point(value=True),
    "a value as null": point(value=None),
    "a unit that is no text": point(unit=1),
    "a kind that is not": point(kind="thermometer"),
    "a kind that points cannot have": point(kind="histogram"),
    "attributes as a list": point(attributes=["a"]),
    "attributes as a text": point(attributes="a=b"),
    "an attribute that is a list": point(attributes={"a": [1]}),
    "an attribute that is an object": point(attributes={"a": {"b": 1}}),
    "65 attributes": point(attributes={f"a{i}": i for i in range(65)}),
    "an attribute that is too long": point(attributes={"a": "x" * 1025}),
    "a name of an attribute that is too long": point(attributes={"x" * 1025: "a"}),
}


@dataclass(frozen=True)
class Sent:
    value: bytes
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def codec_accepts(value: Any) -> bool:
    columns = JsonPoints(Limits()).decode([Sent(json.dumps(value).encode())])
    return not columns.rejections and not columns.dropped


def schema_accepts(value: Any) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(value)


@pytest.mark.parametrize("value", ACCEPTED.values(), ids=ACCEPTED)
def test_schema_and_codec_accept(value: Any) -> None:
    assert codec_accepts(value)
    assert schema_accepts(value)


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_schema_and_codec_refuse(value: Any) -> None:
    assert not codec_accepts(value)
    assert not schema_accepts(value)


def test_the_schemas_own_examples_are_points() -> None:
    for example in SCHEMA["examples"]:
        assert schema_accepts(example)
        assert codec_accepts(example)
