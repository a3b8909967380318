"""The PetShop suite: are faults of a real microservice application noticed, and is the right workload blamed?

Guarantee: the alarm is ours; labels only judge it. A case follows the healthy days in whole days of their own clock, so
that nothing learned comes from later; what is usual in a healthy window comes from windows at least an hour older.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.causes import residual
from pipeline.causes.confirmed import Confirmed
from pipeline.causes.vitals import Reading, Role, Usual, Vitals, usual_errors, usual_latency, vitals
from pipeline.evaluation.petshop_files import Case, Frame, Scenario, read
from pipeline.policies import DetectorPolicy
from pipeline.records import US, Anomaly, Candidate, Edge, EdgeKind, Kind, Series
from pipeline.scoring.relatives import ENTITY_SIGNAL
from pipeline.scoring.scorer import Scorer
from pipeline.signals.identity import signal_of

Array = npt.NDArray[Any]

_DAY_US = 24 * 3600 * US
#: What is usual is worked out anew so often, from windows that old, once there are so many.
_EVERY, _AGE, _LEAST_HISTORY = 12, 12, 40
#: Alarms with fewer windows between them are one incident.
_JOIN_WINDOWS = 6
#: Anomalies count for an alarm for so many windows after they opened, and while they go on.
_OF_WINDOWS = 3
_SIGNALS = (("requests", "{request}/s", Kind.DELTA), ("latency", "s", Kind.GAUGE), ("errors", "{error}/s", Kind.DELTA))
_FELT = ("latency", "errors", ENTITY_SIGNAL)
_KINDS = {"latency": Role.LATENCY, "availability": Role.ERRORS}


@dataclass(frozen=True, slots=True)
class Alarm:
    """Rows: the first window of the trouble, and the one after which it was told."""

    onset: int
    row: int


@dataclass(frozen=True, slots=True)
class CaseResult:
    """Places of the root cause (1 = first; None = not named): with our alarm, when it came and at the end of the case,
    and with symptom and minutes given. ``delay_minutes`` is from the injection."""

    name: str
    kind: str
    root: str
    delay_minutes: float | None
    early: int
    at_alarm: int | None
    at_end: int | None
    given: int | None
    candidates: tuple[Candidate, ...]


def evaluate(directory: Path) -> dict[str, Any]:
    """Figures of a folder of scenarios, or of one of them, ready for JSON. Raises BadData."""
    results: list[CaseResult] = []
    incidents, hours, names = 0, 0.0, []
    for scenario in read(directory):
        names.append(scenario.name)
        watch, healthy_alarms = _healthy(scenario)
        incidents += len(_incidents(healthy_alarms))
        hours += scenario.healthy.rows * scenario.healthy.window_us / US / 3600
        results += [_case(scenario, case, copy.deepcopy(watch)) for case in scenario.cases]
    figures = {
        "suite": "petshop",
        "files": len(results),
        "scenarios": names,
        "noissue_incidents": incidents,
        "noissue_hours": round(hours, 2),
        "noissue_incidents_per_12_h": 12.0 * incidents / hours if hours else None,
    }
    return figures | _figures(results)


def _figures(results: Sequence[CaseResult]) -> dict[str, Any]:
    found: dict[str, Any] = {"all": _of_kind(results)}
    for kind in sorted({result.kind for result in results}):
        found[kind] = _of_kind([result for result in results if result.kind == kind])
    found["misses"] = [
        {
            "case": result.name,
            "root_cause": result.root,
            "place": result.at_alarm,
            "candidates": [
                {"entity": each.entity, "signal": each.signal, "evidence": list(each.evidence)}
                for each in result.candidates[:3]
            ],
        }
        for result in results
        if result.at_alarm != 1
    ]
    return found


def _of_kind(results: Sequence[CaseResult]) -> dict[str, Any]:
    delays = [result.delay_minutes for result in results if result.delay_minutes is not None]
    figures: dict[str, Any] = {
        "cases": len(results),
        "noticed": len(delays),
        "alarms_before_the_fault": sum(result.early for result in results),
        "median_delay_minutes": float(np.median(delays)) if delays else None,
    }
    for name in ("at_alarm", "at_end", "given"):
        places = [place for result in results if (place := getattr(result, name)) is not None]
        figures[f"top_1_{name}"] = sum(place == 1 for place in places)
        figures[f"top_3_{name}"] = sum(place <= 3 for place in places)
    return figures


# -- a run -------------------------------------------------------------------------------------------------------------


class Watch:
    """Our detector, and what is usual, over the windows of a scenario, in the order of time. Alarm: a workload whose
    vitals confirm trouble, and of which the detector says that its latency, its errors or all its signals together are
    anomalous."""

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._scorer = Scorer(DetectorPolicy(), extra={})
        self._rows: dict[tuple[str, str], int] = {}
        self._entities: dict[str, str] = {}
        self._confirmed = Confirmed()
        self._anomalous: dict[str, dict[str, int | None]] = {}  # workload → anomaly → when it ended
        self.usual: dict[tuple[str, Role], Usual | None] = {}

    def step(self, frame: Frame, row: int, shift_us: int) -> tuple[list[Vitals], dict[str, int]]:
        """The next window; its vitals, and the workloads to tell of with the end of their first window of trouble."""
        end_us = int(frame.time_us[row]) + self._window_us + shift_us
        self._score(frame, row, end_us)
        rows = vitals(end_us, self._readings(frame, row))
        confirmed = self._confirmed.step(end_us, self._window_us, rows)
        return rows, {entity: onset for entity, onset in confirmed.items() if self._is_anomalous(entity, end_us)}

    def learn(self, frame: Frame, rows: int) -> None:
        """What is usual, from the first rows of a frame."""
        for name, node in frame.nodes.items():
            self.usual[name, Role.LATENCY] = usual_latency(node.latency[:rows])
            self.usual[name, Role.ERRORS] = usual_errors(node.errors[:rows], node.requests[:rows])

    def _readings(self, frame: Frame, row: int) -> Iterator[Reading]:
        for name, node in frame.nodes.items():
            requests = float(node.requests[row])
            for role, values in ((Role.LATENCY, node.latency), (Role.ERRORS, node.errors)):
                yield Reading(name, role.value, role, float(values[row]), self.usual.get((name, role)), requests)

    def _score(self, frame: Frame, row: int, end_us: int) -> None:
        while (at := self._scorer.next_silence()) is not None and at <= end_us:
            self._keep(self._scorer.silence(at))
        signal, value = self._values(frame, row)
        if not signal.size:
            return
        start, count = np.full(signal.size, end_us - self._window_us), np.ones(signal.size, np.int64)
        self._keep(self._scorer.step(end_us, signal, start, start, value, count)[1])

    def _values(self, frame: Frame, row: int) -> tuple[Array, Array]:
        """Rows of the scorer with a value, and that: rates for what is counted."""
        found = {}
        for entity, node in frame.nodes.items():
            for name, unit, kind in _SIGNALS:
                value = float(getattr(node, name)[row])
                if np.isfinite(value):
                    per_window = self._window_us / US if kind is Kind.DELTA else 1.0
                    found[self._row(entity, name, unit, kind)] = value / per_window
        rows = sorted(found)
        return np.array(rows, np.int64), np.array([found[each] for each in rows])

    def _row(self, entity: str, name: str, unit: str, kind: Kind) -> int:
        known = self._rows.get((entity, name))
        if known is None:
            signal = signal_of(Series(name, unit, kind, (("service.name", entity),)), ())
            self._entities[signal.workload] = entity
            known = self._rows[entity, name] = self._scorer.add(signal, self._window_us)
        return known

    def _keep(self, anomalies: Sequence[Anomaly]) -> None:
        for anomaly in anomalies:
            if anomaly.signal.name in _FELT:
                self._anomalous.setdefault(self._entities[anomaly.signal.workload], {})[anomaly.id] = anomaly.end_us

    def _is_anomalous(self, entity: str, end_us: int) -> bool:
        oldest = end_us - _OF_WINDOWS * self._window_us
        ends = self._anomalous.get(entity, {}).values()
        return any(end is None or end >= oldest for end in ends)


def _healthy(scenario: Scenario) -> tuple[Watch, list[Alarm]]:
    """The detector after the healthy days, and its alarms in them."""
    frame = scenario.healthy
    watch = Watch(frame.window_us)
    alarms = []
    for row in range(frame.rows):
        if row % _EVERY == 0 and row - _AGE >= _LEAST_HISTORY:
            watch.learn(frame, row - _AGE)
        _, told = watch.step(frame, row, 0)
        if told:
            alarms.append(_alarm(frame, row, told, 0))
    watch.learn(frame, frame.rows)
    return watch, alarms


def _alarm(frame: Frame, row: int, told: Mapping[str, int], shift_us: int) -> Alarm:
    onset_us = min(told.values()) - frame.window_us - shift_us
    return Alarm(max(int(np.searchsorted(frame.time_us, onset_us)), 0), row)


def _incidents(alarms: Sequence[Alarm]) -> list[Alarm]:
    """The first alarm of each incident."""
    found: list[Alarm] = []
    latest = -_JOIN_WINDOWS - 1
    for alarm in alarms:
        if alarm.row - latest > _JOIN_WINDOWS:
            found.append(alarm)
        latest = alarm.row
    return found


def _case(scenario: Scenario, case: Case, watch: Watch) -> CaseResult:
    frame, window_us = case.frame, scenario.healthy.window_us
    after_us = int(scenario.healthy.time_us[-1]) + window_us - int(frame.time_us[0])
    shift_us = max(-(-after_us // _DAY_US), 0) * _DAY_US
    seen: list[list[Vitals]] = []
    alarms = []
    for row in range(frame.rows):
        rows, told = watch.step(frame, row, shift_us)
        seen.append(rows)
        if told:
            alarms.append(_alarm(frame, row, told, shift_us))
    fault = [alarm for alarm in alarms if int(frame.time_us[alarm.row]) + window_us > case.fault_us]
    edges = _edges(scenario, case, shift_us)
    at_alarm = _ranked(seen, edges, fault[0].onset, fault[0].row) if fault else []
    at_end = _ranked(seen, edges, fault[0].onset, frame.rows - 1) if fault else []
    first_us = int(frame.time_us[fault[0].row]) + window_us if fault else 0
    return CaseResult(
        name=f"{scenario.name}/{case.name}",
        kind=case.kind,
        root=case.root,
        delay_minutes=(first_us - case.fault_us) / US / 60 if fault else None,
        early=len(_incidents(alarms)) - len(_incidents(fault)),
        at_alarm=_place(at_alarm, case.root),
        at_end=_place(at_end, case.root),
        given=_place(_given(seen, edges, case), case.root),
        candidates=tuple(at_alarm),
    )


def _ranked(seen: Sequence[list[Vitals]], edges: Sequence[Edge], first: int, last: int) -> list[Candidate]:
    rows = [vital for window in seen[first : last + 1] for vital in window]
    return residual.rank(rows, edges, onset_us=rows[0].end_us)


def _given(seen: Sequence[list[Vitals]], edges: Sequence[Edge], case: Case) -> list[Candidate]:
    """The target is given, and the windows are those in which it is away from usual (else the worst one)."""
    role = _KINDS.get(case.kind, Role.LATENCY)
    z = [max((s.z for v in window if v.entity == case.target and (s := v.sign(role))), default=0.0) for window in seen]
    wanted = [row for row, each in enumerate(z) if each >= residual.LEAST_Z] or [int(np.argmax(z))]
    rows = [vital for row in wanted for vital in seen[row]]
    return residual.rank(rows, edges, entries=[case.target], onset_us=rows[0].end_us if rows else None)


def _place(candidates: Sequence[Candidate], root: str) -> int | None:
    return next((place for place, each in enumerate(candidates, 1) if each.entity == root), None)


def _edges(scenario: Scenario, case: Case, shift_us: int) -> list[Edge]:
    """The graph; a call to whom nobody called in the healthy days began in the case."""
    first_us, last_us = int(scenario.healthy.time_us[0]), int(case.frame.time_us[-1]) + shift_us
    found = []
    for client, server in scenario.calls:
        began_us = first_us
        if not scenario.healthy.served(server).any():
            new = np.flatnonzero(case.frame.served(server))
            began_us = int(case.frame.time_us[new[0]]) + shift_us if new.size else last_us
        found.append(Edge("", client, server, EdgeKind.CALL, began_us, last_us, 1))
    return found
