"""What cannot be used goes whole to the dead-letter topic, with where it stood and why in its headers.

Guarantee: a dead letter is never larger than a record may be. Of a message that would be, the beginning stands there,
and a header says what was cut. Where there are rules of redaction nothing stands there that they might forbid: what
they cannot be used on is left out, and headers say that too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.policies.redaction import NOTHING, Redaction
from pipeline.records import Headers, Message, Produced
from pipeline.records.escaping import plain

_DETAIL_CHARACTERS = 1000
#: Of a dead letter with all that is around it: what producers and topics of ours take is 16 MiB.
MOST_BYTES = 16 * 2**20 - 64 * 2**10
#: Of its key and of its headers, where it is larger.
_MOST_KEY_BYTES = 64 * 2**10
_MOST_HEADERS_BYTES = 256 * 2**10
#: At most around a record, its key, its value and each header on the wire.
_AROUND_RECORD_BYTES = 128
_AROUND_HEADER_BYTES = 10


@dataclass(frozen=True, slots=True)
class _Sent:
    """What of a message stands in its letter, and in words what was cut or redacted."""

    value: bytes | None
    key: bytes | None
    headers: Headers
    lacks: tuple[str, ...] = ()


def dead_letter(
    message: Message, topic: str, partition: str, reason: str, detail: str, redaction: Redaction = NOTHING
) -> Produced:
    """The record for ``calm.dead-letter``: value, key and headers as they came, and ``calm_topic``, ``calm_partition``,
    ``calm_offset``, ``calm_reason``, ``calm_detail``; behind them ``calm_cut`` where something had to be cut or
    redacted, and before them ``calm_redacted`` where something was redacted."""
    sent = _Sent(message.value, message.key, message.headers)
    if redaction:
        sent = _redacted(sent, redaction)
    where = (("calm_topic", topic), ("calm_partition", partition), ("calm_offset", str(message.offset)))
    why = (("calm_reason", reason), ("calm_detail", plain(detail, _DETAIL_CHARACTERS)))
    ours = tuple((name, text.encode("utf-8", "replace")) for name, text in (*where, *why))
    if sent.lacks:
        ours = (("calm_redacted", ", ".join(sent.lacks).encode()), *ours)
    sent = _fitting(sent, _size(ours))
    if sent.lacks:
        ours += (("calm_cut", ", ".join(sent.lacks).encode()),)
    return Produced("dead-letter", sent.value, sent.key, headers=(*sent.headers, *ours))


def _redacted(sent: _Sent, redaction: Redaction) -> _Sent:
    """A message with nothing in it that rules might forbid."""
    lacks = []
    value, key = redaction.unread(sent.value), redaction.unread(sent.key)
    for what, before, now in (("value", sent.value, value), ("key", sent.key, key)):
        if now != before:
            lacks.append(f"{what} of {len(before or b'')} bytes {'redacted' if now else 'left out by redaction'}")
    headers = tuple((redaction.header_name(name), redaction.header(name, raw)) for name, raw in sent.headers)
    if headers != tuple(sent.headers):
        lacks.append(f"headers of {_size(sent.headers)} bytes redacted")
        return _Sent(value, key, headers, tuple(lacks))  # type: ignore[arg-type]  # values may be None, as they came
    return _Sent(value, key, sent.headers, tuple(lacks))


def _fitting(sent: _Sent, around: int) -> _Sent:
    """Value, key and headers as they fit into a record with ``around`` bytes more."""
    value, key, headers = sent.value, sent.key, sent.headers
    of_value, of_key, of_headers = len(value or b""), len(key or b""), _size(headers)
    room = MOST_BYTES - around - _AROUND_RECORD_BYTES
    if of_value + of_key + of_headers <= room:
        return sent
    cut = list(sent.lacks)
    if key is not None and of_key > _MOST_KEY_BYTES:
        key = key[:_MOST_KEY_BYTES]
        cut.append(f"key of {of_key} bytes")
    if of_headers > _MOST_HEADERS_BYTES:
        headers = _fitting_headers(headers)
        cut.append(f"headers of {of_headers} bytes")
    room -= len(key or b"") + _size(headers)
    if value is not None and of_value > room:
        value = value[:room]
        cut.insert(0, f"value of {of_value} bytes")
    return _Sent(value, key, headers, tuple(cut))


def _size(headers: Headers) -> int:
    """Bytes that headers take at most."""
    return sum(len(name.encode()) + len(value or b"") + _AROUND_HEADER_BYTES for name, value in headers)


def _fitting_headers(headers: Headers) -> Sequence[tuple[str, bytes]]:
    """Those that fit beside the ones before them."""
    left, kept = _MOST_HEADERS_BYTES, []
    for header in headers:
        size = _size([header])
        if size <= left:
            left -= size
            kept.append(header)
    return kept
