"""Drift: the distribution of a row's values over the last windows against its usual one.

Guarantee: 0 where both are the same, and bounded (ln 1000) whatever the values. Two exponentially forgetting
histograms of the place in the soft range, 8 bins over −0.5 … 1.5, compared by relative entropy
(Kullback and Leibler 1951).
"""

from math import log

from numba import njit

from detectors.protocol import Floats

BINS = 8
#: Windows before drift is known.
DRIFT_FROM = 60
_RECENT, _USUAL = 0.03, 0.001
_LEAST_SHARE = 0.001


@njit(cache=True, error_model="numpy")
def drift(histograms: Floats, place: float, seen: int) -> float:
    """Learn the place (histograms: recent, then usual, (2·BINS,)), then say how far the two are apart."""
    if seen == 0:
        histograms[:] = 1.0 / BINS
    here = int(min(max((place + 0.5) * 4.0, 0.0), BINS - 1.0))
    usual_rate = max(_USUAL, 1.0 / (seen + 1))
    distance = 0.0
    for j in range(BINS):
        found = 1.0 if j == here else 0.0
        histograms[j] += _RECENT * (found - histograms[j])
        histograms[BINS + j] += usual_rate * (found - histograms[BINS + j])
        recent, usual = histograms[j], histograms[BINS + j]
        distance += recent * log((recent + _LEAST_SHARE) / (usual + _LEAST_SHARE))
    return max(distance, 0.0)
