"""Every producer with the configuration that ``docs/inputs.md`` gives for it, on one worker and Apache Kafka.

What is sent is what the producer sends: the OpenTelemetry SDK's own bytes, and the messages that the page shows, with
the keys, headers and compression that each producer has by default.
"""

import asyncio
import json
import logging
from typing import Any, NamedTuple

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from pipeline.codecs import happening_event, line_block, signal_block, span_block
from pipeline.demo.shop.exporting import LOGS, METRICS, SPANS
from pipeline.demo.shop.telemetry import Identity, Telemetry
from pipeline.settings import Settings, load
from pipeline.streams import topics
from pipeline.streams.reading import open_reader
from tests.codecs.golden import GOLDEN
from tests.demo.shop.sent import Kept
from tests.docs.pages import code
from tests.kafka.server import KafkaServer
from tests.worker_process import WorkerProcess

PREFIX = "producers."
#: topic → format, of all configurations on the page; some of these share a topic's name.
DOCUMENTED = {
    f"{PREFIX}{one['format']}.{one['topic']}": one["format"]
    for block in code("inputs.md", "yaml")
    if block.startswith("inputs:")
    for one in yaml.safe_load(block)["inputs"]
}
_OTLP = {"otlp_metrics": METRICS, "otlp_logs": LOGS, "otlp_spans": SPANS}


class Sent(NamedTuple):
    """A message as its producer writes it."""

    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    compression: str | None = None


def messages(format_: str) -> list[Sent]:
    """What a producer of this format sends."""
    match format_:
        case "otlp_metrics" | "otlp_logs" | "otlp_spans":  # the collector passes on what the SDK sent; no key
            return [Sent(value) for value in of_the_sdk()[_OTLP[format_]]]
        case "influx_line":  # a message for each metric, with the end of its line
            return [Sent(line) for line in GOLDEN[format_].splitlines(keepends=True)]
        case "telegraf_json":
            metrics = json.loads(GOLDEN[format_])["metrics"]
            return [Sent(json.dumps(metric, separators=(",", ":")).encode() + b"\n") for metric in metrics]
        case "fluent_bit":  # librdkafka, with the compression that people turn on first
            return [Sent(GOLDEN[format_], compression="gzip")]
        case "plain_text":
            return [Sent(GOLDEN[format_], key=b"cart"), Sent(b"started", headers=(("service.name", b"shop"),))]
        case "jaeger_spans":  # keyed by trace
            return [Sent(GOLDEN[format_], key=b"000102030405060708090a0b0c0d0e0f")]
        case "events":
            about = {"specversion": "1.0", "id": "1", "source": "backup", "type": "backup.failed", "subject": "db"}
            attributes = (("content-type", b"application/json"),)
            attributes += tuple((f"ce_{name}", text.encode()) for name, text in about.items())
            return [Sent(GOLDEN[format_]), Sent(b'{"text": "disk full"}', headers=attributes)]
        case _:
            return [Sent(GOLDEN[format_], compression="lz4" if format_.startswith("cloudwatch") else None)]


def of_the_sdk() -> dict[str, list[bytes]]:
    kept = Kept()
    telemetry = Telemetry(Identity("cart", "2.0.3", "cart-0", "demo"), kept.send)
    log = logging.Logger("shop")
    log.addHandler(telemetry.handler)
    with telemetry.tracer.start_as_current_span("GET /cart"):
        telemetry.served.record(0.02, {"http.route": "/carts"})
        log.warning("%d items left", 3)
    telemetry.shutdown()
    return kept.messages


class Read(NamedTuple):
    """What came out: descriptions of signals, log lines, spans, changes, and what was refused."""

    signals: set[tuple[str, str]]
    lines: set[str]
    spans: set[str]
    changes: set[str]
    dead_letters: list[Any]


