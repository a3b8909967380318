"""Spans of traces: what a codec makes of one fetched batch of messages, and what travels on ``calm.spans``."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pipeline.records.entity import Entity
from pipeline.records.points import Rejection
from pipeline.records.signal import Attributes


class SpanKind(IntEnum):
    """OpenTelemetry's, with its numbers."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class Peer(IntEnum):
    """What a span says that it calls, apart from what its children say."""

    NONE = 0
    SERVICE = 1
    DATABASE = 2
    QUEUE = 3


@dataclass(frozen=True, slots=True)
class SpanShape:
    """What many spans have in common: ``operation`` is what was done, with as few distinct values as conventions allow
    (method and route before the span's name); ``peer`` names what is called (a service, a database with its system and
    namespace, a queue with its destination), empty where nothing says it."""

    resource: int  # row in the codec's resource table, or index into a block's entities
    kind: SpanKind
    operation: str
    peer: str = ""
    peer_kind: Peer = Peer.NONE


@dataclass(slots=True)
class SpanColumns:
    """Decoded spans of a batch; row order is message order.

    Shapes (rows,): ``message`` (index of the message in the batch), ``shape`` (row in the codec's table of shapes),
    ``trace`` (rows, 2) uint64 (the 16 bytes, big-endian, high half first), ``span`` and ``parent`` uint64 (0 = none),
    ``start_us``, ``end_us``, ``failed`` bool. ``links``: for rows that name other spans they come from (a batch
    consumer's), (row, trace high, trace low, span) each, shape (links, 4) uint64.
    """

    message: npt.NDArray[np.int32]
    shape: npt.NDArray[np.int32]
    trace: npt.NDArray[np.uint64]
    span: npt.NDArray[np.uint64]
    parent: npt.NDArray[np.uint64]
    start_us: npt.NDArray[np.int64]
    end_us: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    links: npt.NDArray[np.uint64]
    rejections: list[Rejection] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpanBlock:
    """Spans of one source for one partition of ``calm.spans``, by trace; the head is that of a SignalBlock.

    ``shapes`` have indices into ``entities`` as their resource. Columns are those of SpanColumns, ``shape`` being an
    index into ``shapes``, and ``offset`` (of the message). A span's event time is its end.
    """

    source: str
    start: int
    end: int
    progress_us: int
    idle: bool
    entities: tuple[Entity, ...]
    shapes: tuple[SpanShape, ...]
    shape: npt.NDArray[np.uint32]
    trace: npt.NDArray[np.uint64]
    span: npt.NDArray[np.uint64]
    parent: npt.NDArray[np.uint64]
    start_us: npt.NDArray[np.int64]
    end_us: npt.NDArray[np.int64]
    failed: npt.NDArray[np.bool_]
    offset: npt.NDArray[np.int64]
    links: npt.NDArray[np.uint64]
    late: npt.NDArray[np.uint32] | None = None

    @property
    def rows(self) -> int:
        return int(self.shape.size)


#: Resources of a codec by number: their attributes, sorted by name.
Resources = list[Attributes]
