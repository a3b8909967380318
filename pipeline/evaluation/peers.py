"""Simple detectors that run beside ours, so that a figure can be compared with one from the same run.

Guarantee: causal and deterministic: the score of a row is given before the row is learned, from the rows before it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.labelled import Fleet

Array = npt.NDArray[Any]

#: Share of the variance that the components kept explain.
_EXPLAINED = 0.9
#: Rows between two looks for the components.
_REFRESH = 64
#: Rows after which a row counts for 1/e.
_MEMORY = 20_000
_CLIP = 20.0
_COLD = 100


def online_pca(fleet: Fleet) -> Array:
    """(rows,): squared distance of each row from the plane of the components that explain most of the variance so
    far, after every metric was scaled by its mean and standard deviation so far. Metrics that never moved are left at
    0. Memory fades, so that the plane follows the data."""
    values = np.nan_to_num(fleet.values)
    rows, metrics = values.shape
    mean, variance = values[0].copy(), np.zeros(metrics)
    product = np.zeros((metrics, metrics))
    residual = np.eye(metrics)
    score = np.zeros(rows)
    for row in range(1, rows):
        rate = max(1.0 / (row + 1), 1.0 / _MEMORY)
        z = _standardised(values[row], mean, variance)
        if row >= _COLD:
            away = residual @ z
            score[row] = away @ away
        product += rate * (np.outer(z, z) - product)
        difference = values[row] - mean
        mean += rate * difference
        variance += rate * (difference * (values[row] - mean) - variance)
        if row % _REFRESH == 0:
            residual = _residual_of(product)
    return score


def _standardised(x: Array, mean: Array, variance: Array) -> Array:
    scale = np.sqrt(variance)
    moved = scale > 1e-9
    z = np.where(moved, (x - mean) / np.where(moved, scale, 1.0), 0.0)
    return np.clip(z, -_CLIP, _CLIP)


def _residual_of(product: Array) -> Array:
    """The projection away from the components that explain most of the variance."""
    size, vectors = np.linalg.eigh(product)
    size, vectors = size[::-1], vectors[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(size), _EXPLAINED * size.sum())) + 1
    top = vectors[:, :kept]
    away: Array = np.eye(len(product)) - top @ top.T
    return away


PEERS: Mapping[str, Callable[[Fleet], Array]] = {"online_pca": online_pca}
