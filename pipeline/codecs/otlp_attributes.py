"""OTLP attributes as text: what a resource or a point says about itself.

Guarantee: every value has one text, whatever its type, and hostile input (deep, huge, many) raises BadPoint after
work proportional to its own size. An attribute without a value is left out; of two with one name the last counts.
Attributes are found by name as the pair (name, text) that a Series holds, so that all series of a resource share them.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from pipeline.codecs.series_table import BadPoint, Limits

Pairs = dict[str, tuple[str, str]]

#: Lists and maps inside one another; semantic conventions have none deeper than two.
MAX_DEPTH = 16


def resource_attributes(resource: bytes, limits: Limits) -> Pairs:
    """The attributes of a serialised ``Resource``."""
    try:
        pairs = Resource.FromString(resource).attributes
    except (DecodeError, UnicodeDecodeError) as error:
        raise _unreadable("the resource", error) from None
    _check_number(len(pairs), limits)
    return _texts(pairs, limits)


def point_attributes(raw: Sequence[bytes], limits: Limits) -> Pairs:
    """The attributes given as serialised ``KeyValue`` messages."""
    _check_number(len(raw), limits)
    try:
        pairs = [KeyValue.FromString(one) for one in raw]
    except (DecodeError, UnicodeDecodeError) as error:
        raise _unreadable("the point", error) from None
    return _texts(pairs, limits)


def check_size(text: str, limits: Limits) -> None:
    """Refuses a name or value longer than the limit, in UTF-8 bytes."""
    most = limits.max_attribute_bytes
    if len(text) * 4 > most and (len(text) > most or len(text.encode()) > most):
        raise BadPoint("huge_attribute", f"{text[:32]!r}… is too long; at most {most} bytes are taken")


def _texts(pairs: Iterable[KeyValue], limits: Limits) -> Pairs:
    found: Pairs = {}
    for pair in pairs:
        text = _text(pair.value)
        if text is not None:
            check_size(pair.key, limits)
            check_size(text, limits)
            found[pair.key] = (pair.key, text)
    return found


def _text(value: AnyValue) -> str | None:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return repr(value.double_value)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case "array_value" | "kvlist_value":
            return json.dumps(_plain(value, 1), separators=(",", ":"), ensure_ascii=False)
        case _:
            return None


def _plain(value: AnyValue, depth: int) -> Any:
    """A value inside a list or map, as JSON can hold it."""
    if depth > MAX_DEPTH:
        raise BadPoint("deep_attribute", f"lists and maps in an attribute may be at most {MAX_DEPTH} deep")
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(one, depth + 1) for one in value.array_value.values]
        case "kvlist_value":
            return {pair.key: _plain(pair.value, depth + 1) for pair in value.kvlist_value.values}
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case _:
            return _text(value)


def _check_number(number: int, limits: Limits) -> None:
    if number > limits.max_attributes:
        raise BadPoint("too_many_attributes", f"{number} attributes; at most {limits.max_attributes} are taken")


def _unreadable(where: str, error: Exception) -> BadPoint:
    return BadPoint("bad_attributes", f"the attributes of {where} are not OTLP (strings must be UTF-8): {error}")
