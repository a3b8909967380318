"""Edges on ``calm.topology``: one JSON record for each edge and writer, compacted; and the same, with a header that
tells them from anomalies, to the correlate stage.

Key: ``edge|<writer>|<scope>|<client>|<server>|<kind>``. Guarantee: decode(encode(edge)) is the edge; a tombstone says
that its writer no longer knows it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from pipeline.records import US, Edge, EdgeKind, Message, iso
from pipeline.records.message import Headers

_json = msgspec.json.Encoder()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadEdge(ValueError):
    """A record on ``calm.topology`` that Calmstream did not write."""


#: Header of an edge on ``calm.anomalies``.
EDGE = ("calm_type", b"edge")


def is_edge(headers: Headers) -> bool:
    """Is this record of ``calm.anomalies`` an edge?"""
    return any(name == EDGE[0] and value == EDGE[1] for name, value in headers)


class _Body(msgspec.Struct):
    writer: str
    scope: str
    client: str
    server: str
    kind: EdgeKind
    first_time: datetime
    last_time: datetime
    calls: int


@dataclass(frozen=True, slots=True)
class News:
    """What a writer says of an edge."""

    writer: str
    edge: Edge


def encode(edge: Edge, writer: str) -> tuple[bytes, bytes]:
    """Key and value."""
    body = {
        "writer": writer,
        "scope": edge.scope,
        "client": edge.client,
        "server": edge.server,
        "kind": edge.kind.value,
        "first_time": iso(edge.first_us),
        "last_time": iso(edge.last_us),
        "calls": edge.calls,
    }
    return key(edge, writer), _json.encode(body)


def key(edge: Edge, writer: str) -> bytes:
    parts = ("edge", writer, edge.scope, edge.client, edge.server, edge.kind.value)
    return "|".join(parts).encode("utf-8", "replace")


def decode(message: Message) -> News:
    """Raises BadEdge."""
    try:
        body = msgspec.json.decode(message.value or b"", type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadEdge(f"not an edge of the service graph: {error}") from None
    first_us, last_us = _us(body.first_time), _us(body.last_time)
    return News(body.writer, Edge(body.scope, body.client, body.server, body.kind, first_us, last_us, body.calls))


def _us(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * US + since.microseconds
