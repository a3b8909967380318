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
_YOUNG = 30.0  # windows from which on the score of a member that came later than others counts in full
_RIDGE = 0.5
_SMOOTH = 0.15
_LEVEL, _PRIOR, _WARM = 0.98, (2.5, 0.6), 20
_USUALLY = 1.6989700043360187  # −log10(1 − _LEVEL)
_SETTLED, _SETTLED_PACE = 2000.0, 0.1  # an entity is disturbed for long: its tail learns slowly once it is known

#: Arrays of a row: windows in which it had a value, mean and variance.
FIELDS: Mapping[str, npt.DTypeLike] = {"windows": np.int64, "mean": np.float64, "variance": np.float64}
#: Columns of an entity's numbers, before its tail: windows, smoothed distance, usual distance.
WINDOWS, DISTANCE, USUAL = range(3)
_NUMBERS = 3
_WIDTH = _NUMBERS + tails.WIDTH


class Entities:
    """The entities of a shard. Ragged arrays, one after the other: ``rows`` of the members, and the entries of P
    (members × members) in ``inverse``; ``sizes`` (entities,) and ``numbers`` (entities, columns)."""

    def __init__(self) -> None:
        self.sizes: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.inverse: Floats = np.zeros(0)
        self.numbers: Floats = np.zeros((0, _WIDTH))
        self._members: list[int] = []  # of each entity, those who wait to join among them
        self._joining: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._members)

    def add(self) -> int:
        """A new entity without members."""
        self._members.append(0)
        return len(self._members) - 1

    def join(self, entity: int, row: int) -> bool:
        """Make a row a member; False where the entity has as many as it may."""
        if self._members[entity] >= MOST_MEMBERS:
            return False
        self._members[entity] += 1
        self._joining.append((entity, row))
        return True

    def leave(self, rows: npt.NDArray[np.int64], least: int) -> npt.NDArray[np.bool_]:
        """Take these rows out of all entities, and entities out that have fewer than ``least`` members then; which
        entities stay, (entities,). Those that stay are numbered anew, in the same order."""
        self._settle()
        goes = np.isin(self.rows, rows)
        stays = np.ones(len(self), np.bool_)
        if not goes.any():
            return stays
        of_row = np.repeat(np.arange(len(self)), self.sizes)
        left = self.sizes - np.bincount(of_row[goes], minlength=len(self))
        touched = left < self.sizes
        stays = ~touched | (left >= least)
        squares = np.concatenate([[0], np.cumsum(self.sizes**2)])
        firsts = np.concatenate([[0], np.cumsum(self.sizes)])
        for entity in np.flatnonzero(touched & stays).tolist():
            size = int(self.sizes[entity])
            matrix = self.inverse[squares[entity] : squares[entity + 1]].reshape(size, size)
            for member in np.flatnonzero(goes[firsts[entity] : firsts[entity + 1]]).tolist():
                matrix -= np.outer(matrix[:, member], matrix[member]) / matrix[member, member]
        keep = ~goes & stays[of_row]
        # entry (i, j) of an entity's matrix: the member in whose row it stands, and the one in whose column
        line = np.repeat(np.arange(self.rows.size), self.sizes[of_row])
        column = np.arange(self.inverse.size) - squares[of_row[line]]
        column = firsts[of_row[line]] + column % self.sizes[of_row[line]]
        self.inverse = self.inverse[keep[line] & keep[column]]
        self.rows, self.sizes, self.numbers = self.rows[keep], left[stays], self.numbers[stays]
        self._members = self.sizes.tolist()
        return stays

    def members(self, entity: int) -> list[int]:
        """The rows of an entity, in the order they came."""
        self._settle()
        first = int(self.sizes[:entity].sum())
        return self.rows[first : first + self.sizes[entity]].tolist()

    def step(
        self, state: dict[str, npt.NDArray[Any]], values: Floats, wanted: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], Floats]:
        """One window: ``values`` (table rows,), NaN where a row has none; ``wanted`` (entities,).

        The entities that are wanted and have a value, and of each (entities, 4): distance a member, usual distance,
        upper bound, surprise; learned after it was scored.
        """
        self._settle()
        found = np.full((len(self), 4), np.nan)
        rows = (state["windows"], state["mean"], state["variance"])
        _step_all(values, wanted, self.sizes, self.rows, *rows, self.inverse, self.numbers, found)
        stepped = np.flatnonzero(~np.isnan(found[:, 0]))
        return stepped, found[stepped]

    def _settle(self) -> None:
        """Take in who waits to join."""
        more = len(self) - self.sizes.size
        if not more and not self._joining:
            return
        old_sizes = np.concatenate([self.sizes, np.zeros(more, np.int64)])
        self.numbers = np.concatenate([self.numbers, np.zeros((more, _WIDTH))])
        joining = np.array(sorted(self._joining, key=lambda each: each[0]), np.int64).reshape(-1, 2)
        self.sizes = np.array(self._members, np.int64)
        old_rows, old_inverse = self.rows, self.inverse
        self.rows = np.empty(int(self.sizes.sum()), np.int64)
        self.inverse = np.zeros(int((self.sizes**2).sum()))
        _take_in(old_sizes, old_rows, old_inverse, joining, self.sizes, self.rows, self.inverse)
        self._joining = []

    def dump(self) -> dict[str, npt.NDArray[Any]]:
        """The state of the pool, for a checkpoint."""
        self._settle()
        return {"sizes": self.sizes, "rows": self.rows, "inverse": self.inverse, "numbers": self.numbers}

    def load(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become the state saved. Raises ValueError or KeyError when it is damaged."""
        sizes, rows, inverse, numbers = (arrays[name].copy() for name in ("sizes", "rows", "inverse", "numbers"))
        wanted = (int(sizes.sum()),), (int((sizes**2).sum()),), (sizes.size, _WIDTH)
        if (rows.shape, inverse.shape, numbers.shape) != wanted:
            raise ValueError(f"entities need arrays of {wanted}, not {rows.shape}, {inverse.shape}, {numbers.shape}")
        self.sizes, self.rows, self.inverse, self.numbers = sizes, rows, inverse, numbers
        self._members, self._joining = sizes.tolist(), []


@njit(cache=True, error_model="numpy")
def _take_in(
    old_sizes: Any, old_rows: Any, old_inverse: Any, joining: Any, sizes: Any, rows: Any, inverse: Any
) -> None:
    """Copy what each entity has, then those who join, each with a correlation of its own to nobody."""
    at = square = old_at = old_square = joined = 0
    for entity in range(sizes.size):
        old, size = old_sizes[entity], sizes[entity]
        rows[at : at + old] = old_rows[old_at : old_at + old]
        for i in range(old):
            for j in range(old):
                inverse[square + i * size + j] = old_inverse[old_square + i * old + j]
        for i in range(old, size):
            rows[at + i] = joining[joined, 1]
            inverse[square + i * size + i] = 1.0 / _RIDGE
            joined += 1
        at, square = at + size, square + size * size
        old_at, old_square = old_at + old, old_square + old * old


@njit(cache=True, error_model="numpy")
def _step_all(
    values: Any,
    wanted: Any,
    sizes: Any,
    rows: Any,
    windows: Any,
    mean: Any,
    variance: Any,
    inverse: Any,
    numbers: Any,
    found: Any,
) -> None:
    at = square = 0
    for entity in range(sizes.size):
        size = sizes[entity]
        members = rows[at : at + size]
        if wanted[entity] and np.isfinite(values[members]).any():
            matrix = inverse[square : square + size * size].reshape(size, size)
            found[entity] = _step(values[members], members, windows, mean, variance, matrix, numbers[entity])
        at, square = at + size, square + size * size


@njit(cache=True, error_model="numpy")
def _step(
    x: Any, rows: Any, windows: Any, mean: Any, variance: Any, inverse: Any, numbers: Any
) -> tuple[float, float, float, float]:
    seen = numbers[WINDOWS]
    numbers[WINDOWS] += 1.0
    rate = max(1.0 / (seen + 1.0), 1.0 / _MEMORY)
    z = np.zeros(x.size)
    moving = 0
    for j in range(x.size):
        if np.isfinite(x[j]):
            z[j] = _score(windows, mean, variance, rows[j], min(max(x[j], -1e100), 1e100), seen)
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
def _score(windows: Any, mean: Any, variance: Any, row: int, x: float, age: float) -> float:
    """The standard score of x by mean and variance so far, which then learn it; ``age`` of the entity, in windows."""
    seen = windows[row]
    windows[row] += 1
    if seen == 0:
        mean[row] = x
        return 0.0
    away = x - mean[row]
    deviation = variance[row] ** 0.5
    score = min(max(away / deviation, -_FARTHEST), _FARTHEST) if deviation > 1e-12 * abs(mean[row]) else 0.0
    if seen > _CLIP_FROM and deviation > 0.0:
        away = min(max(away, -_CLIP * deviation), _CLIP * deviation)
    rate = max(1.0 / (seen + 1.0), 1.0 / _MEMORY)
    mean[row] += rate * away
    variance[row] += rate * (away * away - variance[row])
    return score if seen >= age else score * min(seen / _YOUNG, 1.0)


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
