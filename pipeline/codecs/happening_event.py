"""Events and changes in our own log, between our own stages: JSON by docs/schema, and headers that keep the order.

Headers: ``calm_type`` is ``event`` or ``change``; ``calm_source`` is the shard that wrote; ``calm_sequence`` counts
what it wrote into this partition from 0, as for anomalies (see ``anomaly_event``, whose progress records serve here
too).

Guarantee: what is read is what was written; anything else raises BadHappening.
"""

from dataclasses import dataclass

import msgspec

from pipeline.codecs import own_forms
from pipeline.codecs.series_table import BadPoint
from pipeline.records import Change, Event, Message
from pipeline.records.message import Headers, Numbered

_json = msgspec.json.Encoder()


class BadHappening(ValueError):
    """A record that is no event or change of ours; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Arrival(Numbered):
    """One event or change."""

    happening: Event | Change


def is_happening(headers: Headers) -> bool:
    """Is this a record of an event or a change?"""
    return any(name == "calm_type" and value in (b"event", b"change") for name, value in headers)


def encode(happening: Event | Change, source: str, sequence: int) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers."""
    kind, form = own_forms.form_of(happening)
    headers = (
        ("content-type", b"application/json"),
        ("calm_type", kind.encode()),
        ("calm_source", source.encode()),
        ("calm_sequence", str(sequence).encode()),
    )
    return _json.encode(form), headers


def decode(message: Message) -> Arrival:
    """Raises BadHappening."""
    try:
        headers = dict(message.headers)
        source, sequence = headers["calm_source"].decode(), int(headers["calm_sequence"])
        if headers["calm_type"] not in (b"event", b"change"):
            raise ValueError(f"calm_type is {headers['calm_type']!r}")
        found = msgspec.json.decode(message.value or b"")
        happening = own_forms.happening_of(headers["calm_type"].decode(), found)
        return Arrival(source, sequence, sequence + 1, happening)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        detail = error.detail if isinstance(error, BadPoint) else repr(error)
        raise BadHappening(f"not an event or change of ours: {detail}") from error
