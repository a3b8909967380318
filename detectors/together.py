"""Several signals of one entity together (a pool): how far they are, all at once, from how they usually are together.

Members: the signals of one entity in one shard, at most MOST_MEMBERS, in the order they came. Guarantee: a member that
never moves changes nothing, the order of members does not matter but for rounding; a window far away moves means,
spreads and correlations by a bounded amount; causal.

The distance is Mahalanobis's (1936) of the members' standard scores z, with a ridge: d = zᵀPz, P the inverse of the
exponentially weighted correlation matrix, kept by rank-one updates (Sherman and Morrison 1950); the ridge is renewed
along one axis a step. The distance, averaged over some windows, is compared with its own past by its tail.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from detectors import tails
from detectors.protocol import Floats

MOST_MEMBERS = 40
#: Windows before an entity is judged.
COLD = 100
_MEMORY = 20_000.0  # windows
_FARTHEST, _CLIP = 20.0, 5.0  # standard deviations: of a score, and of what teaches mean and spread
_CLIP_FROM = 1000
_RIDGE = 0.5
_SMOOTH = 0.15
_LEVEL, _PRIOR, _WARM = 0.98, (2.5, 0.6), 20
_USUALLY = 1.6989700043360187  # −log10(1 − _LEVEL)
_SETTLED, _SETTLED_PACE = 2000.0, 0.1  # an entity is disturbed for long: its tail learns slowly once it is known

#: Arrays of a row: mean and variance.
FIELDS: Mapping[str, npt.DTypeLike] = {"mean": np.float64, "variance": np.float64}
#: Columns of an entity's numbers, before its tail: windows, smoothed distance, usual distance.
WINDOWS, DISTANCE, USUAL = range(3)
_NUMBERS = 3


class Entities:
    """The entities of a shard: per entity the rows of its members, P (members, members) and some numbers."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.inverse: list[Floats] = []
        self.numbers: list[Floats] = []

    def add(self) -> int:
        """A new entity without members."""
        self.rows.append([])
        self.inverse.append(np.zeros((0, 0)))
        self.numbers.append(np.zeros(_NUMBERS + tails.WIDTH))
        return len(self.rows) - 1

    def join(self, entity: int, row: int) -> bool:
        """Make a row a member; False where the entity has as many as it may."""
        rows, old = self.rows[entity], self.inverse[entity]
        if len(rows) >= MOST_MEMBERS:
            return False
        rows.append(row)
        size = len(rows)
        new = np.zeros((size, size))
        new[: size - 1, : size - 1] = old
        new[size - 1, size - 1] = 1.0 / _RIDGE
        self.inverse[entity] = new
        return True

    def step(
        self, entity: int, state: dict[str, npt.NDArray[Any]], values: Floats
    ) -> tuple[float, float, float, float]:
        """One window of an entity: ``values`` (table rows,), NaN where a row has none.

        (distance a member, usual distance, upper bound, surprise); learned after it was scored.
        """
        rows = np.array(self.rows[entity], np.int64)
        return _step(values[rows], rows, state["mean"], state["variance"], self.inverse[entity], self.numbers[entity])

    def dump(self) -> dict[str, npt.NDArray[Any]]:
        """The state of the pool, for a checkpoint."""
        sizes = np.array([len(rows) for rows in self.rows], np.int64)
        nothing = np.zeros(0)
        return {
            "sizes": sizes,
            "rows": np.array([row for rows in self.rows for row in rows], np.int64),
            "inverse": np.concatenate([nothing, *(each.ravel() for each in self.inverse)]),
            "numbers": np.concatenate([nothing, *self.numbers]),
        }

    def load(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become the state saved."""
        self.rows, self.inverse, self.numbers = [], [], []
        members = squares = 0
        width = _NUMBERS + tails.WIDTH
        for entity, size in enumerate(arrays["sizes"].tolist()):
            self.rows.append(arrays["rows"][members : members + size].tolist())
            self.inverse.append(arrays["inverse"][squares : squares + size * size].reshape(size, size).copy())
            self.numbers.append(arrays["numbers"][entity * width : (entity + 1) * width].copy())
            members += size
            squares += size * size


@njit(cache=True, error_model="numpy")
def _step(x: Any, rows: Any, mean: Any, variance: Any, inverse: Any, numbers: Any) -> tuple[float, float, float, float]:
    seen = numbers[WINDOWS]
    numbers[WINDOWS] += 1.0
    rate = max(1.0 / (seen + 1.0), 1.0 / _MEMORY)
    z = np.zeros(x.size)
    moving = 0
    for j in range(x.size):
        if np.isfinite(x[j]):
            z[j] = _score(mean, variance, rows[j], min(max(x[j], -1e100), 1e100), seen, rate)
        moving += variance[rows[j]] > 0.0
    pz = inverse @ z
    d = 0.0
    for j in range(x.size):
        d += z[j] * pz[j]
    numbers[DISTANCE] += _SMOOTH * (d - numbers[DISTANCE])
    value = numbers[DISTANCE] / max(moving, 1)
    tail = numbers[_NUMBERS:]
    found, usual, upper = 0.0, numbers[USUAL], value
    if seen >= COLD:
        threshold = tail[tails.U]
        found = tails.surprise(tail, value, _LEVEL, _WARM)
        if found == 0.0 and threshold > 0.0:
            found = _USUALLY * min(value / threshold, 1.0)
        upper = max(threshold + tail[tails.FIRST] * 0.6931471805599453, usual)
        tails.learn(tail, value, _LEVEL, _WARM, _PRIOR, 1e-6, 1.0 if seen < _SETTLED else _SETTLED_PACE)
        if seen == COLD:
            numbers[USUAL] = usual = value
        numbers[USUAL] += 0.005 * (min(value, 5.0 * usual + 1e-9) - usual)
    # correlations: forget, then take in z and renew the ridge along one axis
    keep = 1.0 - max(rate, 1.0 / _MEMORY)
    if seen >= 1.0:
        _rank_one(inverse, z, keep, 1.0 - keep)
        axis = np.zeros(x.size)
        axis[int(seen) % x.size] = 1.0
        _rank_one(inverse, axis, 1.0, (1.0 - keep) * _RIDGE * x.size)
    return value, usual, upper, found


@njit(cache=True, error_model="numpy")
def _score(mean: Any, variance: Any, row: int, x: float, seen: float, rate: float) -> float:
    """The standard score of x by mean and variance so far, which then learn it."""
    away = x - mean[row]
    deviation = variance[row] ** 0.5
    score = min(max(away / deviation, -_FARTHEST), _FARTHEST) if deviation > 1e-12 * abs(mean[row]) else 0.0
    if seen == 0.0:
        mean[row] = x
        return 0.0
    if seen > _CLIP_FROM and deviation > 0.0:
        away = min(max(away, -_CLIP * deviation), _CLIP * deviation)
    mean[row] += rate * away
    variance[row] += rate * (away * away - variance[row])
    return score


@njit(cache=True, error_model="numpy")
def _rank_one(inverse: Any, v: Any, keep: float, weight: float) -> None:
    """The inverse of keep·A + weight·v·vᵀ from the inverse of A, in place."""
    size = v.size
    pv = inverse @ v
    spread = keep
    for j in range(size):
        spread += weight * v[j] * pv[j]
    share = weight / (keep * spread)
    for j in range(size):
        for k in range(size):
            inverse[j, k] = inverse[j, k] / keep - share * pv[j] * pv[k]
