"""Streams of labelled alerts through the chains of a worker, to few incidents: how few, and is the attack among them?

Guarantee: alerts go as messages through the codec, ingest and score chains as shipped, in the order of time, and what
is put together is what ``incidents.rarity`` put together: no label, and nothing that comes later, decides anything.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from os import cpu_count
from pathlib import Path
from typing import Any

from pipeline.codecs import anomaly_event, vitals_event
from pipeline.codecs.events import Events
from pipeline.evaluation.alert_files import Alert, name_of, read, scenarios
from pipeline.evaluation.parallel import in_order
from pipeline.flow.config import FlowConfig
from pipeline.flow.ingest_happenings import HappeningIngestChain
from pipeline.flow.score import ScoreChain
from pipeline.incidents.rarity import RareAlerts, Verdict
from pipeline.records import US, Anomaly, Output
from pipeline.records.signal import ALERT_PREFIX
from pipeline.signals.identity import entity_of

_SOURCE = "alerts/0"
_CONFIG = FlowConfig(sources=(_SOURCE,), signal_partitions=1, anomaly_partitions=1)
_BATCH_SECONDS = 3_600
_DAY = 86_400
_LATER_US = 2 * _DAY * US


@dataclass(frozen=True, slots=True)
class _Message:
    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(slots=True)
class Found:
    """An incident, or what was held back: how many alerts, by step and phase of the attack (empty: none)."""

    shown: bool = False
    weight: float = 0.0
    alerts: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)

    def add(self, alert: Alert) -> None:
        self.alerts += 1
        self.steps[alert.step] += 1
        self.phases[alert.phase] += 1

    @property
    def attack(self) -> bool:
        """Did an attack set off any of its alerts?"""
        return any(self.steps[step] for step in self.steps if step)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A file, and what came of it; incidents are in the order of their weight, the heaviest first."""

    name: str
    alerts: int
    days: float
    steps: frozenset[str]
    incidents: tuple[Found, ...]
    held_back: int

    @property
    def found(self) -> set[str]:
        return {step for each in self.incidents for step in each.steps if step}

    @property
    def false(self) -> int:
        return sum(not each.attack for each in self.incidents)

    @property
    def rank(self) -> int | None:
        """Place of the first incident with an attack."""
        return next((place for place, each in enumerate(self.incidents, 1) if each.attack), None)


def evaluate(directory: Path) -> dict[str, Any]:
    """The figures of all scenarios of a folder. Raises BadData."""
    paths = scenarios(directory)
    jobs = min(len(paths), cpu_count() or 1)
    found = list(in_order(scenario, paths, jobs))
    return {
        "suite": "alerts",
        "files": len(found),
        **figures(found),
        "scenarios": {each.name: figures([each]) for each in found},
    }


def figures(found: Sequence[Scenario]) -> dict[str, Any]:
    """Pooled over scenarios."""
    incidents = [each for one in found for each in one.incidents]
    inside = sum(each.alerts for each in incidents)
    alerts, days = sum(one.alerts for one in found), sum(one.days for one in found)
    ranks = [one.rank for one in found if one.steps]
    known = [rank for rank in ranks if rank is not None]
    return {
        "alerts": alerts,
        "days": days,
        "incidents": len(incidents),
        "held_back": sum(one.held_back for one in found),
        "alerts_per_incident": alerts / len(incidents) if incidents else None,
        "alerts_in_incidents": inside,
        "steps": sum(len(one.steps) for one in found),
        "steps_found": sum(len(one.found & one.steps) for one in found),
        "steps_missed": sorted(f"{one.name}: {step}" for one in found for step in one.steps - one.found),
        "false_incidents": sum(one.false for one in found),
        "false_incidents_per_day": sum(one.false for one in found) / days if days else None,
        "attack_rank": max(known) if ranks and len(known) == len(ranks) else None,
        "purity": sum(max(each.phases.values(), default=0) for each in incidents) / inside if inside else None,
    }


