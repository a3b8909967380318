"""What a checkpoint of the score role costs, from the metrics of the runs of the workload *single*.

Guarantee: a checkpoint is one round over all shards of the worker; bytes are of the values written to the state topic.
"""

import statistics

from tests.benchmarks.run import Run, RunFailed
from tests.benchmarks.throughput import Outcome


def figures(run: Run, outcomes: list[Outcome]) -> None:
    """Print the medians over runs of the mean over a run's checkpoints."""
    if not all(outcome.metrics.total("calmstream_checkpoint_seconds_count", role="score") for outcome in outcomes):
        raise RunFailed("no run lasted long enough for a checkpoint; use more points")
    written = [_mean(outcome, "calmstream_checkpoint_bytes_total") for outcome in outcomes]
    seconds = [_mean(outcome, "calmstream_checkpoint_seconds_sum") for outcome in outcomes]
    run.emit("checkpoint.bytes_per_signal", statistics.median(written) / run.signals, "bytes", signals=run.signals)
    run.emit("checkpoint.seconds", statistics.median(seconds), "s", signals=run.signals)


def _mean(outcome: Outcome, name: str) -> float:
    return outcome.metrics.total(name, role="score") / outcome.metrics.total(
        "calmstream_checkpoint_seconds_count", role="score"
    )
