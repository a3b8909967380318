"""The scoring rule of the Numenta Anomaly Benchmark: early detections earn, false ones and misses cost.

Guarantee: a score is 100 for every window detected in its first row and nothing else, 0 for a detector that never
speaks, and may be below it. Rows of the probation (the first min(⌊0.15·n⌋, 750)) neither earn nor cost.

Symbols: y relative place of a detection, σ(y) = 2/(1 + e^{5y}) − 1, w width of a window in rows, r its last row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a detected window, a missed window and a false detection weigh."""

    tp: float
    fn: float
    fp: float


PROFILES: Mapping[str, Profile] = {
    "standard": Profile(1.0, 1.0, 0.11),
    "low_fp": Profile(1.0, 1.0, 0.22),
    "low_fn": Profile(1.0, 2.0, 0.11),
}

RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Parts:
    """What each of several detectors (or thresholds) did on one file, shapes (detectors,): ``earned`` = sum over
    windows of what their best detection earns, ``missed`` windows, ``false`` = sum of σ over false detections (not
    above 0), ``alarms`` in scored rows; ``windows`` and ``rows`` that count."""

    earned: Array
    missed: Array
    false: Array
    alarms: Array
    windows: int
    rows: int

    def raw(self, profile: Profile) -> Array:
        total: Array = profile.tp * self.earned - profile.fn * self.missed + profile.fp * self.false
        return total


def probation(rows: int) -> int:
    """How many rows at the beginning are not scored."""
    return min(rows * 15 // 100, 750)


def sigma(y: Array) -> Array:
    """The scaled sigmoid: 1 far on the left, 0 at 0, −1 from 3 on."""
    return np.where(y > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(y, 3.0))) - 1.0)


_AT_BEST = float(sigma(np.array(-1.0)))


def file_parts(detections: Array, windows: Sequence[tuple[int, int]], start: int) -> Parts:
    """Score ``detections`` (detectors, rows) of bool on a file whose labelled windows have these first and last rows;
    rows before ``start`` are probation. A window that ends in the probation does not count."""
    detectors, rows = detections.shape
    counting = [(first, last) for first, last in windows if last >= start]
    earned, missed = np.zeros(detectors), np.zeros(detectors)
    cost = _cost_outside(rows, windows)
    cost[:start] = 0.0
    for first, last in counting:
        inside = detections[:, max(first, start) : last + 1]
        hit = inside.any(axis=1)
        row = max(first, start) + inside.argmax(axis=1)
        y = -(last - row + 1) / (last - first + 1)
        earned += np.where(hit, sigma(y) / _AT_BEST, 0.0)
        missed += ~hit
    alarms = detections[:, start:].sum(axis=1)
    return Parts(earned, missed, detections @ cost, alarms, len(counting), rows - start)


def _cost_outside(rows: int, windows: Sequence[tuple[int, int]]) -> Array:
    """(rows,): σ of a detection at each row outside the windows, 0 inside."""
    cost = np.full(rows, -1.0)
    for first, last in sorted(windows):
        after = np.arange(last + 1, rows)
        cost[last + 1 :] = sigma((after - last) / max(last - first, 1))
    for first, last in windows:
        cost[first : last + 1] = 0.0
    return cost


def scores(files: Sequence[Parts], profile: Profile) -> Array | None:
    """(detectors,): the score of the whole corpus; None when it has no window."""
    windows = sum(parts.windows for parts in files)
    if not windows:
        return None
    raw = np.sum([parts.raw(profile) for parts in files], axis=0)
    null, perfect = -profile.fn * windows, profile.tp * windows
    normalised: Array = 100.0 * (raw - null) / (perfect - null)
    return normalised


def best(files: Sequence[Parts], profile: Profile) -> int:
    """Which detector (or threshold) scores best over the corpus."""
    found = scores(files, profile)
    return 0 if found is None else int(np.argmax(found))


def standard_error(files: Sequence[Parts], profile: Profile, detector: int, seed: int = 7) -> float | None:
    """Of the corpus score of one detector, by drawing files with replacement."""
    raw = np.array([parts.raw(profile)[detector] for parts in files])
    windows = np.array([parts.windows for parts in files])
    drawn = np.random.default_rng(seed).integers(0, len(files), (RESAMPLES, len(files)))
    count = windows[drawn].sum(axis=1)
    some = count > 0
    if some.sum() < 2:
        return None
    null, perfect = -profile.fn * count[some], profile.tp * count[some]
    resampled = 100.0 * (raw[drawn].sum(axis=1)[some] - null) / (perfect - null)
    return float(resampled.std(ddof=1))
