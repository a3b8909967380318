"""Fleet calibration (a pool): what the tail of a row's totals usually is, so that a row with little history of its own
is judged as its fleet is.

Members: all rows of one shard that have had some excesses. Guarantee: row order does not matter; a fifth of the
members, those with the least and the greatest values, has no say; nothing is learned in a step in which more than 5 %
of the rows are anomalous. The shipped prior counts as some members, so that a fleet of one stays near it.
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


class FleetCalibration:
    """``prior`` is what rows are drawn towards now."""

    def __init__(self, shipped: TotalsPrior | None = None) -> None:
        self._shipped = shipped or TotalsPrior()
        self.prior = self._shipped
        self._steps = 0

    def learn(self, totals: npt.NDArray[Any], surprise: Floats) -> None:
        """Look at the members' ``totals`` (rows, layout.TOTALS) now and then; ``surprise`` (scored rows,) of this
        step."""
        self._steps += 1
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
        return {"prior": np.array([self.prior.threshold, self.prior.excess, self._steps])}

    def load(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become the state saved."""
        threshold, excess, steps = arrays["prior"].tolist()
        self.prior, self._steps = TotalsPrior(threshold, excess), int(steps)


def _trimmed(values: Floats) -> float:
    """The mean without the least and the greatest tenth."""
    ordered = np.sort(values)
    cut = int(_TRIM * ordered.size)
    return float(ordered[cut : ordered.size - cut].mean())
