"""Level shifts: a new normal is adopted, and said, instead of alarming for ever.

Guarantee: a level that stays away from the usual one by more than three times the usual deviation, to the same side
and steadier than it is far, is adopted after LASTING_WINDOWS windows; nothing shorter is.
"""

from numba import njit

from detectors.layout import AWAY, AWAY_SPREAD, BURSTS, LASTING, USUAL_AWAY
from detectors.protocol import Floats

#: Windows after which a new level is the normal one.
LASTING_WINDOWS = 120
_FAR = 3.0
_MEMORY = 1.0 / 30.0
_YOUNG = 50


@njit(cache=True, error_model="numpy")
def shift(core: Floats, away: float, seen: int, pace: float) -> float:
    """Learn the deviation from the usual level; the step by which the level is now taken to have shifted, mostly 0."""
    before = core[AWAY]
    core[AWAY] += _MEMORY * (away - core[AWAY])
    core[AWAY_SPREAD] += _MEMORY * (abs(away - core[AWAY]) - core[AWAY_SPREAD])
    usual = core[USUAL_AWAY]
    if seen < _YOUNG:
        core[USUAL_AWAY] += (abs(away) - usual) / (seen + 1.0)
        return 0.0
    reach = 5.0 * usual + core[BURSTS] * abs(away) + 1e-300
    core[USUAL_AWAY] += 0.005 * pace * (min(abs(away), reach) - usual)
    far = abs(core[AWAY]) > _FAR * usual and core[AWAY] * before > 0.0
    core[LASTING] = core[LASTING] + 1.0 if far else 0.0
    if core[LASTING] < LASTING_WINDOWS or core[AWAY_SPREAD] > 0.5 * abs(core[AWAY]):
        return 0.0
    step = core[AWAY]
    core[AWAY] = core[LASTING] = 0.0
    return step
