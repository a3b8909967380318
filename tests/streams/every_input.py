"""A shop and its cart tell of themselves on every input: points, logs, traces, events and changes, as messages.

Everything is made up with a fixed seed and has event times of its own, so that two runs can be compared. Spans of a
trace come from two processes, in messages of their own, on any partition, and some messages come twice.
"""

import json
import random
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from pipeline.codecs.otlp_encode import key_values
from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.records import US, SpanKind, iso

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

    def about(us: int) -> int:
        return us - dice.randrange(us // 8)

    return [
        Request(
            number,
            number * US // 2 + 50_000,
            page_us=about(140_000),
            call_us=about(80_000),
            answer_us=about(50_000),
            query_us=about(20_000),
            failed=number % 4 == 1,
        )
        for number in range(2 * SECONDS)
    ]


def messages() -> Iterator[Sent]:
    """Everything, in the order in which it is sent."""
    dice = random.Random(5)
    of_lines, of_requests = lines(), requests()
    for second in range(SECONDS):
        told = [*points(second), *_happenings(second)]
        told += [("otlp_logs", logs(line)) for line in of_lines if line.second == second]
        told += [("otlp_spans", value) for one in of_requests if one.number // 2 == second for value in trace(one)]
        for topic, value in told:
            for _ in range(2 if topic == "otlp_spans" and dice.random() < 0.1 else 1):
                yield Sent(second, topic, dice.randrange(PARTITIONS), value)
    for partition in range(PARTITIONS):
        yield from (Sent(END - START, topic, partition, value) for topic, value in last(END))


def points(second: int) -> Iterator[tuple[str, bytes]]:
    trouble = TROUBLE <= second < TROUBLE + TROUBLE_SECONDS
    for service in ("shop", "cart"):
        value = 90 if trouble and service == "cart" else 40 + second * 7 % 5
        point = {"ts": START + second + 0.5, "name": "load", "value": value, "attributes": resource(service)}
        yield "points", json.dumps(point).encode()


def _happenings(second: int) -> Iterator[tuple[str, bytes]]:
    if second % 10 == 3:
        yield "events", event(second, "config.reload", "shop", f"reload {second}")
    if second == TOLD:
        yield "events", event(second, "cache.flushed", "cart", "the cache was flushed")
    if second == ALERTED:
        yield "events", alert(START + second)
    if second == DEPLOYED:
        yield "changes", deployed(START + second)


def event(second: float, type_: str, service: str, text: str) -> bytes:
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


def logs(line: Line) -> bytes:
    at_ns = int((START + line.second + 0.5) * 1e9)
    record = LogRecord(time_unix_nano=at_ns, severity_number=line.severity)  # type: ignore[arg-type]
    record.body.string_value = line.body
    told = ResourceLogs(
        resource=Resource(attributes=key_values(resource(line.service))),
        scope_logs=[ScopeLogs(log_records=[record])],
    )
    return LogsData(resource_logs=[told]).SerializeToString()


def trace(one: Request) -> list[bytes]:
    """The shop answers a page and calls the cart, which asks its database: two messages."""
    trace_id = (one.number + 1).to_bytes(16)
    begin = START * US + one.start_us
    status = 2 if one.failed else 0
    page, call, answer, query = (number.to_bytes(8) for number in range(1, 5))
    get = {"http.request.method": "GET"}
    of_shop = [
        span("GET", trace_id, call, begin + 5_000, begin + 5_000 + one.call_us, parent=page, kind=SpanKind.CLIENT,
             attributes=get, status=status),
        span("GET /", trace_id, page, begin, begin + one.page_us, kind=SpanKind.SERVER,
             attributes=get | {"http.route": "/"}, status=status),
    ]  # fmt: skip
    of_cart = [
        span("GET /cart", trace_id, answer, begin + 10_000, begin + 10_000 + one.answer_us, parent=call,
             kind=SpanKind.SERVER, attributes=get | {"http.route": "/cart"}, status=status),
        span("SELECT", trace_id, query, begin + 15_000, begin + 15_000 + one.query_us, parent=answer,
             kind=SpanKind.CLIENT,
             attributes={"db.system.name": "sqlite", "db.namespace": "carts", "db.operation.name": "SELECT",
                         "db.collection.name": "carts"}),
    ]  # fmt: skip
    return [
        traces_request(resource_spans(resource("cart"), of_cart)),
        traces_request(resource_spans(resource("shop"), of_shop)),
    ]


def last(at: int) -> Iterator[tuple[str, bytes]]:
    """Something of another service on each input, at a time long after everything else."""
    end = at - START
    yield "points", json.dumps({"ts": at, "name": "end", "value": 1, "attributes": {"service.name": "end"}}).encode()
    yield "otlp_logs", logs(Line(end, "end", INFO, "end"))
    yield "events", json.dumps({"ts": at, "type": "end", "entity": {"service.name": "end"}}).encode()
    change = {"ts": at, "kind": "config", "entity": {"service.name": "end"}}
    yield "changes", json.dumps(change).encode()
    final = span("end", bytes(15) + b"\xff", bytes(7) + b"\xff", at * US - 1000, at * US)
    yield "otlp_spans", traces_request(resource_spans({"service.name": "end"}, [final]))
