"""What people say about incidents as it travels: records of ``calm.control`` by their key, and *said records*, one or
several of those with their offsets there, as written into every partition of ``calm.anomalies``. The header
``calm_type`` tells them from anomalies.

Guarantee: what is read is what was written; anything else, whatever its bytes, raises BadSaid and nothing else. What
``everything`` makes fits into what the topic takes.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pipeline.codecs import maintenance_event, order_event, silence_event
from pipeline.codecs.said_value import MOST_BYTES
from pipeline.policies.control import MAINTENANCE, ORDER, PREFIXES, SILENCE, Said, SaidControl, What
from pipeline.policies.maintenance import Maintenance
from pipeline.policies.silence import Silence
from pipeline.records.message import Headers

_json = msgspec.json.Encoder()
_NOTHING = msgspec.Raw(b"null")

#: Header of a said record.
SAID = ("calm_type", b"said")
#: Bytes of values that one is filled with, so that with the last one it stays below the 960 kB that the topic takes;
#: and bytes of one that is read.
_FULL_BYTES, _MOST_BYTES = 5 * MOST_BYTES, 7 * MOST_BYTES

#: How each kind is read, and the reason under which a broken one is counted.
_KINDS: dict[str, Any] = {
    SILENCE: (silence_event.decode, "bad_silence"),
    MAINTENANCE: (maintenance_event.decode, "bad_maintenance"),
    ORDER: (order_event.decode, "bad_order"),
}


class BadSaid(ValueError):
    """A record that is none of ours; the message says what is wrong with it, ``reason`` is its word in metrics."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def is_kind(key: bytes | None) -> bool:
    """Is this the key of a silence, a window or an order on ``calm.control``?"""
    return key is not None and any(key.startswith(prefix.encode()) for prefix in PREFIXES)


def record_of(what: What) -> tuple[bytes, bytes]:
    """Key and value on ``calm.control``."""
    if isinstance(what, Silence):
        return silence_event.key_of(what.id), silence_event.encode(what)
    if isinstance(what, Maintenance):
        return maintenance_event.key_of(what.id), maintenance_event.encode(what)
    return order_event.key_of(what), order_event.encode(what)


def decode(key: bytes | None, value: bytes | None, offset: int) -> Said:
    """A record of ``calm.control`` of which ``is_kind`` is true. Raises BadSaid."""
    for prefix, (read, reason) in _KINDS.items():
        if (key or b"").startswith(prefix.encode()):
            try:
                said: Said = read(key, value, offset)
            except ValueError as error:
                raise BadSaid(reason, str(error)) from error
            return said
    raise BadSaid("bad_order", f"the key {(key or b'')[:200]!r} is of no kind that is said about incidents")


def is_said(headers: Headers) -> bool:
    """Is this record of ``calm.anomalies`` a said record?"""
    return any(name == SAID[0] and value == SAID[1] for name, value in headers)


def encode_control(control: SaidControl) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers of a said record."""
    said = [[one.offset, one.key, _NOTHING if one.what is None else msgspec.Raw(_value(one))] for one in control.said]
    form = {"end": control.end, "complete": control.complete, "first": control.first, "last": control.last}
    return _json.encode(form | {"said": said}), (SAID,)


def decode_control(value: bytes | None) -> SaidControl:
    """Raises BadSaid."""
    try:
        if len(value or b"") > _MOST_BYTES:
            raise ValueError(f"it has {len(value or b'')} bytes; at most {_MOST_BYTES} are read")
        found = msgspec.json.decode(value or b"", type=_Control)
        said = tuple(
            decode(key.encode(), None if form == _NOTHING else bytes(form), offset) for offset, key, form in found.said
        )
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadSaid("undecodable", f"not a said record: {error}") from error
    return SaidControl(found.end, said, found.complete, found.first, found.last)


class _Control(msgspec.Struct):
    end: int
    complete: bool
    first: str
    last: str
    said: list[tuple[int, str, msgspec.Raw]]


def everything(end: int, said: Iterable[Said]) -> Iterator[SaidControl]:
    """All that is live below ``end``: together these say that there is nothing else. First silences and windows, by
    their keys, then orders in the order in which they were given."""
    live = [one for one in said if one.what is not None]
    orders = sorted((one for one in live if one.key.startswith(ORDER)), key=lambda one: one.offset)
    parts = list(_parts(sorted((one for one in live if not one.key.startswith(ORDER)), key=lambda one: one.key)))
    firsts = ["", *(part[0].key for part in parts[1:]), ""]
    for number, part in enumerate(parts or [[]]):
        ordered = tuple(sorted(part, key=lambda one: one.offset))
        yield SaidControl(end, ordered, complete=True, first=firsts[number], last=firsts[number + 1])
    for part in _parts(orders):
        yield SaidControl(end, tuple(part))


def _parts(said: Iterable[Said]) -> Iterator[list[Said]]:
    part: list[Said] = []
    size = 0
    for one in said:
        part.append(one)
        size += len(_value(one)) + len(one.key) + 50
        if size > _FULL_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _value(said: Said) -> bytes:
    assert said.what is not None
    return record_of(said.what)[1]
