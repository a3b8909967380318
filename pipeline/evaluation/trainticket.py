"""TrainTicket: faults of 45 workloads, noticed by metrics alone, and their causes by metrics, logs and traces.

Guarantee: causal. What is usual is learnt from the minutes that are free of faults and from what came before a fault;
labels decide nothing but the minutes of a fault without an alarm, and are compared with at the end. Workloads that
something speaks for in an incident are not learnt from its minutes, so that a fault does not become the usual.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.causes import fusion
from pipeline.causes.behaviour import Contrast, Contrasts, Event, Habits, contrasts
from pipeline.causes.saturation import Saturation, saturation
from pipeline.causes.self_time import Paces, shifts, slowdowns
from pipeline.evaluation.trainticket_alarms import Incident, alarms
from pipeline.evaluation.trainticket_calls import Observed, Texts, observe
from pipeline.evaluation.trainticket_files import MINUTE_US, MINUTES, Days, Fault, Metrics, Span, Telemetry, opened
from pipeline.records.cause import Candidate

#: An alarm belongs to a fault from the minute of the injection on and for so long.
_NOTICED_WITHIN_US = 6 * MINUTE_US
#: What a level of use is compared with, and the metrics that tell one, in percent of a limit.
_REFERENCE_MINUTES = 120
_LEVELS = ("CpuUsageRate(%)", "MemoryUsageRate(%)")
_PLACES = (1, 3, 5)
_SHOWN = 3
_HOUR_US = 60 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Judged:
    """One fault and its ranking."""

    fault: Fault
    candidates: tuple[Candidate, ...]

    @property
    def place(self) -> int | None:
        """Of the workload with the fault; ties count against us."""
        own = [one.score for one in self.candidates if one.entity == self.fault.workload]
        return sum(one.score >= own[0] for one in self.candidates) if own else None


def evaluate(directory: Path) -> dict[str, Any]:
    """The figures of the suite, ready for JSON. Raises BadData."""
    with opened(directory) as days:
        faults, metrics, healthy = days.faults(), days.metrics(), days.healthy()
        incidents = alarms(metrics, _calls(healthy.spans))
        alarm_of = [_alarm(fault, incidents) for fault in faults]
        begins = {
            "alarm_or_minutes": [
                fault.minute_us if alarm is None else alarm.onset_us
                for fault, alarm in zip(faults, alarm_of, strict=True)
            ],
            "minutes": [fault.minute_us for fault in faults],
        }
        plans = {name: _Plan(at) for name, at in begins.items()}
        _follow(list(plans.values()), days, faults, metrics, healthy)
    noticed = [alarm is not None for alarm in alarm_of]
    causes = {name: _ranking(plan.found, noticed) for name, plan in plans.items()}
    return {"suite": "trainticket", **_detection(faults, alarm_of, incidents, metrics), "causes": causes}


def _calls(spans: Sequence[Span]) -> set[tuple[str, str]]:
    """Who calls whom."""
    owner = {(span.trace, span.span): span.workload for span in spans}
    pairs = {(owner.get((span.trace, span.parent), span.workload), span.workload) for span in spans}
    return {(caller, called) for caller, called in pairs if caller != called}


# -- noticing ----------------------------------------------------------------------------------------------------------


def _alarm(fault: Fault, incidents: Sequence[Incident]) -> Incident | None:
    """The first incident that alarmed in a fault's minutes."""
    return next((each for each in incidents if _within(each, fault)), None)


def _within(incident: Incident, fault: Fault) -> bool:
    assert incident.alarm_us is not None
    return fault.minute_us < incident.alarm_us <= fault.minute_us + _NOTICED_WITHIN_US


def _detection(
    faults: Sequence[Fault], alarm_of: Sequence[Incident | None], incidents: Sequence[Incident], metrics: Metrics
) -> dict[str, Any]:
    delays = [
        (alarm.alarm_us - fault.minute_us) / MINUTE_US
        for fault, alarm in zip(faults, alarm_of, strict=True)
        if alarm is not None and alarm.alarm_us is not None
    ]
    outside = sum(not any(_within(incident, fault) for fault in faults) for incident in incidents)
    hours = _hours_outside(faults, metrics)
    return {
        "faults": len(faults),
        "noticed": len(delays),
        "recall": len(delays) / len(faults) if faults else None,
        "median_delay_minutes": median(delays) if delays else None,
        "incidents": len(incidents),
        "incidents_outside_faults": outside,
        "hours_outside_faults": hours,
        "incidents_outside_faults_per_hour": outside / hours if hours else None,
    }


def _hours_outside(faults: Sequence[Fault], metrics: Metrics) -> float:
    minutes = range(metrics.first_us, metrics.first_us + len(metrics.values) * MINUTE_US, MINUTE_US)
    free = sum(not any(0 <= at - each.minute_us < _NOTICED_WITHIN_US for each in faults) for at in minutes)
    return free * MINUTE_US / _HOUR_US


# -- causes ------------------------------------------------------------------------------------------------------------


