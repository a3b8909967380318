"""Series seen by a codec, numbered from 0, so that a batch refers to a series by a small integer.

Guarantee: a number means the same series until ``generation`` changes; the table never holds more than
``Limits.max_series`` series for longer than one batch, and lets go of all when its owner says that it should. Nothing
but work depends on what it remembers.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from pipeline.policies.redaction import NOTHING, Redaction
from pipeline.records import Kind, Series

#: What stands for a series that was taken.
TAKEN = Series("", "", Kind.GAUGE, ())


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a producer may send, beyond which a point is refused, and what is taken out of texts."""

    max_attributes: int = 64
    max_attribute_bytes: int = 1024
    max_series: int = 1_000_000
    max_operations: int = 200  # that are told apart, of a workload
    max_signals_per_metric: int = 10_000  # of a workload
    max_signals_per_workload: int = 200_000
    over_max_signals: Literal["refuse", "count"] = "refuse"
    redaction: Redaction = NOTHING


class SeriesTable:
    """``series[i]`` is series number i; ``index`` finds it by the key a codec chose (any hashable of the raw bytes)."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.series: list[Series] = []
        self.index: dict[Hashable, int] = {}
        self.generation = 0
        self._soon = False

    def add(self, key: Hashable, series: Series) -> int:
        """Number a new series, to be found by its key; raises BadPoint when its name or attributes break the limits."""
        number = self.index[key] = self.append(series)
        return number

    def append(self, series: Series) -> int:
        """``add`` for a codec that has an index of its own."""
        self._check(series)
        self.series.append(self.limits.redaction.series(series))
        return len(self.series) - 1

    def take(self, first: int) -> list[Series]:
        """The series from number ``first`` on, to whoever keeps what is needed of them: the table lets go of them."""
        new = self.series[first:]
        self.series[first:] = [TAKEN] * len(new)
        return new

    def forget_if_full(self) -> None:
        """Start over when full, or when that was asked for. Call before a batch, never inside one."""
        if self._soon or len(self.series) >= self.limits.max_series:
            self.forget()

    def forget_soon(self) -> None:
        """Start over before the next batch."""
        self._soon = True

    def forget(self) -> None:
        """Start over."""
        self.series.clear()
        self.index.clear()
        self.generation += 1
        self._soon = False

    def _check(self, series: Series) -> None:
        limits = self.limits
        if not series.name:
            raise BadPoint("bad_name", "the metric name is empty; give each point a name")
        if len(series.attributes) > limits.max_attributes:
            raise BadPoint(
                "too_many_attributes", f"{len(series.attributes)} attributes; at most {limits.max_attributes} are taken"
            )
        for text in (series.name, *(part for pair in series.attributes for part in pair)):
            if len(text) * 4 > limits.max_attribute_bytes and len(text.encode()) > limits.max_attribute_bytes:
                raise BadPoint(
                    "huge_attribute",
                    f"{text[:32]!r}… has {len(text.encode())} bytes; at most {limits.max_attribute_bytes} are taken",
                )


class BadPoint(ValueError):
    """A point or message that cannot be used; ``reason`` is the counted one, the message says what would be right."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
