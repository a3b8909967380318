"""Messages for the ingest chain, and what its blocks and dead letters say."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipeline.codecs import signal_block
from pipeline.codecs.registry import input_codec
from pipeline.codecs.series_table import Limits
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest import IngestChain
from pipeline.records import Output, Produced, SignalBlock
from tests.timeline import Record

T = 1_700_000_000
PARTITIONS = 3
CONFIG = FlowConfig(sources=("points/0",), signal_partitions=PARTITIONS, anomaly_partitions=1)


def chain(config: FlowConfig = CONFIG, limits: Limits | None = None) -> IngestChain:
    return IngestChain("points/0", input_codec("json_points", limits or config.limits), config)


def point(at: float = 0, service: int = 0, value: float = 1.0, **fields: Any) -> dict[str, Any]:
    return {"ts": T + at, "name": "m", "value": value, "attributes": {"service.name": f"s{service}"}, **fields}


def message(offset: int, *points: dict[str, Any], record_at: float = 0, value: bytes | None = None) -> Record:
    """An array of points, written to Kafka at ``record_at``."""
    whole = json.dumps(points).encode() if value is None else value
    return Record(offset, round((T + record_at) * 1000), b"key", whole, (("traceparent", b"00-1"),))


def blocks(output: Output) -> list[tuple[int, SignalBlock]]:
    return [
        (record.partition or 0, signal_block.decode(record.value or b""))
        for record in output.records
        if record.topic == "signals"
    ]


def letters(output: Output) -> list[Produced]:
    return [record for record in output.records if record.topic == "dead-letter"]


@dataclass(frozen=True, order=True)
class Row:
    """What a block says of one point."""

    partition: int
    offset: int
    id: int
    time_us: int
    value: float
    late: bool


def rows(output: Output) -> list[Row]:
    found = []
    for partition, block in blocks(output):
        late = set() if block.late is None else set(block.late.tolist())
        ids = block.ids[block.signal].tolist()
        columns = (block.offset.tolist(), ids, block.time_us.tolist(), block.value.tolist())
        found += [Row(partition, *cells, i in late) for i, cells in enumerate(zip(*columns, strict=True))]
    return found


def everything(messages: Sequence[Record], cuts: Sequence[int] = (), flush_at: Sequence[int] = ()) -> Output:
    """All output for the messages cut into batches, flushed after some of them and at the end."""
    ingest, out = chain(), Output()
    edges = [0, *sorted(cuts), len(messages)]
    for start, end in pairwise(edges):
        out.add(ingest.apply(messages[start:end]))
        if end in flush_at:
            out.add(ingest.flush())
    out.add(ingest.flush())
    return out
