"""CloudEvents as Kafka carries them, and JSON objects that come without: one shape for both.

Guarantee: a message gives all its objects or is refused, as ``empty`` or ``undecodable``. Read are the binary mode
(headers ``ce_…``, the value is the data), the structured mode and its batch (JSON with ``specversion``), and plain
JSON: an object, an array of objects, or NDJSON. Sources: Kafka protocol binding and JSON format of CloudEvents 1.0.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from pipeline.codecs.described import text_at
from pipeline.codecs.series_table import BadPoint
from pipeline.records import Message

_BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_HEADER_PREFIX = "ce_"
_json = msgspec.json.Decoder()


class Envelope(NamedTuple):
    """The attributes of a CloudEvent; ``time`` is empty where it has none."""

    id: str
    source: str
    type: str
    subject: str
    time: str


class Sent(NamedTuple):
    """One object of a message. ``data`` is a JSON object, or a text."""

    envelope: Envelope | None
    data: Any


def read(message: Message) -> list[Sent]:
    """The objects of a message. Raises BadPoint."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers}
    if f"{_HEADER_PREFIX}type" in headers:
        given = {
            name.removeprefix(_HEADER_PREFIX): value
            for name, value in headers.items()
            if name.startswith(_HEADER_PREFIX)
        }
        return [Sent(_envelope(given), _data_of_binary(message.value, headers.get("content-type", "")))]
    return [_sent(found) for found in _objects(message.value)]


def _objects(value: bytes | None) -> list[dict[str, Any]]:
    if not value or value.isspace():
        raise BadPoint("empty", "the message has no value; send a JSON object")
    try:
        found = _json.decode_lines(value)
    except _BAD_JSON as error:
        raise BadPoint("undecodable", f"not a JSON object, an array of them or NDJSON: {error}"[:300]) from None
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if not all(isinstance(one, dict) for one in found):
        raise BadPoint("undecodable", "the message must be a JSON object, an array of objects or NDJSON")
    return found


def _sent(found: dict[str, Any]) -> Sent:
    """A structured CloudEvent opened, anything else as it is."""
    if not isinstance(found.get("specversion"), str) or not isinstance(found.get("type"), str):
        return Sent(None, found)
    if "data_base64" in found:
        try:
            raw = base64.b64decode(text_at(found, "data_base64"), validate=True)
        except (binascii.Error, ValueError):
            raise BadPoint("undecodable", "data_base64 of a CloudEvent is not base64") from None
        return Sent(_envelope(found), _data_of_binary(raw, text_at(found, "datacontenttype")))
    data = found.get("data")
    return Sent(_envelope(found), data if isinstance(data, dict | str) else {})


def _envelope(found: Mapping[str, Any]) -> Envelope:
    return Envelope(*(text_at(dict(found), name) for name in Envelope._fields))


def _data_of_binary(value: bytes | None, content_type: str) -> Any:
    """What the value of a CloudEvent holds; without a type it is taken for JSON if it can be."""
    if not value or value.isspace():
        return {}
    is_text = content_type.startswith("text/")
    if not is_text:
        try:
            found = _json.decode(value)
            return found if isinstance(found, dict | str) else {}
        except _BAD_JSON as error:
            raise BadPoint(
                "undecodable", f"the data of a CloudEvent must be JSON, or text/plain: {error}"[:300]
            ) from None
    return value.decode(errors="replace")
