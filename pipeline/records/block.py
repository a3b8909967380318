"""Columnar blocks: what travels on ``calm.signals`` and ``calm.scores``."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.records.entity import Entity
from pipeline.records.points import HistogramPoint
from pipeline.records.signal import Signal


@dataclass(frozen=True, slots=True)
class SignalBlock:
    """Raw values of one source (input topic and partition) for one partition of ``calm.signals``.

    The block covers the source's offsets ``start`` (inclusive) to ``end`` (exclusive): every row of those messages
    that belongs to this partition stands in it. ``progress_us`` is the greatest event time of the source before
    ``end``. ``idle`` says that the source was read to its end and stayed silent. A block without rows only carries
    progress. Shapes: ``ids`` (signals,) uint64; (rows,): ``signal`` (index into ids), ``time_us``, ``value``,
    ``offset`` (of the message), ``start_us`` (or None); ``late`` lists rows that came after their window
    by their own source's progress, and ``late_us`` how far that was before the message of each.
    ``described`` names signals not announced to this partition before, ``entities`` who they are of, with
    versions and places.
    """

    source: str
    start: int
    end: int
    progress_us: int
    idle: bool
    described: tuple[Signal, ...]
    ids: npt.NDArray[np.uint64]
    signal: npt.NDArray[np.uint32]
    time_us: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    offset: npt.NDArray[np.int64]
    start_us: npt.NDArray[np.int64] | None = None
    late: npt.NDArray[np.uint32] | None = None
    histograms: dict[int, HistogramPoint] = field(default_factory=dict)
    entities: tuple[Entity, ...] = ()
    late_us: npt.NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        return int(self.signal.size)


@dataclass(frozen=True, slots=True)
class ScoreBlock:
    """Scored windows of one partition that end together at ``end_us``; shapes (rows,), sorted by signal id.

    ``threshold`` is the surprise that the window needed to be unlikely, ``verdict`` what was made of it (bits of
    scoring.episodes). ``policies`` is the version of all policies that were in force.
    """

    end_us: int
    ids: npt.NDArray[np.uint64]
    time_us: npt.NDArray[np.int64]  # of the newest point in the window
    count: npt.NDArray[np.uint32]  # points in the window
    value: npt.NDArray[np.float64]
    expected: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]
    surprise: npt.NDArray[np.float64]  # −log10 p
    anomalous: npt.NDArray[np.bool_]  # part of an anomaly, or unlikely enough to start one
    threshold: npt.NDArray[np.float32]
    verdict: npt.NDArray[np.uint8]
    policies: str
