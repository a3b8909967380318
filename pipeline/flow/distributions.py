"""Histogram signals of a shard: what each showed last, and the signals derived from it (rate, mean, quantiles, and the
share above a threshold, where its policy has one).

Guarantee: the values of a window follow from its points, those before them, and the policies in force at its end. The
share above a threshold is judged as an ordinary gauge, however many values it is of; above another threshold it is
another quantity, so that it begins anew when the policy changes.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.flow.known_signals import KnownSignals
from pipeline.policies import PolicyTable
from pipeline.records import Anomaly, HistogramPoint
from pipeline.scoring.scorer import Scorer
from pipeline.signals import rates
from pipeline.signals.distributions import Seen, summarise
from pipeline.windows.tumbling import ClosedWindow

Array = npt.NDArray[Any]

_ABOVE = "above"


class Distributions:
    """``values`` adds the derived signals to the scorer's catalogue as they appear."""

    def __init__(self, scorer: Scorer, known: KnownSignals) -> None:
        self._scorer = scorer
        self._known = known
        self._seen: dict[int, Seen] = {}
        self._derived: dict[tuple[int, str], int] = {}

    def any(self) -> bool:
        return bool(self._seen)

    def values(self, window: ClosedWindow) -> rates.WindowValues:
        """Values of the derived signals of every histogram in the window."""
        points: dict[int, list[tuple[int, int, HistogramPoint]]] = {}
        for at, point in sorted(window.histograms.items()):
            row = int(window.row[at])
            points.setdefault(row, []).append((int(window.time_us[at]), int(window.start_us[at]), point))
        found: list[tuple[int, float, int, int]] = []
        for row, series in points.items():
            kind = self._scorer.table.groups["signal"]["kind"][row]
            above = self._scorer.policy_of(row).policy.above
            cumulative = bool(kind == rates.HISTOGRAM)
            values, seen = summarise(series, self._seen.get(row), cumulative=cumulative, above=above)
            if kind == rates.SHARE:
                values = {"share": values["mean"]} if "mean" in values else {}
            if seen is not None:
                self._seen[row] = seen
            found += [(self._row(row, name), value, series[-1][0], len(series)) for name, value in values.items()]
        row_of, value, time_us, count = zip(*found, strict=True) if found else ((), (), (), ())
        ints = [np.array(column, np.int64) for column in (row_of, time_us, count)]
        return rates.WindowValues(ints[0], np.array(value, np.float64), ints[1], ints[2])

    def _row(self, row: int, suffix: str) -> int:
        known = self._derived.get((row, suffix))
        if known is None:
            known = self._derived[row, suffix] = self._known.derived(row, suffix)
        return known

    def made_of(self, row: int) -> list[int]:
        """The rows of the signals that are derived from a histogram's."""
        return [made for (base, _), made in self._derived.items() if base == row] if row in self._seen else []

    def change(self, before: PolicyTable, now: PolicyTable, at_us: int) -> list[Anomaly]:
        """Other policies are in force from now on: shares above what is no longer the threshold begin anew, and their
        episodes end."""
        changed = []
        for row in self._seen:
            signal = self._scorer.catalogue.signals[row]
            if before.resolve(signal).policy.above != now.resolve(signal).policy.above:
                changed.append(self._known.known_derived(row, _ABOVE))
        rows = np.array([row for row in changed if row is not None], np.int64)
        return self._scorer.begin_anew(rows, at_us, "its threshold was changed") if rows.size else []

    def forget(self, rows: Array) -> None:
        """Begin anew with these rows."""
        gone = set(rows.tolist())
        for row in gone & self._seen.keys():
            del self._seen[row]
        self._derived = {key: row for key, row in self._derived.items() if key[0] not in gone and row not in gone}

    def dump(self) -> bytes:
        """What each histogram showed last."""
        parts = [
            [row, s.time_us, s.start_us, s.point.count, s.point.sum, s.point.bounds.tobytes(), s.point.counts.tobytes()]
            for row, s in self._seen.items()
        ]
        return msgspec.msgpack.encode(parts)

    def load(self, dumped: bytes) -> None:
        parts: list[Any] = msgspec.msgpack.decode(dumped)
        for row, time_us, start_us, count, total, bounds, counts in parts:
            point = HistogramPoint(count, total, np.frombuffer(bounds), np.frombuffer(counts))
            self._seen[row] = Seen(time_us, start_us, point)
