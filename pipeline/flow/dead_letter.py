"""What cannot be used goes whole to the dead-letter topic, with where it stood and why in its headers.

Guarantee: a dead letter is never larger than a record may be. Of a message that would be, the beginning stands there,
and a header says what was cut.
"""

from collections.abc import Sequence

from pipeline.records import Headers, Message, Produced

_DETAIL_CHARACTERS = 1000
#: Of a dead letter with all that is around it: what producers and topics of ours take is 16 MiB.
MOST_BYTES = 16 * 2**20 - 64 * 2**10
#: Of its key and of its headers, where it is larger.
_MOST_KEY_BYTES = 64 * 2**10
_MOST_HEADERS_BYTES = 256 * 2**10
#: At most around a record, its key, its value and each header on the wire.
_AROUND_RECORD_BYTES = 128
_AROUND_HEADER_BYTES = 10


def dead_letter(message: Message, topic: str, partition: str, reason: str, detail: str) -> Produced:
    """The record for ``calm.dead-letter``: value, key and headers as they came, and ``calm_topic``, ``calm_partition``,
    ``calm_offset``, ``calm_reason``, ``calm_detail``; behind them ``calm_cut`` where something had to be cut."""
    where = (("calm_topic", topic), ("calm_partition", partition), ("calm_offset", str(message.offset)))
    why = (("calm_reason", reason), ("calm_detail", detail[:_DETAIL_CHARACTERS]))
    ours = tuple((name, text.encode("utf-8", "replace")) for name, text in (*where, *why))
    value, key, headers, cut = _fitting(message, _size(ours))
    if cut:
        ours += (("calm_cut", cut.encode()),)
    return Produced("dead-letter", value, key, headers=(*headers, *ours))


def _fitting(message: Message, around: int) -> tuple[bytes | None, bytes | None, Headers, str]:
    """Value, key and headers as they fit into a record with ``around`` bytes more, and what was cut in words."""
    value, key, headers = message.value, message.key, message.headers
    of_value, of_key, of_headers = len(value or b""), len(key or b""), _size(headers)
    room = MOST_BYTES - around - _AROUND_RECORD_BYTES
    if of_value + of_key + of_headers <= room:
        return value, key, headers, ""
    cut = []
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
    return value, key, headers, ", ".join(cut)


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
