"""The forecast: a mixture of simple experts, each trusted by how well it did of late.

Guarantee: a window moves the trust in an expert by at most e^0.4; every expert keeps at least a 600th of it, so that
the mixture changes over within some windows (fixed share, Herbster and Warmuth 1998).

Experts: the newest value; exponentially weighted means (0.3, 0.05); a slow level of clipped values (0.002); the
season; the newest value and the season's step.
"""

from math import exp

from numba import njit

from detectors.layout import BURSTS, FAST, LAST, MEDIUM, SCALE, SEASONAL, SLOW
from detectors.protocol import Floats

EXPERTS = 6
_LEARNING, _MOST_LOSS, _SHARE = 0.1, 4.0, 0.01
_CLIP = 5.0  # in mean absolute errors
_BURST_RATE = 0.02
_YOUNG = 30  # windows whose errors are not clipped


@njit(cache=True, error_model="numpy")
def advise(core: Floats, season: float, advice: Floats) -> None:
    """What each expert expects, into ``advice`` (EXPERTS,)."""
    advice[0] = core[LAST]
    advice[1] = core[FAST]
    advice[2] = core[MEDIUM]
    advice[3] = core[SLOW]
    advice[4] = season
    advice[5] = core[LAST] + (season - core[SEASONAL])


@njit(cache=True, error_model="numpy")
def mixture(trust: Floats, advice: Floats, seen: int) -> float:
    """The forecast; the plain mean before anything was learned."""
    if seen == 0:
        return advice[0]
    total = 0.0
    for j in range(EXPERTS):
        total += trust[j] * advice[j]
    return total


@njit(cache=True, error_model="numpy")
def least_scale(core: Floats, x: float) -> float:
    """The scale, never so small that rounding errors count."""
    return max(core[SCALE], 1e-9 * abs(x) + 1e-300)


@njit(cache=True, error_model="numpy")
def learn(core: Floats, trust: Floats, advice: Floats, forecast: float, x: float, seen: int) -> None:
    """Judge the experts by x, then let them and the scale learn it."""
    scale = least_scale(core, x)
    if seen == 0:
        trust[:] = 1.0 / EXPERTS
        core[FAST] = core[MEDIUM] = core[SLOW] = x
        return
    total = 0.0
    for j in range(EXPERTS):
        trust[j] *= exp(-_LEARNING * min(abs(x - advice[j]) / scale, _MOST_LOSS))
        total += trust[j]
    for j in range(EXPERTS):
        trust[j] = (1.0 - _SHARE) * trust[j] / total + _SHARE / EXPERTS
    error = abs(x - forecast)
    # Errors far beyond the usual one teach in full only where they come often: then they are no outliers.
    reach = _CLIP * core[SCALE] + core[BURSTS] * error
    core[BURSTS] += _BURST_RATE * ((1.0 if error > _CLIP * core[SCALE] else 0.0) - core[BURSTS])
    core[SCALE] += max(0.005, 1.0 / seen) * ((error if seen <= _YOUNG else min(error, reach)) - core[SCALE])
    reach = _CLIP * core[SCALE]
    core[SLOW] += max(0.002, 1.0 / (seen + 1)) * (min(max(x, forecast - reach), forecast + reach) - core[SLOW])
    core[FAST] += max(0.3, 1.0 / (seen + 1)) * (x - core[FAST])
    core[MEDIUM] += max(0.05, 1.0 / (seen + 1)) * (x - core[MEDIUM])
