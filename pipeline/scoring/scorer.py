"""Windows of a shard's signals to scores and anomalies.

Guarantee: what comes out for a window end depends only on the windows so far and the policies in force, never on when
or in what order their points arrived. State is arrays by row, and pools.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import (
    ComposedDetector,
    CountsDetector,
    RowOptions,
    SilenceDetector,
    State,
    budget,
    felt,
    heirs,
    inherit,
    together,
)
from detectors.discovery import discovered
from detectors.layout import HIGH, LOW
from detectors.novelty import phases_of
from detectors.silence import ENDED, NEW
from pipeline.policies import DetectorPolicy, PolicyTable, Resolved
from pipeline.records import US, Anomaly, Kind, ScoreBlock, Signal
from pipeline.scoring import anomalies, episodes, reasons
from pipeline.scoring.alerts import Rare
from pipeline.scoring.catalogue import Catalogue, IdCollision
from pipeline.scoring.corrections import usual_range
from pipeline.scoring.felt_rows import FeltRows, Measures, nothing
from pipeline.scoring.pools import Pools
from pipeline.scoring.relatives import ENTITY_SIGNAL, LEAST_MEMBERS, Donors, Relatives
from pipeline.scoring.row_policies import FELT, SILENCE, TOGETHER, RowPolicies
from pipeline.scoring.table import Table

Array = npt.NDArray[Any]
_USUAL_WINDOW_US = 60 * US
#: What was given to a row, and does not come from what it saw.
_GIVEN = frozenset({("given", "window_us"), ("detector", "phase"), ("felt", "what"), ("felt", "scale")})


def default_detector(policy: DetectorPolicy) -> ComposedDetector:
    """The detector that people get."""
    return ComposedDetector(min_history=policy.min_history_windows)


def _ends_quietly(signal: Signal) -> bool:
    """Is it no silence when nothing comes of a signal any more?"""
    return signal.made or signal.kind is Kind.SPARSE_DELTA or signal.name == ENTITY_SIGNAL


class Scorer:
    """Detector, pools, policies and episodes for all signals of one shard. ``extra`` are array groups of other stages
    that live in the same table (and so in the same checkpoints); of these, arrays that are ``given`` (group, name)
    stay when a row begins anew. ``measures`` says what callers feel of a signal."""

    def __init__(
        self,
        policies: PolicyTable | DetectorPolicy,
        extra: Mapping[str, Any],
        given: frozenset[tuple[str, str]] = frozenset(),
        measures: Measures = nothing,
    ) -> None:
        table = policies if isinstance(policies, PolicyTable) else PolicyTable(policies)
        self.detector = default_detector(table.base)
        self.counts = CountsDetector()
        self.silences = SilenceDetector()
        self.catalogue = Catalogue()
        self.pools = Pools()
        self._relatives = Relatives()
        self._policies = RowPolicies(table)
        groups = {
            "detector": self.detector.fields,
            "episodes": episodes.FIELDS,
            "counts": self.counts.fields,
            "silence": self.silences.fields,
            "budget": budget.FIELDS,
            "together": together.FIELDS,
            "felt": felt.FIELDS,
            "given": {"window_us": np.int64, "met_us": np.int64},
            **extra,
        }
        self.table = Table(groups, frozenset(("detector", name) for name in self.detector.slow))
        self._felt = FeltRows(lambda: self.table.groups["felt"], measures)
        self._given = _GIVEN | given
        self._ids: Array = np.zeros(0, np.uint64)
        self._watched: Array = np.zeros(0, np.bool_)  # silence of the row would be one
        self.newest: episodes.Window | None = None  # the step before, as the episodes saw it; to look at

    @property
    def relatives(self) -> Relatives:
        """Who belongs with whom; to look at."""
        return self._relatives

    @property
    def ids(self) -> Array:
        """Ids of signals by row; to look at."""
        return self._ids

    # -- signals and policies ------------------------------------------------------------------------------------------

    def add(self, signal: Signal, window_us: int = _USUAL_WINDOW_US) -> int:
        """The row of a signal, whose windows are so long; the table grows as needed. Raises IdCollision."""
        known = len(self.catalogue)
        row = self.catalogue.add(signal)
        if len(self.catalogue) > known:
            self._begin([row], [window_us])
        return row

    def add_all(
        self, signals: Iterable[Signal], window_us: Callable[[Signal], int] = lambda _: _USUAL_WINDOW_US
    ) -> list[int]:
        """``add`` for many, which is much quicker: their rows, −1 for one that is refused, for another signal has its
        id. ``window_us`` gives the length of a signal's windows."""
        rows, new = [], []
        known = len(self.catalogue)
        for signal in signals:
            try:
                row = self.catalogue.add(signal)
            except IdCollision:
                row = -1
            rows.append(row)
            if len(self.catalogue) > known:
                known += 1
                new.append(row)
        self._begin(new, [window_us(self.catalogue.signals[row]) for row in new])
        return rows

    def load(self, signals: Iterable[Signal]) -> None:
        """Begin with the signals of a checkpoint, in their rows; ``restored`` when the table is loaded too. Raises
        IdCollision."""
        self.catalogue.load(signals)
        self._begin(list(range(len(self.catalogue.signals))), 0)

    def _begin(self, new: list[int], window_us: list[int] | int) -> None:
        """Make rows for new signals of the catalogue, whose windows are so long."""
        if not new:
            return
        rows = np.array(new, np.int64)
        self.table.grow(len(self.catalogue.signals))
        if self._ids.size < self.table.capacity:
            more = self.table.capacity - self._ids.size
            self._ids = np.concatenate([self._ids, np.zeros(more, np.uint64)])
            self._watched = np.concatenate([self._watched, np.zeros(more, np.bool_)])
            self._policies.grow(self.table.capacity)
        self._ids[rows] = ids = np.array([self.catalogue.signals[row].id for row in new], np.uint64)
        self.table.groups["given"]["window_us"][rows] = window_us
        self.table.groups["detector"]["phase"][rows] = phases_of(ids)
        self._felt.begin({row: self.catalogue.signals[row] for row in new})
        self.table.touch(rows)
        self.table.touch(rows, slow=True)
        self._decide(rows)

    def own_rows(self) -> Array:
        """Rows of signals, but for those of entities, which go with their members."""
        return np.setdiff1d(np.arange(self.table.rows), np.concatenate([self.catalogue.free(), self.pools.entity_rows]))

    def forget(self, rows: Array, waiting: Array, now_us: int) -> tuple[list[Signal], list[Anomaly]]:
        """Begin anew with these distinct rows, as if nothing had ever come; those that are not ``waiting`` for a window
        to close are free for other signals. Returns the signals that are gone, and episodes that end with that: those
        of entities of which too few members are left."""
        met = self.table.groups["given"]["met_us"]
        signals = self.catalogue.signals
        self._relatives.remove({row: signals[row] for row in rows[met[rows] > 0].tolist()})
        ended = self.pools.leave(rows)
        said = self._anomalies(episodes.end(self.table.groups["episodes"], ended), now_us, "its signals have ended")
        self.table.reset(np.concatenate([rows, ended]), self._given)
        gone = np.concatenate([rows[~np.isin(rows, waiting)], ended])
        self._watched[gone] = False
        self._felt.forget({row: signals[row] for row in gone.tolist()})
        return self.catalogue.remove(gone.tolist()), said

    def begin_anew(self, rows: Array, now_us: int, why: str) -> list[Anomaly]:
        """From now on these distinct rows measure something else: their episodes end, and what was learned goes."""
        said = self._anomalies(episodes.end(self.table.groups["episodes"], rows), now_us, why)
        self.table.reset(rows, self._given | {("given", "met_us")})
        return said

    def _decide(self, rows: Array) -> None:
        """Which policy these rows have."""
        signals = [self.catalogue.signals[row] for row in rows.tolist()]
        self._policies.set(rows, signals, self.table.groups["given"]["window_us"][rows].tolist())
        stays = np.array([not (signal.instance or _ends_quietly(signal)) for signal in signals], np.bool_)
        self._watched[rows] = stays & (self._policies.arrays["off"][rows] & SILENCE == 0)

    def _meet(self, end_us: int, row: Array, value: Array) -> None:
        """Rows with their first window inherit from siblings, or where there are none from the same metric of another
        workload, and join their entity, in the order of ids: then, and not when they were described, so that it does
        not matter when that was."""
        groups = self.table.groups
        new = np.flatnonzero(groups["given"]["met_us"][row] == 0)
        if not new.size:
            return
        new = new[np.argsort(self._ids[row[new]])]
        state = State(self.detector.version, groups["detector"])
        donors = Donors(groups["detector"], groups["counts"]["seen"])
        joining: list[tuple[int, ...]] = []
        entities: list[Signal] = []
        for each, first in zip(row[new].tolist(), value[new].tolist(), strict=True):
            signal = self.catalogue.signals[each]
            kin = self._relatives.add(each, signal)
            if not donors.any:
                pass
            elif siblings := donors.siblings(kin.siblings):
                inherit(state, each, siblings[0], siblings[1:])
            elif (stranger := donors.stranger(kin.strangers, first)) is not None:
                inherit(state, each, stranger, stranger=True)
            if signal.alert_type:
                self.pools.alerts.join(each, signal)
            members = self._relatives.entity(each, signal)
            if len(members) >= LEAST_MEMBERS:
                joining.append(tuple(members) if len(members) == LEAST_MEMBERS else (each,))
                entities.append(signal)
        groups["given"]["met_us"][row[new]] = end_us
        self.table.touch(row[new])
        self.table.touch(row[new], slow=True)
        self._join(entities, joining)

    def _join(self, signals: list[Signal], joining: list[tuple[int, ...]]) -> None:
        """Make rows members of the entity of the signal beside them."""
        windows = self.table.groups["given"]["window_us"]
        lengths: dict[int, int] = {}
        entities = []
        for signal, members in zip(signals, joining, strict=True):
            entity = self._relatives.derived(signal)
            lengths.setdefault(entity.id, int(windows[members[-1]]))
            entities.append(entity)
        rows = self.add_all(entities, lambda entity: lengths[entity.id])
        for row, members in zip(rows, joining, strict=True):
            if row >= 0:
                for member in members:
                    self.pools.join(member, row)

    def restored(self, pools: Mapping[str, Array]) -> None:
        """The table is as it was saved: so are relatives and pools. Raises ValueError or KeyError."""
        met_us = self.table.groups["given"]["met_us"][: self.table.rows]
        met = np.flatnonzero(met_us)
        self._relatives = Relatives()
        for row in met[np.lexsort((self._ids[met], met_us[met]))].tolist():
            self._relatives.add(row, self.catalogue.signals[row])
            self._relatives.entity(row, self.catalogue.signals[row])
        self.pools.load(pools)
        for row in met.tolist():
            if self.catalogue.signals[row].alert_type:
                self.pools.alerts.join(row, self.catalogue.signals[row])
        self.pools.alerts.settle()

    def apply(self, policies: PolicyTable) -> None:
        """From the next step on these policies are in force."""
        self._policies.apply(policies)
        self._decide(np.arange(self.table.rows))

    def policy_of(self, row: int) -> Resolved:
        """What is in force for a row."""
        return self._policies.resolved(row)

    def rules_of(self, row: Array) -> episodes.Rules:
        """When episodes of these rows open and end, now."""
        given = self._policies.arrays
        return episodes.Rules(
            self._policies.thresholds(self.pools.budget)[row],
            given["open_windows"][row],
            given["of_windows"][row],
            given["close_windows"][row],
            given["rare"][row],
        )

    def usual_range(self, place: Array) -> tuple[Array, Array]:
        """Between which values these windows of the newest step would have been as usual, see there."""
        assert self.newest is not None
        return usual_range(self.newest, place, self._policies.arrays)

    def options(self) -> RowOptions:
        """What people decided for the detector, by table row."""
        given = self._policies.arrays
        return RowOptions(given["off"], given["season"], given["history"])

    # -- windows -------------------------------------------------------------------------------------------------------

    def step(
        self, end_us: int, row: Array, start_us: Array, time_us: Array, value: Array, count: Array
    ) -> tuple[ScoreBlock, list[Anomaly]]:
        """Score the windows that end at ``end_us``; ``row`` is distinct, all shapes (windows,). The block also has the
        derived signals of the entities that these rows are part of."""
        self._meet(end_us, row, value)
        groups = self.table.groups
        resumed = episodes.end_silence(groups["episodes"], row, start_us)
        said = self._anomalies(resumed, end_us, "data came again")
        window, settled, cold = self._score(end_us, row, start_us, value)
        more = window.row.size - row.size
        rules = self.rules_of(window.row)
        self.newest = window
        changes = episodes.step(groups["episodes"], window, end_us, rules)
        self._filter(changes, window)
        usual = ~np.asarray(rules.restless, np.bool_)
        highest = float(np.max(rules.threshold[usual], initial=0.0))
        self.pools.learn(groups, window.row[usual], window.surprise[usual], highest)
        self.table.touch(window.row)
        said += self._anomalies(changes, end_us, "", settled)
        said += self._unheard(end_us, row)
        time_us = np.concatenate([time_us, np.full(more, end_us - 1)])
        count = np.concatenate([count, np.full(more, 1)])
        anomalous = groups["episodes"]["open"][window.row] | (
            window.deviates & (window.surprise >= rules.threshold) | window.forced
        )
        assert changes.judged is not None
        changes.judged.verdict[cold] |= np.uint8(episodes.COLD)
        return self._block(end_us, window, time_us, count, anomalous, changes.judged), said

    def _score(
        self, end_us: int, row: Array, start_us: Array, value: Array
    ) -> tuple[episodes.Window, dict[int, str], Array]:
        """The windows as the episodes need them, those of entities last; rows whose level is the normal one now; and
        which windows (their places) could not be judged yet."""
        groups, given = self.table.groups, self._policies.arrays
        values = np.full(self.table.capacity, np.nan)
        values[row] = value
        given_now, now = np.isfinite(values), end_us / US
        counted = State(self.counts.version, groups["counts"])
        quantum = counted.arrays["quantum"].copy()
        most = self.counts.most_evidence(counted, self.counts.step(counted, values, given_now, now), values, quantum)
        state = State(self.detector.version, groups["detector"])
        prior = self.pools.calibration.prior
        scores = self.detector.step(state, values, given_now, now, self.options(), prior, most)
        self.table.touch(np.flatnonzero(scores.slow), slow=True)
        entity, distances = self.pools.judge_entities(groups["together"], values, given["off"] & TOGETHER > 0)
        groups["detector"]["seen"][entity] = self.pools.windows(entity)
        all_rows = np.concatenate([row, entity])
        usual, rare = ~given["rare"][row], np.flatnonzero(given["rare"][row])
        own = scores.surprise[row]
        own[usual] = self.pools.calibrate(groups, row[usual], own[usual])
        expected, lower, upper, surprise = (
            np.concatenate([array, column])
            for array, column in (
                (scores.expected[row], distances[:, 1]),
                (scores.lower[row], np.zeros(entity.size)),
                (scores.upper[row], distances[:, 2]),
                (own, distances[:, 3]),
            )
        )
        cold = self._cold(all_rows, np.concatenate([scores.surprise[row], distances[:, 3]]))
        value = np.concatenate([value, distances[:, 0]])
        outside = (value < given["hard_lower"][all_rows]) | (value > given["hard_upper"][all_rows])
        outside[row.size :] = False  # a distance is nobody's measurement
        trouble = self._felt.step(row, value[: row.size], given["off"][row] & FELT > 0)
        surprise[trouble.place] = np.maximum(surprise[trouble.place], trouble.surprise)
        expected[trouble.place], upper[trouble.place] = trouble.usual, trouble.upper
        forced = outside.copy()
        forced[trouble.place] = True
        settled = np.concatenate([np.nan_to_num(scores.shift[row]) != 0.0, np.zeros(entity.size, np.bool_)])
        why = np.concatenate([reasons.bits(scores.evidence[row]), np.full(entity.size, reasons.TOGETHER, np.uint16)])
        why[trouble.place] |= np.uint16(reasons.FELT)
        matters = self._matters(all_rows, value, expected, why)
        if rare.size:
            found = self._alerts(end_us, row[rare], start_us[rare], value[rare])
            surprise[rare], why[rare] = found.surprise, reasons.RARE | np.where(found.first, reasons.FIRST, 0)
            matters[rare] = (value[rare] > 0.0) & (given["direction"][row[rare]] >= 0)
            cold = np.union1d(np.setdiff1d(cold, rare), rare[found.cold])
        window = episodes.Window(
            all_rows,
            np.concatenate([start_us, end_us - groups["given"]["window_us"][entity]]),
            surprise,
            matters,
            value,
            expected,
            lower,
            upper,
            forced,
            why | np.where(outside, reasons.OUT_OF_RANGE, 0).astype(np.uint16),
            settled,
        )
        words = {
            at: f"new normal: the level has moved by {scores.shift[at]:+.4g}"
            for at in row[settled[: row.size]].tolist()
        }
        return window, words, cold

    def _alerts(self, end_us: int, row: Array, start_us: Array, rate: Array) -> Rare:
        """How rare what came of alerts is; ``rate`` a second."""
        length = end_us - start_us
        count = np.rint(rate * (length / US))
        return self.pools.alerts.step(end_us, row, count, int(length[0]))

    def _cold(self, row: Array, raw: Array) -> Array:
        """Places of the windows (just learned) that came before enough was known of their rows, or while what a row has
        inherited was fitted to it: their surprise is 0 for that."""
        groups = self.table.groups
        places = np.flatnonzero(raw == 0.0)
        rows = row[places]
        seen, own = groups["detector"]["seen"][rows], groups["counts"]["seen"][rows]
        needed = np.where(
            own > 0, self._policies.arrays["history"][rows], together.COLD
        )  # entities have none of their own
        found: Array = places[(seen <= needed) | (own > 0) & (own <= heirs.WINDOWS) & (seen > own)]
        return found

    def _matters(self, row: Array, value: Array, expected: Array, why: Array) -> Array:
        """Is the deviation in the wanted direction and large enough to matter to anybody? Where not the value is odd
        but how it moves, what counts is how much the signal usually moves."""
        given, core = self._policies.arrays, self.table.groups["detector"]["core"]
        difference = value - expected
        direction = np.where(why & reasons.TOGETHER, 0, given["direction"][row])  # a distance has none
        size = np.where(direction == 0, np.abs(difference), difference * direction)
        size = np.where(reasons.of_movement(why), np.maximum(size, core[row, HIGH] - core[row, LOW]), size)
        least = np.maximum(given["least"][row], given["relative"][row] * np.abs(expected))
        enough: Array = (size >= least) & (size > 0)
        return enough

    def _filter(self, changes: episodes.Changes, window: episodes.Window) -> None:
        """Mark episodes that false-discovery control across the signals of this step takes for false ones."""
        rates = self._policies.arrays["discovery"]
        state = self.table.groups["episodes"]
        for rate in np.unique(rates[changes.opened][np.isfinite(rates[changes.opened])]).tolist():
            found = window.row[discovered(10.0**-window.surprise, rate)]
            false = changes.opened[(rates[changes.opened] == rate) & ~np.isin(changes.opened, found)]
            state["why"][false] |= anomalies.UNDISCOVERED

    # -- silence -------------------------------------------------------------------------------------------------------

    def _unheard(self, end_us: int, row: Array) -> list[Anomaly]:
        """Data that were expected in this window and did not come."""
        state = self.table.groups["silence"]
        sent = np.zeros(self.table.capacity, np.bool_)
        sent[row] = True
        counting = np.flatnonzero(~sent & (state["phase"] != NEW) & (state["phase"] != ENDED))
        self.table.touch(counting)
        scores = self.silences.step(State(self.silences.version, state), sent.astype(np.float64), sent, end_us / US)
        ended = counting[state["phase"][counting] == ENDED]
        gone = episodes.end_silence(self.table.groups["episodes"], ended, np.full(ended.size, end_us))
        said = self._anomalies(gone, end_us, "taken to have ended for good")
        quiet = counting[self._watched[counting] & (scores.surprise[counting] > 0.0)]
        if not quiet.size:
            return said
        late = quiet[scores.surprise[quiet] >= self._policies.thresholds(self.pools.budget)[quiet]]
        silence, usual = state["silence"][late].astype(np.float64), np.nan_to_num(scores.expected[late], nan=1.0)
        begun = episodes.begin_silence(self.table.groups["episodes"], late, scores.surprise[late], silence, usual)
        return said + self._anomalies(begun, end_us)

    def silence(self, now_us: int) -> list[Anomaly]:
        """End the episodes of signals that sent nothing for too long at ``now_us``."""
        rows = episodes.silent(self.table.groups["episodes"], now_us)
        self.table.touch(rows)
        none = np.empty(0, np.int64)
        return self._anomalies(episodes.Changes(none, none, rows), now_us)

    def next_silence(self) -> int | None:
        return episodes.next_silence(self.table.groups["episodes"])

    # -- out -----------------------------------------------------------------------------------------------------------

    def _block(
        self,
        end_us: int,
        window: episodes.Window,
        time_us: Array,
        count: Array,
        anomalous: Array,
        judged: episodes.Judged,
    ) -> ScoreBlock:
        ids = self._ids[window.row]
        order = np.argsort(ids)
        scored = (window.value, window.expected, window.lower, window.upper, window.surprise, anomalous)
        arrays = (time_us, count.astype(np.uint32), *scored, judged.threshold.astype(np.float32), judged.verdict)
        columns: list[Any] = [*(array[order] for array in arrays), self._policies.policies.version]
        return ScoreBlock(end_us, ids[order], *columns)

    def _anomalies(
        self, changes: episodes.Changes, step_us: int, ending: str = "", endings: Mapping[int, str] | None = None
    ) -> list[Anomaly]:
        found = []
        thresholds = self._needed(changes)
        for transition in ("opened", "updated", "ended"):
            for row in getattr(changes, transition).tolist():
                said = (endings or {}).get(row, ending) if transition == "ended" else ""
                signal, resolved = self.catalogue.signals[row], self.policy_of(row)
                rare = self._policies.arrays["rare"][row]
                version = self.pools.alerts.version if rare else self.detector.version
                judge = anomalies.Judge(version, float(thresholds[row]))
                told, felt = (signal, resolved, self.table.groups, judge, said), self._felt.by_callers(signal)
                found.append(anomalies.describe(row, transition, step_us, *told, felt))
        return sorted(found, key=lambda anomaly: (anomaly.signal.id, anomaly.revision))

    def _needed(self, changes: episodes.Changes) -> Array:
        """The surprise that windows needed to be unlikely, by row: as they were judged, or now where none came."""
        found = self._policies.thresholds(self.pools.budget)
        judged = changes.judged
        if judged is None or not (changes.opened.size or changes.updated.size or changes.ended.size):
            return found
        found = found.copy()
        found[judged.row] = judged.threshold
        return found
