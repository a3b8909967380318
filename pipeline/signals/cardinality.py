"""A guard against metrics with too many signals: an attribute that holds an id makes one of every request.

Guarantee: what is admitted depends on the signals that are known alone. A source is a workload: one that sends too much
does not take room from others, nor one of its metrics from its other metrics, until the workload has too many in all.
"""

from collections import Counter
from collections.abc import Iterable

from pipeline.records import Signal

_Source = tuple[str, str, str]  # scope, workload, metric; "" for all of the workload's


class Cardinality:
    """Counts the signals of workloads; ``per_metric`` and ``per_workload`` are the most that one may have."""

    def __init__(self, per_metric: int, per_workload: int) -> None:
        self._per_metric, self._per_workload = per_metric, per_workload
        self._known: Counter[_Source] = Counter()

    def excess(self, signal: Signal) -> str:
        """Of what there are too many to take in another signal like this one, in words; "" where there are not."""
        of_metric, of_workload = _sources(signal)
        if self._known[of_metric] >= self._per_metric:
            return f"{signal.workload} has {self._per_metric:,} signals of the metric {signal.name}"
        if self._known[of_workload] >= self._per_workload:
            return f"{signal.workload} has {self._per_workload:,} signals"
        return ""

    def add(self, signal: Signal) -> None:
        """It is known now."""
        for source in _sources(signal):
            self._known[source] += 1

    def remove(self, signals: Iterable[Signal]) -> None:
        """They are known no more."""
        for signal in signals:
            for source in _sources(signal):
                self._known[source] -= 1
                if not self._known[source]:
                    del self._known[source]


def _sources(signal: Signal) -> tuple[_Source, _Source]:
    return (signal.scope, signal.workload, signal.name), (signal.scope, signal.workload, "")
