"""Which signals a score shard knows: taken in when they are described, refused where there are too many of their kind,
and forgotten when nothing came of them for long.

Guarantee: what is forgotten, and when, follows from event time alone: at full hours of it, what sent nothing for its
time to live. What stays refused is described again every few minutes, and taken in as soon as there is room.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.flow.config import FlowConfig
from pipeline.records import NO_TIME, US, Anomaly, Output, Signal
from pipeline.scoring.relatives import ENTITY_SIGNAL
from pipeline.scoring.scorer import Scorer
from pipeline.signals import rates
from pipeline.signals.cardinality import Cardinality
from pipeline.signals.identity import derived
from pipeline.signals.span_metrics import measures

Array = npt.NDArray[Any]

_TICK_US = 3600 * US
_LONG_AGO = 99
#: Units of derived signals, where not that of the signal itself.
_UNITS = {"rate": "1/s", "above": "1"}
_Measured = tuple[str, str, str]  # scope, workload, name of a signal of ours

#: What we keep of a row beside what the scorer does.
FIELDS = {
    "kind": np.uint8,
    "window_us": np.int64,
    "ttl_us": np.int64,  # for how long it is remembered
    "measured": np.bool_,  # another signal tells the same
    "last_us": np.int64,  # end of the newest window in which something came
    "counted_us": np.int64,  # and in which it was counted
    "topic": np.uint32,  # where a sparse delta comes from
}
#: Of these, what follows from the signals that are known.
GIVEN = frozenset({("signal", name) for name in ("kind", "window_us", "ttl_us", "measured")})


def tick(time_us: int) -> int:
    """The last full hour."""
    return time_us // _TICK_US * _TICK_US


class KnownSignals:
    """Signals of the ``scorer``, whose table has FIELDS as its group ``signal``; ``tick_us`` is when it last forgot."""

    def __init__(self, scorer: Scorer, config: FlowConfig) -> None:
        self._scorer = scorer
        self._config = config
        limits = config.limits
        self._cardinality = Cardinality(limits.max_signals_per_metric, limits.max_signals_per_workload)
        self._refuses = limits.over_max_signals == "refuse"
        self._measuring: Counter[_Measured] = Counter()  # signals that tell what a signal of ours would
        self._told: set[str] = set()  # of what too many were told since the last full hour
        self._hours = _LONG_AGO  # full hours since something was refused
        self.tick_us = NO_TIME

    @property
    def refusing(self) -> bool:
        """Was anything refused in this hour or the one before?"""
        return self._hours <= 1

    def load(self, signals: Sequence[Signal]) -> None:
        """Begin with the signals of a checkpoint. Raises IdCollision."""
        self._scorer.load(signals)
        for signal in self._scorer.catalogue:
            if signal.name != ENTITY_SIGNAL:
                self._cardinality.add(signal)
                self._measuring.update(_measured(signal))

    def describe(self, signals: Sequence[Signal], out: Output) -> list[str]:
        """Take in what blocks say of signals; of what there are too many, in words, where that is news."""
        catalogue, news, measured = self._scorer.catalogue, [], set(self._measuring)
        admitted: dict[int, Signal] = {}
        for signal in signals:
            if signal.id not in catalogue and signal.id not in admitted:
                if excess := self._cardinality.excess(signal):
                    if excess not in self._told:
                        self._told.add(excess)
                        news.append(f"{excess}, for instance {signal.label()}")
                    out.count("drop" if self._refuses else "notice", "too_many_signals")
                    if self._refuses:
                        self._hours = 0
                        continue
                self._cardinality.add(signal)
                self._measuring.update(_measured(signal))
            admitted[signal.id] = signal
        added = self._scorer.add_all(admitted.values(), lambda signal: self._config.window_of(signal.kind))
        out.count("drop", "id_collision", added.count(-1))
        self._given([row for row in added if row >= 0])
        if measured != self._measuring.keys():
            self._measure()
        return news

    def derived(self, row: int, suffix: str) -> int:
        """The row of a signal that is computed from that of a row."""
        base = self._scorer.catalogue.signals[row]
        signal = derived(base, suffix, _UNITS.get(suffix, base.unit))
        if signal.id not in self._scorer.catalogue:
            self._cardinality.add(signal)
        found = self._scorer.add(signal, int(self._scorer.table.groups["signal"]["window_us"][row]))
        group = self._scorer.table.groups["signal"]
        for name in ("window_us", "ttl_us"):
            group[name][found] = group[name][row]
        return found

    def known_derived(self, row: int, suffix: str) -> int | None:
        """The row of such a signal, None where there never was one."""
        base = self._scorer.catalogue.signals[row]
        id_ = derived(base, suffix, _UNITS.get(suffix, base.unit)).id
        found = int(self._scorer.catalogue.rows(np.array([id_], np.uint64))[0])
        return found if found >= 0 else None

    def _given(self, rows: list[int]) -> None:
        group, config = self._scorer.table.groups["signal"], self._config
        signals = [self._scorer.catalogue.signals[row] for row in rows]
        group["kind"][rows] = [rates.KIND_CODES[signal.kind] for signal in signals]
        group["window_us"][rows] = [config.window_of(signal.kind) for signal in signals]
        group["measured"][rows] = [self._is_measured(signal) for signal in signals]
        group["ttl_us"][rows] = [config.instance_ttl_us if signal.instance else config.ttl_us for signal in signals]

    def _measure(self) -> None:
        """Work out anew which of our own signals another one tells."""
        group, changed = self._scorer.table.groups["signal"], []
        for row, signal in enumerate(self._scorer.catalogue.signals):
            if signal.made and group["measured"][row] != self._is_measured(signal):
                group["measured"][row] = not group["measured"][row]
                changed.append(row)
        self._scorer.table.touch(np.array(changed, np.int64))

    def _is_measured(self, signal: Signal) -> bool:
        return signal.made and (signal.scope, signal.workload, signal.name) in self._measuring

    def measured(self, rows: Array) -> Array:
        """Which of these rows (−1: none) another signal tells."""
        found: Array = self._scorer.table.groups["signal"]["measured"][np.maximum(rows, 0)] & (rows >= 0)
        return found

    def saw(self, rows: Array, end_us: int) -> None:
        """Something came of these rows in the window that ends then."""
        self._scorer.table.groups["signal"]["last_us"][rows] = end_us
        self._scorer.table.touch(rows)

    def forget_idle(self, tick_us: int, waiting: Array, out: Output) -> tuple[Array, list[Anomaly]]:
        """At a full hour: forget what is idle for long. ``waiting`` are rows of which something waits for a window to
        close; they begin anew. Returns the rows, and anomalies that end with that."""
        self.tick_us = tick_us
        self._hours = min(self._hours + 1, _LONG_AGO)
        self._told.clear()
        table, ours = self._scorer.table, self._scorer.own_rows()
        group = table.groups["signal"]
        last_us = group["last_us"]
        new = ours[last_us[ours] == 0]  # described, and nothing came yet
        last_us[new] = tick_us
        table.touch(new)
        idle = ours[(last_us[ours] + group["ttl_us"][ours] <= tick_us) & ~table.groups["episodes"]["open"][ours]]
        said: list[Anomaly] = []
        if idle.size:
            gone, said = self._scorer.forget(idle, waiting, tick_us)
            self._forgot([signal for signal in gone if signal.name != ENTITY_SIGNAL])
            out.count("notice", "signals_forgotten", len(gone))
        return idle, said

    def _forgot(self, signals: list[Signal]) -> None:
        self._cardinality.remove(signals)
        measured = set(self._measuring)
        for signal in signals:
            self._measuring.subtract(_measured(signal))
        self._measuring += Counter()  # without those of which none is left
        if measured != self._measuring.keys():
            self._measure()


def _measured(signal: Signal) -> list[_Measured]:
    return [(signal.scope, signal.workload, name) for name in measures(signal)]
