"""Points as columns: what a codec makes of one fetched batch of messages."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class HistogramPoint:
    """One distribution: ``counts[i]`` values at or below ``bounds[i]`` and above the bound before it.

    The last bound is +inf. A summary without buckets has a single bound, +inf.
    """

    count: float
    sum: float
    bounds: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why something in a message was refused. ``whole`` is true when nothing of the message could be used."""

    message: int
    reason: str
    detail: str
    whole: bool = True


@dataclass(slots=True)
class PointColumns:
    """Decoded points of a batch; row order is message order.

    Shapes (rows,): ``message`` (index of the message in the batch), ``series`` (row in the codec's series table),
    ``time_us``, ``value`` (a histogram's count), ``start_us`` (0 = unknown; None when no row has one).
    ``histograms`` maps a row to its distribution. ``dropped`` counts points passed over by reason that need no
    dead letter (for instance "no value was recorded").
    """

    message: npt.NDArray[np.int32]
    series: npt.NDArray[np.int32]
    time_us: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    start_us: npt.NDArray[np.int64] | None = None
    histograms: dict[int, HistogramPoint] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
