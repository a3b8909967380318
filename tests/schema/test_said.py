"""docs/schema/silence.json, maintenance.json and order.json fit what we write, name every key, refuse what is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from pipeline.codecs import said_record
from pipeline.codecs.said_record import BadSaid
from pipeline.policies.control import What
from pipeline.policies.maintenance import DAYS
from pipeline.policies.orders import ACTIONS, REASONS
from pipeline.policies.said_forms import MAINTENANCE_KEYS, ORDER_KEYS, RECURS_KEYS, SILENCE_KEYS
from tests.codecs.said import WHATS
from tests.codecs.test_said_record import MAINTENANCE, RESOLVE_FORM, SILENCE

FOLDER = Path(__file__).parents[2] / "docs/schema"
SCHEMAS: dict[str, Any] = {
    name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("silence", "maintenance", "order")
}


@pytest.mark.parametrize(
    ("name", "keys"), [("silence", SILENCE_KEYS), ("maintenance", MAINTENANCE_KEYS), ("order", ORDER_KEYS)]
)
def test_each_schema_is_valid_names_every_key_and_explains_it(name: str, keys: tuple[str, ...]) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    properties = SCHEMAS[name]["properties"]
    assert sorted(properties) == sorted(keys)
    assert all("description" in value for value in properties.values())


def test_the_words_are_those_of_the_code() -> None:
    order, recurs = SCHEMAS["order"]["properties"], SCHEMAS["maintenance"]["properties"]["recurs"]["properties"]
    assert order["action"]["enum"] == list(ACTIONS)
    assert order["reason"]["enum"] == [*REASONS, None]
    assert recurs["days_of_week"]["items"]["enum"] == list(DAYS)
    assert sorted(recurs) == sorted(RECURS_KEYS)


@given(WHATS)
def test_what_we_write_fits(what: What) -> None:
    key, value = said_record.record_of(what)
    Draft202012Validator(SCHEMAS[key.decode().partition("/")[0]]).validate(json.loads(value))


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in SILENCE.items() if name != key}


_SILENCES: list[dict[str, Any]] = [{"id": "a b"}, {"match": []}, {"author": " "}, {"x": 1}]
_WINDOWS: list[dict[str, Any]] = [{"recurs": {}}, {"starts": None}, {"expires": "x"}]
_ORDERS: list[dict[str, Any]] = [{"action": "x"}, {"reason": "x"}, {"members": [1]}]
REFUSED: list[tuple[bytes, Any]] = [
    *((b"silence/s1", SILENCE | changed) for changed in _SILENCES),
    *((b"silence/s1", without(key)) for key in ("comment", "expires")),
    *((b"maintenance/m1", MAINTENANCE | changed) for changed in _WINDOWS),
    *((b"order/inc-1/o1", RESOLVE_FORM | changed) for changed in _ORDERS),
]


@pytest.mark.parametrize(("key", "form"), REFUSED)
def test_what_the_codec_refuses_does_not_fit(key: bytes, form: Any) -> None:
    with pytest.raises(BadSaid):
        said_record.decode(key, json.dumps(form).encode(), 0)
    assert not Draft202012Validator(SCHEMAS[key.decode().partition("/")[0]]).is_valid(form)
