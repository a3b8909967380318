"""The calibration prior that ships with the package, made from synthetic signals: ``python -m tests.detectors.prior``.

Guarantee: seeded. Signals of all classes at windows of 60 s, 5 min and 1 h run through the default detector; of every
signal's totals the 98 % quantile and the mean excess over it are taken, and of those the mean.
"""

from itertools import islice

import numpy as np
import numpy.typing as npt

from detectors import ComposedDetector, TotalsPrior
from tests.detectors.synthetic import columns

#: Seconds of a window → windows counted.
LENGTHS = {60: 8000, 300: 8000, 3600: 2000}
_START = 1_700_000_000.0


def totals(seconds: int, signals: int, windows: int, seed: int = 3) -> npt.NDArray[np.float64]:
    """Total evidence (windows, signals) of synthetic signals, without the first quarter."""
    detector = ComposedDetector()
    state, mask = detector.empty(signals), np.ones(signals, np.bool_)
    state.arrays["phase"][:] = np.arange(signals) % 24
    found = []
    for window, values in enumerate(islice(columns("mixed", signals, seed=seed, day=86_400 // seconds), windows)):
        scores = detector.step(state, np.asarray(values, np.float64), mask, _START + seconds * window)
        if window >= windows // 4:
            found.append(scores.evidence.sum(axis=1, dtype=np.float64))
    return np.array(found)


def prior_of(found: npt.NDArray[np.float64]) -> TotalsPrior:
    """Mean threshold and mean excess of the columns."""
    threshold = np.quantile(found, 0.98, axis=0)
    excess = [column[column > u].mean() - u for column, u in zip(found.T, threshold, strict=True)]
    return TotalsPrior(float(threshold.mean()), float(np.mean(excess)))


def main(signals: int = 240) -> None:
    made = {seconds: prior_of(totals(seconds, signals, windows)) for seconds, windows in LENGTHS.items()}
    for seconds, prior in made.items():
        print(f"{seconds:5d} s windows: threshold {prior.threshold:.2f}, excess {prior.excess:.2f}")
    threshold, excess = (np.mean([getattr(p, name) for p in made.values()]) for name in ("threshold", "excess"))
    shipped = TotalsPrior()
    print(f"together: {threshold:.2f}, {excess:.2f}; shipped: {shipped.threshold}, {shipped.excess}")


if __name__ == "__main__":
    main()
