"""Fleet calibration (a pool): what is usual in a fleet, so that p means in it what it says.

Two things: what the tail of a row's totals usually is, so that a row with little history of its own is judged as its
fleet is; and how often each surprise really comes, so that 1 in 1,000 windows has p ≤ 0.001. The second is a histogram
of the surprises of all rows; where few of them are left, its tail goes on exponentially.

Members: all rows of one shard that have had some excesses. Guarantee: row order does not matter; a fifth of the
members, those with the least and the greatest values, has no say; nothing is learned in a step in which more than 5 %
of the rows are anomalous. The order of surprises is kept. The shipped prior counts as some members and as some
thousand windows, so that a fleet of one stays near it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.budget import frozen
from detectors.composed import TotalsPrior
from detectors.layout import TOTAL_EXCESSES, TOTAL_MEAN, TOTAL_U
from detectors.protocol import Floats

_EVERY = 16  # steps between two looks at the members
_LEAST_EXCESSES = 30.0
_TRIM = 0.1
_SHIPPED_MEMBERS = 20.0
_RATE = 0.1
_MOST_MEMBERS = 5000  # looked at; of more, evenly spread ones
_BIN, BINS = 0.1, 120
_EDGES = _BIN * np.arange(BINS + 1)
_PRIOR_WINDOWS = 10_000.0
_LEAST_WINDOWS = 20.0  # windows beyond a surprise below which the tail is extrapolated
_MEMORY_WINDOWS = 3_000_000.0
_STEEPEST, _FLATTEST = 0.5, 3.0  # mean excess of the extrapolated tail, in those of a calibrated one
_LN10 = float(np.log(10.0))


class FleetCalibration:
    """``prior`` is what rows are drawn towards now; ``surprise`` turns one of the detector into one of the fleet."""

    def __init__(self, shipped: TotalsPrior | None = None) -> None:
        self._shipped = shipped or TotalsPrior()
        self.prior = self._shipped
        self._steps = 0
        beyond = _PRIOR_WINDOWS * 10.0**-_EDGES
        self._usual = beyond[:-1] - beyond[1:]
        self._histogram = np.zeros(BINS)
        self._map = _EDGES.copy()
        self._slope = 1.0  # of the map beyond its last edge

    def surprise(self, raw: Floats) -> Floats:
        """−log10 of how often so much comes in the fleet, any shape; keeps the order, and 0."""
        beyond = np.maximum(raw - _EDGES[-1], 0.0)
        return np.asarray(np.interp(raw, _EDGES, self._map) + self._slope * beyond)

    def learn(self, raw: Floats, everything: Floats) -> None:
        """Take in the surprises of a step that may teach; ``everything`` are those of all rows of the step."""
        self._steps += 1
        if not frozen(everything):
            at = np.clip((raw[raw > 0.0] / _BIN).astype(np.int64), 0, BINS - 1)
            self._histogram += np.bincount(at, minlength=BINS)
        if self._steps % _EVERY == 0:
            if self._histogram.sum() > _MEMORY_WINDOWS:
                self._histogram /= 2
            self._fit()

    def _fit(self) -> None:
        """The map: −log10 of the share of windows beyond each edge, and on in a straight line where they are few."""
        counts = self._histogram + self._usual
        beyond = np.append(np.cumsum(counts[::-1])[::-1], 0.0)
        at = max(int(np.argmax(beyond < _LEAST_WINDOWS)) - 1, 0)
        peaks, excess = counts[at:], _EDGES[at:-1] + 0.5 * _BIN - _EDGES[at]
        mean = float((peaks * excess).sum() / peaks.sum()) * _LN10
        self._slope = 1.0 / min(max(mean, _STEEPEST), _FLATTEST)
        shown = -np.log10(np.maximum(beyond, 1e-300) / beyond[0])
        shown[at:] = shown[at] + self._slope * (_EDGES[at:] - _EDGES[at])
        self._map = shown

    def look(self, totals: npt.NDArray[Any], surprise: Floats) -> None:
        """Look at the members' ``totals`` (rows, layout.TOTALS) now and then; ``surprise`` (scored rows,) of this
        step."""
        if self._steps % _EVERY or frozen(surprise):
            return
        known = np.flatnonzero(totals[:, TOTAL_EXCESSES] >= _LEAST_EXCESSES)
        if not known.size:
            return
        members = totals[known[:: max(known.size // _MOST_MEMBERS, 1)]].astype(np.float64)
        share = known.size / (known.size + _SHIPPED_MEMBERS)
        threshold = share * _trimmed(members[:, TOTAL_U]) + (1 - share) * self._shipped.threshold
        excess = share * _trimmed(members[:, TOTAL_MEAN]) + (1 - share) * self._shipped.excess
        was = self.prior
        self.prior = TotalsPrior(
            was.threshold + _RATE * (threshold - was.threshold), was.excess + _RATE * (excess - was.excess)
        )

    def dump(self) -> dict[str, npt.NDArray[Any]]:
        """The state of the pool, for a checkpoint."""
        numbers = [self.prior.threshold, self.prior.excess, self._steps, self._slope]
        return {"numbers": np.array(numbers), "histogram": self._histogram, "map": self._map}

    def load(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become the state saved. Raises ValueError when it is of another shape."""
        if arrays["histogram"].shape != (BINS,):
            raise ValueError(f"a fleet calibration has {BINS} bins, not {arrays['histogram'].shape}")
        threshold, excess, steps, self._slope = arrays["numbers"].tolist()
        self.prior, self._steps = TotalsPrior(threshold, excess), int(steps)
        self._histogram, self._map = arrays["histogram"].copy(), arrays["map"].copy()


def _trimmed(values: Floats) -> float:
    """The mean without the least and the greatest tenth."""
    ordered = np.sort(values)
    cut = int(_TRIM * ordered.size)
    return float(ordered[cut : ordered.size - cut].mean())
