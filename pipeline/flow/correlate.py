"""The correlate chain: anomalies of one ``calm.anomalies`` partition to incident transitions and suppressions.

Guarantee: anomalies are applied in event-time order once every shard that writes here has passed their time; what
comes out depends on the log's contents alone. A checkpoint names the place before the oldest anomaly that waits: what
follows from there on is read again, and what was heard and applied before is passed over.

What waits is bounded. When a shard that writes here is far behind the others, anomalies of the latest steps are let go,
and the log is read again from that place as soon as all that is left is applied.
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
    vitals_event,
)
from pipeline.flow import shadow
from pipeline.flow.chain import Numbers, damaged, other_version
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.incident_state import (
    pack_history,
    pack_open,
    pack_over,
    pack_rare,
    unpack_history,
    unpack_open,
    unpack_over,
    unpack_rare,
)
from pipeline.flow.intake import Intake
from pipeline.flow.live_causes import LiveCauses
from pipeline.flow.neighbours import Neighbours
from pipeline.flow.recent_unusual import RecentUnusual
from pipeline.flow.signal_roles import SignalRoles
from pipeline.incidents.alike import Texts
from pipeline.incidents.evidence import CHANGES_US
from pipeline.incidents.grouping import Grouping
from pipeline.incidents.impact import Impact
from pipeline.incidents.usual_trouble import Habits
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
from pipeline.windows.held import Held

_VERSION = "correlate/7"
#: How long after it an incident may still ask for what happened before its onset.
_REMEMBERED_US = 24 * CHANGES_US
#: Event time after which what is kept is looked through for what is old.
_FORGET_EVERY_US = 60 * US
#: Memory that an anomaly takes, about, by the length of its event.
_MEMORY_OF_BYTES = 2


class CorrelateChain:
    """The shard of partition ``partition`` of ``calm.anomalies``."""

    def __init__(self, partition: int, config: FlowConfig) -> None:
        self._name = f"{shadow.topic_of('anomalies', config)}/{partition}"
        self._role = shadow.role_of("correlate", config)
        self._config = config
        self._intake = Intake(config.signal_shards(), 0)
        self._neighbours = Neighbours(config.join_us)
        self._roles = SignalRoles(config.roles)
        self._recent = RecentUnusual()
        #: By the step at which they were decided, and rows of vitals by the end of their window.
        self._held: Held[Anomaly | vitals_event.Arrival] = Held(config.most_held_bytes)
        self._read = 0  # messages below it were read by this chain before
        self._grouping = self._made()

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        for message in messages:
            self._intake.begins(message.offset)
            is_new = message.offset >= self._read
            self._read = max(self._read, message.offset + 1)
            if self._is_heard(message, out, is_new=is_new):
                continue
            heard = out if is_new else Output()  # what was said of it before is not said again
            try:
                arrival = anomaly_event.decode(message)
            except anomaly_event.BadEvent as error:
                self._dead_letter(message, str(error), heard)
                continue
            self._take(arrival, _MEMORY_OF_BYTES * len(message.value or b""), heard)
            self._advance(out)
            if self._held.is_done(self._closed_us):
                out.reread_from = self._intake.rewind()
                self._held.clear()
                out.count("notice", "read_again")
                return out
        return out

    @property
    def _closed_us(self) -> int:
        """Steps up to it are applied; beyond the watermark right after a restore."""
        return self._intake.closed_us

    def _made(self, **parts: Any) -> Grouping:
        """A grouping with the parts of a saved one; without any a new one."""
        config = self._config
        return Grouping(
            config.join_us,
            config.resolve_us,
            reopen_us=config.reopen_us,
            habits=Habits(config.habits, config.window_us, config.reopen_us),
            graph=self._neighbours,
            causes=LiveCauses(self._neighbours, self._recent, self._template),
            impact=Impact(self._roles, self._neighbours),
            stepped_us=self._closed_us,
            **parts,
        )

    def _is_heard(self, message: Message, out: Output, *, is_new: bool) -> bool:
        """Is it no anomaly, but something that is known from now on?"""
        if happening_event.is_happening(message.headers):
            self._hear(message, out, is_new=is_new)
        elif vitals_event.is_vitals(message.headers):
            self._hear_unusual(message, out if is_new else Output())
        elif said_record.is_said(message.headers):
            if is_new:
                self._hear_said(message, out)
        elif edge_event.is_edge(message.headers):
            if is_new:
                self._hear_edge(message, out)
        else:
            return False
        return True

    def _hear_unusual(self, message: Message, out: Output) -> None:
        """What workloads showed in a window: it counts from the end of the window on."""
        try:
            arrival = vitals_event.decode(message)
        except vitals_event.BadVitals as error:
            self._dead_letter(message, str(error), out)
            return
        if self._intake.accepts(arrival, out) and self._intake.is_first(arrival, out):
            waits = arrival.end_us > self._closed_us and self._owns(arrival.scope)
            size = _MEMORY_OF_BYTES * len(message.value or b"")
            self._intake.took(arrival, self._hold(arrival.end_us, arrival, size) if waits else NO_TIME)

    def _template(self, scope: str, template: str) -> str:
        """The text of a log template that was seen for the first time of late."""
        return self._grouping.evidence.text_of(scope, "log.template", template)

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

    def _hear(self, message: Message, out: Output, *, is_new: bool) -> None:
        """An event or a change: evidence for incidents from now on."""
        heard = out if is_new else Output()
        try:
            arrival = happening_event.decode(message)
        except happening_event.BadHappening as error:
            self._dead_letter(message, str(error), heard)
            return
        if self._intake.accepts(arrival, heard) and self._intake.is_first(arrival, heard):
            if is_new:
                happened = self._happened(arrival.happening)
                self._grouping.evidence.add(happened)
                self._grouping.texts.hear(happened)
            self._intake.took(arrival, NO_TIME)

    def _happened(self, what: Event | Change) -> Happened:
        entity = entity_of(what.entity, self._config.scope_attributes)
        return Happened(what, entity.scope, entity.workload, entity.instance)

    def _take(self, arrival: anomaly_event.Arrival, size: int, out: Output) -> None:
        if not self._intake.accepts(arrival, out):
            return
        anomaly, held_us = arrival.anomaly, NO_TIME
        if anomaly is not None:
            if not self._intake.is_first(arrival, out):
                return
            if anomaly.step_us > self._closed_us and self._owns(anomaly.signal.scope):
                held_us = self._hold(anomaly.step_us, anomaly, size)
        self._intake.took(arrival, held_us)

    def _hold(self, step_us: int, what: Anomaly | vitals_event.Arrival, size: int) -> int:
        """Keep it until its step is applied, or let it go; until when the place before it is to be kept."""
        whole = self._held.whole  # else the place to read again from is an earlier one
        horizon_us = self._held.horizon_us
        if horizon_us is None or step_us <= horizon_us:
            self._held.put(step_us, what, 1, size)
            self._held.bound(self._closed_us)
        else:
            self._held.whole = False
        return step_us if whole else NO_TIME

    def _advance(self, out: Output) -> None:
        """Apply what the watermark has passed: anomalies and timers, each at its event time."""
        horizon_us = self._held.horizon_us
        watermark = self._intake.watermark_us if horizon_us is None else min(self._intake.watermark_us, horizon_us)
        if watermark <= self._closed_us:
            return
        before_us = self._closed_us
        self._apply_until(watermark, out)
        self._timers(watermark, out)
        self._intake.closed(watermark)
        if watermark // _FORGET_EVERY_US > before_us // _FORGET_EVERY_US:
            self._forget(watermark)
        if self._held.whole and self._held.is_done(self._closed_us):
            self._held.unbind()
            self._advance(out)

    def _apply_until(self, until_us: int, out: Output) -> None:
        for step_us in sorted(step for step in self._held.ends() if step <= until_us):
            self._timers(step_us - 1, out)
            held = self._held.pop(step_us)
            self._learn([each for each in held if isinstance(each, vitals_event.Arrival)], out)
            found = sorted(
                (each for each in held if isinstance(each, Anomaly)), key=lambda a: (a.signal.id, a.revision)
            )
            if found:
                self._step(found, step_us, out)

    def _learn(self, arrivals: Sequence[vitals_event.Arrival], out: Output) -> None:
        """Rows of windows that have ended."""
        gone = 0
        for scope in sorted({each.scope for each in arrivals}):
            rows = [row for each in arrivals if each.scope == scope for row in each.rows]
            gone += self._recent.add(scope, sorted(rows, key=lambda row: (row.workload, repr(row))))
        out.count("notice", "unusual_forgotten", gone)

    def _forget(self, watermark: int) -> None:
        """What nobody can ask for any more; this looks at everything that is kept."""
        self._grouping.evidence.forget(watermark - _REMEMBERED_US)
        self._grouping.past.forget(watermark)
        self._grouping.history.forget(watermark)
        self._grouping.quieted.forget(watermark)
        self._neighbours.forget(watermark)
        self._recent.forget(watermark)

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
            value, headers = incident_event.encode(incident, shadow=self._config.shadow)
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
        self._apply_until(max(self._held.ends(), default=NO_TIME), out)
        return out

    def watermark_us(self) -> int:
        return self._intake.watermark_us

    def gauges(self) -> dict[str, float]:
        return {"open_incidents": len(self._grouping.open), "waiting_bytes": self._held.size}

    def snapshot(self, *, full: bool) -> Snapshot:
        (offset, progress), kept = self._intake.place(), self._grouping
        head = {
            "offset": offset,
            "read": self._read,
            "progress": progress,
            "closed": self._closed_us,
            "budgets": kept.budgets.dump(self._closed_us),
            "evidence": [own_forms.form_of(happened.what) for happened in kept.evidence],
            "quieted": kept.quieted.dump(),
            "ordered": kept.ordered.dump(),
            "settled": kept.past.settled(),
            "edges": self._neighbours.dump(),
        }
        blocks = {f"incident/{key}": pack_open(incident) for key, incident in kept.open.items()}
        blocks |= {f"over/{over.incident.id}": pack_over(over) for over in kept.past}
        blocks["rare"] = pack_rare(kept.rare)
        blocks["history"] = pack_history(kept.history)
        blocks["unusual"] = msgspec.msgpack.encode(self._recent.dump())
        blocks["texts"] = msgspec.msgpack.encode(kept.texts.dump())
        return Snapshot(_VERSION, offset, msgspec.msgpack.encode(head), blocks, tuple(blocks), full=True)

    def saved(self) -> None:
        """Nothing to remember: the state is always saved whole."""

    def restore(self, snapshot: Snapshot) -> None:
        if snapshot.version != _VERSION:
            raise other_version(self._role, self._name, snapshot.version, _VERSION)
        try:
            head = msgspec.msgpack.decode(snapshot.head)
            self._read = head["read"]
            self._intake.restore(head["offset"], head["progress"], head["closed"])
            self._held.clear()
            self._neighbours = Neighbours(self._config.join_us, map(tuple, head["edges"]))
            self._recent = RecentUnusual(msgspec.msgpack.decode(snapshot.blocks["unusual"]))
            self._grouping = self._made(
                opened=[unpack_open(snapshot.blocks[name]) for name in snapshot.names if name.startswith("incident/")],
                over=[unpack_over(snapshot.blocks[name]) for name in snapshot.names if name.startswith("over/")],
                rare=unpack_rare(snapshot.blocks["rare"]),
                history=unpack_history(snapshot.blocks["history"]),
                texts=Texts(msgspec.msgpack.decode(snapshot.blocks["texts"]) if "texts" in snapshot.names else ()),
                settled=head["settled"],
                budgets=head["budgets"],
                evidence=[self._happened(own_forms.happening_of(kind, form)) for kind, form in head["evidence"]],
            )
            self._grouping.quieted.load(head["quieted"])
            self._grouping.ordered.load(head["ordered"])
        except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise damaged(self._role, self._name, repr(error)) from error

    def heard(self) -> dict[str, int]:
        return self._intake.heard()

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
        self._recent = RecentUnusual(self._recent.dump(self._owns))
        self._grouping = self._made(
            opened=[incident for incident in kept.open.values() if self._owns(incident.scope)],
            over=[over for over in kept.past if self._owns(over.incident.scope)],
            rare=unpack_rare(pack_rare(kept.rare), self._owns),
            history=unpack_history(pack_history(kept.history, self._owns)),
            texts=Texts(kept.texts.dump(self._owns)),
            settled=kept.past.settled(),
            budgets=[saved for saved in kept.budgets.dump(self._closed_us) if self._owns(saved[0])],
            evidence=[happened for happened in kept.evidence if self._owns(happened.scope)],
        )
        self._grouping.quieted, self._grouping.ordered = kept.quieted, kept.ordered
        self._intake.move(-(moved or 0))
        self._read -= moved or 0

    def _owns(self, scope: str) -> bool:
        return scope_partition(scope, self._config.anomaly_partitions) == int(self._name.rpartition("/")[2])

    def lost_history(self) -> None:
        self._intake.lost_history()