@pytest.fixture(scope="module")
def read(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Read:
    settings = _settings(kafka)
    asyncio.run(topics.create(settings))
    expected = asyncio.run(_send(kafka, settings))
    environment = {
        "CALMSTREAM_TOPIC_PREFIX": PREFIX,
        "CALMSTREAM_BROKER__BOOTSTRAP": kafka.bootstrap,
        "CALMSTREAM_TOPICS__PARTITIONS": "1",
        "CALMSTREAM_INPUTS": json.dumps([one.model_dump() for one in settings.inputs]),
        "CALMSTREAM_TIME__MAX_PAST_SECONDS": "1e9",  # the page's examples are of its own day
    }
    with WorkerProcess(environment, directory=tmp_path_factory.mktemp("producers"), name="producers") as worker:
        worker.wait_until(lambda: _taken(worker) == expected, "done with all messages", within_seconds=60)
        worker.wait_until(
            lambda: "deploy-17" in _everything(settings).changes, "done with the change", within_seconds=30
        )
    return _everything(settings)


def _settings(kafka: KafkaServer) -> Settings:
    inputs = [{"topic": topic, "format": format_} for topic, format_ in DOCUMENTED.items()]
    given = {"topic_prefix": PREFIX, "broker": {"bootstrap": kafka.bootstrap}, "topics": {"partitions": 1}}
    return load(overrides=given | {"inputs": inputs})


async def _send(kafka: KafkaServer, settings: Settings) -> int:
    """The number of messages that were sent."""
    sent = [(topic, each) for topic, format_ in DOCUMENTED.items() for each in messages(format_)]
    for topic, each in sent:
        async with AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, compression_type=each.compression, enable_idempotence=False
        ) as producer:
            await producer.send_and_wait(topic, each.value, each.key, headers=list(each.headers))
    return len(sent)


def _taken(worker: WorkerProcess) -> float:
    metrics = worker.metrics()
    name = 'calmstream_messages_total{{role="ingest",topic="{}"}}'.format
    return sum(metrics.get(name(topic), 0.0) for topic in DOCUMENTED)


def _everything(settings: Settings) -> Read:
    return asyncio.run(_read(settings))


async def _read(settings: Settings) -> Read:
    found = Read(set(), set(), set(), set(), [])
    for record in await _records(settings, "signals"):
        for signal in signal_block.decode(record.value).described:
            found.signals.add((signal.workload, signal.name))
    for record in await _records(settings, "logs"):
        found.lines.update(line_block.decode(record.value).body)
    for record in await _records(settings, "spans"):
        found.spans.update(shape.operation for shape in span_block.decode(record.value).shapes)
    for record in await _records(settings, "anomalies"):
        if record.value is not None and happening_event.is_happening(record.headers):
            found.changes.add(happening_event.decode(record).happening.id)
    found.dead_letters.extend(await _records(settings, "dead-letter"))
    return found


async def _records(settings: Settings, topic: str) -> list[Any]:
    async with open_reader(settings, settings.topic(topic)) as reader:
        return [record async for records in reader.everything(settings.topic(topic)) for record in records]


def test_nothing_of_what_producers_send_is_refused(read: Read) -> None:
    assert read.dead_letters == []


@pytest.mark.parametrize(
    ("workload", "name"),
    [
        ("service:cart", "queue.depth"),  # json_points
        ("service:cart", "http.server.request.duration"),  # otlp_metrics
        ("deployment:shop/cart", "container_cpu_usage_seconds_total"),  # prometheus_json
        ("host:web-1", "cpu.usage_idle"),  # influx_line
        ("host:web-1", "disk.used_percent"),  # telegraf_json
        ("function:pay", "AWS/Lambda/Errors"),  # cloudwatch
        ("service:db", "events"),  # events
    ],
)
def test_metrics_and_events_become_signals_of_their_workloads(read: Read, workload: str, name: str) -> None:
    assert (workload, name) in read.signals


@pytest.mark.parametrize(
    "body",
    [
        "3 items left",  # otlp_logs
        "payment of order 4711 is slow",  # fluent_bit
        "started",  # plain_text
    ],
)
def test_lines_are_read_whoever_sends_them(read: Read, body: str) -> None:
    assert any(body in line for line in read.lines), read.lines


def test_spans_are_read_whoever_sends_them(read: Read) -> None:
    assert "GET /cart" in read.spans


def test_a_change_is_told_to_all_who_watch_the_scope(read: Read) -> None:
    assert "deploy-17" in read.changes
