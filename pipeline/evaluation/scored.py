"""The only place where evaluation meets the scorer: a fleet in, its scores and anomalies out, row by row.

Guarantee: the scorer sees one window after the other in the order of the rows, and nothing else: no label, no length
of the file, no value to come. A row that comes late, twice or without a value is not scored and carries the surprise
of the row before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log10
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.labelled import Fleet
from pipeline.policies import DetectorPolicy, PolicyTable
from pipeline.records import Anomaly, Kind, ScoreBlock, Series
from pipeline.scoring import episodes
from pipeline.scoring.relatives import ENTITY_SIGNAL
from pipeline.scoring.scorer import Scorer
from pipeline.signals.identity import signal_of

Array = npt.NDArray[Any]
#: One policy for all signals, or several that name who they are for.
Policies = PolicyTable | DetectorPolicy


@dataclass(frozen=True, slots=True)
class Span:
    """One anomaly, in rows: the first unlikely window, the one at which it opened, the last unlikely one. ``signal``
    is −1 for the entity's own."""

    signal: int
    onset: int
    opened: int
    last: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What the scorer said of a fleet. Shapes (rows, signals) but ``entity`` (rows,), which is None where the scorer
    has no such signal, and ``end_us`` (rows,), which is 0 for rows that came late or twice. ``given`` are the windows
    that the scorer saw; ``deviates`` those that were far enough from the expected value to matter."""

    fleet: Fleet
    end_us: Array
    given: Array
    deviates: Array
    expected: Array
    lower: Array
    upper: Array
    surprise: Array
    anomalous: Array
    entity: Array | None
    spans: tuple[Span, ...]
    rules: episodes.Rules

    def surprise_together(self) -> Array:
        """(rows,): the surprise of the fleet's signals taken together."""
        if self.entity is not None:
            return self.entity
        return np.maximum(self.surprise.max(axis=1) - log10(self.surprise.shape[1]), 0.0)


def score(fleet: Fleet, policies: Policies) -> Scored:
    """Run a new scorer over a fleet."""
    run = _Run(fleet, policies)
    latest_us = 0
    for row in range(fleet.rows):
        end_us = int(fleet.time_us[row]) + fleet.window_us
        if end_us > latest_us:
            run.window(row, end_us)
            latest_us = end_us
        elif row:
            run.carry(row)
    return run.result()


def openings(scored: Scored, thresholds: Array) -> Array:
    """(thresholds, rows) of bool: where episodes of a fleet's only signal would open if the policy's threshold were
    another one. One row of episode state a threshold."""
    count = thresholds.size
    state, row, zero = episodes.empty(count), np.arange(count), np.zeros(count)
    rules = replace(scored.rules, threshold=thresholds)
    found = np.zeros((count, scored.fleet.rows), np.bool_)
    surprise, deviates = scored.surprise[:, 0], scored.deviates[:, 0]
    yes, no = np.ones(count, np.bool_), np.zeros(count, np.bool_)
    start = np.zeros(count, np.int64)
    for at in np.flatnonzero(scored.given[:, 0]).tolist():
        end_us = int(scored.end_us[at])
        episodes.silent(state, end_us)
        window = episodes.Window(
            row, start, np.full(count, surprise[at]), yes if deviates[at] else no, zero, zero, zero, zero
        )
        found[episodes.step(state, window, end_us, rules).opened, at] = True
    return found


class _Rows:
    """Rows by time: the first that ends then or later, for there may be no row where nothing came."""

    def __init__(self, end_us: Array) -> None:
        self._rows = np.flatnonzero(end_us)
        self._ends = end_us[self._rows]

    def __getitem__(self, at_us: int) -> int:
        return int(self._rows[min(int(np.searchsorted(self._ends, at_us)), self._rows.size - 1)])


