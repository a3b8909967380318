"""How long a worker takes to get the state of 100,000 signals back.

Guarantee: the restored worker knows every signal when it says that it is ready. The figure is the larger of two: the
time from the start of the process to ready minus the same for a worker that has nothing to restore, and what the
worker itself says that restoring its shards took.
"""

import asyncio
import statistics
import time

from tests.benchmarks.load import create_topic, preload
from tests.benchmarks.run import Run, RunFailed
from tests.benchmarks.worker import Worker
from tests.benchmarks.workload import Workload

#: Two more than the detector needs before it judges, so that the state is that of signals in use.
_ROUNDS = 22
_ROUND_MS = 10_000
_RESTARTS = 3
_LEAST_POINTS_PER_SECOND = 5_000


def figure(run: Run) -> None:
    signals = min(100_000, run.points // 50)
    full = _filled(run, signals)
    empty = _empty(run)
    full_ready, empty_ready, restores = [], [], []
    for _ in range(_RESTARTS):
        with empty:
            empty_ready.append(empty.ready_seconds)
        with full:
            full_ready.append(full.ready_seconds)
            metrics = full.metrics()
            restores.append(metrics.total("calmstream_restore_seconds_sum", role="score"))
            if (known := metrics.total("calmstream_signals")) != signals:
                raise RunFailed(f"the restored worker knows {known:,.0f} of {signals:,} signals")
        run.say(f"  ready after {full_ready[-1]:.2f} s with state, {empty_ready[-1]:.2f} s without")
    longer = statistics.median(full_ready) - statistics.median(empty_ready)
    run.emit(
        "restore.seconds",
        max(longer, statistics.median(restores)),
        "s",
        signals=signals,
        ready_seconds=statistics.median(full_ready),
        empty_ready_seconds=statistics.median(empty_ready),
        restore_seconds_sum=statistics.median(restores),
    )


def _filled(run: Run, signals: int) -> Worker:
    """A worker that has learned all signals, saved its state and ended."""
    workload = Workload(signals)
    start_ms = (int(time.time()) - 2 * _ROUNDS * _ROUND_MS // 1000) // 10 * 10_000
    points = asyncio.run(preload(run.bootstrap, "bench-restore", workload, start_ms, _ROUNDS, round_ms=_ROUND_MS))
    run.say(f"restore: {points:,} points of {signals:,} signals preloaded")
    worker = Worker(run, "bench.restore.", "bench-restore")
    worker.create_topics()
    with worker:
        worker.wait_until(
            lambda: _through(worker, points),
            "through with the topic",
            within_seconds=60 + points / _LEAST_POINTS_PER_SECOND,
        )
    return worker


def _through(worker: Worker, points: int) -> bool:
    metrics = worker.metrics()
    return metrics.total("calmstream_windows_closed_total") >= points and not metrics.total("calmstream_lag_messages")


def _empty(run: Run) -> Worker:
    asyncio.run(create_topic(run.bootstrap, "bench-empty", Workload(0).partitions))
    worker = Worker(run, "bench.empty.", "bench-empty")
    worker.create_topics()
    return worker
