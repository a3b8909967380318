"""The correlate chain: anomalies of one ``calm.anomalies`` partition to incident transitions and suppressions.

Guarantee: anomalies are applied in event-time order once every shard that writes here has passed their time; what
comes out depends on the log's contents alone. A checkpoint holds anomalies that wait as well.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from pipeline.codecs import (
    anomaly_event,
    edge_event,
    happening_event,
    incident_event,
    own_forms,
    said_record,
    suppression_event,
)
from pipeline.flow.chain import Numbers, damaged, other_version
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.incident_state import pack_open, pack_over, pack_rare, unpack_open, unpack_over, unpack_rare
from pipeline.flow.neighbours import Neighbours
from pipeline.incidents.evidence import CHANGES_US
from pipeline.incidents.grouping import Grouping
from pipeline.records import (
    NO_TIME,
    US,
    Anomaly,
    Change,
    Event,
    Happened,
    Incident,
    Message,
    Output,
    Produced,
    Snapshot,
)
from pipeline.signals.identity import entity_of, scope_partition
from pipeline.windows.progress import Progress

_VERSION = "correlate/5"
#: How long after it an incident may still ask for what happened before its onset.
_REMEMBERED_US = 24 * CHANGES_US
#: Event time after which what is kept is looked through for what is old.
_FORGET_EVERY_US = 60 * US


class CorrelateChain:
    """The shard of partition ``partition`` of ``calm.anomalies``."""

    def __init__(self, partition: int, config: FlowConfig) -> None:
        self._name = f"anomalies/{partition}"
        self._config = config
        self._progress = Progress(config.signal_shards(), 0)
        self._neighbours = Neighbours(config.join_us)
        self._pending: dict[int, list[Anomaly]] = {}
        self._closed_us = NO_TIME
        self._grouping = self._made()
        self._offset = 0

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        for message in messages:
            self._offset = message.offset + 1
            if self._is_heard(message, out):
                continue
            try:
                arrival = anomaly_event.decode(message)
            except anomaly_event.BadEvent as error:
                self._dead_letter(message, str(error), out)
                continue
            self._take(arrival, out)
            self._advance(out)
        return out

    def _made(self, **parts: Any) -> Grouping:
        """A grouping with the parts of a saved one; without any a new one."""
        config = self._config
        return Grouping(
            config.join_us,
            config.resolve_us,
            reopen_us=config.reopen_us,
            graph=self._neighbours,
            causes=self._neighbours,
            stepped_us=self._closed_us,
            **parts,
        )

    def _is_heard(self, message: Message, out: Output) -> bool:
        """Is it no anomaly, but something that is known from now on?"""
        if happening_event.is_happening(message.headers):
            self._hear(message, out)
        elif said_record.is_said(message.headers):
            self._hear_said(message, out)
        elif edge_event.is_edge(message.headers):
            self._hear_edge(message, out)
        else:
            return False
        return True

    def _hear_said(self, message: Message, out: Output) -> None:
        """What people say of incidents: it counts at once, at the event time that has been reached."""
        try:
            control = said_record.decode_control(message.value)
        except said_record.BadSaid as error:
            self._dead_letter(message, str(error), out)
            return
        repeated, refused = self._grouping.hear(control, self._closed_us)
        out.count("notice", "said_again", repeated)
        out.count("notice", "said_too_much", refused)
        if self._closed_us != NO_TIME:
            self._step((), self._closed_us, out)

    def _hear_edge(self, message: Message, out: Output) -> None:
        try:
            news = edge_event.decode(message)
        except edge_event.BadEdge as error:
            self._dead_letter(message, str(error), out)
            return
        if not self._neighbours.hear(news.edge):
            out.count("notice", "too_many_edges")

    def _hear(self, message: Message, out: Output) -> None:
        """An event or a change: evidence for incidents from now on."""
        try:
            arrival = happening_event.decode(message)
        except happening_event.BadHappening as error:
            self._dead_letter(message, str(error), out)
            return
        if not self._progress.accepts(arrival.source, arrival.start):
            out.count("notice", "gap")
            return
        applied = self._progress.applied(arrival.source)
        if applied is not None and arrival.start < applied:
            out.count("notice", "sent_again")
            return
        self._grouping.evidence.add(self._happened(arrival.happening))
        self._progress.advance(arrival.source, arrival.end, NO_TIME, idle=False)

    def _happened(self, what: Event | Change) -> Happened:
        entity = entity_of(what.entity, self._config.scope_attributes)
        return Happened(what, entity.scope, entity.workload, entity.instance)

    def _take(self, arrival: anomaly_event.Arrival, out: Output) -> None:
        if not self._progress.accepts(arrival.source, arrival.start):
            out.count("notice", "gap")
            return
        anomaly = arrival.anomaly
        applied = self._progress.applied(arrival.source)
        if anomaly is not None:
            if applied is not None and arrival.start < applied:
                out.count("notice", "sent_again")
                return
            if anomaly.step_us > self._closed_us:
                self._pending.setdefault(anomaly.step_us, []).append(anomaly)
        self._progress.advance(arrival.source, arrival.end, arrival.progress_us, idle=False)

    def _advance(self, out: Output) -> None:
        """Apply what the watermark has passed: anomalies and timers, each at its event time."""
        watermark = self._progress.watermark_us
        if watermark <= self._closed_us:
            return
        for step_us in sorted(step for step in self._pending if step <= watermark):
            self._timers(step_us - 1, out)
            found = sorted(self._pending.pop(step_us), key=lambda a: (a.signal.id, a.revision))
            self._step(found, step_us, out)
        self._timers(watermark, out)
        before_us, self._closed_us = self._closed_us, watermark
        if watermark // _FORGET_EVERY_US > before_us // _FORGET_EVERY_US:
            self._forget(watermark)

    def _forget(self, watermark: int) -> None:
        """What nobody can ask for any more; this looks at everything that is kept."""
        self._grouping.evidence.forget(watermark - _REMEMBERED_US)
        self._grouping.past.forget(watermark)
        self._grouping.quieted.forget(watermark)
        self._neighbours.forget(watermark)

    def _step(self, anomalies: Sequence[Anomaly], step_us: int, out: Output) -> None:
        self._neighbours.at(step_us)
        self._emit(self._grouping.step(anomalies, step_us), out)
        for reason in self._grouping.refused:
            out.count("notice", reason)
        self._grouping.refused.clear()
        for suppression in self._grouping.suppressed:
            out.count("notice", suppression.reason, suppression.anomaly.transition == "opened")
            value, headers = suppression_event.encode(suppression)
            key = suppression.anomaly.signal.scope.encode("utf-8", "replace")
            out.records.append(Produced("suppressions", value, key, headers=headers))
        self._grouping.suppressed.clear()

    def _timers(self, until_us: int, out: Output) -> None:
        while (due := self._grouping.next_deadline()) is not None and due <= until_us:
            self._step((), due, out)

    def _emit(self, incidents: Sequence[Incident], out: Output) -> None:
        for incident in incidents:
            value, headers = incident_event.encode(incident)
            out.count("incident", incident.transition)
            out.records.append(Produced("incidents", value, incident.id.encode(), headers=headers))

    def _dead_letter(self, message: Message, detail: str, out: Output) -> None:
        out.count("drop", "undecodable")
        topic, _, partition = self._name.rpartition("/")
        out.records.append(dead_letter(message, topic, partition, "undecodable", detail))

    def flush(self, *, idle: bool = False) -> Output:
        return Output()

    def drain(self) -> Output:
        """Apply everything that waits, at the end of a finite input; incidents that go on stay open."""
        out = Output()
        for step_us in sorted(self._pending):
            self._timers(step_us - 1, out)
            found = sorted(self._pending.pop(step_us), key=lambda a: (a.signal.id, a.revision))
            self._step(found, step_us, out)
        return out

    def watermark_us(self) -> int:
        return self._progress.watermark_us

    def gauges(self) -> dict[str, float]:
        return {"open_incidents": len(self._grouping.open)}

    def snapshot(self, *, full: bool) -> Snapshot:
        offset, kept = self._offset, self._grouping
        waiting = [anomaly_event.encode(one, "", 0)[0] for _, held in sorted(self._pending.items()) for one in held]
        head = {
            "offset": offset,
            "progress": self._progress.dump(),
            "closed": self._closed_us,
            "budgets": kept.budgets.dump(self._closed_us),
            "evidence": [own_forms.form_of(happened.what) for happened in kept.evidence],
            "waiting": waiting,
            "quieted": kept.quieted.dump(),
            "ordered": kept.ordered.dump(),
            "settled": kept.past.settled(),
            "edges": self._neighbours.dump(),
        }
        blocks = {f"incident/{key}": pack_open(incident) for key, incident in kept.open.items()}
        blocks |= {f"over/{over.incident.id}": pack_over(over) for over in kept.past}
        blocks["rare"] = pack_rare(kept.rare)
        return Snapshot(_VERSION, offset, msgspec.msgpack.encode(head), blocks, tuple(blocks), full=True)

    def saved(self) -> None:
        """Nothing to remember: the state is always saved whole."""

    def restore(self, snapshot: Snapshot) -> None:
        if snapshot.version != _VERSION:
            raise other_version("correlate", self._name, snapshot.version, _VERSION)
        try:
            head = msgspec.msgpack.decode(snapshot.head)
            self._offset, self._closed_us = head["offset"], head["closed"]
            self._progress.load(head["progress"])
            self._pending = {}
            for anomaly in (anomaly_event.anomaly_of(msgspec.json.decode(each)) for each in head["waiting"]):
                self._pending.setdefault(anomaly.step_us, []).append(anomaly)
            self._neighbours = Neighbours(self._config.join_us, map(tuple, head["edges"]))
            self._grouping = self._made(
                opened=[unpack_open(snapshot.blocks[name]) for name in snapshot.names if name.startswith("incident/")],
                over=[unpack_over(snapshot.blocks[name]) for name in snapshot.names if name.startswith("over/")],
                rare=unpack_rare(snapshot.blocks["rare"]),
                settled=head["settled"],
                budgets=head["budgets"],
                evidence=[self._happened(own_forms.happening_of(kind, form)) for kind, form in head["evidence"]],
            )
            self._grouping.quieted.load(head["quieted"])
            self._grouping.ordered.load(head["ordered"])
        except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise damaged("correlate", self._name, repr(error)) from error

    def heard(self) -> dict[str, int]:
        return self._progress.heard()

    def numbers(self) -> Numbers:
        return {}

    def go_on_from(self, numbers: Numbers) -> None:
        """Incidents are not numbered: each has its revisions."""

    def inherit(self, moved: int | None) -> None:
        """Of the state of a shard that is divided keep what is of our scopes. ``moved``: the end of its log, where this
        shard has a log of its own, that begins."""
        kept = self._grouping
        edges = (saved for saved in self._neighbours.dump() if self._owns(saved[0]))
        self._neighbours = Neighbours(self._config.join_us, edges)
        self._grouping = self._made(
            opened=[incident for incident in kept.open.values() if self._owns(incident.scope)],
            over=[over for over in kept.past if self._owns(over.incident.scope)],
            rare=unpack_rare(pack_rare(kept.rare), self._owns),
            settled=kept.past.settled(),
            budgets=[saved for saved in kept.budgets.dump(self._closed_us) if self._owns(saved[0])],
            evidence=[happened for happened in kept.evidence if self._owns(happened.scope)],
        )
        self._grouping.quieted, self._grouping.ordered = kept.quieted, kept.ordered
        ours = {at: [each for each in held if self._owns(each.signal.scope)] for at, held in self._pending.items()}
        self._pending = {at: held for at, held in ours.items() if held}
        self._offset -= moved or 0

    def _owns(self, scope: str) -> bool:
        return scope_partition(scope, self._config.anomaly_partitions) == int(self._name.rpartition("/")[2])

    def lost_history(self) -> None:
        self._progress.lost_history()
