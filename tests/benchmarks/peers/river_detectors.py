"""river's detectors, one of each kind a signal: microseconds to score and to learn a point.

Guarantee: window after window of all signals, as points come; HalfSpaceTrees gets the scaler that it needs.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from river.anomaly import GaussianScorer, HalfSpaceTrees
from river.preprocessing import MinMaxScaler


def gaussian() -> Callable[[float], None]:
    scorer = GaussianScorer()

    def point(value: float) -> None:
        scorer.score_one(None, value)
        scorer.learn_one(None, value)

    return point


def half_space_trees() -> Callable[[float], None]:
    model = MinMaxScaler() | HalfSpaceTrees(seed=1)

    def point(value: float) -> None:
        model.score_one({"x": value})
        model.learn_one({"x": value})

    return point


def microseconds(make: Callable[[], Callable[[float], None]], values: Any, seconds: float) -> float:
    """Per point, over all windows or for as long as told."""
    signals = [make() for _ in range(values.shape[0])]
    points, started = 0, time.perf_counter()
    for window in values.T.tolist():
        for point, value in zip(signals, window, strict=True):
            point(value)
        points += len(signals)
        if time.perf_counter() - started > seconds:
            break
    return (time.perf_counter() - started) / points * 1e6


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--values", required=True, help="a .npy file of (signals, windows)")
parser.add_argument("--seconds", type=float, default=20.0, help="stop each detector after this long")
told = parser.parse_args()
given = np.load(told.values)
kinds = {"river_half_space_trees": half_space_trees, "river_gaussian_scorer": gaussian}
print(json.dumps({name: microseconds(make, given, told.seconds) for name, make in kinds.items()}))
