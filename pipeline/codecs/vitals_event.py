"""Workloads of which something is unusual, on their way to the correlate stage through ``calm.anomalies``: JSON, one
record for a scope and a window.

Headers: ``calm_type`` is ``vitals``; ``calm_source`` and ``calm_sequence`` as of anomalies (see ``anomaly_event``),
whose progress records serve here too.

Guarantee: what is read is what was written; anything else raises BadVitals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pipeline.records import Message, Unusual
from pipeline.records.message import Headers, Numbered

_json = msgspec.json.Encoder()
_row = msgspec.json.Decoder(Unusual)

#: Header of these on ``calm.anomalies``.
VITALS = ("calm_type", b"vitals")


class BadVitals(ValueError):
    """A record that says nothing of workloads that we would; the message says what is wrong with it."""


class _Body(msgspec.Struct):
    scope: str
    end_us: int
    workloads: list[Unusual]


_decoder = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True)
class Arrival(Numbered):
    """What a scope showed in a window."""

    scope: str
    end_us: int
    rows: tuple[Unusual, ...]


def is_vitals(headers: Headers) -> bool:
    """Is this a record of workloads of which something is unusual?"""
    return any(name == VITALS[0] and value == VITALS[1] for name, value in headers)


def encode(
    scope: str, end_us: int, rows: Sequence[Unusual], source: str, sequence: int
) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    """Value and headers of the rows of a window."""
    headers = (
        ("content-type", b"application/json"),
        VITALS,
        ("calm_source", source.encode()),
        ("calm_sequence", str(sequence).encode()),
    )
    return _json.encode(_Body(scope, end_us, list(rows))), headers


def decode(message: Message) -> Arrival:
    """Raises BadVitals."""
    try:
        headers = dict(message.headers)
        source, sequence = headers["calm_source"].decode(), int(headers["calm_sequence"])
        if headers["calm_type"] != VITALS[1]:
            raise ValueError(f"calm_type is {headers['calm_type']!r}")
        body = _decoder.decode(message.value or b"")
        if any(row.end_us != body.end_us or row.window_us <= 0 for row in body.workloads):
            raise ValueError("its rows are of other windows")
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        raise BadVitals(f"not vitals of ours: {error!r}") from error
    return Arrival(source, sequence, sequence + 1, body.scope, body.end_us, tuple(body.workloads))


def pack(row: Unusual) -> bytes:
    """A row as a checkpoint keeps it."""
    return _json.encode(row)


def unpack(value: bytes) -> Unusual:
    """The inverse of ``pack``. Raises msgspec's errors."""
    return _row.decode(value)
