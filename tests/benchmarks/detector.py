"""What the detector that people get costs on one core: time, even time, state, and its snapshots.

Guarantee: every row has seen enough windows to be judged before the clock runs; time is CPU time of the thread (other
programs on the machine are not in it; ``wall_microseconds`` has them), and generating values is not in it.

``CALMSTREAM_BENCH_SCALE`` makes fewer signals, ``CALMSTREAM_BENCH_WINDOWS`` fewer windows that count.
"""

import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.flow.config import FlowConfig
from pipeline.flow.score import ScoreChain
from tests.benchmarks import fleet, peer_runs
from tests.benchmarks.run import Run, scaled, windows
from tests.benchmarks.signal_blocks import Blocks, Record
from tests.detectors import synthetic

Array = npt.NDArray[Any]

US = "detector.us_per_signal_window"
STATE = "detector.state_bytes_per_signal"
PEAK = "detector.peak_step_over_median"
SNAPSHOT = ("detector.snapshot_bytes_per_signal", "detector.snapshot_seconds")
FIGURES = (US, STATE, PEAK, *SNAPSHOT)

_SIGNALS = 100_000
_WARM_UP = 400
_STEPS = 300
#: river keeps a Python object a signal: a few of them show what a point costs.
_PEER_SIGNALS, _PEER_WINDOWS = 30, 1_000
_SNAPSHOT_WINDOWS = 30


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each step that counts, (steps,), and bytes of all arrays of the state."""

    cpu: Array
    wall: Array
    ewma: Array
    state_bytes: int
    rows: int

    def microseconds(self, seconds: Array) -> float:
        return float(seconds.mean() / self.rows * 1e6)


def figures(run: Run, wanted: set[str]) -> None:
    if wanted.intersection((US, STATE, PEAK)):
        _steps(run, wanted)
    if wanted.intersection(SNAPSHOT):
        _snapshots(run, wanted)


def _steps(run: Run, wanted: set[str]) -> None:
    times = measure(run, scaled(_SIGNALS), windows(_STEPS))
    size: dict[str, Any] = {"signals": times.rows, "windows": times.cpu.size}
    cpu_ms = times.cpu * 1e3
    if US in wanted:
        values = run.folder / "values.npy"
        np.save(values, synthetic.sample("mixed", _PEER_SIGNALS, _PEER_WINDOWS))
        peers: dict[str, float | None] = {
            **peer_runs.detectors_us(values),
            "numpy_ewma_z_score": times.microseconds(times.ewma),
        }
        wall = times.microseconds(times.wall)
        run.emit(US, times.microseconds(times.cpu), "µs", peers, wall_microseconds=wall, **size)
    if STATE in wanted:
        run.emit(STATE, times.state_bytes / times.rows, "bytes", **size)
    if PEAK in wanted:
        middle, high, peak = np.quantile(cpu_ms, [0.5, 0.99, 1.0]).tolist()
        worst = int(cpu_ms.argmax())
        more: dict[str, Any] = {
            "p99_over_median": high / middle,
            "median_ms": middle,
            "peak_ms": peak,
            "peak_at_step": worst,
        }
        run.emit(PEAK, peak / middle, "ratio", **more, **size)


def measure(run: Run, rows: int, steps: int) -> Times:
    """Step the detector and, beside it, an exponentially weighted z-score over the same values."""
    detector = fleet.detector()
    state = detector.empty(rows)
    ewma = _Ewma(rows)
    mask = np.ones(rows, np.bool_)
    cpu, wall, peer = np.empty((3, _WARM_UP + steps))
    for number, values in enumerate(islice(synthetic.columns("mixed", rows), _WARM_UP + steps)):
        values = np.ascontiguousarray(values)
        now = fleet.START_US / 1e6 + 60.0 * (number + 1)
        cpu_from, wall_from = time.thread_time(), time.perf_counter()
        detector.step(state, values, mask, now)
        cpu[number], wall[number] = time.thread_time() - cpu_from, time.perf_counter() - wall_from
        cpu_from = time.thread_time()
        ewma.step(values)
        peer[number] = time.thread_time() - cpu_from
        if number == _WARM_UP:
            run.say(f"detector: {rows:,} rows are warm; {cpu[number - 50 : number].mean() / rows * 1e6:.2f} µs a row")
    held = sum(array.nbytes for array in state.arrays.values())
    return Times(cpu[_WARM_UP:], wall[_WARM_UP:], peer[_WARM_UP:], held, rows)


class _Ewma:
    """The least that one can do: mean and variance, exponentially weighted."""

    def __init__(self, rows: int) -> None:
        self._mean, self._variance = np.zeros(rows), np.ones(rows)

    def step(self, values: Array, rate: float = 0.05) -> Array:
        difference = values - self._mean
        z: Array = np.abs(difference) / np.sqrt(self._variance)
        self._mean += rate * difference
        self._variance += rate * (difference * difference - self._variance)
        return z


def _snapshots(run: Run, wanted: set[str]) -> None:
    """All signals as one shard of the score chain: a whole snapshot, and one of what changed in a window."""
    signals = scaled(_SIGNALS)
    shard = _Shard(signals)
    shard.windows(_SNAPSHOT_WINDOWS)
    whole_bytes, whole_seconds = shard.snapshot(full=True)
    shard.windows(1)
    changed_bytes, changed_seconds = shard.snapshot(full=False)
    run.say(f"snapshot: {whole_bytes:,} bytes of {signals:,} signals, {changed_bytes:,} after one more window")
    for name, unit, whole, changed in (
        (SNAPSHOT[0], "bytes", whole_bytes / signals, changed_bytes / signals),
        (SNAPSHOT[1], "s", whole_seconds, changed_seconds),
    ):
        if name in wanted:
            run.emit(
                name,
                whole,
                unit,
                signals=signals,
                after_one_window=changed,
                chain_us_per_signal_window=shard.us_per_signal_window,
            )


class _Shard:
    """A score chain that is fed with blocks; the time of its newer half of windows is kept."""

    def __init__(self, signals: int) -> None:
        source = "bench/0"
        self._signals = signals
        self._chain = ScoreChain(0, FlowConfig((source,), 1, 1, window_us=fleet.WINDOW_US, lateness_us=0))
        self._blocks = Blocks(signals, 1, (source,))
        self._values = synthetic.columns("mixed", signals)
        self._start_us = fleet.START_US
        self._offset = 0
        self._seconds: list[float] = []

    def windows(self, number: int) -> None:
        for values in islice(self._values, number):
            blocks = [block for _, block in self._blocks.window(self._start_us, values)]
            self._start_us += fleet.WINDOW_US
            blocks += [block for _, block in self._blocks.close(self._start_us)]
            records = [Record(self._offset + i, block) for i, block in enumerate(blocks)]
            self._offset += len(records)
            began = time.thread_time()
            self._chain.apply(records)
            self._seconds.append(time.thread_time() - began)

    @property
    def us_per_signal_window(self) -> float:
        newer = self._seconds[len(self._seconds) // 2 :]
        return float(np.mean(newer)) / self._signals * 1e6

    def snapshot(self, *, full: bool) -> tuple[int, float]:
        """Bytes and seconds."""
        self._chain.flush()
        began = time.thread_time()
        snapshot = self._chain.snapshot(full=full)
        seconds = time.thread_time() - began
        self._chain.saved()
        return sum(map(len, snapshot.blocks.values())) + len(snapshot.head), seconds
