"""VUS-PR: how well a score ranks anomalous rows above normal ones, forgiving detections that are a little off.

Guarantee: needs no threshold and no scale; 1 for a score that is high exactly on the labelled rows (up to what a
buffer lets through), about the share of labelled rows, buffers included, for a score that says nothing.

Definition (Paparrizos et al., "Volume Under the Surface", VLDB 2022; area by steps and existence by joined events, as
in the authors' later TSB-AD): for a buffer ℓ, rows at a distance d ≤ ⌊ℓ/2⌋ from an event are labelled √(1 − d/ℓ), up to
1 where two events meet. At a threshold, TP = Σ label of predicted rows; recall = min(1, TP / (P + ½·Σ label of
predicted rows outside events)) × the share of events (joined where their buffers meet) with a predicted row; precision
= TP / predicted rows. The area is Σ Δrecall × precision over thresholds at 250 ranks of the score; the volume is the
mean over ℓ = 0 … L.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.labelled import runs

Array = npt.NDArray[Any]

THRESHOLDS = 250
LONGEST_BUFFER = 100


def vus_pr(score: Array, labels: Array, longest: int = LONGEST_BUFFER, thresholds: int = THRESHOLDS) -> float | None:
    """Of ``score`` (rows,) against ``labels`` (rows,) of bool; None when nothing or everything is labelled."""
    if not labels.any() or labels.all():
        return None
    events = runs(labels)
    order, ranks = np.sort(score)[::-1], np.linspace(0, score.size - 1, thresholds).astype(np.int64)
    cuts = order[ranks]
    predicted = score.size - np.searchsorted(order[::-1], cuts, side="left")
    #: the first threshold at which a row is predicted
    first = np.searchsorted(-cuts, -score, side="left")
    hits = np.bincount(first[labels], minlength=thresholds).cumsum()
    areas = [_area(first, events, buffer, hits, predicted, (score.size, thresholds)) for buffer in range(longest + 1)]
    return float(np.mean(areas))


def _area(
    first: Array,
    events: Sequence[tuple[int, int]],
    buffer: int,
    hits: Array,
    predicted: Array,
    shape: tuple[int, int],
) -> float:
    """The area under the curve of one buffer; ``hits`` (thresholds,) are the labelled rows predicted."""
    rows, thresholds = shape
    near, weight = _buffers(events, buffer, rows)
    extra = np.bincount(first[near], weight, minlength=thresholds).cumsum() if near.size else np.zeros(thresholds)
    true = hits + extra
    recall = np.minimum(true / (hits[-1] + extra / 2), 1.0) * _existence(first, events, buffer, rows, thresholds)
    return float(np.sum(np.diff(recall, prepend=0.0) * (true / predicted)))


def _buffers(events: Sequence[tuple[int, int]], buffer: int, rows: int) -> tuple[Array, Array]:
    """Rows outside events with a label above 0, and their labels."""
    reach = buffer // 2
    if not reach:
        return np.empty(0, np.int64), np.empty(0)
    distance = np.arange(1, reach + 1)
    slope = np.sqrt(1 - distance / buffer)
    at = np.concatenate([place for first, last in events for place in (first - distance, last + distance)])
    weight = np.tile(slope, 2 * len(events))
    inside = (at >= 0) & (at < rows)
    near, group = np.unique(at[inside], return_inverse=True)
    summed = np.minimum(np.bincount(group, weight[inside]), 1.0)
    outside = np.ones(near.size, np.bool_)
    for first, last in events:
        outside &= (near < first) | (near > last)
    return near[outside], summed[outside]


def _existence(first: Array, events: Sequence[tuple[int, int]], buffer: int, rows: int, thresholds: int) -> Array:
    """(thresholds,): the share of events, joined where their buffers meet, with a predicted row."""
    reach = buffer // 2
    joined: list[list[int]] = []
    for begin, end in events:
        if joined and begin - reach <= joined[-1][1]:
            joined[-1][1] = end + reach
        else:
            joined.append([begin - reach, end + reach])
    found = [int(first[max(begin, 0) : min(end + 1, rows)].min()) for begin, end in joined]
    share: Array = np.bincount(found, minlength=thresholds).cumsum() / len(joined)
    return share
