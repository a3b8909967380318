"""Tail calibration: how unlikely is this much of something, whatever its unit, by its own largest values so far.

Guarantee: the same for any positive multiple of the stream; a short history leans on a prior, so that it says
something from its first windows on without saying too much. Peaks over a threshold (Pickands 1975): the threshold u is
a quantile tracked by stochastic steps (Robbins and Monro 1951), excesses over it get a generalised Pareto tail by
moments.

Symbols: a value ≥ 0, q level of u, m mean of a, e = a − u excess, m₁ and m₂ its moments, ξ shape and σ scale of the
tail, n number of excesses (those of the prior among them), k values seen.
"""

from math import log

from numba import njit

from detectors.protocol import Floats

#: Columns of a tail.
U, MEAN, FIRST, SECOND, EXCESSES, VALUES = range(6)
WIDTH = 6

#: Excesses that the prior is worth, and their squared mean in first moments.
PRIOR_EXCESSES = 5.0
_PRIOR_SECOND = 2.3
_LARGEST_EXCESS = 10.0  # in mean excesses: what one value can teach
_SLOWEST = 0.01  # share of the newest excess in its moments
_LN10 = 2.302585092994046


@njit(cache=True, error_model="numpy")
def begin(tail: Floats, unit: float, threshold: float, excess: float) -> None:
    """Set a tail to its prior: u and mean excess, as multiples of ``unit``, the mean of the values."""
    tail[MEAN] = unit
    tail[U] = threshold * unit
    tail[FIRST] = excess * unit
    tail[SECOND] = _PRIOR_SECOND * tail[FIRST] * tail[FIRST]
    tail[EXCESSES] = PRIOR_EXCESSES


@njit(cache=True, error_model="numpy")
def surprise(tail: Floats, a: float, level: float, warm: int) -> float:
    """−log10 P(value ≥ a); 0 below the threshold."""
    e = a - tail[U]
    if e <= 0.0 or tail[VALUES] < warm:
        return 0.0
    m1 = tail[FIRST]
    variance = tail[SECOND] - m1 * m1
    xi = 0.5 * (1.0 - m1 * m1 / variance) if variance > 0.0 else 0.0
    xi = min(max(xi, 0.0), 0.5)
    sigma = m1 * (1.0 - xi)
    number = tail[VALUES] - warm + 1.0 + PRIOR_EXCESSES / (1.0 - level)
    share = min(tail[EXCESSES] / number, 1.0)
    far = log(1.0 + xi * e / sigma) / xi if xi > 1e-6 else e / sigma
    return (far - log(share)) / _LN10


@njit(cache=True, error_model="numpy")
def learn(
    tail: Floats, a: float, level: float, warm: int, prior: tuple[float, float], floor: float, pace: float
) -> None:
    """Take in one value. The first ``warm`` values make the mean, to which ``prior`` (u, mean excess) is scaled;
    ``floor`` > 0 is the least mean. ``pace`` 0 … 1 slows all learning, for windows that should not teach."""
    tail[VALUES] += 1.0
    k = tail[VALUES]
    if k <= warm:
        tail[MEAN] += (a - tail[MEAN]) / k
        if k == warm:
            begin(tail, max(tail[MEAN], floor), prior[0], prior[1])
        return
    u, m1 = tail[U], tail[FIRST]
    # More excesses than there should be: they are no outliers, so more of each is believed.
    share = max(tail[EXCESSES] / (k - warm + PRIOR_EXCESSES / (1.0 - level)) - (1.0 - level), 0.0)
    if a > u and pace > 0.0:
        e = min(a - u, _LARGEST_EXCESS * m1 + share * a)
        tail[EXCESSES] += pace
        rate = max(1.0 / tail[EXCESSES], _SLOWEST) * pace
        tail[FIRST] += rate * (e - m1)
        tail[SECOND] += rate * (e * e - tail[SECOND])
    mean = max(tail[MEAN], floor)
    step = max(mean, tail[FIRST]) * max(0.9 / k**0.5, 0.02) * pace
    tail[U] = max(u + level * step, 0.0) if a > u else max(u - (1.0 - level) * step, 0.0)
    tail[MEAN] += max(0.002, 1.0 / k) * (min(a, 5.0 * mean + share * a) - tail[MEAN]) * pace
