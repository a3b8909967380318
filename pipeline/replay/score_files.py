"""Scores as CSV: one row a signal and window, or one row an entity and window.

Guarantee: full precision (what is read back is the same float), rows in the order of time, entity and signal, and byte
for byte the same for the same input.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from math import log10
from typing import ClassVar, TextIO

from pipeline.records import ScoreBlock, Signal
from pipeline.replay.ordering import OrderedLines

#: Microseconds since the epoch → text.
TimeText = Callable[[int], str]


class ScoresFile:
    """Every window of every signal, cold ones too.

    ``p`` is 10^−surprise, ``score`` is surprise/(1 + surprise), ``anomaly`` is 1 where the window is part of an anomaly
    or is unlikely and deviates enough to start one. A row's time is that of the newest point in the window. ``names``
    says what to call entities, by their workload; others are called as in incidents.
    """

    columns: ClassVar = (
        *("entity", "signal", "timestamp", "value", "expected", "lower", "upper"),
        *("p", "surprise", "score", "anomaly"),
    )

    def __init__(self, out: TextIO, time_text: TimeText, names: Mapping[str, str], longest_window_us: int) -> None:
        self._lines = OrderedLines(out)
        self._time_text = time_text
        self._names = names
        self._longest_us = longest_window_us
        self._known: dict[int, tuple[str, str, str]] = {}  # id → entity, label, both as CSV
        out.write(",".join(self.columns) + "\n")

    def take(self, block: ScoreBlock, signals: Mapping[int, Signal]) -> None:
        """Hold the rows of one block; ``signals`` knows every id in it."""
        for row in _rows(block):
            key, time_us, value, expected, lower, upper, surprise, anomalous = row
            known = self._known.get(key)
            if known is None:
                known = self._known[key] = self._describe(signals[key])
            entity, label, start = known
            line = (
                f"{start},{self._time_text(time_us)},{value!r},{expected!r},{lower!r},{upper!r},"
                f"{10.0**-surprise!r},{surprise!r},{surprise / (1 + surprise)!r},{anomalous:d}\n"
            )
            self._lines.add((time_us, entity, label, key), line)

    def _describe(self, signal: Signal) -> tuple[str, str, str]:
        entity, label = _entity(signal, self._names), signal.label()
        return entity, label, _csv(entity, label)

    def release(self, complete_us: int) -> None:
        """Windows that end at or before this time have all come."""
        self._lines.release(complete_us - self._longest_us)

    def close(self) -> None:
        """Nothing comes any more."""
        self._lines.release(_END)


class EntityScoresFile:
    """Every window of every entity: its signals taken together.

    ``p`` is Bonferroni's bound, min(1, n × the least p of its n signals in the window): true whatever the signals have
    to do with each other. ``surprise`` and ``score`` follow from it. ``anomaly`` is 1 where it is for one of them.
    A row's time is that of the newest point in the window.
    """

    columns: ClassVar = ("entity", "timestamp", "signals", "surprise", "score", "p", "anomaly")

    def __init__(self, out: TextIO, time_text: TimeText, names: Mapping[str, str], longest_window_us: int) -> None:
        self._lines = OrderedLines(out)
        self._time_text = time_text
        self._names = names
        self._longest_us = longest_window_us
        self._known: dict[int, tuple[str, str]] = {}  # id → entity, scope
        out.write(",".join(self.columns) + "\n")

    def take(self, block: ScoreBlock, signals: Mapping[int, Signal]) -> None:
        """Hold the rows of one block; ``signals`` knows every id in it."""
        entities: dict[tuple[str, str], list[_Row]] = {}
        for row in _rows(block):
            place = self._known.get(row[0])
            if place is None:
                signal = signals[row[0]]
                place = self._known[row[0]] = (_entity(signal, self._names), signal.scope)
            entities.setdefault(place, []).append(row)
        for (entity, scope), rows in entities.items():
            time_us = max(row[1] for row in rows)
            surprise = max(max(row[6] for row in rows) - log10(len(rows)), 0.0)
            anomalous = any(row[7] for row in rows)
            line = (
                f"{_csv(entity)},{self._time_text(time_us)},{len(rows)},{surprise!r},"
                f"{surprise / (1 + surprise)!r},{10.0**-surprise!r},{anomalous:d}\n"
            )
            self._lines.add((time_us, entity, scope, block.end_us), line)

    def release(self, complete_us: int) -> None:
        """Windows that end at or before this time have all come."""
        self._lines.release(complete_us - self._longest_us)

    def close(self) -> None:
        """Nothing comes any more."""
        self._lines.release(_END)


#: Beyond every event time.
_END = 2**62

#: id, time, value, expected, lower, upper, surprise, anomalous
_Row = tuple[int, int, float, float, float, float, float, bool]


def _rows(block: ScoreBlock) -> Iterable[_Row]:
    """The rows as plain Python values."""
    return zip(
        block.ids.tolist(),
        block.time_us.tolist(),
        block.value.tolist(),
        block.expected.tolist(),
        block.lower.tolist(),
        block.upper.tolist(),
        abs(block.surprise).tolist(),  # −log10 of 1 is a zero with a sign
        block.anomalous.tolist(),
        strict=True,
    )


def _entity(signal: Signal, names: Mapping[str, str]) -> str:
    return names.get(signal.workload, signal.entity)


def _csv(*fields: str) -> str:
    """Fields of a CSV row, quoted where they must be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(fields)
    return text.getvalue().removesuffix("\r\n")