class _Run:
    """A scorer at work on one fleet."""

    def __init__(self, fleet: Fleet, policies: Policies) -> None:
        self._fleet = fleet
        self._scorer = Scorer(policies, extra={})
        attributes = (("service.name", fleet.name),)
        for name in fleet.signals:
            self._scorer.add(signal_of(Series(name, "", Kind.GAUGE, attributes), ()), fleet.window_us)
        shape = fleet.values.shape
        self._arrays = {name: np.full(shape, np.nan) for name in ("expected", "lower", "upper")}
        self._surprise = np.zeros(shape)
        self._flags = {name: np.zeros(shape, np.bool_) for name in ("given", "deviates", "anomalous")}
        self._entity: Array | None = None
        self._end_us = np.zeros(fleet.rows, np.int64)
        self._anomalies: dict[str, list[Anomaly]] = {}

    def window(self, row: int, end_us: int) -> None:
        self._end_us[row] = end_us
        self.carry(row)
        signal = np.flatnonzero(np.isfinite(self._fleet.values[row]))
        while (at := self._scorer.next_silence()) is not None and at <= end_us:
            self._keep(self._scorer.silence(at))
        if signal.size:
            start = np.full(signal.size, end_us - self._fleet.window_us)
            value, count = self._fleet.values[row, signal], np.ones(signal.size, np.int64)
            block, anomalies = self._scorer.step(end_us, signal, start, start, value, count)
            self._keep(anomalies)
            self._record(row, block)

    def carry(self, row: int) -> None:
        """The surprise of the row before, and no anomaly."""
        if row:
            self._surprise[row] = self._surprise[row - 1]
            if self._entity is not None:
                self._entity[row] = self._entity[row - 1]

    def _record(self, row: int, block: ScoreBlock) -> None:
        signal = self._scorer.catalogue.rows(block.ids)
        ours = signal < self._fleet.values.shape[1]
        if not ours.all():
            self._record_entity(row, block, signal)
        at = signal[ours]
        for name, array in self._arrays.items():
            array[row, at] = getattr(block, name)[ours]
        self._surprise[row, at] = np.nan_to_num(np.abs(block.surprise[ours]))
        self._flags["given"][row, at] = True
        self._flags["anomalous"][row, at] = block.anomalous[ours]
        window = self._scorer.newest
        assert window is not None
        known = window.row < self._fleet.values.shape[1]
        self._flags["deviates"][row, window.row[known]] = (window.deviates | window.forced)[known]

    def _record_entity(self, row: int, block: ScoreBlock, signal: Array) -> None:
        for place, known in enumerate(signal.tolist()):
            if self._scorer.catalogue.signals[known].name == ENTITY_SIGNAL:
                if self._entity is None:
                    self._entity = np.zeros(self._fleet.rows)
                self._entity[row] = abs(float(block.surprise[place]))

    def _keep(self, anomalies: Sequence[Anomaly]) -> None:
        for anomaly in anomalies:
            self._anomalies.setdefault(anomaly.id, []).append(anomaly)

    def _spans(self) -> tuple[Span, ...]:
        """Anomalies in rows. One that is open at the end of the file lasts to the newest unlikely window told."""
        row_of = _Rows(self._end_us)
        rows_by_id = {signal.id: row for row, signal in enumerate(self._scorer.catalogue.signals)}
        found = []
        for transitions in self._anomalies.values():
            first, newest = transitions[0], transitions[-1]
            signal = rows_by_id[first.signal.id]
            onset = row_of[first.onset_us + self._fleet.window_us]
            last = row_of[newest.last_seen_us] if newest.transition == "ended" else self._fleet.rows - 1
            known = signal < len(self._fleet.signals)
            found.append(Span(signal if known else -1, onset, row_of[first.step_us], last))
        return tuple(sorted(found, key=lambda span: (span.opened, span.signal)))

    def result(self) -> Scored:
        return Scored(
            fleet=self._fleet,
            end_us=self._end_us,
            surprise=self._surprise,
            entity=self._entity,
            spans=self._spans(),
            rules=self._scorer.rules_of(np.zeros(1, np.int64)),
            **self._arrays,
            **self._flags,
        )
