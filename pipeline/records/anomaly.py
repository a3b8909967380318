"""An anomaly: a run of unlikely windows of one signal."""

from dataclasses import dataclass

from pipeline.records.signal import Signal


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One transition of an episode, in event time (microseconds): ``opened``, ``updated``, ``ended`` or ``withdrawn``
    (late data show that it was none).

    ``id`` is made of scope, signal and onset, so the same episode has the same id in every run. ``revision`` counts
    transitions from 1. ``step_us`` is the window end at which this was decided. Value and bounds are of the peak.
    ``policy`` is the version of what was in force. ``owner`` is who owns the signal, and ``owner_budget`` how many
    anomalies a week may start incidents for that owner (None = as many as there are). ``discovered``: not taken for a
    false one by the filter across the signals of the step; one that is false starts no incident.
    ``false_discovery_rate`` is what that filter allows (None = there is none). ``threshold`` is the surprise from which
    a window was unlikely when this was decided (None = not known).

    ``excess`` is the sum over its windows up to ``step_us`` of how far each was above what was expected (negative:
    below), times the window's seconds; None where that is not known. ``slo`` is what a policy promises of the signal,
    in percent (None = no policy says). ``silent``: it is about data that do not come; value and bounds are numbers of
    windows without any. ``felt``: do callers of the workload feel something of late (requests take longer, or fail more
    often, than is usual); None where nobody measures that.
    """

    id: str
    revision: int
    transition: str
    signal: Signal
    step_us: int
    onset_us: int
    last_seen_us: int
    end_us: int | None
    peak_us: int
    value: float
    expected: float
    lower: float
    upper: float
    surprise: float
    windows: int
    why: str
    detector: str
    policy: str
    owner: str | None = None
    owner_budget: float | None = None
    discovered: bool = True
    threshold: float | None = None
    false_discovery_rate: float | None = None
    excess: float | None = None
    slo: float | None = None
    silent: bool = False
    felt: bool | None = None