@dataclass
class _Knowledge:
    """What is usual, and what was last seen. ``joined``: with lines in the calls in which they were written."""

    joined: bool
    habits: Habits = field(default_factory=Habits)
    paces: Paces = field(default_factory=Paces)

    def learn(self, observed: Observed, at_us: int, but: frozenset[str] = frozenset()) -> None:
        self.habits.learn(observed.seen, at_us, but)
        self.paces.learn(observed.parts, at_us, but)

    def rank(self, observed: Observed, full: Mapping[str, Saturation], at_us: int, texts: Texts) -> list[Candidate]:
        """Candidates of a window, which is then learnt as far as nothing speaks for a workload."""
        found = contrasts(observed.seen, self.habits, at_us)
        slower = slowdowns(shifts(observed.parts, self.paces, at_us))
        known = fusion.standings(found, slower, full)
        self.learn(observed, at_us, frozenset(name for name, standing in known.items() if standing.speaks))
        return fusion.rank(_in_words(found, texts), slower, full)


def _in_words(found: Contrasts, texts: Texts) -> Contrasts:
    def worded(one: Contrast) -> Contrast:
        event: Event = (one.event[0], texts.text(one.event))
        return replace(one, event=event)

    return Contrasts({workload: worded(one) for workload, one in found.strongest.items()}, found.compared)


class _Plan:
    """Rankings of all faults, one way or another to say when each began (``begins_us``)."""

    def __init__(self, begins_us: Sequence[int]) -> None:
        self.begins_us = begins_us
        self.texts = Texts()
        self.ways = {"joined": _Knowledge(joined=True), "apart": _Knowledge(joined=False)}
        self.found: dict[str, list[Judged]] = {way: [] for way in self.ways}

    def learn(self, told: Telemetry, at_us: int) -> None:
        for way, observed in self._observed(told).items():
            self.ways[way].learn(observed, at_us)

    def judge(self, fault: Fault, told: Telemetry, full: Mapping[str, Saturation], at_us: int) -> None:
        for way, observed in self._observed(told).items():
            candidates = self.ways[way].rank(observed, full, at_us, self.texts)
            self.found[way].append(Judged(fault, tuple(candidates)))

    def _observed(self, told: Telemetry) -> dict[str, Observed]:
        templates, heirs = self.texts.mine(told.lines)
        found = {}
        for way, known in self.ways.items():
            known.habits.rename(heirs)
            found[way] = observe(told.spans, told.lines, templates, joined=known.joined)
        return found


def _follow(plans: Sequence[_Plan], days: Days, faults: Sequence[Fault], metrics: Metrics, healthy: Telemetry) -> None:
    """One fault after the other, each with what came before it."""
    for plan in plans:
        plan.learn(healthy, min(plan.begins_us, default=0))
    for number, fault in enumerate(faults):
        told = days.of(fault)
        for plan in plans:
            begin_us = plan.begins_us[number]
            before, during = _split(told, begin_us)
            plan.learn(before, begin_us)
            full = _saturations(metrics, begin_us, fault.minute_us + MINUTES * MINUTE_US)
            plan.judge(fault, during, full, begin_us)


def _split(told: Telemetry, begin_us: int) -> tuple[Telemetry, Telemetry]:
    """Traces that began before, and after; lines go with their trace."""
    began: dict[str, int] = {}
    for span in told.spans:
        began[span.trace] = min(began.get(span.trace, span.start_us), span.start_us)
    parts = []
    for early in (True, False):
        spans = [span for span in told.spans if (began[span.trace] < begin_us) == early]
        lines = [line for line in told.lines if (began.get(line.trace, line.time_us) < begin_us) == early]
        parts.append(Telemetry(spans, lines))
    return parts[0], parts[1]


def _saturations(metrics: Metrics, begin_us: int, end_us: int) -> dict[str, Saturation]:
    """The strongest of each workload from the minute of ``begin_us`` to that of ``end_us``, which tells of the minute
    before it."""
    first, last = ((at - metrics.first_us) // MINUTE_US for at in (begin_us, end_us))
    found: dict[str, Saturation] = {}
    for column, (workload, _, metric) in enumerate(metrics.signals):
        if metric not in _LEVELS or last < 0:
            continue
        values = metrics.values[:, column]
        reference = values[max(first - _REFERENCE_MINUTES, 0) : max(first, 0)]
        one = saturation(metric, values[max(first, 0) : last + 1], reference)
        if one is not None and one.strength > (found[workload].strength if workload in found else 0.0):
            found[workload] = one
    return found


# -- figures -----------------------------------------------------------------------------------------------------------


def _ranking(judged: Mapping[str, Sequence[Judged]], noticed: Sequence[bool]) -> dict[str, Any]:
    """By way of joining lines and spans, of all faults and of those with and without an alarm."""
    return {
        way: {
            "all": _places(results),
            "with_alarm": _places([one for one, known in zip(results, noticed, strict=True) if known]),
            "without_alarm": _places([one for one, known in zip(results, noticed, strict=True) if not known]),
            "misses": [_miss(one) for one in results if one.place != 1],
        }
        for way, results in judged.items()
    }


def _places(results: Sequence[Judged]) -> dict[str, int]:
    counts = {f"as_{most}": sum(one.place is not None and one.place <= most for one in results) for most in _PLACES}
    return {"faults": len(results), **counts}


def _miss(one: Judged) -> dict[str, Any]:
    shown = [each for each in one.candidates if each.entity == one.fault.workload]
    return {
        "minute_us": one.fault.minute_us,
        "workload": one.fault.workload,
        "kind": one.fault.kind,
        "place": one.place,
        "own": [_shown(each) for each in shown],
        "first": [_shown(each) for each in one.candidates[:_SHOWN]],
    }


def _shown(one: Candidate) -> dict[str, Any]:
    return {"workload": one.entity, "score": round(one.score, 2), "evidence": list(one.evidence)}
