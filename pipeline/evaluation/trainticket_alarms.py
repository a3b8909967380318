"""Incidents of the TrainTicket suite, from metrics alone: the shipped detector, and when its anomalies are an incident.

Guarantee: causal: minute after minute, and nothing but metrics and who calls whom; logs and traces begin and end
unnoticed.

Anomalies are one incident when they begin within the minutes that people get (``JOIN_US``) of its newest and are of the
same workload or of one at most two calls away. It alarms when its members weigh enough: each type of signal by its
surprise, less what is used to come with the others, and never one alone (pipeline/incidents/weight.py). What the
detector says of all signals of a workload together counts only while none of them is a member: it is no second
evidence.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.evaluation.trainticket_files import MINUTE_US, Metrics
from pipeline.incidents.weight import BAR, Company, type_of
from pipeline.policies import DetectorPolicy
from pipeline.records import Anomaly, Kind, Series
from pipeline.scoring.relatives import ENTITY_SIGNAL
from pipeline.scoring.scorer import Scorer
from pipeline.signals.identity import signal_of

JOIN_US = 6 * MINUTE_US
_ATTRIBUTE = "service.name"


@dataclass(slots=True)
class Incident:
    """``alarm_us`` is the end of the minute with which its members weighed enough, None before."""

    onset_us: int
    newest_us: int
    members: list[Anomaly] = field(default_factory=list)
    workloads: set[str] = field(default_factory=set)
    alarm_us: int | None = None

    def join(self, anomaly: Anomaly) -> None:
        self.members.append(anomaly)
        self.workloads.add(name_of(anomaly))
        self.onset_us = min(self.onset_us, anomaly.onset_us)
        self.newest_us = max(self.newest_us, anomaly.onset_us)

    def surprises(self) -> dict[str, float]:
        """The greatest surprise of each type."""
        told = {anomaly.signal.workload for anomaly in self.members if anomaly.signal.name != ENTITY_SIGNAL}
        found: dict[str, float] = {}
        for anomaly in self.members:
            if anomaly.signal.name != ENTITY_SIGNAL or anomaly.signal.workload not in told:
                kind = type_of(anomaly.signal)
                found[kind] = max(found.get(kind, 0.0), anomaly.surprise)
        return found


def name_of(anomaly: Anomaly) -> str:
    """The workload of an anomaly as the suite names it."""
    return anomaly.signal.workload.rpartition(":")[2]


def alarms(metrics: Metrics, calls: Iterable[tuple[str, str]]) -> list[Incident]:
    """Incidents that alarmed, in the order of their alarms; ``calls`` are callers and called."""
    near = _near(calls)
    company, open_, alarmed = Company(), list[Incident](), list[Incident]()
    for anomaly in _opened(metrics):
        open_ = _still_open(open_, anomaly, company)
        incident = _of(open_, anomaly, near)
        if incident is None:
            incident = Incident(anomaly.onset_us, anomaly.onset_us)
            open_.append(incident)
        incident.join(anomaly)
        if incident.alarm_us is None and company.weight("", incident.surprises(), anomaly.step_us) >= BAR:
            incident.alarm_us = anomaly.step_us
            alarmed.append(incident)
    return alarmed


def _still_open(incidents: list[Incident], anomaly: Anomaly, company: Company) -> list[Incident]:
    """What came together in those that are over is remembered."""
    kept = []
    for incident in incidents:
        if anomaly.onset_us - incident.newest_us <= JOIN_US:
            kept.append(incident)
        else:
            company.note("", incident.surprises(), incident.newest_us)
    return kept


def _of(incidents: list[Incident], anomaly: Anomaly, near: Mapping[str, set[str]]) -> Incident | None:
    around = near.get(name_of(anomaly), set()) | {name_of(anomaly)}
    return max(
        (incident for incident in incidents if incident.workloads & around),
        key=lambda incident: incident.newest_us,
        default=None,
    )


def _near(calls: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Workloads from which a workload is called, or that it calls, over one or two calls."""
    called: dict[str, set[str]] = {}
    for caller, other in calls:
        called.setdefault(caller, set()).add(other)
    found: dict[str, set[str]] = {}
    for caller, others in called.items():
        for other in others.union(*(called.get(each, set()) for each in others)):
            found.setdefault(caller, set()).add(other)
            found.setdefault(other, set()).add(caller)
    return found


def _opened(metrics: Metrics) -> Iterator[Anomaly]:
    """Anomalies that may begin an incident, as they open."""
    scorer = Scorer(DetectorPolicy(), extra={})
    for workload, pod, metric in metrics.signals:
        attributes = (("k8s.pod.name", pod), (_ATTRIBUTE, workload))
        scorer.add(signal_of(Series(metric, "", Kind.GAUGE, attributes), ()), MINUTE_US)
    for row, values in enumerate(metrics.values):
        end_us = metrics.first_us + (row + 1) * MINUTE_US
        told: list[Anomaly] = []
        while (at := scorer.next_silence()) is not None and at <= end_us:
            told += scorer.silence(at)
        signal = np.flatnonzero(np.isfinite(values))
        if signal.size:
            start = np.full(signal.size, end_us - MINUTE_US)
            told += scorer.step(end_us, signal, start, start, values[signal], np.ones(signal.size, np.int64))[1]
        yield from sorted(
            (each for each in told if each.transition == "opened" and each.discovered), key=lambda each: each.id
        )
