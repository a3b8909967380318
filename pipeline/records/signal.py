"""What a time series is: as a producer names it (a series) and as Calmstream knows it (a signal of an entity)."""

from dataclasses import dataclass
from enum import StrEnum

Attributes = tuple[tuple[str, str], ...]
#: How the types of events begin that are alerts.
ALERT_PREFIX = "alert."


class Kind(StrEnum):
    """How raw values of a series are to be read."""

    GAUGE = "gauge"
    COUNTER = "counter"  # cumulative and monotonic: only its rate means something
    DELTA = "delta"  # an increase over the time since start (or since the previous point)
    SPARSE_DELTA = "sparse_delta"  # a delta that is not sent for a span in which nothing happened: none means 0
    COUNT = "count"  # things, each counted when it happened: none in a window means 0
    HISTOGRAM = "histogram"  # cumulative distribution: count, sum and buckets
    HISTOGRAM_DELTA = "histogram_delta"  # the same for one interval
    SHARE = "share"  # for one interval: of how many things how many were so, as a distribution of ones and zeros


@dataclass(frozen=True, slots=True)
class Series:
    """A series as decoded: ``attributes`` are sorted by name and hold resource and point attributes together."""

    name: str
    unit: str
    kind: Kind
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal: an entity, a metric name and the attributes that tell it from its siblings.

    ``id`` is a 64-bit hash of everything below, the same in every process. ``scope`` is the correlation domain,
    ``workload`` is stable across rollouts, ``instance`` is the pod, process or host (empty if none is known).
    ``unit`` is the unit of the window's value: a counter's rate has ``<unit>/s``.
    """

    id: int
    name: str
    unit: str
    kind: Kind
    scope: str
    workload: str
    instance: str
    attributes: Attributes

    @property
    def made(self) -> bool:
        """Is it counted by ourselves? Then it is told to be 0 for a while, and its end is no silence."""
        return self.name == "events" or self.name.startswith(("log.lines", "traces.operation.", "traces.call."))

    @property
    def alert_type(self) -> str:
        """What alerts (of somebody else's monitoring) it counts; empty where it counts none."""
        if self.name != "events" or self.kind is not Kind.COUNT:
            return ""
        return next((v for n, v in self.attributes if n == "event.type" and v.startswith(ALERT_PREFIX)), "")

    @property
    def entity(self) -> str:
        """The most exact name of what emits this signal."""
        return f"{self.workload} {self.instance}" if self.instance else self.workload

    def label(self) -> str:
        """For people: metric name and the signal's own attributes."""
        inside = ", ".join(f"{name}={value}" for name, value in self.attributes)
        return f"{self.name}{{{inside}}}" if inside else self.name
