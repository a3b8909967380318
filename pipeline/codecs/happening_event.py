"""Events and changes in our own log, between our own stages: JSON by docs/schema, and headers that keep the order.

Headers: ``calm_type`` is ``event`` or ``change``; ``calm_source`` is the shard that wrote; ``calm_sequence`` counts
what it wrote into this partition from 0, as for anomalies (see ``anomaly_event``, whose progress records serve here
too).

Guarantee: what is read is what was written; anything else raises BadHappening.
"""

from dataclasses import dataclass

import msgspec

from pipeline.codecs import own_forms
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.records import Change, Event, Message
from pipeline.records.message import Headers

_json = msgspec.json.Encoder()
#: What we wrote keeps no limits but its own.
_UNLIMITED = Limits(max_attributes=2**31, max_attribute_bytes=2**31)


class BadHappening(ValueError):
    """A record that is no event or change of ours; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record; it covers the source's sequence ``start`` … ``end``."""

    source: str
    start: int
    end: int
    happening: Event | Change


def is_happening(headers: Headers) -> bool:
    """Is this a record of an event or a change?"""
    return any(name == "calm_type" and value in (b"event", b"change") for name, value in headers)


def encode(happening: Event | Change, source: str, sequence: int) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers."""
    kind = b"event" if isinstance(happening, Event) else b"change"
    headers = (
        ("content-type", b"application/json"),
        ("calm_type", kind),
        ("calm_source", source.encode()),
        ("calm_sequence", str(sequence).encode()),
    )
    form = own_forms.event_form(happening) if isinstance(happening, Event) else own_forms.change_form(happening)
    return _json.encode(form), headers


def decode(message: Message) -> Arrival:
    """Raises BadHappening."""
    try:
        headers = dict(message.headers)
        source, sequence = headers["calm_source"].decode(), int(headers["calm_sequence"])
        if headers["calm_type"] not in (b"event", b"change"):
            raise ValueError(f"calm_type is {headers['calm_type']!r}")
        found = msgspec.json.decode(message.value or b"")
        read = own_forms.event_of if headers["calm_type"] == b"event" else own_forms.change_of
        return Arrival(source, sequence, sequence + 1, read(found, _UNLIMITED))
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        detail = error.detail if isinstance(error, BadPoint) else repr(error)
        raise BadHappening(f"not an event or change of ours: {detail}") from error
