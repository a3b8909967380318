"""Records: the frozen values that stages exchange, with no behaviour beyond their own invariants."""

from pipeline.records.anomaly import Anomaly
from pipeline.records.block import ScoreBlock, SignalBlock
from pipeline.records.incident import Incident, Member
from pipeline.records.message import Counts, Message, Output, Produced
from pipeline.records.points import HistogramPoint, PointColumns, Rejection
from pipeline.records.signal import Kind, Series, Signal
from pipeline.records.snapshot import LaterBlocks, Snapshot
from pipeline.records.timestamps import NO_TIME, US, iso, to_us, window_end

__all__ = [
    "NO_TIME",
    "US",
    "Anomaly",
    "Counts",
    "HistogramPoint",
    "Incident",
    "Kind",
    "LaterBlocks",
    "Member",
    "Message",
    "Output",
    "PointColumns",
    "Produced",
    "Rejection",
    "ScoreBlock",
    "Series",
    "Signal",
    "SignalBlock",
    "Snapshot",
    "iso",
    "to_us",
    "window_end",
]
