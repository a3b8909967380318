"""A robust level and scale per signal: what is far from the usual level, by the usual spread, is unlikely.

Guarantee: one window moves level and scale by a bounded amount (its residual is clipped), so an outlier does not
become the baseline, yet a lasting shift is adopted within a few hundred windows. The tail is Student's t, whose
degrees of freedom grow with the history: short histories have wide bands instead of false alarms. A row is cold, and
says nothing, for its first ``min_history`` windows. 4 float64 and one int64 of state a row.

Symbols: x value, m level, d mean absolute residual, s = d·√(π/2) scale, z = (x − m)/s, a learning rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import log, pi, sqrt
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, stdtr, stdtrit

from detectors.protocol import Floats, Mask, Scores, State, check_state, empty_state

_TO_SIGMA = sqrt(pi / 2)
_FARTHEST = 1e300
_TAIL_FROM = 1e8  # scales; from here on the power law is exact to double precision
_GROWN = 32  # windows after which the tail no longer changes
_LARGEST = 1e300  # larger values count as this one, so that differences and scales stay finite
_LEAP = 100.0  # how far above itself a value can pull the reach, in reaches or scales


def _freedom(seen: npt.NDArray[np.int64]) -> Floats:
    """Degrees of freedom of the tail after so many windows: 2 … 8."""
    return np.clip(seen / 4.0, 2.0, _GROWN / 4.0)


def _surprise(z: Floats, freedom: Floats) -> Floats:
    """−log10 of the two-sided tail of Student's t beyond z ≥ 0; unbounded, so that extreme windows do not tie.

    Far out the tail is Γ((ν+1)/2)/(√π·Γ(ν/2))·ν^(ν/2−1)·z^−ν on each side.
    """
    near: Floats = np.abs(np.log10(2.0 * stdtr(freedom, -np.minimum(z, _TAIL_FROM))))
    far = z > _TAIL_FROM
    if far.any():
        nu = freedom[far]
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - log(pi) / 2 + (nu / 2 - 1) * np.log(nu)
        near[far] = (nu * np.log(z[far]) - constant - log(2)) / log(10)
    return near


@cache
def _t_quantiles(p: float) -> Floats:
    """Half-width of the central 1 − p band in scales, by windows seen (0 … _GROWN)."""
    found: Floats = -stdtrit(_freedom(np.arange(_GROWN + 1)), p / 2)
    return found


@dataclass(frozen=True, slots=True)
class LevelDetector:
    """Parameters of the level detector; rates are per window."""

    level_rate: float = 0.03
    scale_rate: float = 0.02
    clip: float = 3.0
    min_history: int = 20
    relative_floor: float = 0.01
    band_p: float = 0.01

    version: ClassVar[str] = "level/1"
    fields: ClassVar[Mapping[str, npt.DTypeLike]] = {
        "seen": np.int64,
        "level": np.float64,
        "spread": np.float64,
        "reach": np.float64,
        "last": np.float64,
    }
    slow: ClassVar[frozenset[str]] = frozenset()

    def empty(self, rows: int) -> State:
        return empty_state(self.version, self.fields, rows)

    def check(self, state: State) -> None:
        """Raises StateVersionError when ``state`` is not this detector's."""
        check_state(self.version, self.fields, state)

    def step(self, state: State, values: Floats, mask: Mask, now: float) -> Scores:
        at = np.flatnonzero(mask & np.isfinite(values))
        arrays = state.arrays
        x = np.clip(values[at], -_LARGEST, _LARGEST)
        seen, m, d, reach = (arrays[name][at] for name in ("seen", "level", "spread", "reach"))
        s = self._scale(m, d, reach)
        freedom = _freedom(seen)
        warm = seen >= self.min_history
        with np.errstate(over="ignore"):
            z = np.minimum(np.abs(x - m) / s, _FARTHEST)
        half = _t_quantiles(self.band_p)[np.minimum(seen, _GROWN)] * s
        scores = Scores(*(np.full(values.shape, np.nan) for _ in range(4)))
        known = seen > 0
        scores.expected[at] = np.where(known, m, x)
        scores.lower[at] = np.where(known, m - half, x)
        scores.upper[at] = np.where(known, m + half, x)
        scores.surprise[at] = np.where(warm, _surprise(z, freedom), 0.0)
        self._learn(arrays, at, x, s)
        return scores

    def _scale(self, m: Floats, d: Floats, reach: Floats) -> Floats:
        """s, not below a share of the level or of the largest value seen, and never zero."""
        floor = self.relative_floor * np.maximum(np.abs(m), reach)
        return np.maximum(np.maximum(d * _TO_SIGMA, floor), 1e-9)

    def _learn(self, arrays: dict[str, npt.NDArray[Any]], at: npt.NDArray[np.intp], x: Floats, s: Floats) -> None:
        seen, m, d, reach = (arrays[name][at] for name in ("seen", "level", "spread", "reach"))
        young = seen < self.min_history // 2
        r = x - m
        clipped = np.where(young, r, np.clip(r, -self.clip * s, self.clip * s))
        a = np.maximum(self.level_rate, 1.0 / (seen + 1.0))
        b = np.maximum(self.scale_rate, 1.0 / np.maximum(seen, 1.0))
        arrays["level"][at] = np.where(seen == 0, x, m + a * clipped)
        arrays["spread"][at] = np.where(seen == 0, 0.0, d + b * (np.abs(clipped) - d))
        above = np.clip(np.abs(x) - reach, 0.0, _LEAP * np.maximum(reach, s))
        arrays["reach"][at] = np.where(young, np.maximum(np.abs(x), reach), reach * 0.999 + self.scale_rate * above)
        arrays["last"][at] = x
        arrays["seen"][at] = seen + 1
