"""A story of many workloads and scopes, and a run of it whose topics get more partitions in the middle."""

import json
import random
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from pipeline.app import stages
from pipeline.codecs.otlp_encode import key_values
from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.flow.growth import Division, divide
from pipeline.records import US, Snapshot, SpanKind
from pipeline.settings import Settings, load
from pipeline.streams.shard import Stage
from tests.memory_run import MemoryRun, Place

START = 1_700_000_000
SECONDS, GROWN_AT = 120, 71
SERVICES = 7
INPUTS = {"points": "json_points", "lines": "otlp_logs", "spans-in": "otlp_spans", "events": "events"}
BEFORE, AFTER = 2, 4
#: Services with trouble, by when: one is open when the topics grow, and one begins later.
TROUBLE = {1: range(55, 80), 5: range(55, 80), 2: range(85, 100), 4: range(20, 35)}


class Sent(NamedTuple):
    second: int
    topic: str
    value: bytes


def settings(counts: dict[str, int]) -> Settings:
    """Inputs have one partition each, other topics BEFORE where ``counts`` says nothing else."""
    inputs = [{"topic": topic, "format": format_} for topic, format_ in INPUTS.items()]
    return load(
        overrides={
            "topic_prefix": "calm.",
            "topics": {"partitions": BEFORE, "partitions_by_topic": dict.fromkeys(INPUTS, 1) | counts},
            "inputs": inputs,
            "time": {"window_seconds": 5, "allowed_lateness_seconds": 3, "idle_sparse_seconds": 3},
            "policies": [{"name": "load", "match": ["name=load"], "detection": {"hard_upper": 70}}],
        }
    )


def tell(run: MemoryRun, first: int, last: int) -> None:
    for second, told in groupby((sent for sent in messages() if first <= sent.second < last), lambda sent: sent.second):
        for sent in told:
            run.send(sent.topic, 0, sent.value, (START + second + 1) * 1000)


def messages() -> Iterator[Sent]:
    """Four messages a second."""
    dice = random.Random(7)
    numbers = range(SERVICES)
    for second in range(SECONDS):
        points = [point for number in numbers for point in _points(second, number, dice)]
        yield Sent(second, "points", json.dumps(points).encode())
        yield Sent(second, "spans-in", traces_request(*(_trace(second, number, dice) for number in numbers)))
        yield Sent(second, "events", _event(second, second % SERVICES))
        lines = LogsData(resource_logs=[_line(second, number) for number in numbers])
        yield Sent(second, "lines", lines.SerializeToString())


def resource(number: int) -> dict[str, str]:
    """Three services in each of four scopes."""
    return {"service.name": f"s{number}", "deployment.environment.name": f"e{number % 4}"}


def _points(second: int, number: int, dice: random.Random) -> Iterator[dict[str, object]]:
    high = second in TROUBLE.get(number, ())
    common = {"ts": START + second + 0.5, "attributes": resource(number)}
    yield {"name": "load", "value": 90 if high else 40 + dice.random(), **common}
    yield {"name": "requests", "kind": "counter", "value": 10 * second + dice.randrange(5), **common}
    yield {"name": "queue", "value": dice.gauss(7, 1), **common}


def _line(second: int, number: int) -> ResourceLogs:
    text = f"payment {second} of s{number} refused" if second % 7 == 3 else f"order {1000 + second} placed"
    record = LogRecord(time_unix_nano=(START + second) * 10**9 + 300_000_000)
    record.body.string_value = text
    return ResourceLogs(
        resource=Resource(attributes=key_values(resource(number))), scope_logs=[ScopeLogs(log_records=[record])]
    )


def _trace(second: int, number: int, dice: random.Random) -> ResourceSpans:
    begin = (START + second) * US + 100_000 + number
    trace_id, page, query = (SERVICES * second + number + 1).to_bytes(16), (1).to_bytes(8), (2).to_bytes(8)
    took = 50_000 + dice.randrange(10_000)
    get = {"http.request.method": "GET", "http.route": "/cart"}
    stored = {"db.system.name": "sqlite", "db.namespace": "carts", "db.operation.name": "SELECT"}
    spans = [
        span("GET /cart", trace_id, page, begin, begin + took, kind=SpanKind.SERVER, attributes=get),
        span("SELECT", trace_id, query, begin + 5_000, begin + took // 2, parent=page, kind=SpanKind.CLIENT,
             attributes=stored),
    ]  # fmt: skip
    return resource_spans(resource(number), spans)


def _event(second: int, number: int) -> bytes:
    told = {"ts": START + second + 0.2, "type": "reload", "entity": resource(number), "text": f"reload {second}"}
    return json.dumps(told).encode()


def grown(run: MemoryRun, counts: dict[str, int]) -> MemoryRun:
    """The run goes on with other counts of partitions, as ``calmstream topics grow`` makes it."""
    saved, after = run.save(), settings(counts)
    states = dict(saved)
    for stage in stages(after):
        for topic in stage.topics:
            before, now = run.settings.partitions(topic), after.partitions(topic)
            if now > before:
                for partition in range(before):
                    states |= _divided(run, (topic, partition), saved[topic, partition], stage, now)
    log = {at: run.rest(at, saved[at].offset) for at in saved if at[0] not in counts}
    return MemoryRun(after, states, log)


def _divided(run: MemoryRun, at: Place, saved: Snapshot, stage: Stage, now: int) -> dict[Place, Snapshot]:
    topic, partition = at
    (shard,) = (each.chain(topic, partition) for each in stages(run.settings) if topic in each.topics)
    shard.restore(saved)
    end = run.first[at] + len(run.log[at])
    division = Division(partition, run.settings.partitions(topic), now, end, lambda part: stage.chain(topic, part))
    return {(topic, part): state for part, state in divide(shard, run.rest(at, saved.offset), division).items()}
