"""What each row of a score shard's table says of its workload, as arrays: what it measures, and with whom it belongs.

Guarantee: follows from the signals alone, and is worked out when it is first asked for; nothing of it is state.
"""

from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import Kind, Signal
from pipeline.scoring.relatives import ENTITY_SIGNAL
from pipeline.signals.roles import SECONDS, SignalRole, role_of

Array = npt.NDArray[Any]


class Says(IntEnum):
    """What a signal says of its workload. MEAN … FULL are what it may suffer from."""

    OTHER = 0
    MEAN = 1  # a latency by which work is counted
    QUANTILE = 2  # the same latency, of the slowest requests or of one in the middle
    SHARE = 3  # of requests that failed
    FAILED = 4  # a second
    FULL = 5
    RATE = 6  # requests a second
    LINES = 7  # log lines of a template, a second
    OWN = 8  # the middle one of an operation's times by itself
    CALL_MEAN = 9  # the same as above, of calls of another workload
    CALL_QUANTILE = 10
    CALL_SHARE = 11
    CALL_RATE = 12
    OWN_RATE = 13


#: What is unusual where it is more than expected: each of these alone makes its workload speak.
SUFFERS = np.array([False] * len(Says), np.bool_)
SUFFERS[[Says.MEAN, Says.QUANTILE, Says.SHARE, Says.FAILED, Says.FULL, Says.OWN]] = True
SUFFERS[[Says.CALL_MEAN, Says.CALL_QUANTILE, Says.CALL_SHARE]] = True

_SUFFIXES = {"mean", "p50", "p95", "p99", "rate", "share"}
_SHARES = ("ratio", "share", "rate", "percent", "fraction")
_SERVED, _CALLING = ("server", "consumer"), ("client", "producer")
_OPERATION, _CALL, _OWN = "traces.operation.", "traces.call.", "traces.operation.self_time"
#: Families and pairs that are numbered before all are numbered anew.
_MOST_NUMBERS = 200_000


class SignalFacts:
    """Arrays by table row: ``says``, ``family`` (a number of the metric), ``pair`` (of metric, instance and attributes:
    a latency and the rate of its requests have the same), ``outgoing`` (what a workload waits for, and not what others
    wait for), ``scale`` (to seconds, or to shares), ``alone`` (no instance is named)."""

    def __init__(self) -> None:
        self._id: Array = np.zeros(0, np.uint64)
        self._families: dict[str, int] = {}
        self._pairs: dict[tuple[str, str, Any], int] = {}
        self.says: Array = np.zeros(0, np.int8)
        self.family: Array = np.zeros(0, np.int32)
        self.pair: Array = np.zeros(0, np.int32)
        self.outgoing: Array = np.zeros(0, np.bool_)
        self.way: Array = np.zeros(0, np.bool_)
        self.scale: Array = np.zeros(0, np.float64)

    def _grow(self, rows: int) -> None:
        for name in ("_id", "says", "family", "pair", "outgoing", "way", "scale"):
            known = getattr(self, name)
            setattr(self, name, np.concatenate([known, np.zeros(rows - known.size, known.dtype)]))

    def know(self, rows: Array, ids: Array, signals: list[Signal]) -> None:
        """Make the arrays right at these rows; ``ids`` and ``signals`` are those of all rows."""
        if self._id.size < ids.size:
            self._grow(ids.size)
        if len(self._pairs) > _MOST_NUMBERS:
            self._families, self._pairs = {}, {}
            self._id[:] = 0
        for row in rows[self._id[rows] != ids[rows]].tolist():
            self._learn(row, signals[row])
            self._id[row] = ids[row]

    def _learn(self, row: int, signal: Signal) -> None:
        says, base, scale = _read(signal.name, signal.unit, signal.kind)
        self.says[row], self.scale[row] = says, scale
        self.family[row] = self._families.setdefault(base, len(self._families))
        counted_by = f"{base.rpartition('.')[0]}.duration" if base.startswith("traces.") and base != _OWN else base
        pair = (counted_by, signal.instance, signal.attributes)
        self.pair[row] = self._pairs.setdefault(pair, len(self._pairs))
        kinds = [value for name, value in signal.attributes if name == "span.kind"]
        inside = base.startswith(_OPERATION) and not any(kind in _SERVED for kind in kinds)
        self.outgoing[row] = inside or "client" in base
        self.way[row] = any(kind in _CALLING for kind in kinds)


@lru_cache(maxsize=16_384)
def _read(name: str, unit: str, kind: Kind) -> tuple[Says, str, float]:
    """What a signal of this name says, the name that it shares with its companions, and its scale."""
    head, _, suffix = name.rpartition(".")
    base = head if suffix in _SUFFIXES and head else name
    role = role_of(Signal(0, name, unit, kind, "", "", "", ()))
    if name == ENTITY_SIGNAL:
        return Says.OTHER, base, 1.0
    if role is SignalRole.LOG:
        return Says.LINES, base, 1.0
    if base.startswith(_CALL):
        return _CALLS.get(suffix, Says.OTHER), base, 1.0
    if base == _OWN:
        return {"p50": Says.OWN, "rate": Says.OWN_RATE}.get(suffix, Says.OTHER), base, 1.0
    if suffix == "rate" and base != name and role_of(Signal(0, base, "s", kind, "", "", "", ())) is SignalRole.LATENCY:
        return Says.RATE, base, 1.0
    if role is SignalRole.LATENCY:
        quantile = suffix in ("p50", "p95", "p99") and base != name
        return Says.QUANTILE if quantile else Says.MEAN, base, SECONDS.get(unit, 1.0)
    if role is SignalRole.ERRORS:
        share = unit in ("1", "%") and kind is Kind.GAUGE and any(word in name.lower() for word in _SHARES)
        return (Says.SHARE, base, 0.01 if unit == "%" else 1.0) if share else (Says.FAILED, base, 1.0)
    if role is SignalRole.TRAFFIC and unit.endswith("/s"):
        return Says.RATE, base, 1.0
    return Says.FULL if role is SignalRole.SATURATION else Says.OTHER, base, 1.0


_CALLS = {
    "mean": Says.CALL_MEAN,
    "p50": Says.CALL_QUANTILE,
    "p95": Says.CALL_QUANTILE,
    "p99": Says.CALL_QUANTILE,
    "share": Says.CALL_SHARE,
    "rate": Says.CALL_RATE,
}
