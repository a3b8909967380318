"""Labelled data as values: the signals of one fleet, row by row, and which rows were anomalous.

Guarantee: labels and windows stand beside the values and are never handed to a scorer.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Fleet:
    """One file: its signals are scored together, and apart from all other files.

    Shapes: ``time_us`` (rows,), ``values`` (rows, signals; NaN = no value), ``labels`` (rows,) of bool. Rows are in
    the order in which they came. ``window_us`` is the usual distance of rows. Rows before ``scored_from`` are
    learned from, but not judged. ``events`` are the first and last rows of what a person would call one trouble.
    """

    name: str
    signals: tuple[str, ...]
    time_us: Array
    values: Array
    labels: Array
    events: tuple[tuple[int, int], ...]
    window_us: int
    scored_from: int = 0

    @property
    def rows(self) -> int:
        return int(self.time_us.size)


def usual_interval_us(time_us: Array) -> int:
    """The median distance of neighbouring rows; 0 when there is none."""
    steps = np.diff(time_us)
    steps = steps[steps > 0]
    return int(np.median(steps)) if steps.size else 0


def runs(labels: Array, join: int = 0) -> tuple[tuple[int, int], ...]:
    """First and last rows of labelled runs; runs with ``join`` or fewer unlabelled rows between them are one."""
    edges = np.diff(np.concatenate([[0], labels.astype(np.int8), [0]]))
    found: list[tuple[int, int]] = []
    for first, end in zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True):
        if found and first - found[-1][1] - 1 <= join:
            found[-1] = (found[-1][0], end - 1)
        else:
            found.append((first, end - 1))
    return tuple(found)
