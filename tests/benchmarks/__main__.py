"""Measure, and print one JSON line per figure: ``python -m tests.benchmarks [--only PREFIX] [--repeats N]``.

Guarantee: the exit code is 0 only if every run did what it must (1: a run failed, 2: no figure has that prefix).
``CALMSTREAM_BENCH_POINTS`` (default 5,000,000), and for the detector's figures ``CALMSTREAM_BENCH_SCALE`` (default 1,
of the signals) and ``CALMSTREAM_BENCH_WINDOWS``, make a smaller, quicker and less telling run. A broker is started only
for the figures that need one.
"""

import argparse
import sys

from tests.benchmarks import (
    calibration,
    catalogue,
    checkpoint,
    cold_start,
    decode,
    detector,
    latency,
    logs,
    million,
    normal_stretches,
    restore,
    storm,
    throughput,
    traces,
)
from tests.benchmarks.run import Run, RunFailed, started
from tests.kafka.fetch import Unavailable

SINGLE = "end_to_end.points_per_second"
BATCHED = "end_to_end.batched_points_per_second"
CHECKPOINT = ("checkpoint.bytes_per_signal", "checkpoint.seconds")
LATENCY = (
    "latency.window_to_incident_p95_seconds",
    "latency.window_to_incident_p50_seconds",
    "latency.fault_to_incident_p95_seconds",
)
RESTORE = "restore.seconds"
ON_KAFKA = (SINGLE, BATCHED, *CHECKPOINT, *LATENCY, RESTORE, million.FIGURE)
FIGURES = (
    *ON_KAFKA,
    *detector.FIGURES,
    *calibration.FIGURES,
    *normal_stretches.FIGURES,
    *cold_start.FIGURES,
    *logs.FIGURES,
    *decode.FIGURES,
    *traces.FIGURES,
    *catalogue.FIGURES,
    *storm.FIGURES,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="PREFIX", help="only figures whose names start so")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="runs of which the median is taken")
    told = parser.parse_args()
    wanted = {name for name in FIGURES if name.startswith(told.only)}
    if not wanted:
        print(f"no figure starts with {told.only!r}; there are {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    try:
        measure(wanted, told.repeats)
    except (RunFailed, Unavailable) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def measure(wanted: set[str], repeats: int) -> None:
    """First what needs no broker, with none beside it."""
    if wanted.difference(ON_KAFKA):
        with started(repeats, with_kafka=False) as run:
            detector.figures(run, wanted)
            calibration.figures(run, wanted)
            normal_stretches.figures(run, wanted)
            cold_start.figures(run, wanted)
            logs.figures(run, wanted)
            decode.figures(run, wanted)
            traces.figures(run, wanted)
            catalogue.figures(run, wanted)
            storm.figures(run, wanted)
    if on_kafka := wanted.intersection(ON_KAFKA):
        with started(repeats, with_kafka=True) as run:
            _on_kafka(run, on_kafka)


def _on_kafka(run: Run, wanted: set[str]) -> None:
    """Latency and checkpoints need the workload *single*: one run without peers where its figure is not wanted."""
    outcomes = []
    if SINGLE in wanted:
        outcomes = throughput.figure(run, "single")
    elif wanted.intersection((*CHECKPOINT, *LATENCY)):
        source = throughput.prepare(run, "bench-single", batched=False)
        outcomes = [throughput.measure(run, source, "bench.single.")]
    if BATCHED in wanted:
        throughput.figure(run, "batched")
    if wanted.intersection(CHECKPOINT):
        checkpoint.figures(run, outcomes)
    if wanted.intersection(LATENCY):
        latency.figures(run, throughput.median_rate(outcomes))
    if RESTORE in wanted:
        restore.figure(run)
    if million.FIGURE in wanted:
        million.figure(run)


if __name__ == "__main__":
    sys.exit(main())
