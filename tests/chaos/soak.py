"""Memory of a worker that runs on while everything around it comes and goes: flat, or the soak fails.

One worker, every role, on Apache Kafka. Event time goes 300 times as fast as the clock; in ten minutes two days pass:
every bound that hangs on event time (an hour for signals, as short as the settings allow; a day for changes and for
edges of the service graph) is reached before the half. All the while instances come and go with their signals, new log
templates appear, traces name new operations, changes and events are told, and faults open and end incidents.

What is judged is the second half: resident memory, sampled each second, and a line through it by least squares. It may
rise by at most ``ALLOWED`` of what the worker had at the half, over the whole half. Less cannot be told from noise: the
allocator keeps pages that it may need again, and gives them back when it likes. A leak is more: what comes and goes in
half of a soak of ten minutes is some 4,500 signals (of instances, templates and operations), and each of them, were it
kept, costs kilobytes in each of three roles: 20 MB or more, of 400. A worker that does not keep up with its input has
another memory at each moment: the soak then fails and says so, instead of judging.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from pipeline.codecs.otlp_encode import key_values
from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.records import US, SpanKind
from tests.kafka.server import KafkaServer
from tests.streams.telemetry_run import TelemetryRun
from tests.worker_process import WorkerFailed, WorkerProcess

SECONDS = 600
ALLOWED = 0.05
MOST_LAG_SECONDS = 20
SPEED = 300
#: Minutes of event time that an instance lives, and how many live at once.
LIFE, LIVE = 120, 60
METRICS = ("load", "memory", "requests")
SERVICES = 12
_CHANGES = {
    "BROKER__SESSION_TIMEOUT_SECONDS": "10",
    "TIME__WINDOW_SECONDS": "60",
    "TIME__ALLOWED_LATENESS_SECONDS": "30",
    "TIME__IDLE_SPARSE_SECONDS": "30",
    "STATE__SIGNAL_TTL_SECONDS": "3600",
    "STATE__INSTANCE_TTL_SECONDS": "3600",
    "STATE__CHECKPOINT_INTERVAL_SECONDS": "5",
}


@dataclass(frozen=True)
class Report:
    """Resident memory in MiB, and how much it rises an hour by the second half of the samples."""

    seconds: int
    messages: int
    points: float
    incidents: float
    signals: float
    lag: float
    start_mib: float
    half_mib: float
    end_mib: float
    highest_mib: float
    slope_mib_per_hour: float
    rise_in_half: float

    @property
    def is_flat(self) -> bool:
        return self.rise_in_half <= ALLOWED and self.kept_up

    @property
    def kept_up(self) -> bool:
        """A worker that lags has another memory at each moment, and says nothing of one that does not."""
        return self.lag <= self.messages / self.seconds * MOST_LAG_SECONDS


def hold(home: Path, seconds: int, directory: Path) -> bool:
    """Soak, write the report and the samples to ``soak.json``, and say whether memory was flat."""
    directory.mkdir(parents=True, exist_ok=True)
    with KafkaServer(home) as server:
        run = TelemetryRun(server, "soak.", directory, _CHANGES).create()
        with run.worker() as worker:
            sent, samples = asyncio.run(_soak(run, worker, seconds))
            report = judged(seconds, sent, samples, worker.metrics())
            (directory / "soak.json").write_text(json.dumps(asdict(report) | {"samples": samples}) + "\n")
            print(f"soak: {json.dumps(asdict(report))}", flush=True)
            lag = "calmstream_lag_messages"
            worker.wait_until(lambda: worker.metrics()[lag] == 0, "at the end of its input", within_seconds=300)
    rise = f"{report.rise_in_half:+.1%} in the second half, {report.slope_mib_per_hour:+.1f} MiB an hour"
    if not report.kept_up:
        print(f"soak: the worker did not keep up: {report.lag:.0f} messages behind; nothing can be said of its memory")
    print(f"soak: memory is {'flat' if report.is_flat else 'NOT flat'}: {rise} (allowed: {ALLOWED:.0%})")
    return report.is_flat


def judged(seconds: int, sent: int, samples: list[tuple[float, float]], shown: dict[str, float]) -> Report:
    """samples: (seconds since the start, MiB)."""
    half = [sample for sample in samples if sample[0] >= seconds / 2]
    seconds_at, mib = np.array(half).T
    slope, level = np.polyfit(seconds_at, mib, 1)
    begin, end = half[0][0], half[-1][0]
    half_mib = float(level + slope * begin)
    return Report(
        seconds=seconds,
        messages=sent,
        points=shown.get("calmstream_points_total", 0.0),
        incidents=sum(value for name, value in shown.items() if name == "calmstream_incidents_total"),
        signals=shown.get("calmstream_signals", 0.0),
        lag=shown.get("calmstream_lag_messages", 0.0),
        start_mib=samples[0][1],
        half_mib=round(half_mib, 1),
        end_mib=round(float(level + slope * end), 1),
        highest_mib=max(mib for _, mib in samples),
        slope_mib_per_hour=round(float(slope) * 3600, 1),
        rise_in_half=round(float(slope) * (end - begin) / half_mib, 4),
    )


async def _soak(run: TelemetryRun, worker: WorkerProcess, seconds: int) -> tuple[int, list[tuple[float, float]]]:
    """Send at a steady rate; returns the number of messages, and the samples."""
    minutes = seconds * SPEED // 60
    first = int(time.time()) // 60 - minutes  # nothing in the future: the broker would refuse it
    never, started, sent = asyncio.Event(), time.monotonic(), 0
    samples: list[tuple[float, float]] = []
    async with AIOKafkaProducer(bootstrap_servers=run.broker.bootstrap, linger_ms=5) as producer:
        for minute in range(minutes):
            for topic, partition, value in messages(first, minute):
                at_ms = (first + minute + 1) * 60_000
                await producer.send(f"{run.prefix}{topic}", value, partition=partition, timestamp_ms=at_ms)
                sent += 1
            ahead = started + (minute + 1) * 60 / SPEED - time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(never.wait(), max(ahead, 0.0))
            if not samples or time.monotonic() - started - samples[-1][0] >= 1.0:
                samples.append((round(time.monotonic() - started, 2), _resident_mib(worker)))
    return sent, samples


def _resident_mib(worker: WorkerProcess) -> float:
    if worker.pid is None:
        raise WorkerFailed(f"{worker.name} ended; see {worker.log_path}")
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)


def messages(first: int, minute: int) -> Iterator[tuple[str, int, bytes]]:
    """(topic, partition, message) of one minute; ``first`` is the epoch minute of the first."""
    at = (first + minute) * 60 + 30
    for partition in range(4):  # nobody is silent
        yield "otlp_logs", partition, _line(at, f"pulse{partition}", "still here")
        pulse = {"service.name": f"pulse{partition}"}
        yield "events", partition, json.dumps({"ts": at, "type": "pulse", "entity": pulse}).encode()
        yield "changes", partition, json.dumps({"ts": at, "kind": "config", "entity": pulse}).encode()
    for partition in range(4):
        told = [point for slot in range(partition, LIVE, 4) for point in _points(at, minute, slot)]
        yield "points", partition, json.dumps(told).encode()
    yield (
        "otlp_logs",
        minute % 4,
        _line(at, f"s{minute % SERVICES}", f"could not {_word(minute)} the {_word(7 * minute)}"),
    )
    yield from (("otlp_spans", number % 4, value) for number, value in enumerate(_trace(at, minute)))
    owner = {"service.name": f"s{minute % SERVICES}"}
    if minute % 5 == 0:
        yield "events", 0, json.dumps({"ts": at, "type": _word(minute), "entity": owner, "text": f"{minute}"}).encode()
    if minute % 30 == 0:
        change = {"ts": at, "kind": "deployment", "entity": owner, "version": f"{minute}"}
        yield "changes", 0, json.dumps(change).encode()


def _points(at: float, minute: int, slot: int) -> list[dict[str, Any]]:
    """Of the instance that lives in a slot now: each slot changes at another minute. Some have a fault for a while."""
    life, age = divmod(minute + slot * LIFE // LIVE, LIFE)
    instance = f"i{slot}-{life}"
    trouble = (slot + life) % 20 == 0 and 60 <= age < 75
    attributes = {
        "service.name": f"s{slot % SERVICES}",
        "service.instance.id": instance,
        "deployment.environment.name": f"env{slot % 3}",
    }
    usual = 40 + (minute * 7 + slot * 3) % 5
    return [_point(at, name, 90.0 if trouble and name == "load" else usual, attributes) for name in METRICS]


def _point(at: float, name: str, value: float, attributes: dict[str, str]) -> dict[str, Any]:
    return {"ts": at, "name": name, "value": value, "attributes": attributes}


def _line(at: float, service: str, body: str) -> bytes:
    record = LogRecord(time_unix_nano=int(at * 1e9), severity_number=9)  # type: ignore[arg-type]
    record.body.string_value = body
    resource = Resource(attributes=key_values({"service.name": service}))
    return LogsData(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=[record])])]
    ).SerializeToString()


def _trace(at: float, minute: int) -> Iterator[bytes]:
    """A service calls another, by an operation that soon nobody asks for any more, and lives on in one of its spans."""
    trace_id, begin = (minute + 1).to_bytes(16), round(at * US)
    caller, called = f"s{minute % SERVICES}", f"called{minute // 60}"
    one, two = (1).to_bytes(8), (2).to_bytes(8)
    route = {"http.request.method": "GET", "http.route": f"/{_word(minute // 10)}"}
    yield traces_request(
        resource_spans(
            {"service.name": caller},
            [span("GET", trace_id, one, begin, begin + 90_000, kind=SpanKind.CLIENT, attributes=route)],
        )
    )
    answer = span(
        f"GET /{_word(minute // 10)}", trace_id, two, begin + 5_000, begin + 80_000, parent=one,
        kind=SpanKind.SERVER, attributes=route,
    )  # fmt: skip
    yield traces_request(resource_spans({"service.name": called}, [answer]))


def _word(number: int) -> str:
    """Letters only, for digits are masked."""
    letters = ""
    for _ in range(5):
        number, rest = divmod(number, 26)
        letters += chr(ord("a") + rest)
    return letters
