"""Log lines: what a codec makes of one fetched batch of messages, and what travels on ``calm.logs``."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.records.entity import Entity
from pipeline.records.happening import Event
from pipeline.records.points import Rejection

#: OpenTelemetry's severity numbers: the first of each range, and 0 where none is given.
UNSPECIFIED, TRACE, DEBUG, INFO, WARN, ERROR, FATAL = 0, 1, 5, 9, 13, 17, 21


@dataclass(slots=True)
class LineColumns:
    """Decoded log lines of a batch; row order is message order.

    Shapes (rows,): ``message`` (index of the message in the batch), ``resource`` (row in the codec's resource table),
    ``time_us``, ``severity`` (0 … 24, of OpenTelemetry). ``body`` and ``trace_id`` (16 bytes, or none) are lists of the
    same length. ``events`` are log records that are events of an entity (of Kubernetes, say) and no lines: the
    message, the resource and the event. ``dropped`` counts what needs no dead letter, by reason.
    """

    message: npt.NDArray[np.int32]
    resource: npt.NDArray[np.int32]
    time_us: npt.NDArray[np.int64]
    severity: npt.NDArray[np.uint8]
    body: list[str]
    trace_id: list[bytes]
    events: list[tuple[int, int, Event]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Lines of one source for one partition of ``calm.logs``; the head is that of a SignalBlock.

    Shapes (rows,): ``entity`` (index into ``entities``), ``time_us``, ``severity``, ``offset`` (of the message);
    ``body`` and ``trace_id`` are lists of the same length. ``late`` lists rows that came after their window by
    their own source.
    """

    source: str
    start: int
    end: int
    progress_us: int
    idle: bool
    entities: tuple[Entity, ...]
    entity: npt.NDArray[np.uint32]
    time_us: npt.NDArray[np.int64]
    severity: npt.NDArray[np.uint8]
    offset: npt.NDArray[np.int64]
    body: list[str]
    trace_id: list[bytes]
    late: npt.NDArray[np.uint32] | None = None

    @property
    def rows(self) -> int:
        return len(self.body)


@dataclass(frozen=True, slots=True)
class LogTemplate:
    """What many lines of a workload have in common, and some of them. ``id`` is fixed at its birth; ``alias_of`` is the
    id of the older template that it turned out to be, empty while it is one of its own. ``examples`` are (time_us,
    line, trace id in hex, or empty)."""

    id: str
    scope: str
    workload: str
    text: str
    first_us: int
    alias_of: str = ""
    examples: tuple[tuple[int, str, str], ...] = ()
