"""What a signal says of its workload, by its name, unit and kind: how long, how much, how often it fails, how full.

Guarantee: depends on the signal alone. Names are read as OpenTelemetry's semantic conventions and Prometheus's naming
have them; what neither would call a role is ``OTHER``.
"""

import re
from enum import StrEnum

from pipeline.records import Kind, Signal


class SignalRole(StrEnum):
    """The golden signals, and what is none of them."""

    LATENCY = "latency"
    TRAFFIC = "traffic"
    ERRORS = "errors"
    SATURATION = "saturation"
    LOG = "log"
    OTHER = "other"


#: Seconds in the units that durations come in.
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0}

_WORDS = re.compile(r"[a-z]+|5xx")
_ERRORS = frozenset({
    "error", "errors", "err", "failed", "failure", "failures", "fail", "exception", "exceptions", "rejected",
    "dropped", "5xx",
})  # fmt: skip
_FULL = frozenset({
    "cpu", "memory", "mem", "disk", "filesystem", "heap", "utilization", "utilisation", "usage", "used", "queue",
    "backlog", "lag", "pool", "threads", "connections", "load", "pressure", "saturation", "inflight", "pending",
})  # fmt: skip
_LATENCY = frozenset(["duration", "latency", "rtt", "wait", "delay", "elapsed", "ttfb", "response"])
_TRAFFIC = frozenset(["request", "requests", "calls", "throughput", "rps", "qps", "messages", "hits", "operations"])


def role_of(signal: Signal) -> SignalRole:
    """The first that fits of: log lines, failures, how full something is, how long it takes, how much there is."""
    if signal.name == "log.lines":
        return SignalRole.LOG
    words = frozenset(_WORDS.findall(signal.name.lower()))
    if words & _ERRORS:
        return SignalRole.ERRORS
    timed = signal.unit in SECONDS and signal.kind is not Kind.COUNTER
    if signal.name.startswith("traces.") and timed:
        return SignalRole.LATENCY
    if words & _FULL and not words & _LATENCY:
        return SignalRole.SATURATION
    if words & _LATENCY and (timed or signal.unit in ("", "1")):
        return SignalRole.LATENCY
    if words & _TRAFFIC or signal.unit.startswith("{request"):
        return SignalRole.TRAFFIC
    return SignalRole.OTHER
