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

#: Endings of the signals that are made of a latency's distribution and say how long requests usually take.
_USUAL_REQUESTS = ("mean", "p50", "p95")
_SERVED = ("server", "consumer")
#: Times of a part of a request, and of calls of others.
_INSIDE = ("traces.operation.self_time", "traces.call.", "db.")
#: Words of what says how much of a limit is taken.
_OF_LIMIT = frozenset({"utilization", "utilisation"})

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


def felt_by_callers(signal: Signal) -> SignalRole | None:
    """Does it measure what callers of its workload feel of all their requests: how long they take (``LATENCY``), or
    which share of them fails (``ERRORS``)? None where it does not; what a workload waits for itself is no such thing,
    nor are the times of requests that failed."""
    base, _, ending = signal.name.rpartition(".")
    attributes = dict(signal.attributes)
    if attributes.get("span.kind", _SERVED[0]) not in _SERVED or "client" in base or "error.type" in attributes:
        return None
    if base == "traces.operation.failed" and ending == "share":
        return SignalRole.ERRORS
    if ending not in _USUAL_REQUESTS or signal.unit not in SECONDS or base.startswith(_INSIDE):
        return None
    return SignalRole.LATENCY if role_of(signal) is SignalRole.LATENCY else None


def felt_in_calls(signal: Signal) -> SignalRole | None:
    """As ``felt_by_callers``, of what a workload itself feels of another one that it calls."""
    base, _, ending = signal.name.rpartition(".")
    if base == "traces.call.failed" and ending == "share":
        return SignalRole.ERRORS
    return SignalRole.LATENCY if base == "traces.call.duration" and ending in _USUAL_REQUESTS else None


def is_share_of_limit(signal: Signal) -> bool:
    """Does it say which share of a limit is taken?"""
    words = frozenset(_WORDS.findall(signal.name.lower()))
    return signal.unit in ("1", "%") and bool(words & _OF_LIMIT) and role_of(signal) is SignalRole.SATURATION
