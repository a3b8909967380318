"""Rows of what callers feel of a workload: judged by size as well (``detectors.felt``), and asked when another signal
of the workload is unusual.

Guarantee: follows from the windows of these rows alone. A window in trouble is unlikely however short the history is;
its expectation is what was usual before the trouble, which forecasts soon forget.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import felt
from pipeline.records import Signal

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a signal measures (of ``detectors.felt``), its unit in seconds, or in shares, and whether it is what callers
    of its workload feel."""

    what: int
    scale: float = 1.0
    by_callers: bool = False


NOTHING = Measure(felt.NOTHING)
Measures = Callable[[Signal], Measure]
#: A size is no probability: it is not taken for a rarer one than this.
_MOST_SURPRISE = 12.0
_LN10 = float(np.log(10.0))


@dataclass(frozen=True, slots=True)
class Felt:
    """Windows of a step that are in trouble, by their places, with what is to be said of them; shapes (found,)."""

    place: Array
    surprise: Array
    usual: Array
    upper: Array


def nothing(signal: Signal) -> Measure:
    """Nothing is known of what signals measure."""
    return NOTHING


class FeltRows:
    """``state`` are the arrays of ``felt.FIELDS`` in the table; it may get other ones as the table grows."""

    def __init__(self, state: Callable[[], dict[str, Array]], measures: Measures = nothing) -> None:
        self._state = state
        self._measures = measures
        self._rows: dict[tuple[str, str], dict[int, None]] = {}

    def begin(self, signals: Mapping[int, Signal]) -> None:
        """Rows of new signals."""
        state = self._state()
        for row, signal in signals.items():
            measure = self._measures(signal)
            state["what"][row], state["scale"][row] = measure.what, measure.scale
            if measure.by_callers:
                self._rows.setdefault((signal.scope, signal.workload), {})[row] = None

    def forget(self, signals: Mapping[int, Signal]) -> None:
        """These rows are of others now, or of nobody."""
        for row, signal in signals.items():
            known = self._rows.get((signal.scope, signal.workload), {})
            known.pop(row, None)
            if not known:
                self._rows.pop((signal.scope, signal.workload), None)

    def step(self, row: Array, value: Array, off: Array) -> Felt:
        """Take in the windows of distinct rows; ``off``: people do not want that judged, (windows,) of bool."""
        found = felt.step(self._state(), row, value)
        wanted = ~off[found.place]
        z = np.maximum(found.z, felt.FAR)  # trouble that lasts is as sure as the windows that confirmed it
        surprise = np.minimum((z * z / 2.0 + np.log(z * np.sqrt(np.pi / 2.0))) / _LN10, _MOST_SURPRISE)
        return Felt(found.place[wanted], surprise[wanted], found.usual[wanted], found.upper[wanted])

    def by_callers(self, signal: Signal) -> bool | None:
        """Do callers of this signal's workload feel something now; None where nobody measures that, or not for long
        enough."""
        rows = self._known(self._rows.get((signal.scope, signal.workload), ()))
        return bool(felt.is_away(self._state(), rows).any()) if rows.size else None

    def _known(self, rows: Iterable[int]) -> Array:
        found = np.fromiter(rows, np.int64)
        return found[self._state()["seen"][found] > felt.LEARNING]
