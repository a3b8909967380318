"""Windows of a shard's signals to scores and anomalies.

Guarantee: what comes out for a window end depends only on the windows so far, never on when or in what order their
points arrived. Anomaly ids are made from scope, signal and onset.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import LevelDetector, RowDetector, State
from pipeline.policies import DetectorPolicy
from pipeline.records import US, Anomaly, ScoreBlock, Signal
from pipeline.scoring import episodes
from pipeline.scoring.catalogue import Catalogue
from pipeline.scoring.table import Table

Array = npt.NDArray[Any]
_DIRECTIONS = {"both": 0, "up": 1, "down": -1}


def default_detector(policy: DetectorPolicy) -> RowDetector:
    """The detector that people get."""
    return LevelDetector(min_history=policy.min_history_windows)


class Scorer:
    """Detector, thresholds and episodes for all signals of one shard. ``extra`` are array groups of other stages that
    live in the same table (and so in the same checkpoints)."""

    def __init__(self, policy: DetectorPolicy, extra: dict[str, Any]) -> None:
        self.policy = policy
        self.detector = default_detector(policy)
        self.catalogue = Catalogue()
        self.rules = episodes.Rules(
            policy.threshold_surprise, policy.open_windows, policy.of_windows, policy.close_windows
        )
        slow = frozenset(("detector", name) for name in self.detector.slow)
        self.table = Table({"detector": self.detector.fields, "episodes": episodes.FIELDS, **extra}, slow)
        self._least: Array = np.zeros(0)

    def add(self, signal: Signal) -> int:
        """The row of a signal; the table grows as needed. Raises IdCollision."""
        row = self.catalogue.add(signal)
        if row == self.table.rows:
            self.table.grow(row + 1)
            if row >= self._least.size:
                self._least = np.concatenate([self._least, np.zeros(max(1024, self._least.size))])
            self._least[row] = self.policy.least_deviation(signal.unit)
        return row

    def step(
        self, end_us: int, row: Array, start_us: Array, time_us: Array, value: Array, count: Array
    ) -> tuple[ScoreBlock, list[Anomaly]]:
        """Score the windows that end at ``end_us``; ``row`` is distinct, all shapes (windows,)."""
        table = self.table
        values = np.full(table.capacity, np.nan)
        values[row] = value
        mask = np.zeros(table.capacity, np.bool_)
        mask[row] = True
        state = State(self.detector.version, table.groups["detector"])
        scores = self.detector.step(state, values, mask, end_us / US)
        expected, lower, upper, surprise = (
            array[row] for array in (scores.expected, scores.lower, scores.upper, scores.surprise)
        )
        deviates = self._deviates(row, value, expected)
        window = episodes.Window(row, start_us, surprise, deviates, value, expected, lower, upper)
        changes = episodes.step(table.groups["episodes"], window, end_us, self.rules)
        table.touch(row)
        anomalous = table.groups["episodes"]["open"][row] | (deviates & (surprise >= self.rules.threshold))
        block = self._block(end_us, row, time_us, count, value, (expected, lower, upper, surprise, anomalous))
        return block, self._anomalies(changes, end_us)

    def silence(self, now_us: int) -> list[Anomaly]:
        """End the episodes of signals that sent nothing for too long at ``now_us``."""
        rows = episodes.silent(self.table.groups["episodes"], now_us)
        self.table.touch(rows)
        none = np.empty(0, np.int64)
        return self._anomalies(episodes.Changes(none, none, rows), now_us)

    def next_silence(self) -> int | None:
        return episodes.next_silence(self.table.groups["episodes"])

    def _deviates(self, row: Array, value: Array, expected: Array) -> Array:
        """Is the deviation in the wanted direction and large enough to matter to anybody?"""
        difference = value - expected
        direction = _DIRECTIONS[self.policy.direction]
        size = difference * direction if direction else np.abs(difference)
        least = np.maximum(self._least[row], self.policy.min_relative * np.abs(expected))
        enough: Array = (size >= least) & (size > 0)
        return enough

    def _block(
        self, end_us: int, row: Array, time_us: Array, count: Array, value: Array, scored: Sequence[Array]
    ) -> ScoreBlock:
        signals = self.catalogue.signals
        ids = np.fromiter((signals[i].id for i in row.tolist()), np.uint64, row.size)
        order = np.argsort(ids)
        columns = [array[order] for array in (time_us, count.astype(np.uint32), value, *scored)]
        return ScoreBlock(end_us, ids[order], *columns)

    def _anomalies(self, changes: episodes.Changes, step_us: int) -> list[Anomaly]:
        found = [
            self._anomaly(row, transition, step_us)
            for transition in ("opened", "updated", "ended")
            for row in getattr(changes, transition).tolist()
        ]
        return sorted(found, key=lambda anomaly: (anomaly.signal.id, anomaly.revision))

    def _anomaly(self, row: int, transition: str, step_us: int) -> Anomaly:
        state = self.table.groups["episodes"]
        signal = self.catalogue.signals[row]
        onset = int(state["onset_us"][row])
        last = int(state["last_us"][row])
        value, expected = float(state["peak_value"][row]), float(state["peak_expected"][row])
        return Anomaly(
            id=anomaly_id(signal, onset),
            revision=int(state["revision"][row]),
            transition=transition,
            signal=signal,
            step_us=step_us,
            onset_us=onset,
            last_seen_us=last,
            end_us=last if transition == "ended" else None,
            peak_us=int(state["peak_us"][row]),
            value=value,
            expected=expected,
            lower=float(state["peak_lower"][row]),
            upper=float(state["peak_upper"][row]),
            surprise=float(state["peak"][row]),
            windows=int(state["unlikely"][row]),
            why="higher than usual" if value > expected else "lower than usual",
            detector=self.detector.version,
        )


def anomaly_id(signal: Signal, onset_us: int) -> str:
    """The same for the same episode in every run."""
    text = f"{signal.scope}|{signal.id}|{onset_us}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
