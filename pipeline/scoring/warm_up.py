"""Compile the detectors' kernels: ``python -m pipeline.scoring.warm_up``, and what a worker does before it starts.

The first time takes some ten seconds; numba keeps the machine code beside the sources (or where NUMBA_CACHE_DIR says),
so that later starts only load it.
"""

import numpy as np

from detectors import ComposedDetector, inherit
from pipeline.policies import DetectorPolicy
from pipeline.records import US, Kind, Signal
from pipeline.scoring.relatives import LEAST_MEMBERS
from pipeline.scoring.scorer import Scorer


def warm_up() -> None:
    """Score a few windows of an entity of made-up signals."""
    scorer = Scorer(DetectorPolicy(), {})
    for key in range(LEAST_MEMBERS):
        scorer.add(Signal(key, f"warm-up-{key}", "1", Kind.GAUGE, "", "warm-up", "", ()))
    row = np.arange(LEAST_MEMBERS)
    for window in range(2):
        start = np.full(LEAST_MEMBERS, window * 60 * US)
        scorer.step((window + 1) * 60 * US, row, start, start, row + float(window), row + 1)
    heirs = ComposedDetector().empty(4)
    inherit(heirs, 2, 0, [1])
    inherit(heirs, 3, 0, stranger=True)


if __name__ == "__main__":
    warm_up()
