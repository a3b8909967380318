"""Changed copies of a file that a detector should score as well as the file itself; one that does not was fitted to
the files.

Guarantee: labelled events stay where they were in time.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from pipeline.evaluation import nab
from pipeline.evaluation.labelled import Array, Fleet


def decimated(fleet: Fleet) -> Fleet:
    """Every second row."""
    return _halved(fleet, fleet.values[::2])


def negated(fleet: Fleet) -> Fleet:
    """Upside down."""
    return replace(fleet, values=-fleet.values)


def offset(fleet: Fleet) -> Fleet:
    """Higher by three times the range of the first 100 rows."""
    first = fleet.values[:100]
    return replace(fleet, values=fleet.values + 3 * (np.nanmax(first, axis=0) - np.nanmin(first, axis=0)))


def averaged(fleet: Fleet) -> Fleet:
    """The means of pairs of rows."""
    pairs = fleet.values[: fleet.rows // 2 * 2].reshape(-1, 2, fleet.values.shape[1])
    rest = fleet.values[pairs.shape[0] * 2 :]
    return _halved(fleet, np.concatenate([pairs.mean(axis=1), rest]))


def _halved(fleet: Fleet, values: Array) -> Fleet:
    rows = len(values)
    events = tuple((first // 2, last // 2) for first, last in fleet.events)
    labels = np.zeros(rows, np.bool_)
    for first, last in events:
        labels[first : last + 1] = True
    return replace(
        fleet,
        time_us=fleet.time_us[::2],
        values=values,
        labels=labels,
        events=events,
        window_us=2 * fleet.window_us,
        scored_from=nab.probation(rows) if fleet.scored_from else 0,
    )


VARIANTS: Mapping[str, Callable[[Fleet], Fleet]] = {
    "decimated": decimated,
    "negated": negated,
    "offset": offset,
    "averaged": averaged,
}
