"""The score chain: blocks of one ``calm.signals`` partition to windows, scores and anomalies.

Guarantee: scores and anomalies depend on the log's contents alone, policies included, which come as control records.
The state is two parts: what follows from the log up to a place (progress of the sources) and what follows from the
windows closed so far. A checkpoint holds the second (and what was heard of policies) as it is and the first as it was
before the oldest block that still waits for the watermark; reading on from there brings back what was waiting, and rows
of windows that are closed already are passed over, as are policies heard before.

The rows that wait are bounded. When a source is far behind the others, rows of the latest windows are let go; as soon
as the watermark has passed all that is left, the log is read again from the place that a checkpoint would name.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import (
    anomaly_event,
    columns,
    entity_event,
    happening_event,
    policy_event,
    score_block,
    signal_block,
    vitals_event,
)
from pipeline.flow import correction_state, known_signals, shadow
from pipeline.flow.absences import Absences
from pipeline.flow.chain import Numbers, damaged, other_version
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.distributions import Distributions
from pipeline.flow.felt_signals import measures
from pipeline.flow.happenings import grown
from pipeline.flow.intake import Intake
from pipeline.flow.known_signals import KnownSignals
from pipeline.flow.late_rows import LateRows
from pipeline.flow.unusual_workloads import UnusualWorkloads
from pipeline.policies import Control, LivePolicies, PolicyTable
from pipeline.records import (
    NO_TIME,
    Anomaly,
    Change,
    Entity,
    LaterBlocks,
    Message,
    Output,
    Produced,
    Signal,
    SignalBlock,
    Snapshot,
    window_end,
)
from pipeline.scoring.corrections import Corrections
from pipeline.scoring.scorer import Scorer
from pipeline.scoring.table import PART_ROWS
from pipeline.signals import rates
from pipeline.signals.identity import attributes_of, scope_partition
from pipeline.topology.workloads import Workloads
from pipeline.windows.tumbling import ClosedWindow, Pending, Rows

Array = npt.NDArray[Any]
log = logging.getLogger(__name__)

_TOO_MANY = (
    "more are refused until some send nothing for their time to live; take an attribute with very many values off "
    "where it comes from, or raise limits.max_signals_per_metric or limits.max_signals_per_workload"
)
#: Windows for which a count of which nothing comes is 0, and not a gap.
_QUIET_WINDOWS = 60


class ScoreChain:
    """The shard of partition ``partition`` of ``calm.signals``."""

    def __init__(self, partition: int, config: FlowConfig) -> None:
        self._name = f"signals/{partition}"
        self._config = config
        self._role = shadow.role_of("score", config)
        self._policies = LivePolicies(config.policy, config.policies, shadow=config.shadow)
        extra = {"signal": known_signals.FIELDS, "rates": rates.FIELDS}
        self._scorer = Scorer(self._policies.table, extra, known_signals.GIVEN, measures)
        self._known = KnownSignals(self._scorer, config)
        self._distributions = Distributions(self._scorer, self._known)
        self._intake = Intake(config.sources, config.lateness_us, punctual=config.join_shards())
        self._pending = Pending(config.most_held_rows)
        self._absences = Absences(self._scorer.table, self._intake)
        self._late = LateRows(self._scorer, self._intake, self._pending, config, self._distributions.made_of)
        self._workloads = Workloads()
        self._unusual = UnusualWorkloads(self._scorer, self._workloads.node_of)
        self._sent = [0] * config.anomaly_partitions  # anomalies written, by partition
        self._told = NO_TIME
        self._read = 0  # messages below it are in the state, but for what waits
        self._version = f"score/9+{self._scorer.detector.version}"

    # -- in ------------------------------------------------------------------------------------------------------

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        for message in messages:
            self._intake.begins(message.offset)
            if message.headers and policy_event.is_control(message.headers):
                self._hear(message, out)
                continue
            try:
                block = signal_block.decode(message.value or b"")
            except columns.DamagedFrame as error:
                out.count("drop", "undecodable")
                self._dead_letter(message, str(error), out)
                continue
            if block.described and message.offset >= self._read:
                self._describe(block.described, message, out)
            self._take(block, out)
            self._close(out)
            if self._at_horizon():
                self._read = max(self._read, message.offset + 1)
                out.reread_from = self._intake.rewind()
                self._pending.clear()
                out.count("notice", "read_again")
                return out
        if messages:
            self._read = max(self._read, messages[-1].offset + 1)
        return out

    def _at_horizon(self) -> bool:
        """Are all windows closed of which all rows are here?"""
        return self._pending.horizon_us is not None and self._intake.closed_us >= self._pending.horizon_us

    def _hear(self, message: Message, out: Output) -> None:
        """A control record: the policies in it count from the next window end on, or from their own time."""
        try:
            control = policy_event.decode_control(message.value)
        except policy_event.BadPolicy as error:
            out.count("drop", "undecodable")
            self._dead_letter(message, str(error), out)
            return
        out.count("notice", "policy_repeated", self._policies.take(control, self._intake.watermark_us))

    def begin_with(self, control: Control) -> None:
        """Before anything is read: what is in force, where the log may no longer say so."""
        self._policies.take(control, NO_TIME)
        self._scorer.apply(self._policies.advance(NO_TIME))

    def _take(self, block: SignalBlock, out: Output) -> None:
        for entity in block.entities:
            self._see(entity, block.progress_us, out)
        if self._intake.accepts(block, out):
            whole = self._pending.whole  # else the place to read again from is an earlier one
            held_us = self._hold(block, out) if block.rows else NO_TIME
            self._intake.took(block, held_us if whole else NO_TIME)

    def _see(self, entity: Entity, at_us: int, out: Output) -> None:
        """Somebody sends telemetry: where from, and is it a new version?"""
        news, change = self._workloads.see(entity, at_us)
        if news:
            out.records.append(Produced("topology", *entity_event.encode(entity, at_us)[::-1]))
        if change is not None:
            self._tell_change(replace(change, entity=attributes_of(entity)), entity.scope, out)

    def _tell_change(self, change: Change, scope: str, out: Output) -> None:
        partition = scope_partition(scope, self._config.anomaly_partitions)
        value, headers = happening_event.encode(change, self._name, self._sent[partition])
        self._sent[partition] += 1
        out.records.append(Produced("anomalies", value, scope.encode("utf-8", "replace"), partition, headers))

    def _describe(self, signals: Sequence[Signal], message: Message, out: Output) -> None:
        for excess in self._known.describe(signals, out):
            log.warning("%s: %s", self._name, excess)
            self._dead_letter(message, f"{excess}: {_TOO_MANY}", out, "too_many_signals")

    def _hold(self, block: SignalBlock, out: Output) -> int:
        """Keep a block's rows until their windows close; the greatest window end held."""
        row = self._scorer.catalogue.rows(block.ids)[block.signal]
        known = self._scorer.table.groups["signal"]["window_us"][np.maximum(row, 0)]
        ends = window_end(block.time_us, known + (row < 0))
        why = "too_many_signals" if self._known.refusing else "unknown_signal"
        refused = {why: row < 0, "measured_elsewhere": self._known.measured(row)}
        take = self._intake.fresh(block, ends, out, refused)
        start_us = block.start_us if block.start_us is not None else np.zeros(row.size, np.int64)
        rows = Rows(row, block.time_us, block.value, start_us, block.offset, block.source, block.histograms)
        if take.all():
            return self._pending.hold(rows, ends)
        late_us = self._late.hold(block, row, ends, refused)
        return max(self._pending.hold(rows.take(take), ends[take]), late_us)

    # -- windows -------------------------------------------------------------------------------------------------

    def _close(self, out: Output) -> None:
        """Close every window that the watermark has passed and of which nothing was let go, in event-time order."""
        watermark = self._intake.watermark_us
        if self._pending.horizon_us is not None:
            watermark = min(watermark, self._pending.horizon_us)
        if watermark <= self._intake.closed_us:
            return
        for end_us in self._absences.ends(self._pending.due(watermark), watermark):
            self._correct(end_us - 1, out)
            self._pass_time(end_us, out)
            self._score(self._pending.close(end_us), out)
        self._correct(watermark, out)
        self._pass_time(watermark, out)
        self._intake.closed(watermark)
        if self._at_horizon() and self._pending.whole:
            self._pending.clear()
            self._close(out)

    def _correct(self, until_us: int, out: Output) -> None:
        """Up to this event time points that came late count, each at its time."""
        for at_us in self._pending.due_late(until_us):
            self._pass_time(at_us, out)
            self._emit(self._late.apply(at_us, out), out)

    def _pass_time(self, until_us: int, out: Output) -> None:
        """Up to this event time new policies come into force, silent episodes end, and idle signals are forgotten, each
        at its time."""
        if (tick_us := known_signals.tick(until_us)) > self._known.tick_us:
            self._change(tick_us - 1, out)
            rows, said = self._known.forget_idle(tick_us, self._pending.rows(), out)
            self._distributions.forget(rows)
            self._late.forget(rows)
            self._emit(said, out)
        self._change(until_us, out)

    def _change(self, until_us: int, out: Output) -> None:
        while (at := self._policies.next_us()) is not None and at <= until_us:
            self._silences(at - 1, out)
            before, now = self._policies.table, self._policies.advance(at)
            if now.version != before.version:
                self._emit(self._distributions.change(before, now, at), out)
                self._scorer.apply(now)
                out.count("notice", "policies_changed")
        self._silences(until_us, out)

    def _silences(self, until_us: int, out: Output) -> None:
        while (at := self._scorer.next_silence()) is not None and at <= until_us:
            self._emit(self._scorer.silence(at), out)

    def _score(self, window: ClosedWindow, out: Output) -> None:
        table, before = self._scorer.table, self._late.before()
        self._known.saw(window.row, window.end_us)
        out.count("notice", "duplicate", window.duplicates)
        kind = table.groups["signal"]["kind"][window.row]
        points = rates.SortedPoints(window.row, window.time_us, window.value, window.start_us)
        parts = [rates.means(points.take(kind == rates.GAUGE) if (kind != rates.GAUGE).any() else points)]
        for code, rate in ((rates.COUNTER, rates.counter_rates), (rates.DELTA, rates.delta_rates)):
            if (kind == code).any():
                chosen = points.take(kind == code)
                parts.append(rate(chosen, table.groups["rates"]))
                table.touch(chosen.row)
        parts += self._counts(points.take(kind == rates.COUNT), window.end_us)
        parts.append(self._absences.values(window, points.take(kind == rates.SPARSE_DELTA)))
        if window.histograms:
            parts.append(self._distributions.values(window))
        row, value, time_us, count = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "value", "time_us", "count")
        )
        finite = np.isfinite(value)
        if not finite.all():  # sums and rates of finite points may be too large for a float
            out.count("drop", "overflow", int((~finite).sum()))
            row, value, time_us, count = row[finite], value[finite], time_us[finite], count[finite]
        if not row.size:
            return
        self._known.saw(row, window.end_us)
        start_us = window.end_us - np.maximum(table.groups["signal"]["window_us"][row], 1)
        block, anomalies = self._scorer.step(window.end_us, row, start_us, time_us, value, count)
        self._late.note(points, before, anomalies, out)
        out.count("windows", "", row.size)
        partition = int(self._name.rpartition("/")[2])
        for part in score_block.parts(block):
            out.records.append(Produced("scores", score_block.encode(part), partition=partition))
        self._tell_unusual(window.end_us, out)
        self._emit(anomalies, out)

    def _counts(self, points: rates.SortedPoints, end_us: int) -> list[rates.WindowValues]:
        """Counts of the window; those that were not 0 for the last time long ago are 0 where nothing came."""
        group = self._scorer.table.groups["signal"]
        length, counted = group["window_us"], group["counted_us"]
        counted[points.row] = end_us
        self._scorer.table.touch(points.row)
        quiet = (counted > 0) & (counted < end_us) & (counted >= end_us - _QUIET_WINDOWS * length)
        row = np.flatnonzero(quiet & (end_us % np.maximum(length, 1) == 0))
        zeros = rates.WindowValues(row, np.zeros(row.size), np.full(row.size, end_us - 1), np.zeros(row.size, np.int64))
        return [rates.counts(points, length[points.row]), zeros]

    # -- out -----------------------------------------------------------------------------------------------------

    def _emit(self, anomalies: Sequence[Anomaly], out: Output) -> None:
        self._late.told(anomalies)
        for anomaly in anomalies:
            partition = scope_partition(anomaly.signal.scope, self._config.anomaly_partitions)
            value, headers = anomaly_event.encode(anomaly, self._name, self._sent[partition])
            self._sent[partition] += 1
            out.count("anomaly", anomaly.transition)
            key = anomaly.signal.scope.encode("utf-8", "replace")
            out.records.append(Produced("anomalies", value, key, partition, headers))

    def _tell_unusual(self, end_us: int, out: Output) -> None:
        """What workloads show of which something is unusual, for who looks for causes."""
        found, left_out = self._unusual.rows(end_us)
        out.count("notice", "unusual_left_out", left_out)
        for scope, rows in found.items():
            partition = scope_partition(scope, self._config.anomaly_partitions)
            value, headers = vitals_event.encode(scope, end_us, rows, self._name, self._sent[partition])
            self._sent[partition] += 1
            out.records.append(Produced("anomalies", value, scope.encode("utf-8", "replace"), partition, headers))

    def _dead_letter(self, message: Message, detail: str, out: Output, reason: str = "undecodable") -> None:
        topic, _, partition = self._name.rpartition("/")
        out.records.append(dead_letter(message, topic, partition, reason, detail))

    def flush(self, *, idle: bool = False) -> Output:
        """Tell every partition of ``calm.anomalies`` how far event time is."""
        out = Output()
        if self._intake.closed_us > self._told:
            self._told = self._intake.closed_us
            for partition, sent in enumerate(self._sent):
                headers = anomaly_event.encode_progress(self._name, sent, self._told)
                out.records.append(Produced("anomalies", None, self._name.encode(), partition, headers))
        return out

    def drain(self) -> Output:
        """Close all windows that hold rows, at the end of a finite input."""
        out, due = Output(), self._pending.due(2**62)
        for end_us in self._absences.ends(due, due[-1] if due else NO_TIME):
            self._correct(end_us - 1, out)
            self._pass_time(end_us, out)
            self._score(self._pending.close(end_us), out)
            self._intake.closed(end_us)
        self._correct(2**62, out)
        return out

    @property
    def scorer(self) -> Scorer:
        """Signals, baselines and episodes of the shard, to look at."""
        return self._scorer

    @property
    def corrections(self) -> Corrections:
        """What is kept of anomalies that late points may show to be wrong, to look at."""
        return self._late.kept

    @property
    def policies(self) -> PolicyTable:
        """What is in force."""
        return self._policies.table

    @property
    def closed_us(self) -> int:
        """Windows that end at or before it are scored; beyond the watermark right after a restore."""
        return self._intake.closed_us

    def watermark_us(self) -> int:
        return self._intake.watermark_us

    def gauges(self) -> dict[str, float]:
        return {"signals": len(self._scorer.catalogue), "pending_rows": len(self._pending)}

    # -- state ---------------------------------------------------------------------------------------------------

    def snapshot(self, *, full: bool) -> Snapshot:
        offset, progress = self._intake.place()
        table = self._scorer.table
        ours = [self._intake.closed_us, self._sent, self._read, self._known.tick_us, self._policies.dump()]
        changed = table.changed(everything=full)
        blocks: dict[str, Callable[[], bytes]] = {
            name: partial(columns.encode, name, arrays) for name, arrays in changed
        }
        names = [*table.names(), "pools"]
        blocks["pools"] = lambda: columns.encode("pools", self._scorer.pools.dump())
        signals = self._scorer.catalogue.signals
        for part in range(table.parts()):
            names.append(f"signals/{part}")
            if full or part in self._scorer.catalogue.changed:
                inside = slice(part * PART_ROWS, min((part + 1) * PART_ROWS, table.rows))
                blocks[f"signals/{part}"] = partial(_described, signals, inside)
        names.append("workloads")
        blocks["workloads"] = lambda: msgspec.msgpack.encode(self._workloads.dump())
        if self._distributions.any():
            names.append("distributions")
            blocks["distributions"] = self._distributions.dump
        if len(self._late.kept):
            names.append("corrections")
            if full or self._late.kept.changed:
                blocks["corrections"] = partial(correction_state.pack, self._late.kept)
        return Snapshot(
            self._version,
            offset,
            msgspec.msgpack.encode([offset, progress, *ours]),
            LaterBlocks(blocks),
            tuple(names),
            full,
        )

    def saved(self) -> None:
        self._scorer.table.clean()
        self._scorer.catalogue.changed.clear()
        self._late.kept.changed = False

    def restore(self, snapshot: Snapshot) -> None:
        if snapshot.version != self._version:
            raise other_version(self._role, self._name, snapshot.version, self._version)
        try:
            head = msgspec.msgpack.decode(snapshot.head)
            offset, progress, closed_us, sent, self._read, self._known.tick_us, policies = head
            self._sent = grown(sent, len(self._sent))
            self._intake.restore(offset, progress, closed_us)
            self._policies.load(policies)
            parts = [name for name in snapshot.names if name.startswith("signals/")]
            parts.sort(key=lambda part: int(part.split("/")[1]))
            self._known.load([each for name in parts for each in signal_block.decode_signals(snapshot.blocks[name])])
            for name in snapshot.names:
                if name.startswith(("fast/", "slow/")):
                    self._scorer.table.load(name, columns.decode(snapshot.blocks[name])[1])
            self._scorer.restored(columns.decode(snapshot.blocks["pools"])[1])
            self._scorer.apply(self._policies.table)
            self._workloads.load(msgspec.msgpack.decode(snapshot.blocks["workloads"]))
            if "distributions" in snapshot.names:
                self._distributions.load(snapshot.blocks["distributions"])
            if "corrections" in snapshot.names:
                correction_state.unpack(snapshot.blocks["corrections"], self._late.kept)
        except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise damaged(self._role, self._name, repr(error)) from error

    def heard(self) -> dict[str, int]:
        return self._intake.heard()

    def numbers(self) -> Numbers:
        return {("anomalies", partition): number for partition, number in enumerate(self._sent)}

    def go_on_from(self, numbers: Numbers) -> None:
        self._sent = [numbers.get(("anomalies", partition), 0) for partition in range(len(self._sent))]

    def lost_history(self) -> None:
        self._intake.lost_history()


def _described(signals: Sequence[Signal], inside: slice) -> bytes:
    return signal_block.encode_signals(signals[inside])
