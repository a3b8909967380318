"""The lattice of a count or rate: which step q its values 0, q, 2q … are multiples of, learned value by value.

Guarantee: a value is a count where it is a multiple of q to a millionth, up to 100,000 times; one value between the
points of a well-known lattice does not change it, several do; a row whose values are continuous has a ``fit`` near 0.

Symbols: x value, q quantum, k = x/q.
"""

import numpy as np
from numba import njit

#: Larger values count as this one, so that variances fit float32.
LARGEST = 1e15
#: The greatest count that can be told from a continuous value.
MOST = 1e5

_FINER = 64.0  # a value between the points of the lattice counts where it lies on one at most so much finer
_EPOCH = 256  # windows after which a lattice that is too fine is made coarser


@njit(cache=True, error_model="numpy")
def count_on(x: float, quantum: float) -> float:
    """k where x = k·quantum to 1e-6 of x, at most a fiftieth of the quantum; else −1."""
    if x == 0.0:
        return 0.0
    if quantum <= 0.0 or x < 0.0:
        return -1.0
    ratio = x / quantum
    k = np.rint(ratio)
    near = k >= 1.0 and k <= MOST and abs(ratio - k) <= min(1e-6 * k, 0.02)
    return k if near else -1.0


@njit(cache=True, error_model="numpy")
def common_step(x: float, quantum: float) -> float:
    """The greatest step of which both are multiples, to 1e-8 of the larger (Euclid); 0 where none counts it in 10^5."""
    large, small = max(x, quantum), min(x, quantum)
    least, precision = large / MOST, 1e-8 * large
    a, b = large, small
    while b > precision:
        a, b = b, abs(a - np.rint(a / b) * b)
    return large / np.rint(large / a) if a >= least else 0.0


@njit(cache=True, error_model="numpy")
def lattice(x: float, quantum: float, fit: float) -> tuple[float, float, float, float]:
    """The step to score x by (0: x is no count), and quantum, fit (the share of values on the lattice) after x.

    The fourth is the count of x on the lattice, −1 where it was not on it. A finer lattice is taken on when several
    values need it; a row that fits none begins again with each value.
    """
    k = count_on(x, quantum)
    if k == 0.0:
        return quantum, quantum, fit, k
    if k > 0.0:
        return quantum, quantum, fit + 0.1 * (1.0 - fit), k
    if quantum > 0.0 and x > MOST * quantum and fit >= 0.9:  # far beyond all that was counted: that many at the least
        return quantum, quantum, fit, k
    if x <= 1e-15 or x >= LARGEST:
        return 0.0, quantum, 0.9 * fit, k
    if quantum == 0.0:
        return x, x, 1.0, k
    finer = common_step(x, quantum)
    fit *= 0.9
    if finer >= quantum / _FINER:
        return finer, finer if fit < 0.8 else quantum, fit, k
    if fit < 0.5:
        quantum = finer if finer > 0.0 else x
    return 0.0, quantum, fit, k


@njit(cache=True, error_model="numpy")
def _divisor(a: int, b: int) -> int:
    while b != 0:
        a, b = b, a % b
    return a


@njit(cache=True, error_model="numpy")
def coarser(quantum: float, common: int, k: float, windows: int, zeros: float) -> tuple[float, int]:
    """The quantum, times what all counts of an epoch had as common divisor; and that divisor so far (0: none yet)."""
    if k >= 1.0 and common != 1:
        common = _divisor(int(k), common)
    if windows % _EPOCH:
        return quantum, common
    return quantum * common if common > 1 and zeros < 0.9 else quantum, 0
