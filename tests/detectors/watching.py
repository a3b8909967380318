"""Watches the composed detector over many windows, and makes the signals that its tests are about.

Guarantee: the same arguments give the same arrays; a signal that is hurt differs from the whole one only from there on.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from detectors import ComposedDetector, State
from detectors import layout as at
from tests.detectors.signals import noise
from tests.detectors.synthetic import inject

Floats = npt.NDArray[np.float64]

START = 1_700_000_000.0
HOUR, DAY, WEEK = 3600, 86_400, 7 * 86_400

SURPRISING = 3.5
SEEDS = 20
MOST = 15  # of the seeds
HISTORY = 3000  # windows before anything is wrong

FIELDS = ("expected", "lower", "upper", "surprise", "shift")


class Watch:
    """A detector over (rows, windows): the scores (rows, windows), evidence (rows, windows, kinds), and the state."""

    def __init__(
        self,
        values: npt.ArrayLike,
        seconds: float = 60.0,
        *,
        detector: ComposedDetector | None = None,
        state: State | None = None,
        times: Floats | None = None,
        most: Floats | None = None,
        after: Callable[[State, int], None] | None = None,
    ) -> None:
        rows = np.atleast_2d(np.asarray(values, np.float64))
        detector = detector or ComposedDetector()
        self.state = state or detector.empty(len(rows))
        self.times = START + seconds * np.arange(1, rows.shape[1] + 1) if times is None else times
        found = {name: np.full(rows.shape, np.nan) for name in FIELDS}
        self.evidence = np.zeros((*rows.shape, at.EVIDENCE))
        for window, now in enumerate(self.times):
            value = rows[:, window].copy()
            scores = detector.step(self.state, value, np.isfinite(value), float(now), most=most)
            for name, array in found.items():
                array[:, window] = getattr(scores, name)
            self.evidence[:, window] = scores.evidence
            if after is not None:
                after(self.state, window)
        self.expected, self.lower, self.upper, self.surprise, self.shift = found.values()

    def core(self, column: int) -> Floats:
        return self.state.arrays["core"][:, column]


def gauges(windows: int, seeds: int = SEEDS) -> Floats:
    return np.array([noise(100, 5, windows, seed) for seed in range(seeds)])


def cycles(windows: int, period: int, seeds: int = SEEDS) -> Floats:
    phase = np.random.default_rng(7).uniform(0, 2 * np.pi, (seeds, 1))
    return 100 + 30 * np.sin(2 * np.pi * np.arange(windows) / period + phase) + gauges(windows, seeds) / 5 - 20


def hurt(values: Floats, kind: str, start: int, length: int, strength: float) -> Floats:
    """Each row with an anomaly of its own."""
    return np.array(
        [inject(row, kind, start, length, strength, np.random.default_rng(i)) for i, row in enumerate(values)]
    )


def quieter(values: Floats, kind: str, start: int, length: int, strength: float) -> Floats:
    out = values.copy()
    out[:, start : start + length] = 100 + strength * (out[:, start : start + length] - 100)
    return out


def dropped(values: Floats, kind: str, start: int, length: int, strength: float) -> Floats:
    out = values.copy()
    out[:, start : start + length] = strength
    return out


def weekly(seconds: int, days: int, early: int | None = None, seeds: int = SEEDS) -> Floats:
    """A load that is high in working hours of working days; from day ``early`` on all of it is an hour earlier."""
    windows = days * DAY // seconds
    time = START + seconds * np.arange(1, windows + 1) - 0.5 * seconds
    if early is not None:
        time = time + np.where(np.arange(windows) >= early * DAY // seconds, HOUR, 0)
    hour, weekday = time % DAY / HOUR, time // DAY % 7
    busy = (hour >= 8) & (hour < 18) & (weekday < 5)
    rows = np.array([noise(0, 2, windows, seed) for seed in range(seeds)])
    return np.where(busy, 150.0, 50.0) + rows
