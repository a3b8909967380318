"""Alert budget (a pool): the threshold at which so many episodes a week open, learned from the fleet's own peaks.

Members: all rows of one shard. Guarantee: row order does not matter, a row that never surprises only adds to the
windows counted; nothing is learned in a step in which more than 5 % of the members (and more than one) are anomalous,
nor from peaks no noise has, so an outage of half the fleet does not raise its own threshold.

Each row's windows fall into blocks: one begins with a surprise of ``REFERENCE`` or more and lasts as long as a new
episode may not open after one; its greatest surprise is a declustered peak. The rate of peaks above a threshold is
their histogram over the windows seen; beyond the largest ones the tail is exponential, its mean excess taken larger by
half its standard error. A prior (p as calibrated, three windows a peak) counts as some thousand windows.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.protocol import Floats

#: Surprise from which on a window can begin a block, and beyond which a peak is an anomaly and teaches nothing.
REFERENCE, TRIMMED = 2.0, 7.0
#: Surprise of a member that counts as anomalous, and the share of such members beyond which nothing is learned.
ANOMALOUS, FROZEN_SHARE = 3.0, 0.05

_BIN = 0.1
BINS = round((TRIMMED - REFERENCE) / _BIN)
_PRIOR_WINDOWS = 4000.0
_PRIOR_CLUSTER = 3.0
_LEAST_PEAKS = 5.0  # peaks below which the tail is extrapolated
_PRIOR_PEAKS = 20.0  # peaks that a calibrated tail (mean excess 1/ln 10) counts as
_EVERY = 16  # steps between two fits
_MEMORY_WINDOWS = 10_000_000.0  # windows after which all counts are halved
_LN10 = float(np.log(10.0))

#: Arrays of a row.
FIELDS: Mapping[str, npt.DTypeLike] = {"block_left": np.uint16, "block_peak": np.float32}


def frozen(surprise: Floats) -> bool:
    """Are so many of the members (their surprise, NaN where not scored) anomalous that a pool must not learn?"""
    anomalous = int(np.count_nonzero(surprise >= ANOMALOUS))
    return anomalous > max(1.0, FROZEN_SHARE * np.count_nonzero(np.isfinite(surprise)))


class AlertBudget:
    """Peaks of a fleet: ``histogram`` (BINS,) of their surprise, and ``windows`` in which they came."""

    def __init__(self) -> None:
        edges = REFERENCE + _BIN * np.arange(BINS + 1)
        beyond = _PRIOR_WINDOWS * 10.0**-edges / _PRIOR_CLUSTER
        self._prior = beyond[:-1] - beyond[1:]
        self.histogram = np.zeros(BINS)
        self.windows = 0.0
        self._steps = 0
        #: What thresholds follow from, renewed every few steps; another object each time.
        self.fit = self._fit()

    def learn(
        self,
        rows: dict[str, npt.NDArray[Any]],
        row: npt.NDArray[Any],
        surprise: Floats,
        block: Floats,
        trim: float = TRIMMED,
    ) -> None:
        """Take in one step: ``row`` distinct rows, their ``surprise`` and the length of their blocks in windows. Peaks
        of ``trim`` or more teach nothing."""
        if frozen(surprise):
            return
        left, peak = rows["block_left"][row].astype(np.int64), rows["block_peak"][row].astype(np.float64)
        begins = (left == 0) & (surprise >= REFERENCE)
        left = np.where(begins, block, np.maximum(left - 1, 0)).astype(np.int64)
        inside = begins | (rows["block_left"][row] > 0)
        peak = np.where(begins, surprise, np.where(inside, np.maximum(peak, surprise), 0.0))
        over = inside & (left == 0)
        self._count(peak[over], min(trim, TRIMMED))
        self.windows += row.size
        rows["block_left"][row], rows["block_peak"][row] = left, np.where(over, 0.0, peak)
        if self.windows > _MEMORY_WINDOWS:
            self.windows /= 2
            self.histogram /= 2
        self._steps += 1
        if self._steps % _EVERY == 0:
            self.fit = self._fit()

    def _count(self, peaks: Floats, trim: float) -> None:
        noise = peaks[peaks < trim]
        if noise.size:
            at = np.clip(((noise - REFERENCE) / _BIN).astype(np.int64), 0, BINS - 1)
            np.add.at(self.histogram, at, 1.0)

    def threshold(self, rate: Floats) -> Floats:
        """The surprise above which so many peaks a window (> 0, any shape) come; never below REFERENCE / 2."""
        beyond, (windows, start, excess) = self.fit[:-3], self.fit[-3:].tolist()
        wanted = rate * windows
        edges = REFERENCE + _BIN * np.arange(BINS + 1)
        with np.errstate(divide="ignore"):
            inside = np.interp(-np.log(wanted), -np.log(np.maximum(beyond, 1e-300)), edges)
        least = np.interp(start, edges, beyond)
        outside = start + excess * np.log(np.maximum(least / wanted, 1.0))
        below = REFERENCE - np.log10(np.maximum(wanted / beyond[0], 1.0))
        found = np.where(wanted < least, outside, np.where(wanted > beyond[0], below, inside))
        return np.asarray(np.maximum(found, REFERENCE / 2))

    def _fit(self) -> Floats:
        """Peaks beyond each edge; windows, where extrapolation begins, the mean excess of the tail from there on."""
        counts = self.histogram + self._prior
        beyond = np.append(np.cumsum(counts[::-1])[::-1], 0.0)
        rare = int(np.argmax(beyond < _LEAST_PEAKS))
        at = max(rare - 1, 0)
        middle = REFERENCE + _BIN * (np.arange(BINS) + 0.5)
        start = REFERENCE + _BIN * at
        peaks = counts[at:]
        number = peaks.sum() + _PRIOR_PEAKS
        excess = float((peaks * (middle[at:] - start)).sum() + _PRIOR_PEAKS / _LN10) / number
        excess *= 1.0 + 0.5 / np.sqrt(number)
        return np.append(beyond, [self.windows + _PRIOR_WINDOWS, start, min(max(excess, 0.2 / _LN10), 2.0)])

    def dump(self) -> dict[str, npt.NDArray[Any]]:
        """The state of the pool, for a checkpoint."""
        return {"histogram": self.histogram, "seen": np.array([self.windows, self._steps]), "fit": self.fit}

    def load(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become the state saved. Raises ValueError when it is of another shape."""
        if arrays["histogram"].shape != (BINS,):
            raise ValueError(f"an alert budget has {BINS} bins, not {arrays['histogram'].shape}")
        self.histogram, self.fit = arrays["histogram"].copy(), arrays["fit"].copy()
        self.windows, self._steps = float(arrays["seen"][0]), int(arrays["seen"][1])
