"""Cumulative histograms and counters of a process, as the OpenTelemetry SDK keeps them, and their OTLP form.

Guarantee: names, units and buckets are those of the demo's services (``pipeline.demo.shop.telemetry``).
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Histogram,
    HistogramDataPoint,
    Metric,
)

from pipeline.codecs.otlp_encode import cumulative_sum, key_values

HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
DATABASE_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
_BUCKETS = {
    "http.server.request.duration": HTTP_BUCKETS,
    "http.client.request.duration": HTTP_BUCKETS,
    "db.client.operation.duration": DATABASE_BUCKETS,
}
#: Attributes in their order; values as they are written.
Told = tuple[tuple[str, str | int], ...]


class _Spread:
    """One series of a histogram."""

    __slots__ = ("counts", "greatest", "least", "number", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.number, self.total, self.least, self.greatest = 0, 0.0, float("inf"), 0.0


class Meters:
    """The instruments of one process since its start."""

    def __init__(self, started: float) -> None:
        self._started_ns = int(started * 1e6) * 1000
        self._spreads: dict[tuple[str, Told], _Spread] = {}
        self._counters: dict[str, int] = {}

    def record(self, name: str, seconds: float, told: Told) -> None:
        """One duration."""
        bounds = _BUCKETS[name]
        spread = self._spreads.get((name, told))
        if spread is None:
            spread = self._spreads[name, told] = _Spread(len(bounds))
        spread.counts[bisect_left(bounds, seconds)] += 1
        spread.number += 1
        spread.total += seconds
        spread.least, spread.greatest = min(spread.least, seconds), max(spread.greatest, seconds)

    def count(self, name: str) -> None:
        """One more."""
        self._counters[name] = self._counters.get(name, 0) + 1

    def metrics(self, now: float) -> list[Metric]:
        """Everything so far."""
        by_name: dict[str, list[HistogramDataPoint]] = {}
        for (name, told), spread in self._spreads.items():
            by_name.setdefault(name, []).append(self._point(name, told, spread, int(now * 1e6) * 1000))
        found = [_histogram(name, points) for name, points in by_name.items()]
        at_us, start_us = int(now * 1e6), self._started_ns // 1000
        for name, number in self._counters.items():
            found.append(cumulative_sum(name, [(at_us, number, {})], start_us, "{order}"))
        return found

    def _point(self, name: str, told: Told, spread: _Spread, now_ns: int) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=_attributes(told),
            start_time_unix_nano=self._started_ns,
            time_unix_nano=now_ns,
            count=spread.number,
            sum=spread.total,
            min=spread.least,
            max=spread.greatest,
            bucket_counts=spread.counts,
            explicit_bounds=_BUCKETS[name],
        )


def _histogram(name: str, points: Iterable[HistogramDataPoint]) -> Metric:
    told = Histogram(data_points=points, aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE)
    return Metric(name=name, unit="s", histogram=told)


@lru_cache(maxsize=4096)
def _attributes(told: Told) -> list:  # type: ignore[type-arg]
    return key_values(dict(told))


def told(given: Mapping[str, str | int]) -> Told:
    """Attributes as a key."""
    return tuple(given.items())