def scenario(path: Path) -> Scenario:
    """One file through the chains. Raises BadData."""
    alerts = read(path)
    run = _Run()
    for _, batch in groupby(alerts, lambda alert: alert.second // _BATCH_SECONDS):
        run.take(list(batch))
    run.finish()
    shown = sorted((each for each in run.found.values() if each.shown), key=lambda each: -each.weight)
    return Scenario(
        name=name_of(path),
        alerts=len(alerts),
        days=(alerts[-1].second - alerts[0].second) / _DAY,
        steps=frozenset(alert.step for alert in alerts if alert.step),
        incidents=tuple(shown),
        held_back=len(run.found) - len(shown),
    )


class _Run:
    """The chains at work on one file."""

    def __init__(self) -> None:
        self.found: dict[str, Found] = {}
        self._ingest = HappeningIngestChain(_SOURCE, Events(_CONFIG.limits).decode, _CONFIG)
        self._score = ScoreChain(0, _CONFIG)
        self._groups = RareAlerts()
        self._waiting: list[Alert] = []  # for their windows to close
        self._decided: dict[int, list[Anomaly]] = {}
        self._messages = self._blocks = 0

    def take(self, alerts: Sequence[Alert]) -> None:
        """The next alerts, in the order of time."""
        messages = list(self._sent(alerts))
        self._ingest.apply(messages)
        self._read(self._ingest.flush())
        self._waiting += alerts
        self._group(self._score.closed_us)

    def finish(self) -> None:
        """No more alerts come: all windows close, and all that is open ends."""
        self._hear(self._score.drain())
        end_us = (self._waiting[-1].second if self._waiting else 0) * US + _LATER_US
        self._group(max(end_us, self._score.closed_us + _LATER_US))

    def _sent(self, alerts: Sequence[Alert]) -> Iterator[_Message]:
        """A message a second, with all its alerts: what has one time in several messages is one thing sent again."""
        for second, group in groupby(alerts, lambda alert: alert.second):
            value = json.dumps([_form(alert) for alert in group]).encode()
            yield _Message(self._messages, 1000 * second, value)
            self._messages += 1

    def _read(self, output: Output) -> None:
        for record in output.records:
            if record.topic == "signals":
                self._hear(self._score.apply([_Message(self._blocks, 0, record.value or b"")]))
                self._blocks += 1

    def _hear(self, output: Output) -> None:
        """What the score chain decided."""
        for record in output.records:
            if record.topic == "anomalies" and not vitals_event.is_vitals(record.headers):
                message = _Message(0, 0, record.value or b"", record.key, record.headers)
                anomaly = anomaly_event.decode(message).anomaly if record.value else None
                if anomaly is not None:
                    self._decided.setdefault(anomaly.step_us, []).append(anomaly)

    def _group(self, until_us: int) -> None:
        """Put together what was decided up to then, and say of each alert what it belongs to."""
        window_us = _CONFIG.window_us
        ends = {-(-(alert.second * US + 1) // window_us) * window_us for alert in self._waiting}
        for at_us in sorted(at for at in ends | self._decided.keys() if at <= until_us):
            self._timers(at_us - 1)
            self._note(self._groups.step(self._decided.pop(at_us, ()), at_us))
            self._place(at_us)
        self._timers(until_us)

    def _timers(self, until_us: int) -> None:
        while (due := self._groups.next_deadline()) is not None and due <= until_us:
            self._note(self._groups.step((), due))

    def _note(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            one = self.found.setdefault(verdict.cluster, Found())
            one.weight = max(one.weight, verdict.weight)
            one.shown |= verdict.what == "opened"

    def _place(self, before_us: int) -> None:
        """Alerts of the window that ends then."""
        number = 0
        for alert in self._waiting:
            if alert.second * US >= before_us:
                break
            number += 1
            workload = entity_of(_entity(alert), _CONFIG.scope_attributes)
            cluster = self._groups.place(workload.scope, ALERT_PREFIX + alert.name, workload.workload, before_us)
            if cluster is not None:
                self.found.setdefault(cluster, Found()).add(alert)
        del self._waiting[:number]


def _entity(alert: Alert) -> tuple[tuple[str, str], ...]:
    return (("host.name", alert.host),)


def _form(alert: Alert) -> dict[str, Any]:
    """Our own form of an event."""
    return {
        "ts": alert.second,
        "type": ALERT_PREFIX + alert.name,
        "entity": dict(_entity(alert)),
        "attributes": {"host.ip": alert.ip} if alert.ip else {},
    }
