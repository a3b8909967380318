"""How long after the input that decides it an incident stands on Kafka, while points come at half the measured rate.

Guarantee: both ends are times at which the broker appended a record. An incident's *deciding record* is the one with
which the last input partition reached the event time that lets the deciding window close: the window's end plus the
allowed lateness.
"""

import asyncio
import json
import subprocess
import sys
import time
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.settings import Settings
from tests.benchmarks import reading
from tests.benchmarks.load import create_topic
from tests.benchmarks.pacing import Plan
from tests.benchmarks.run import Run, RunFailed
from tests.benchmarks.worker import Worker
from tests.benchmarks.workload import Fault, Workload

_TOPIC = "bench-latency"
#: At least this share of the faults must become incidents, which makes 200 at full size.
_LEAST_SHARE = 0.8
#: With the time to settle it is more than the 40 windows in which a signal warms up.
_HISTORY_MS = 460_000
#: Time for the worker to work off the history before the first fault.
_SETTLE_MS = 60_000
#: The faults begin evenly over this stretch, so that they meet every phase of a window.
_FAULTS_MS = 80_000
_FAULT_MS = 60_000
#: From the last fault's begin: two windows to open, the lateness, and some to spare.
_AFTER_MS = 40_000


@dataclass
class Sent:
    """The producer's log. Per partition: greatest event times and the appends of their batches, both ascending."""

    event_ms: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    append_ms: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    fault_ms: dict[int, int] = field(default_factory=dict)

    @classmethod
    def loads(cls, text: str) -> "Sent":
        sent = cls()
        for kind, number, *rest in sorted(map(json.loads, text.splitlines()), key=lambda line: line[-1]):
            if kind == "batch":
                sent.event_ms[number].append(rest[0])
                sent.append_ms[number].append(rest[1])
            else:
                sent.fault_ms[number] = rest[0]
        return sent

    def reached_ms(self, event_ms: int) -> int:
        """When the last partition got a record at or after this event time."""
        reached = []
        for partition, events in self.event_ms.items():
            at = bisect_left(events, event_ms)
            if at == len(events):
                raise RunFailed(f"partition {partition} never reached event time {event_ms} ms")
            reached.append(self.append_ms[partition][at])
        return max(reached)


def figures(run: Run, points_per_second: float) -> None:
    """Print the figures, with points coming at half of ``points_per_second``."""
    workload, plan = _planned(run, points_per_second / 2)
    asyncio.run(create_topic(run.bootstrap, _TOPIC, workload.partitions))
    worker = Worker(run, "bench.latency.", _TOPIC)
    worker.create_topics()
    with worker:
        text, largest_lag = _produced(run, worker, plan)
        settled = time.time() + 5
        worker.wait_until(lambda: time.time() > settled, "quiet", within_seconds=10)
    sent = Sent.loads(text)
    transitions = asyncio.run(reading.transitions(run.bootstrap, f"{worker.prefix}incidents"))
    _emit(run, plan, workload, sent, transitions, largest_lag)


def _planned(run: Run, rate: float) -> tuple[Workload, Plan]:
    environments = Workload(run.signals).environments_used
    start_ms = (int(time.time() * 1000) - _HISTORY_MS) // 10_000 * 10_000
    first_ms = start_ms + _HISTORY_MS + _SETTLE_MS
    begins = [first_ms + number * _FAULTS_MS // environments for number in range(environments)]
    faults = tuple(Fault(number, begin, begin + _FAULT_MS) for number, begin in enumerate(begins))
    until_ms = begins[-1] + _AFTER_MS
    plan = Plan(run.bootstrap, _TOPIC, run.signals, start_ms, until_ms, rate, faults)
    return Workload(run.signals, faults=faults), plan


def _produced(run: Run, worker: Worker, plan: Plan) -> tuple[str, float]:
    """Let the producer carry out the plan; its log, and the largest lag seen after the first fault."""
    run.say(f"latency: {plan.points_per_second:,.0f} points/s for {plan.until_ms / 1000 - time.time():.0f} s")
    largest = 0.0
    log = run.folder / "pacing.jsonl"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.pacing"], stdin=subprocess.PIPE, stdout=out, text=True
        ) as pacer,
    ):
        assert pacer.stdin is not None
        pacer.stdin.write(plan.dumps())
        pacer.stdin.close()

        def ended() -> bool:
            nonlocal largest
            if time.time() * 1000 > plan.faults[0].from_ms:
                largest = max(largest, worker.metrics().total("calmstream_lag_messages"))
            return pacer.poll() is not None

        try:
            worker.wait_until(ended, "left by the producer", within_seconds=600, poll_seconds=1.0)
        finally:
            pacer.terminate()
    if pacer.returncode:
        raise RunFailed(f"the paced producer ended with code {pacer.returncode}; see its messages above")
    return log.read_text(), largest


def _emit(
    run: Run, plan: Plan, workload: Workload, sent: Sent, transitions: list[reading.Transition], largest_lag: float
) -> None:
    settings = Settings()
    lateness_ms = round(settings.time.allowed_lateness_seconds * 1000)
    of_scope = {workload.environment_name(fault.environment): fault for fault in plan.faults}
    since_window, since_fault = [], []
    false_alarms = 0
    for opened in (transition for transition in transitions if transition.transition == "opened"):
        fault = of_scope.pop(opened.scope, None)
        if fault is None or opened.detected_ms < fault.from_ms:
            false_alarms += 1
            continue
        since_window.append((opened.append_ms - sent.reached_ms(opened.detected_ms + lateness_ms)) / 1000)
        since_fault.append((opened.append_ms - sent.fault_ms[fault.environment]) / 1000)
    if len(since_window) < _LEAST_SHARE * len(plan.faults):
        raise RunFailed(f"only {len(since_window)} of {len(plan.faults)} faults became incidents")
    told: dict[str, Any] = {
        "window_seconds": settings.time.window_seconds,
        "allowed_lateness_seconds": settings.time.allowed_lateness_seconds,
        "open_windows": settings.detection.open_windows,
        "of_windows": settings.detection.of_windows,
        "points_per_second": plan.points_per_second,
        "signals": plan.signals,
        "incidents": len(since_window),
        "false_alarms": false_alarms,
        "largest_lag_messages": largest_lag,
    }
    for percent in (95, 50):
        run.emit(f"latency.window_to_incident_p{percent}_seconds", _percentile(since_window, percent), "s", **told)
    run.emit("latency.fault_to_incident_p95_seconds", _percentile(since_fault, 95), "s", **told)


def _percentile(values: list[float], percent: int) -> float:
    return float(np.percentile(values, percent))
