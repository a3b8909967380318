"""What events and changes have in common on their way from JSON: attributes as text, whose they are, ids.

Guarantee: attributes are sorted by name, have one text for each value, and keep the limits (cut or left out where the
sender is somebody else's program, refused where it is our own form). An id made here depends on the content alone.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from pipeline.codecs.resource_table import check_limits
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records.signal import Attributes

_json = msgspec.json.Encoder()

#: How the names of OpenTelemetry's resource attributes begin …
_ENTITY_PREFIXES = (
    "service.",
    "k8s.",
    "host.",
    "container.",
    "cloud.",
    "faas.",
    "deployment.",
    "process.",
    "os.",
    "telemetry.",
)
#: … except these, which say what happened to it.
_NOT_ENTITY = ("k8s.event.", "k8s.object.", "k8s.resource.name", "service.peer.")


class Split(NamedTuple):
    """Attributes that name the entity, and the others."""

    entity: dict[str, str]
    others: dict[str, str]


def names_entity(name: str) -> bool:
    """Is it the name of a resource attribute, by OpenTelemetry's conventions?"""
    return name.startswith(_ENTITY_PREFIXES) and not name.startswith(_NOT_ENTITY)


def split(attributes: Mapping[str, str]) -> Split:
    """Entity and others, by their names."""
    entity = {name: value for name, value in attributes.items() if names_entity(name)}
    return Split(entity, {name: value for name, value in attributes.items() if name not in entity})


def text_of(value: Any) -> str:
    """One text for a value of JSON; lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return "" if value is None else _json.encode(value).decode()


def flat(found: Mapping[str, Any]) -> dict[str, str]:
    """Members of somebody's JSON object as texts; empty ones and nulls are left out."""
    return {name: text for name, value in found.items() if (text := text_of(value))}


def member(found: Any, *path: str) -> Any:
    """What stands at the path of objects inside one another; None where there is no such."""
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def text_at(found: Any, *path: str) -> str:
    """The text at a path; empty where there is none."""
    value = member(found, *path)
    return value if isinstance(value, str) else ""


def object_at(found: Any, *path: str) -> dict[str, Any]:
    """The object at a path; empty where there is none."""
    value = member(found, *path)
    return value if isinstance(value, dict) else {}


def objects_at(found: Any, *path: str) -> list[dict[str, Any]]:
    """The objects in the list at a path."""
    value = member(found, *path)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def strict(found: Mapping[str, Any], limits: Limits) -> Attributes:
    """Attributes of our own form. Raises BadPoint for what is no string, number or boolean, and beyond the limits."""
    for name, value in found.items():
        if not isinstance(value, str | int | float | None):
            raise BadPoint("bad_attributes", f"{name[:64]!r} must be a string, a number or a boolean")
    attributes = tuple(sorted((name, text_of(value)) for name, value in found.items() if value is not None))
    check_limits(attributes, limits)
    return limits.redaction.attributes(attributes)


def lenient(found: Mapping[str, str], limits: Limits) -> Attributes:
    """Attributes that others wrote: long values are cut, long names and what is too much are left out, last by name."""
    most = limits.max_attribute_bytes
    if limits.redaction:  # before anything is cut: half of what a rule matches would be left
        found = dict(limits.redaction.attributes(tuple(found.items())))
    fitting = [(name, cut(value, most)) for name, value in found.items() if cut(name, most) == name and value]
    return tuple(sorted(fitting)[: limits.max_attributes])


def text_within(text: str, most_bytes: int, limits: Limits) -> str:
    """The text of an event, of at most so many bytes of UTF-8."""
    return cut(limits.redaction.text("event.text", text), most_bytes)


def check_texts(limits: Limits, **texts: str) -> None:
    """Raises BadPoint where one is longer than an attribute may be."""
    check_limits(tuple(texts.items()), Limits(max_attribute_bytes=limits.max_attribute_bytes))


def cut(text: str, most_bytes: int) -> str:
    """The beginning of a text, of at most so many bytes of UTF-8."""
    if len(text) * 4 <= most_bytes:
        return text
    encoded = text[:most_bytes].encode("utf-8", "surrogatepass")
    return text if len(text) <= most_bytes >= len(encoded) else encoded[:most_bytes].decode(errors="ignore")


def content_id(*parts: str) -> str:
    """An id that is the same for the same content."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(4, "little"))
        digest.update(encoded)
    return digest.hexdigest()
