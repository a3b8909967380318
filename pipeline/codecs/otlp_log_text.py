"""The texts of an OTLP log record: its body, and its attributes where they are needed.

Guarantee: every body has one text, whatever its type; bytes that are no UTF-8 are replaced, since a broken line is a
line all the same. Work is proportional to the size; hostile nesting raises BadPoint.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from pipeline.codecs.otlp_attributes import point_attributes, resource_attributes
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records.signal import Attributes

#: Of a body that is a map, these hold the line itself.
_MESSAGE_KEYS = ("message", "msg", "log", "body", "MESSAGE")
_STRING = 0x0A  # the tag of AnyValue.string_value
#: A body, and an attribute of an event (a stack trace, say), may be long; what is too long is cut later.
_WHOLE = Limits(max_attribute_bytes=2**31)


class _StringValue(msgspec.Struct, gc=False):
    string: str | None = msgspec.field(name="stringValue", default=None)


_BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_json_string = msgspec.json.Decoder(_StringValue)


def body_of_protobuf(raw: bytes) -> str:
    """The text of a serialised AnyValue. Raises BadPoint."""
    if len(raw) > 1 and raw[0] == _STRING:  # nearly always: a tag, a length of one or two bytes, and the text
        if raw[1] == len(raw) - 2 < 0x80:
            return raw[2:].decode(errors="replace")
        if raw[1] >= 0x80 and len(raw) > 2 and raw[2] < 0x80 and (raw[2] << 7 | raw[1] & 0x7F) == len(raw) - 3:
            return raw[3:].decode(errors="replace")
    return _line(_from_protobuf(raw)) if raw else ""


def body_of_json(raw: msgspec.Raw) -> str:
    """The text of an AnyValue in JSON. Raises BadPoint."""
    if bytes(raw) in (b"", b"null"):
        return ""
    try:
        text = _json_string.decode(raw).string
    except _BAD_JSON as error:
        raise BadPoint("undecodable", f"the body of a log record is no AnyValue: {error}"[:300]) from None
    return _line(_from_json(raw)) if text is None else text


def object_of_body(raw: Any) -> dict[str, Any]:
    """A body that is a map (serialised, or as JSON), whole; empty where it is none. Raises BadPoint."""
    value = _from_json(raw) if isinstance(raw, msgspec.Raw) else _from_protobuf(raw)
    if value.WhichOneof("value") != "kvlist_value":
        return {}
    found: dict[str, Any] = msgspec.json.decode(_whole(value))
    return found


def attributes_of_protobuf(raw: Sequence[bytes]) -> dict[str, str]:
    """Attributes given as serialised KeyValue messages. Raises BadPoint."""
    return dict(point_attributes(raw, _WHOLE).values())


def attributes_of_json(raw: msgspec.Raw | bytes) -> dict[str, str]:
    """Attributes given as JSON. Raises BadPoint."""
    if bytes(raw) in (b"", b"null"):
        return {}
    return dict(_resource_pairs(b'{"attributes":' + bytes(raw) + b"}", _WHOLE))


def resource_of_protobuf(raw: bytes, limits: Limits) -> Attributes:
    """The attributes of a serialised Resource, sorted. Raises BadPoint."""
    return tuple(sorted(resource_attributes(raw, limits).values()))


def resource_of_json(raw: bytes, limits: Limits) -> Attributes:
    """The attributes of a Resource in JSON, sorted. Raises BadPoint."""
    return () if raw in (b"", b"null") else tuple(sorted(_resource_pairs(raw, limits)))


def _resource_pairs(raw: bytes, limits: Limits) -> list[tuple[str, str]]:
    try:
        resource = json_format.Parse(raw, Resource(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BadPoint("bad_attributes", f"the attributes are not OTLP in JSON: {error}"[:300]) from None
    return list(resource_attributes(resource.SerializeToString(), limits).values())


def _from_protobuf(raw: bytes) -> AnyValue:
    try:
        return AnyValue.FromString(raw)
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadPoint("undecodable", f"the body of a log record is no AnyValue: {error}"[:300]) from None


def _from_json(raw: msgspec.Raw) -> AnyValue:
    try:
        return json_format.Parse(bytes(raw), AnyValue(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BadPoint("undecodable", f"the body of a log record is no AnyValue: {error}"[:300]) from None


def _line(value: AnyValue) -> str:
    if value.WhichOneof("value") == "kvlist_value":
        texts = {pair.key: pair.value.string_value for pair in value.kvlist_value.values}
        for name in _MESSAGE_KEYS:
            if texts.get(name):
                return texts[name]
    return _whole(value)


def _whole(value: AnyValue) -> str:
    pair = point_attributes([KeyValue(key="body", value=value).SerializeToString()], _WHOLE).get("body")
    return pair[1] if pair else ""
