"""Gives a message to a codec and to its ingest chain, and holds what becomes of it against what must.

``feed`` is what every kind of fuzzing here runs: no exception; rows, a rejection or a count for every message; what is
refused stands whole in a dead letter; what is written can be read by the stage that reads it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pipeline.codecs import line_block, signal_block, span_block
from pipeline.codecs.series_table import Limits
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.inputs import ingest_chain
from pipeline.records import Message, Output
from tests.fuzz.emptiness import holds_nothing
from tests.fuzz.seeds import CODECS, SECONDS

SOURCE = "fuzzed/3"
CONFIG = FlowConfig(
    sources=(SOURCE,), signal_partitions=2, anomaly_partitions=2, span_partitions=2, line_partitions=2,
    span_sources=(SOURCE,), line_sources=(SOURCE,), limits=Limits(max_series=100),
)  # fmt: skip
#: Of one message: a reason is told once, and there are not many of them.
MOST_REJECTIONS = 32
MOST_DETAIL = 1000  # besides what it quotes of the message


@dataclass(frozen=True)
class Sent:
    """A Kafka record."""

    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int = SECONDS * 1000
    key: bytes | None = b"key"
    offset: int = 17


def feed(name: str, sent: Sent) -> None:
    """Fails with AssertionError, or with what the codec or the chain raises."""
    decoded = CODECS[name](CONFIG.limits).decode([sent])
    rows = _rows_of(decoded)
    _check_rejections(decoded.rejections, rows, len(sent.value or b""))
    told = rows or decoded.rejections or sum(decoded.dropped.values())
    assert told or holds_nothing(name, sent.value or b""), "nothing became of the message"
    _check_chain(name, sent, decoded)


def _rows_of(decoded: Any) -> int:
    """How much a message gave."""
    happenings = getattr(decoded, "changes", None) or getattr(decoded, "events", None) or []
    columns = getattr(decoded, "message", np.empty(0, np.int32))
    assert not columns.any()
    assert all(each[0] == 0 for each in happenings)
    if hasattr(decoded, "value"):
        assert np.isfinite(decoded.value).all()
    sizes = {len(getattr(decoded, each)) for each in _columns(type(decoded)) if hasattr(decoded, each)}
    assert sizes <= {len(columns)}
    return len(columns) + len(happenings)


@cache
def _columns(kind: type) -> tuple[str, ...]:
    known = ("series", "time_us", "value", "resource", "severity", "body", "trace_id", "shape", "trace", "span",
             "parent", "start_us", "end_us", "failed")  # fmt: skip
    return tuple(
        name for name in known if name in kind.__slots__ and (kind.__name__, name) != ("PointColumns", "start_us")
    )


def _check_rejections(rejections: Sequence[Any], rows: int, size: int) -> None:
    assert len(rejections) <= MOST_REJECTIONS
    assert len({one.reason for one in rejections}) == len(rejections)
    for one in rejections:
        assert one.message == 0
        assert one.whole == (not rows)
        assert re.fullmatch("[a-z_]+", one.reason)
        assert 10 < len(one.detail) <= MOST_DETAIL + 2 * size
        one.detail.encode()


def _check_chain(name: str, sent: Sent, decoded: Any) -> None:
    chain = ingest_chain(name, SOURCE, CONFIG)
    output = chain.apply([sent])
    output.add(chain.flush())
    letters = [record for record in output.records if record.topic == "dead-letter"]
    assert len(letters) <= 1
    if decoded.rejections:
        assert letters
    _check_letters(letters, sent, decoded)
    _check_written(output)
    chain.snapshot(full=True)


def _check_letters(letters: Sequence[Any], sent: Message, decoded: Any) -> None:
    for letter in letters:
        said = {header: (text or b"").decode() for header, text in letter.headers[-5:]}
        told = set(said["calm_reason"].split(","))
        assert told - {"far_future", "far_past"} == {one.reason for one in decoded.rejections} - {
            "far_future",
            "far_past",
        }
        assert letter == dead_letter(sent, "fuzzed", "3", said["calm_reason"], said["calm_detail"])
        assert (letter.value, letter.key) == (sent.value, sent.key)


_READERS = {
    "signals": lambda record: signal_block.decode(record.value),
    "logs": lambda record: line_block.decode(record.value),
    "spans": lambda record: span_block.decode(record.value),
}


def _check_written(output: Output) -> None:
    for record in output.records:
        if record.topic in _READERS:
            _READERS[record.topic](record)
