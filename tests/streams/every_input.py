"""A shop and its cart tell of themselves on every input of one worker: what they send, and what comes out of it.

Everything is made up with a fixed seed and has event times of its own, so that two runs can be compared. Spans of a
trace come from two processes, in messages of their own, on any partition, and some messages come twice.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from pipeline.codecs import signal_block
from pipeline.codecs.otlp_encode import key_values
from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.records import US, SpanKind, iso
from pipeline.settings import Settings, load
from pipeline.streams import topics
from pipeline.streams.broker_process import BrokerProcess
from pipeline.streams.reading import open_reader
from tests.streams.fault_run import Result, read_back
from tests.worker_process import WorkerProcess

PARTITIONS = 4
WINDOW_SECONDS = 5
SECONDS = 120
#: Recent, so that the broker's retention leaves it alone; the same for all runs of a session.
START = int(time.time()) // 60 * 60 - 900
#: Event time of what comes last on every partition: everything before it is complete.
END = START + SECONDS + 120
FORMATS = {
    "points": "json_points",
    "otlp_logs": "otlp_logs",
    "otlp_spans": "otlp_spans",
    "events": "events",
    "changes": "changes",
}
#: The cart's load is too high from then on, for so many seconds; what was done to the cart before.
TROUBLE, TROUBLE_SECONDS = 80, 20
DEPLOYED, ALERTED, TOLD = TROUBLE - 12, TROUBLE - 4, TROUBLE - 6
INFO, ERROR = 9, 17


class Sent(NamedTuple):
    """A message, and the second of the story in which it is sent."""

    second: int
    topic: str
    partition: int
    value: bytes


class Line(NamedTuple):
    second: int
    service: str
    severity: int
    body: str


class Request(NamedTuple):
    """One page: it starts so many microseconds after START, and the times that its parts take, in microseconds."""

    number: int
    start_us: int
    page_us: int
    call_us: int
    answer_us: int
    query_us: int
    failed: bool


def resource(service: str) -> dict[str, Any]:
    return {"service.name": service, "service.instance.id": f"{service}-1", "deployment.environment.name": "prod"}


def lines() -> list[Line]:
    """Each second an order, and a payment that may be refused."""
    found = []
    for second in range(SECONDS):
        found += [Line(second, "shop", INFO, f"order {1000 + second} placed")] * 2
        if second % 6 == 5:
            found.append(Line(second, "cart", ERROR, f"payment of {second} refused by 10.0.0.{second}"))
    return found


def requests() -> list[Request]:
    """Two each second; one in four fails."""
    dice = random.Random(3)
    return [
        Request(
            number,
            number * US // 2 + 50_000,
            dice.randrange(100_000, 140_000),
            dice.randrange(60_000, 80_000),
            dice.randrange(40_000, 50_000),
            dice.randrange(10_000, 20_000),
            number % 4 == 1,
        )
        for number in range(2 * SECONDS)
    ]


def messages() -> Iterator[Sent]:
    """Everything, in the order in which it is sent."""
    dice = random.Random(5)
    of_lines, of_requests = lines(), requests()
    for second in range(SECONDS):
        told = [*_points(second), *_happenings(second)]
        told += [("otlp_logs", _logs(line)) for line in of_lines if line.second == second]
        told += [("otlp_spans", value) for one in of_requests if one.number // 2 == second for value in _trace(one)]
        for topic, value in told:
            for _ in range(2 if topic == "otlp_spans" and dice.random() < 0.1 else 1):
                yield Sent(second, topic, dice.randrange(PARTITIONS), value)
    for partition in range(PARTITIONS):
        yield from (Sent(END - START, topic, partition, value) for topic, value in _last())


def _points(second: int) -> Iterator[tuple[str, bytes]]:
    trouble = TROUBLE <= second < TROUBLE + TROUBLE_SECONDS
    for service in ("shop", "cart"):
        value = 90 if trouble and service == "cart" else 40 + second * 7 % 5
        point = {"ts": START + second + 0.5, "name": "load", "value": value, "attributes": resource(service)}
        yield "points", json.dumps(point).encode()


def _happenings(second: int) -> Iterator[tuple[str, bytes]]:
    if second % 10 == 3:
        yield "events", _event(second, "config.reload", "shop", f"reload {second}")
    if second == TOLD:
        yield "events", _event(second, "cache.flushed", "cart", "the cache was flushed")
    if second == ALERTED:
        yield "events", alert(START + second)
    if second == DEPLOYED:
        yield "changes", deployed(START + second)


def _event(second: float, type_: str, service: str, text: str) -> bytes:
    event = {"ts": START + second, "type": type_, "entity": resource(service), "text": text, "severity": "warn"}
    return json.dumps(event).encode()


def alert(at: float) -> bytes:
    """What Alertmanager sends to a webhook."""
    labels = {"alertname": "CartSlow", "severity": "critical", "service_name": "cart", "environment": "prod"}
    starts = iso(round(at * US))
    one = {"status": "firing", "labels": labels, "annotations": {"summary": "the cart is slow"}, "startsAt": starts}
    one |= {"endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "c0ffee"}
    told = {"version": "4", "groupKey": '{}:{alertname="CartSlow"}', "status": "firing", "receiver": "calm"}
    return json.dumps(told | {"alerts": [one]}).encode()


def deployed(at: float) -> bytes:
    """A CDEvent: version 2.1.0 of the cart is in production."""
    context = {"version": "0.4.1", "id": "4b1c", "source": "/ci", "type": "dev.cdevents.service.deployed.0.1.1"}
    content = {"environment": {"id": "prod"}, "artifactId": "pkg:oci/cart@2.1.0"}
    subject = {"id": "cart", "source": "/ci", "type": "service", "content": content}
    return json.dumps({"context": context | {"timestamp": iso(round(at * US))}, "subject": subject}).encode()


def _logs(line: Line) -> bytes:
    at_ns = int((START + line.second + 0.5) * 1e9)
    record = LogRecord(time_unix_nano=at_ns, severity_number=line.severity)  # type: ignore[arg-type]
    record.body.string_value = line.body
    told = ResourceLogs(
        resource=Resource(attributes=key_values(resource(line.service))),
        scope_logs=[ScopeLogs(log_records=[record])],
    )
    return LogsData(resource_logs=[told]).SerializeToString()


def _trace(one: Request) -> list[bytes]:
    """The shop answers a page and calls the cart, which asks its database: two messages."""
    trace = (one.number + 1).to_bytes(16)
    begin = START * US + one.start_us
    status = 2 if one.failed else 0
    page, call, answer, query = (number.to_bytes(8) for number in range(1, 5))
    get = {"http.request.method": "GET"}
    of_shop = [
        span("GET", trace, call, begin + 5_000, begin + 5_000 + one.call_us, parent=page, kind=SpanKind.CLIENT,
             attributes=get, status=status),
        span("GET /", trace, page, begin, begin + one.page_us, kind=SpanKind.SERVER,
             attributes=get | {"http.route": "/"}, status=status),
    ]  # fmt: skip
    of_cart = [
        span("GET /cart", trace, answer, begin + 10_000, begin + 10_000 + one.answer_us, parent=call,
             kind=SpanKind.SERVER, attributes=get | {"http.route": "/cart"}, status=status),
        span("SELECT", trace, query, begin + 15_000, begin + 15_000 + one.query_us, parent=answer,
             kind=SpanKind.CLIENT,
             attributes={"db.system.name": "sqlite", "db.namespace": "carts", "db.operation.name": "SELECT",
                         "db.collection.name": "carts"}),
    ]  # fmt: skip
    return [
        traces_request(resource_spans(resource("cart"), of_cart)),
        traces_request(resource_spans(resource("shop"), of_shop)),
    ]


def _last() -> Iterator[tuple[str, bytes]]:
    """Something of another service on each input, long after everything else."""
    end = END - START
    yield "points", json.dumps({"ts": END, "name": "end", "value": 1, "attributes": {"service.name": "end"}}).encode()
    yield "otlp_logs", _logs(Line(end, "end", INFO, "end"))
    yield "events", json.dumps({"ts": END, "type": "end", "entity": {"service.name": "end"}}).encode()
    change = {"ts": END, "kind": "config", "entity": {"service.name": "end"}}
    yield "changes", json.dumps(change).encode()
    last = span("end", bytes(15) + b"\xff", bytes(7) + b"\xff", END * US - 1000, END * US)
    yield "otlp_spans", traces_request(resource_spans({"service.name": "end"}, [last]))


@dataclass
class EveryInput:
    """A set of topics of its own on a broker; ``changes`` to the settings, ``CALMSTREAM_`` left out."""

    broker: BrokerProcess
    prefix: str
    directory: Path
    changes: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        inputs = [{"topic": f"{self.prefix}{name}", "format": format_} for name, format_ in FORMATS.items()]
        settings = {
            "TOPIC_PREFIX": self.prefix,
            "BROKER__BOOTSTRAP": self.broker.bootstrap,
            "BROKER__IDEMPOTENCE": "if-available",
            "BROKER__SESSION_TIMEOUT_SECONDS": "2",
            "TOPICS__PARTITIONS": str(PARTITIONS),
            "INPUTS": json.dumps(inputs),
            "DETECTION__HARD_UPPER": "70",
            "TIME__WINDOW_SECONDS": str(WINDOW_SECONDS),
            "TIME__ALLOWED_LATENESS_SECONDS": "2",
            "TIME__TRACE_WAIT_SECONDS": "5",
            "TIME__IDLE_SECONDS": "900",
            "TIME__IDLE_EMPTY_SECONDS": "900",
            "TIME__IDLE_SPARSE_SECONDS": "900",
            "STATE__CHECKPOINT_INTERVAL_SECONDS": "0.5",
        }
        return {f"CALMSTREAM_{key}": value for key, value in (settings | self.changes).items()}

    def settings(self) -> Settings:
        given = {
            "topic_prefix": self.prefix,
            "broker": {"bootstrap": self.broker.bootstrap},
            "topics": {"partitions": int(self.changes.get("TOPICS__PARTITIONS", PARTITIONS))},
            "inputs": [{"topic": f"{self.prefix}{name}", "format": format_} for name, format_ in FORMATS.items()],
        }
        return load(overrides=given)

    def create(self) -> "EveryInput":
        asyncio.run(topics.create(self.settings()))
        return self

    def worker(self) -> WorkerProcess:
        """One that is not started yet."""
        return WorkerProcess(self.environment(), directory=self.directory, name=f"{self.prefix}worker")

    def send_story(self, seconds: float = 0.0) -> None:
        """Everything, at a steady pace if it is to take so many seconds."""
        asyncio.run(self._send_story(seconds))

    async def _send_story(self, seconds: float) -> None:
        never = asyncio.Event()
        second = 0
        async with AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap, linger_ms=5) as producer:
            for sent in messages():
                if sent.second > second and seconds:  # keep the pace
                    second = sent.second
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(never.wait(), seconds / SECONDS)
                at_ms = (START + sent.second + 1) * 1000
                topic = f"{self.prefix}{sent.topic}"
                await producer.send(topic, sent.value, partition=sent.partition, timestamp_ms=at_ms)

    def wait_until_through(self, worker: WorkerProcess) -> None:
        """Wait until every partition of the last stage is at the end of the story."""
        name = 'calmstream_watermark_timestamp_seconds{{partition="{}anomalies/{}",role="correlate"}}'

        def through() -> bool:
            metrics = worker.metrics() if worker.status("/ready") == 200 else {}
            found = [metrics.get(name.format(self.prefix, number), 0.0) for number in range(PARTITIONS)]
            return min(found) >= END - 10

        worker.wait_until(through, "done with the story", within_seconds=90)

    def read(self, topic: str) -> list[Any]:
        """Every record of one of our topics."""
        return asyncio.run(self._read(f"{self.prefix}{topic}"))

    async def _read(self, topic: str) -> list[Any]:
        async with open_reader(self.settings(), topic) as reader:
            return [record async for records in reader.everything(topic) for record in records]

    def result(self) -> Result:
        """Incidents and scored windows; a repeat that differs from the first fails."""
        return asyncio.run(read_back(self.settings()))

    def made(self) -> dict[tuple[str, int, int], list[tuple[Any, ...]]]:
        """What the join shards wrote on ``signals``, by source, number and partition; a repeat must be the same."""
        found: dict[tuple[str, int, int], list[tuple[Any, ...]]] = {}
        for record in self.read("signals"):
            block = signal_block.decode(record.value)
            if block.rows and block.source.startswith(("logs/", "spans/")):
                key = block.source, block.start, record.partition
                rows = rows_of(block)
                assert found.setdefault(key, rows) == rows, f"{key} was repeated with another content"
        return found


def rows_of(block: Any) -> list[tuple[Any, ...]]:
    """Signal, time, value and distribution of every row of a block."""
    found = []
    for row, number in enumerate(block.signal.tolist()):
        point = block.histograms.get(row)
        spread = (point.sum, point.bounds.tolist(), point.counts.tolist()) if point else ()
        found.append((int(block.ids[number]), int(block.time_us[row]), float(block.value[row]), spread))
    return found
