"""The service graph of real traces, joined as they come, is the one that an offline join of all spans gives."""

import csv
import io
import os
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.codecs.registry import span_codec
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest_spans import SpanIngestChain
from pipeline.flow.join_spans import SpanJoinChain
from pipeline.records import US
from tests.flow.line import Passed

ARCHIVE = Path(os.environ.get("CALMSTREAM_DATA", "../shared/data")) / "nezha/trainticket-2023-01-29-fault-free.tar.xz"
pytestmark = pytest.mark.skipif(
    not ARCHIVE.exists(), reason=f"no {ARCHIVE}; CALMSTREAM_DATA names the folder with nezha/"
)
CONFIG = FlowConfig(
    sources=(),
    signal_partitions=1,
    anomaly_partitions=1,
    span_sources=("otlp_spans/0",),
    span_partitions=4,
)
Call = tuple[str, str]


class Row(NamedTuple):
    """A line of the archive's table."""

    trace: str
    span: str
    parent: str
    pod: str
    operation: str
    start_ns: int
    end_ns: int

    @property
    def service(self) -> str:
        return self.pod.rsplit("-", 2)[0]


@cache
def rows() -> tuple[Row, ...]:
    """All spans, in the order in which they ended."""
    found = []
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if member.name.endswith("_trace.csv") and (file := archive.extractfile(member)):
                lines = csv.reader(io.TextIOWrapper(file, encoding="utf-8"))
                next(lines)
                found += [
                    Row(line[0], line[1], line[2], line[3], line[4], int(line[5]), int(line[6])) for line in lines
                ]
    return tuple(sorted(found, key=lambda row: (row.end_ns, row.span)))


def joined_offline() -> Counter[Call]:
    """Calls from one service to another: spans whose parent is a span of the same trace in another service."""
    service = {(row.trace, row.span): row.service for row in rows()}
    found: Counter[Call] = Counter()
    for row in rows():
        caller = service.get((row.trace, row.parent))
        if caller is not None and caller != row.service:
            found[caller, row.service] += 1
    return found


def messages(*, in_a_message: int) -> Iterator[tuple[bytes, int]]:
    """OTLP traces as the pods would export them, and when: each second every pod sends what has ended."""
    waiting: dict[str, list[Row]] = defaultdict(list)
    second = rows()[0].end_ns // 10**9
    for row in rows():
        if row.end_ns // 10**9 > second:
            yield from ((_message(found), (second + 1) * 1000) for found in waiting.values())
            waiting.clear()
            second = row.end_ns // 10**9
        waiting[row.pod].append(row)
        if len(waiting[row.pod]) >= in_a_message:
            yield _message(waiting.pop(row.pod)), (second + 1) * 1000
    yield from ((_message(found), (second + 1) * 1000) for found in waiting.values())
    end = span("end", b"\xff" * 16, b"\xff" * 8, (second + 600) * US, (second + 600) * US)
    yield traces_request(resource_spans({"service.name": "end"}, [end])), (second + 600) * 1000


def _message(found: list[Row]) -> bytes:
    attributes = {"service.name": found[0].service, "k8s.pod.name": found[0].pod}
    spans = [
        span(
            row.operation,
            bytes.fromhex(row.trace),
            bytes.fromhex(row.span),
            row.start_ns // 1000,
            row.end_ns // 1000,
            parent=b"" if row.parent == "root" else bytes.fromhex(row.parent),
        )
        for row in found
    ]
    return traces_request(resource_spans(attributes, spans))


def joined(*, in_a_message: int = 50) -> tuple[Counter[Call], Counter[str]]:
    """Edges that the shards of spans know in the end, with their calls; what was dropped on the way."""
    ingest = SpanIngestChain("otlp_spans/0", span_codec("otlp_spans", CONFIG.limits), CONFIG)
    joins = [SpanJoinChain(partition, CONFIG) for partition in range(CONFIG.span_partitions)]
    written = [0] * len(joins)
    dropped: Counter[str] = Counter()
    for offset, (value, timestamp) in enumerate(messages(in_a_message=in_a_message)):
        output = ingest.apply([Passed(offset, timestamp, None, value, ())])
        output.add(ingest.flush())
        for record in output.records:
            if record.topic != "spans":
                dropped[record.topic] += 1
                continue
            place = record.partition or 0
            passed = joins[place].apply([Passed(written[place], timestamp, None, record.value, ())])
            dropped.update({reason: n for (what, reason), n in passed.counts.items() if what == "drop"})
            written[place] += 1
        dropped.update({reason: n for (what, reason), n in output.counts.items() if what == "drop"})
    edges: Counter[Call] = Counter()
    for join in joins:
        for edge in join.edges:
            edges[edge.client.partition(":")[2], edge.server.partition(":")[2]] += edge.calls
    return edges, dropped


def test_the_graph_and_its_calls_are_those_of_an_offline_join() -> None:
    expected = joined_offline()
    found, dropped = joined()
    assert not dropped
    assert len(expected) > 40
    assert found == expected


def test_it_does_not_matter_how_spans_are_cut_into_messages() -> None:
    assert joined(in_a_message=3)[0] == joined(in_a_message=5000)[0]
