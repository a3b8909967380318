"""Runs a detector over a sample, window by window, and gathers what it said."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import RowDetector, State
from tests.detectors.signals import Floats, Sample

#: Length of a window in seconds, and the end of the first one.
WINDOW_SECONDS, START = 10.0, 1_700_000_000.0

FIELDS = ("expected", "lower", "upper", "surprise")


def run(
    detector: RowDetector,
    sample: Sample,
    state: State | None = None,
    start: int = 0,
    numbers: npt.NDArray[np.integer[Any]] | None = None,
) -> tuple[Floats, State]:
    """Scores (4, rows, windows) in the order of FIELDS, and the state after; ``state`` is changed in place.

    ``numbers`` (windows,) say which windows of the clock these are; one after the other from ``start`` on.
    """
    state = state if state is not None else detector.empty(sample.rows)
    found = np.empty((4, sample.rows, sample.windows))
    number = start + np.arange(sample.windows) if numbers is None else numbers
    for window in range(sample.windows):
        now = START + float(number[window]) * WINDOW_SECONDS
        scores = detector.step(state, sample.values[:, window], sample.mask[:, window], now)
        found[:, :, window] = [getattr(scores, name) for name in FIELDS]
    return found, state


def many(detector: RowDetector, rows: Sequence[npt.ArrayLike] | Floats) -> tuple[Floats, State]:
    """The same for rows without gaps."""
    values = np.array(rows, np.float64)
    return run(detector, Sample(values, np.ones(values.shape, np.bool_)))


def one(detector: RowDetector, values: npt.ArrayLike) -> tuple[Floats, State]:
    """The same for a single row without gaps: scores (4, windows)."""
    found, state = many(detector, [values])
    return found[:, 0], state
