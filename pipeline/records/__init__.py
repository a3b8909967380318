"""Records: the frozen values that stages exchange, with no behaviour beyond their own invariants."""

from pipeline.records.anomaly import Anomaly
from pipeline.records.block import ScoreBlock, SignalBlock
from pipeline.records.cause import Candidate
from pipeline.records.entity import Entity
from pipeline.records.happening import Change, ChangeKind, ChangePhase, DecodedChanges, DecodedEvents, Event, Happened
from pipeline.records.impact import Impacted, Lost
from pipeline.records.incident import Incident, Member
from pipeline.records.lines import LineBlock, LineColumns, LogTemplate
from pipeline.records.message import Counts, Headers, Message, Output, Produced, RefusedValue, record_time_us
from pipeline.records.past import Rarity, Similar
from pipeline.records.points import HistogramPoint, PointColumns, Rejection
from pipeline.records.signal import Kind, Series, Signal
from pipeline.records.snapshot import LaterBlocks, Snapshot
from pipeline.records.spans import Peer, Resources, SpanBlock, SpanColumns, SpanKind, SpanShape
from pipeline.records.suppression import Suppression
from pipeline.records.timestamps import NO_TIME, US, iso, to_us, window_end
from pipeline.records.topology import Edge, EdgeKind
from pipeline.records.unusual import Called, Degree, Lines, OnNode, Outlier, Pace, Placement, Unusual

__all__ = [
    "NO_TIME",
    "US",
    "Anomaly",
    "Called",
    "Candidate",
    "Change",
    "ChangeKind",
    "ChangePhase",
    "Counts",
    "DecodedChanges",
    "DecodedEvents",
    "Degree",
    "Edge",
    "EdgeKind",
    "Entity",
    "Event",
    "Happened",
    "Headers",
    "HistogramPoint",
    "Impacted",
    "Incident",
    "Kind",
    "LaterBlocks",
    "LineBlock",
    "LineColumns",
    "Lines",
    "LogTemplate",
    "Lost",
    "Member",
    "Message",
    "OnNode",
    "Outlier",
    "Output",
    "Pace",
    "Peer",
    "Placement",
    "PointColumns",
    "Produced",
    "Rarity",
    "RefusedValue",
    "Rejection",
    "Resources",
    "ScoreBlock",
    "Series",
    "Signal",
    "SignalBlock",
    "Similar",
    "Snapshot",
    "SpanBlock",
    "SpanColumns",
    "SpanKind",
    "SpanShape",
    "Suppression",
    "Unusual",
    "iso",
    "record_time_us",
    "to_us",
    "window_end",
]
