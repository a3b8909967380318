"""Saturation: how near a workload is to a limit, and how much nearer than usual.

Guarantee: a pure function of the values; a level that is unusual and far from the limit, or near it as ever, is none.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Values in the reference from which something usual can be said.
LEAST_VALUES = 5
#: Percent of the limit at which a workload may begin to suffer, and at which it does.
_FROM, _FULL = 30.0, 80.0
_IQR, _MAD = 1.349, 1.4826
_LEAST_SHARE, _LEAST_POINTS = 0.05, 0.5  # of the usual level, and of the limit in percent: the least scale
_MOST_Z = 20.0


@dataclass(frozen=True, slots=True)
class Saturation:
    """``value`` and ``usual`` in percent of the limit; ``strength`` 0 … 20."""

    signal: str
    value: float
    usual: float
    strength: float


def saturation(signal: str, window: Array, reference: Array) -> Saturation | None:
    """Values in percent of a limit, shapes (windows,), NaN where there is none; None where nothing can be said."""
    window, reference = window[np.isfinite(window)], reference[np.isfinite(reference)]
    if not window.size or reference.size < LEAST_VALUES:
        return None
    usual, value = float(np.median(reference)), float(window.max())
    low, high = np.quantile(reference, [0.25, 0.75])
    spread = max(_MAD * float(np.median(np.abs(reference - usual))), float(high - low) / _IQR)
    scale = max(spread, _LEAST_SHARE * abs(usual), _LEAST_POINTS)
    near = min(max((value - _FROM) / (_FULL - _FROM), 0.0), 1.0)
    return Saturation(signal, value, usual, min(max((value - usual) / scale, 0.0), _MOST_Z) * near)
