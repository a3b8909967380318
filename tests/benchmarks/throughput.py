"""Points a second through one worker process, from JSON points on Kafka to anomalies and incidents on Kafka.

Guarantee: a run counts only if every point preloaded stands in exactly one scored window, and the faults in the data,
and they alone or with a counted number of false alarms, became incidents that opened and resolved.

A run lasts from the append of the first record that ingest wrote to the append of the last score or incident. What
ingest spends on its very first batch before that is a few hundredths of a second; ``seconds_from_spawn`` holds
everything, the start of the interpreter and the joining of the groups too.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass

from tests.benchmarks import peer_runs, reading
from tests.benchmarks.load import preload
from tests.benchmarks.run import Run, RunFailed
from tests.benchmarks.worker import Metrics, Worker
from tests.benchmarks.workload import Fault, Workload

_WINDOW_MS = 10_000
#: History enough for the detector before, and time enough to end and to resolve after.
_FAULT_WINDOWS = (30, 36)
_FAULTS = 5
#: Far below what any of the targets asks for.
_LEAST_POINTS_PER_SECOND = 10_000


@dataclass(frozen=True)
class Input:
    """A preloaded topic."""

    topic: str
    workload: Workload
    points: int
    windows: int

    def signal_windows(self) -> int:
        return self.windows * self.workload.signals


@dataclass(frozen=True)
class Outcome:
    """One verified run of a worker; ``metrics`` is its last scrape."""

    points: int
    seconds: float
    seconds_from_spawn: float
    false_alarms: int
    metrics: Metrics

    @property
    def points_per_second(self) -> float:
        return self.points / self.seconds


def prepare(run: Run, topic: str, *, batched: bool) -> Input:
    """Fill an input topic that lies in the past, as event times go."""
    seconds = run.points // run.signals // 10 * 10
    start_ms = (int(time.time()) - seconds - 500) // 10 * 10_000
    first, last = (start_ms + window * _WINDOW_MS for window in _FAULT_WINDOWS)
    environments = Workload(run.signals).environments_used
    faults = tuple(Fault(number * environments // _FAULTS, first, last) for number in range(_FAULTS))
    workload = Workload(run.signals, faults=faults)
    began = time.monotonic()
    points = asyncio.run(preload(run.bootstrap, topic, workload, start_ms, seconds, batched=batched))
    took = time.monotonic() - began
    run.say(f"{topic}: {points:,} points of {run.signals:,} signals preloaded in {took:.1f} s")
    return Input(topic, workload, points, seconds // 10)


def measure(run: Run, source: Input, prefix: str) -> Outcome:
    """Run a worker over the whole topic, stop it, and verify what it wrote."""
    # The faults come before shipped settings trust a history: that is what the topic is made for, not what is measured.
    worker = Worker(run, prefix, source.topic, detection={"min_history_windows": 20, "hard_upper": 250.0})
    worker.create_topics()
    with worker:
        worker.wait_until(
            lambda: _finished(worker.metrics(), source),
            "through with the topic",
            within_seconds=60 + source.points / _LEAST_POINTS_PER_SECOND,
        )
        metrics = worker.metrics()
    outcome = asyncio.run(_verified(run, source, worker, metrics))
    rate, alarms = outcome.points_per_second, outcome.false_alarms
    run.say(f"  calmstream: {rate:,.0f} points/s, {outcome.seconds:.1f} s, {alarms} false alarms")
    return outcome


def _finished(metrics: Metrics, source: Input) -> bool:
    return (
        metrics.total("calmstream_windows_closed_total") >= source.signal_windows()
        and metrics.total("calmstream_incidents_total", transition="resolved") >= len(source.workload.faults)
        and metrics.total("calmstream_lag_messages") == 0
    )


async def _verified(run: Run, source: Input, worker: Worker, metrics: Metrics) -> Outcome:
    scores = await reading.scores(run.bootstrap, f"{worker.prefix}scores")
    if (scores.points, scores.windows) != (source.points, source.signal_windows()):
        raise RunFailed(
            f"calm.scores accounts for {scores.points:,} points in {scores.windows:,} windows of signals; "
            f"{source.points:,} points in {source.signal_windows():,} were sent"
        )
    transitions = await reading.transitions(run.bootstrap, f"{worker.prefix}incidents")
    expected = source.workload.expected_scopes()
    for wanted in ("opened", "resolved"):
        missing = expected - {t.scope for t in transitions if t.transition == wanted}
        if missing:
            raise RunFailed(f"no incident {wanted} in {', '.join(sorted(missing))}")
    opened = [t for t in transitions if t.transition == "opened"]
    first_ms = await reading.first_append_ms(run.bootstrap, f"{worker.prefix}signals")
    last_ms = max(scores.last_append_ms, transitions[-1].append_ms)
    return Outcome(
        points=scores.points,
        seconds=(last_ms - first_ms) / 1000,
        seconds_from_spawn=last_ms / 1000 - worker.spawned_at,
        false_alarms=len(opened) - len(expected),
        metrics=metrics,
    )


def figure(run: Run, workload: str) -> list[Outcome]:
    """Print the figure of the workload *single* or *batched*, with its peers; returns the runs of the worker."""
    batched = workload == "batched"
    source = prepare(run, f"bench-{workload}", batched=batched)
    outcomes: list[Outcome] = []
    peers: dict[str, list[float]] = {peer.name: [] for peer in peer_runs.PEERS}
    for number in range(1, run.repeats + 1):
        run.say(f"{workload}, run {number} of {run.repeats}")
        outcomes.append(measure(run, source, f"bench.{workload}{number}."))
        for peer in (peer for peer in peer_runs.PEERS if peer.runs_here()):
            rate = peer_runs.points_per_second(run, peer, source.topic, source.points, batched=batched)
            peers[peer.name].append(rate)
    run.emit(
        "end_to_end.points_per_second" if workload == "single" else "end_to_end.batched_points_per_second",
        median_rate(outcomes),
        "points/s",
        {name: statistics.median(rates) if rates else None for name, rates in peers.items()},
        runs=[outcome.points_per_second for outcome in outcomes],
        points=source.points,
        signals=source.workload.signals,
        seconds_from_spawn=statistics.median(outcome.seconds_from_spawn for outcome in outcomes),
        false_alarms=max(outcome.false_alarms for outcome in outcomes),
    )
    return outcomes


def median_rate(outcomes: list[Outcome]) -> float:
    return statistics.median(outcome.points_per_second for outcome in outcomes)
