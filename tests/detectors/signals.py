"""Seeded test signals: shapes that telemetry has, as (rows, windows) arrays.

Guarantee: the same arguments give the same arrays.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """``values`` and ``mask``, both (rows, windows); where the mask is false there was no data."""

    values: Floats
    mask: Mask

    @property
    def rows(self) -> int:
        return self.values.shape[0]

    @property
    def windows(self) -> int:
        return self.values.shape[1]

    def take(self, rows: object) -> "Sample":
        return Sample(self.values[rows], self.mask[rows])  # type: ignore[index]


def noise(level: float, sigma: float, windows: int, seed: int = 0) -> Floats:
    """A gauge that varies around its level."""
    return np.random.default_rng(seed).normal(level, sigma, windows)


def shifted(values: Floats, at: int, by: float) -> Floats:
    """``values``, from window ``at`` on higher by ``by``."""
    return values + by * (np.arange(values.size) >= at)


def spiked(values: Floats, at: int, to: float) -> Floats:
    """``values`` with one window replaced."""
    out = values.copy()
    out[at] = to
    return out


def mixed(seed: int, windows: int = 120, gaps: float = 0.2) -> Sample:
    """One row of each shape that telemetry has, with gaps; the first row has none."""
    dice = np.random.default_rng(seed)
    time = np.arange(windows)
    rows = [
        dice.normal(100, 5, windows),
        np.zeros(windows),
        np.full(windows, 42.0),
        np.where(time < windows // 2, 0.0, 1.0),
        dice.poisson(0.3, windows).astype(float),
        dice.poisson(5000, windows).astype(float),
        0.5 * time + dice.normal(0, 1, windows),
        10 + 3 * np.sin(time / 7) + dice.normal(0, 0.2, windows),
        dice.standard_t(1.5, windows),
        np.where(dice.random(windows) < 0.05, 1e6, 1.0),
        dice.choice([-1e300, 1e300, 0.0], windows),
        dice.normal(0, 1e-300, windows),
        -(10.0 ** dice.uniform(-12, 12, windows)),
    ]
    values = np.array(rows)
    mask = dice.random(values.shape) >= gaps
    mask[0] = True
    return Sample(np.where(mask, values, np.nan), mask)
