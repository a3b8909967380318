"""What waits for an input that is far behind is bounded: what could not be held is read again, and nothing is lost."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaProducer

from pipeline.codecs import signal_block
from pipeline.records import US, Signal
from tests.kafka.server import KafkaServer
from tests.streams.every_input import END, INFO, PARTITIONS, START, Line, Request, Sent, last, logs, trace
from tests.streams.one_signal import OneSignal
from tests.streams.telemetry_run import TelemetryRun

CHANGES = {"TOPICS__PARTITIONS": "2", "TIME__IDLE_EMPTY_SECONDS": "900", "LIMITS__MAX_HELD_POINTS": "1000"}
POINTS = 3000
#: Of lines and spans: as little as may be, and no input counts as silent.
SILENT_SECONDS = 600
BYTES = {
    "LIMITS__MAX_HELD_BYTES": "100000",
    "TIME__IDLE_SPARSE_SECONDS": str(SILENT_SECONDS),
    "TIME__ALLOWED_LATENESS_SECONDS": str(SILENT_SECONDS),
}
SECONDS, LINES, REQUESTS = 120, 10, 25  # of the last two so many a second
SPANS_OF_A_REQUEST, CALLS_OF_A_REQUEST = 4, 2


def test_more_points_than_may_be_held_wait_for_an_input_and_all_are_counted(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    run = OneSignal(kafka, topic_prefix, tmp_path, CHANGES).create()
    with run.worker() as worker:
        run.send_points(POINTS)
        worker.wait_until(lambda: worker.metrics()["calmstream_points_total"] == POINTS, "done with the first input")
        assert run.counted() == 0
        asyncio.run(send_from_the_other_input(run))
        run.wait_counted(worker)
        metrics = worker.metrics()
        assert metrics['calmstream_notices_total{reason="read_again",role="score"}'] >= POINTS // 1000 - 1
        assert "an input is far behind the others; reads" in worker.log()


async def send_from_the_other_input(run: OneSignal) -> None:
    point = {"ts": run.start + 5 * POINTS, "name": "other", "value": 1, "attributes": {"service.name": "other"}}
    async with AIOKafkaProducer(bootstrap_servers=run.broker.bootstrap) as producer:
        await producer.send_and_wait(f"{run.prefix}points", json.dumps(point).encode(), partition=1)


def test_more_lines_and_spans_than_may_be_held_wait_for_an_input_and_all_are_counted(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    run = TelemetryRun(kafka, topic_prefix, tmp_path, BYTES).create()
    story = [*lines_and_spans(), *lasts(END + SILENT_SECONDS)]
    early = [sent for sent in story if sent.partition != 0]
    with run.worker() as worker:
        run.send(early)
        read = [f'calmstream_messages_total{{role="ingest",topic="{run.prefix}{topic}"}}' for topic in
                ("otlp_logs", "otlp_spans", "points", "events", "changes")]  # fmt: skip
        worker.wait_until(lambda: sum(worker.metrics().get(each, 0) for each in read) == len(early), "done with most")
        assert not run.made()
        run.send(sent for sent in story if sent.partition == 0)
        run.wait_until_through(worker)
        metrics = worker.metrics()
    for role in ("join-logs", "join-spans"):
        assert metrics[f'calmstream_notices_total{{reason="read_again",role="{role}"}}'] >= 2
    assert counted(run) == {
        "log.lines": SECONDS * LINES,
        "traces.operation.duration": SECONDS * REQUESTS * SPANS_OF_A_REQUEST,
        "traces.operation.self_time": SECONDS * REQUESTS * SPANS_OF_A_REQUEST,
        "traces.call.duration": SECONDS * REQUESTS * CALLS_OF_A_REQUEST,
    }


def lines_and_spans() -> Iterator[Sent]:
    """Every input has some in every window."""
    for second in range(SECONDS):
        for number in range(LINES):
            body = f"order {number} placed: {'a long text ' * 60}"
            yield Sent(second, "otlp_logs", number % PARTITIONS, logs(Line(second, "shop", INFO, body)))
        for at in range(REQUESTS):
            number = second * REQUESTS + at
            one = Request(number, second * US + at * 30_000 + 50_000, 140_000, 80_000, 50_000, 20_000, failed=False)
            yield from (Sent(second, "otlp_spans", number % PARTITIONS, value) for value in trace(one))


def lasts(at: int) -> Iterator[Sent]:
    for partition in range(PARTITIONS):
        yield from (Sent(at - START, topic, partition, value) for topic, value in last(at))


def counted(run: TelemetryRun) -> dict[str, float]:
    """Lines, and spans by what is measured of them, of the story's own services."""
    names = ("log.lines", "traces.operation.duration", "traces.operation.self_time", "traces.call.duration")
    found, signals = dict.fromkeys(names, 0.0), dict[int, Signal]()
    blocks = [signal_block.decode(record.value) for record in run.read("signals")]
    for block in blocks:
        signals |= {signal.id: signal for signal in block.described}
    taken = set()
    for block in blocks:
        for row, number in enumerate(block.signal.tolist()):
            signal = signals[int(block.ids[number])]
            key = signal.id, int(block.time_us[row])
            if signal.name in found and key not in taken and signal.workload != "service:end":
                taken.add(key)
                found[signal.name] += float(block.value[row])
    return found
