"""A million signals at windows of a minute through one worker's whole score role, with checkpoints, on Apache Kafka.

Guarantee: a run counts only if every window of every signal was scored once, and the state was saved after the last
one. The blocks stand on ``calm.signals`` before the worker starts, as ingest would have written them. The figure is
event time over the time from ready to the append of the last score; the first window, in which a million signals are
described, is in it.

``CALMSTREAM_BENCH_SCALE`` makes fewer signals, ``CALMSTREAM_BENCH_WINDOWS`` more or fewer minutes.
"""

import asyncio
import time
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.codecs import score_block
from tests.benchmarks import fleet, reading
from tests.benchmarks.load import Writer, producer
from tests.benchmarks.run import Run, RunFailed, scaled, windows
from tests.benchmarks.signal_blocks import Blocks
from tests.benchmarks.worker import Metrics, Worker
from tests.detectors import synthetic

FIGURE = "detector.million_signals_realtime_factor"

_SIGNALS = 1_000_000
_MINUTES = 10
_PARTITIONS = 4
_PREFIX = "bench.million."
_INPUT = "bench-million"
_SECONDS = fleet.WINDOW_US // 1_000_000
_LATENESS_US = 60_000_000
#: The run is given up when it is this much slower than real time.
_SLOWEST = 5


@dataclass(frozen=True, slots=True)
class Written:
    """When the last score was appended, seconds since the epoch, and how many windows of how many signals stand there;
    the derived signals of entities are among them."""

    last: float
    scored: int
    signals: int


def figure(run: Run) -> None:
    signals, minutes = scaled(_SIGNALS), windows(_MINUTES)
    worker = Worker(
        run,
        _PREFIX,
        _INPUT,
        roles=("score",),
        inputs=[{"topic": _INPUT, "format": "json_points"}],
        time={"window_seconds": _SECONDS},
        topics={"partitions": _PARTITIONS},
    )
    worker.create_topics()
    asyncio.run(_preload(run, signals, minutes))
    with worker:
        ready_at = worker.spawned_at + worker.ready_seconds
        worker.wait_until(
            lambda: worker.metrics().total("calmstream_windows_closed_total") >= signals * minutes,
            f"through with {signals:,} signals",
            within_seconds=60 + _SLOWEST * minutes * _SECONDS,
        )
        through = worker.metrics()
        worker.wait_until(
            lambda: _checkpoints(worker.metrics()) > _checkpoints(through),
            "able to save its state after the last window",
            within_seconds=_SLOWEST * 60,
        )
        metrics, memory = worker.metrics(), worker.peak_memory_bytes()
        written = asyncio.run(_written(run))
        if written.signals < signals or written.scored != written.signals * minutes:
            raise RunFailed(
                f"{written.scored:,} windows of {written.signals:,} signals stand on calm.scores, those of entities "
                f"among them; {minutes} of each of {signals:,} signals and of each entity should"
            )
        _emit(run, (signals, minutes), written.last - ready_at, (through, metrics), memory)


async def _preload(run: Run, signals: int, minutes: int) -> None:
    began = time.monotonic()
    blocks = Blocks(signals, _PARTITIONS, tuple(f"{_INPUT}/{partition}" for partition in range(_PARTITIONS)))
    start_us = (int(time.time()) // _SECONDS - minutes - 2) * fleet.WINDOW_US
    sender = producer(run.bootstrap)
    await sender.start()
    size = 0
    try:
        writer = Writer(sender, f"{_PREFIX}signals")
        for values in islice(synthetic.columns("mixed", signals), minutes):
            for partition, block in blocks.window(start_us, values):
                size += len(block)
                await writer.send(partition, [block], start_us // 1000)
            start_us += fleet.WINDOW_US
        for partition, block in blocks.close(start_us + _LATENESS_US):
            await writer.send(partition, [block], start_us // 1000)
        await writer.finish()
    finally:
        await sender.stop()
    took = time.monotonic() - began
    run.say(f"million: {signals * minutes:,} points of {signals:,} signals, {size:,} bytes, preloaded in {took:.1f} s")


def _checkpoints(metrics: Metrics) -> float:
    return metrics.total("calmstream_checkpoint_seconds_count", role="score")


async def _written(run: Run) -> Written:
    last_ms, ids = 0, []
    async for record in reading.records(run.bootstrap, f"{_PREFIX}scores"):
        last_ms = max(last_ms, record.timestamp)
        ids.append(score_block.decode(record.value).ids)
    found = np.concatenate(ids)
    return Written(last_ms / 1000, found.size, np.unique(found).size)


def _emit(
    run: Run, size: tuple[int, int], seconds: float, metrics: tuple[Metrics, Metrics], memory: int | None
) -> None:
    """``metrics``: when all windows were closed, and after the checkpoint that followed."""
    (signals, minutes), (through, after) = size, metrics
    name = "calmstream_checkpoint_{}".format
    written = after.total(name("bytes_total"), role="score") - through.total(name("bytes_total"), role="score")
    saving = after.total(name("seconds_sum"), role="score") - through.total(name("seconds_sum"), role="score")
    run.emit(
        FIGURE,
        minutes * _SECONDS / seconds,
        "ratio",
        signals=signals,
        windows=minutes,
        seconds=seconds,
        microseconds_per_signal_window=seconds / (signals * minutes) * 1e6,
        checkpoints_in_run=_checkpoints(through),
        seconds_in_checkpoints=through.total(name("seconds_sum"), role="score"),
        last_checkpoint_seconds=saving,
        last_checkpoint_bytes=written,
        peak_memory_bytes=memory,
        memory_bytes_per_signal=None if memory is None else memory / signals,
        anomalies=after.total("calmstream_anomalies_total", transition="opened"),
    )
