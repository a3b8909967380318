"""Points that came after their windows, on their way to the anomalies that they may show to be wrong.

Guarantee: a late point counts at an event time that follows from the log alone: the end of the window in which its
source stood when it came (or, where that had been idle, in which the watermark stood), ordered by (event time, signal,
source, offset) among those of that time. Until then it waits as all rows do, so batches, restarts and the order between
writers change nothing. What detectors have learnt stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.silence import ENDED, NEW
from pipeline.flow import late_words
from pipeline.flow.config import FlowConfig
from pipeline.flow.intake import Intake
from pipeline.flow.made_of import KINDS, made_of, value_of, with_late
from pipeline.records import NO_TIME, Anomaly, Output, Signal, SignalBlock, window_end
from pipeline.scoring import episodes
from pipeline.scoring.corrections import Corrections, Episode, Judged, Kept, Silence
from pipeline.scoring.relatives import ENTITY_SIGNAL
from pipeline.scoring.scorer import Scorer
from pipeline.signals import rates
from pipeline.windows.tumbling import Pending, Rows

Array = npt.NDArray[Any]
_Point = tuple[int, int, float, int]  # row, time, value, start
_WindowOf = tuple[tuple[str, str, str], int]  # an entity, and the end of a window


class LateRows:
    """Of a score shard, whose scorer, intake and rows that wait these are. ``derived`` gives the rows that are made of
    a row of histograms."""

    def __init__(
        self,
        scorer: Scorer,
        intake: Intake,
        pending: Pending,
        config: FlowConfig,
        derived: Callable[[int], Sequence[int]],
    ) -> None:
        self._scorer, self._intake, self._pending = scorer, intake, pending
        self._window_us, self._on = config.window_us, config.correction_us > 0
        self._derived = derived
        self.kept = Corrections(config.correction_us)

    # -- in ------------------------------------------------------------------------------------------------------

    def hold(self, block: SignalBlock, row: Array, ends: Array, refused: Mapping[str, Array]) -> int:
        """Keep the rows of a block that came after their windows, which end at ``ends``, until they count; when that
        is, at the latest (NO_TIME: there are none). ``refused`` are rows that cannot be used whenever they come."""
        if not self._on:
            return NO_TIME
        at_us = np.full(ends.size, max(self._intake.watermark_us, 0))
        take = self._after_idle(block, row, ends)
        if block.late is not None and block.late_us is not None:
            take[block.late] = True
            at_us[block.late] = np.maximum(at_us[block.late], block.late_us)
        if not take.any():
            return NO_TIME
        at_us = window_end(at_us, self._window_us)
        take &= self._intake.is_new(block) & (at_us > self._intake.closed_us)
        for wrong in refused.values():
            take &= ~wrong
        if not take.any():
            return NO_TIME
        start_us = block.start_us if block.start_us is not None else np.zeros(row.size, np.int64)
        rows = Rows(row, block.time_us, block.value, start_us, block.offset, block.source, {}, late=True)
        return self._pending.hold(rows.take(take), at_us[take])

    def _after_idle(self, block: SignalBlock, row: Array, ends: Array) -> Array:
        """Rows in the order of their source, which windows did not wait for. Events tell of no progress of their own,
        so of these nobody knows when they came to count."""
        if not self._intake.is_behind(block.source):
            return np.zeros(ends.size, np.bool_)
        after: Array = ends <= self._intake.watermark_us
        if block.late is not None:
            after[block.late] = False
        after &= self._kinds(np.maximum(row, 0)) != rates.COUNT
        return after

    def _kinds(self, row: Array) -> Array:
        return np.asarray(self._scorer.table.groups["signal"]["kind"][row])

    # -- what they may change ------------------------------------------------------------------------------------

    def before(self) -> dict[str, Array]:
        """What rates are told from, before the windows of a step."""
        group, rows = self._scorer.table.groups["rates"], self._scorer.table.rows
        return {name: group[name][:rows].copy() for name in rates.FIELDS} if self._on else {}

    def note(self, points: rates.SortedPoints, before: dict[str, Array], said: Sequence[Anomaly], out: Output) -> None:
        """Keep the unlikely windows of the newest step; ``points`` are all of it, ``said`` is to be told of it. Those
        of an entity have 1 for a value, until they are found to be as usual."""
        self.told([anomaly for anomaly in said if anomaly.transition == "ended"])  # another one may begin
        newest, state = self._scorer.newest, self._scorer.table.groups["episodes"]
        if not self._on or newest is None:
            return
        idle = np.array(self.kept.runs(), np.int64)
        self.kept.pass_over(idle[(state["recent"][idle] == 0) & ~state["open"][idle]].tolist())
        place = np.flatnonzero((state["recent"][newest.row] & 1 > 0) & (newest.row < before["last_us"].size))
        row, kind = newest.row[place], self._kinds(newest.row[place])
        came = np.searchsorted(points.row, row, "right") > np.searchsorted(points.row, row)
        of_entity = np.array([self._signal(each).name == ENTITY_SIGNAL for each in row.tolist()], np.bool_)
        told = np.isin(kind, KINDS) & (came | (kind == rates.SPARSE_DELTA)) | of_entity
        place = place[told]
        place = place[np.argsort(self._scorer.ids[newest.row[place]])]
        low, high = self._scorer.usual_range(place)
        whole = dict.fromkeys(row[of_entity].tolist())
        for i, at in enumerate(place.tolist()):
            each, start_us = int(newest.row[at]), int(newest.start_us[at])
            if state["onset_us"][each] == start_us:
                self.kept.begin(each)
            if each in self.kept.current:
                value, usual = float(newest.value[at]), (float(low[i]), float(high[i]))
                if each in whole:
                    value, usual = 1.0, (0.0, 0.0)
                number, surprise, made = (
                    int(state["windows"][each]),
                    float(newest.surprise[at]),
                    made_of(each, points, before),
                )
                end_us = start_us + self._length_us(each)
                self.kept.add(each, Judged(end_us, start_us, number, surprise, value, *usual, made, value))
        out.count("notice", "corrections_left_out", self.kept.forget_left_out())

    def _signal(self, row: int) -> Signal:
        return self._scorer.catalogue.signals[row]

    def _length_us(self, row: int) -> int:
        return int(self._scorer.table.groups["given"]["window_us"][row])

    def _end_us(self, row: int, time_us: int) -> int:
        """Of the window of a row that holds a time."""
        length_us = self._length_us(row)
        return (time_us // length_us + 1) * length_us

    def told(self, anomalies: Sequence[Anomaly]) -> None:
        """These were told."""
        if not self._on or not anomalies:
            return
        rows = self._scorer.catalogue.rows(np.array([anomaly.signal.id for anomaly in anomalies], np.uint64))
        known = np.flatnonzero(rows >= 0)
        rules = self._scorer.rules_of(rows[known])
        for at, first, of in zip(known.tolist(), rules.open_windows.tolist(), rules.of_windows.tolist(), strict=True):
            self.kept.told(int(rows[at]), anomalies[at], first, of)

    def forget(self, rows: Array) -> None:
        """These rows begin anew."""
        self.kept.forget(rows.tolist())

    # -- out -----------------------------------------------------------------------------------------------------

    def apply(self, at_us: int, out: Output) -> list[Anomaly]:
        """The late points that count at this time, all that there are; the anomalies that are wrong with them."""
        chunks = self._pending.late(at_us)
        self.kept.pass_time(at_us)
        kept, used = self.kept.by_row(), 0
        changed: dict[int, Kept] = {}
        points = self._in_order(chunks)
        whole = self._entities(points)
        for point in points:
            row, time_us, _, _ = point
            for each in (row, *self._derived(row)):
                found = [one for one in kept.get(each, ()) if self._takes(one, point, own=each == row)]
                changed |= {id(one): one for one in found}
                used += bool(found)
                self._heard(each, time_us, at_us)
        out.count("correction", "", used)
        still = {id(one) for one in self.kept}
        found = [one for key, one in changed.items() if key in still]
        found += self._of_signals(whole, [window for one in found for window in self._anew(one)])
        wrong = [one for one in found if one.told is not None and not one.stands(at_us)]
        out.count("notice", "late_data", len(wrong))
        out.count("withdrawn", "going_on", sum(one.told is not None and one.told.end_us is None for one in wrong))
        out.count("notice", "corrections_left_out", self.kept.forget_left_out())
        said = [self._withdraw(one, at_us) for one in wrong]
        return sorted(said, key=lambda anomaly: (anomaly.signal.id, anomaly.onset_us))

    def _in_order(self, chunks: Sequence[Rows]) -> list[_Point]:
        ids = self._scorer.ids
        found = [
            (time_us, int(ids[row]), rows.source, offset, row, value, start_us)
            for rows in chunks
            for row, time_us, value, start_us, offset in zip(
                rows.row.tolist(), rows.time_us.tolist(), rows.value.tolist(), rows.start_us.tolist(),
                rows.offset.tolist(), strict=True,
            )
        ]  # fmt: skip
        return [(row, time_us, value, start_us) for time_us, _, _, _, row, value, start_us in sorted(found)]

    def _takes(self, kept: Kept, point: _Point, *, own: bool) -> bool:
        """Does a late point say anything of it? ``own``: of this very signal."""
        row, time_us, value, start_us = point
        weight = kept.weight
        if isinstance(kept, Silence):
            end_us, self.kept.changed = self._end_us(row, time_us), True
            found = kept.hear(end_us - self._length_us(row), end_us)
        else:
            found = own and self._corrects(kept, time_us, value, start_us)
        if found:
            self.kept.grew(kept, kept.weight - weight)
        return found

    def _corrects(self, episode: Episode, time_us: int, value: float, start_us: int) -> bool:
        kind, found = int(self._kinds(np.array([episode.row]))[0]), False
        for window in episode.windows.values():
            if (made := with_late(kind, episode, window, time_us, value, start_us)) is not None:
                window.made, window.late, found = made, window.late + 1, True
        episode.late += found
        return found

    def _heard(self, row: int, time_us: int, at_us: int) -> None:
        """Data were produced at this time: what is counted of a silence that nobody was told of begins after it."""
        state = self._scorer.table.groups["episodes"]
        if not (state["open"][row] and state["silent"][row]):
            self._count_from(row, self._end_us(row, time_us), at_us)

    def _count_from(self, row: int, from_us: int, at_us: int) -> None:
        """A silence that goes on is counted from there on, as if its windows had been spread evenly."""
        groups = self._scorer.table.groups
        seen_us, silence = int(groups["episodes"]["seen_us"][row]), groups["silence"]["silence"]
        if groups["silence"]["phase"][row] in (NEW, ENDED) or not silence[row] or not seen_us < from_us <= at_us:
            return
        silence[row] = int(silence[row]) * (at_us - from_us) // (at_us - seen_us)
        groups["episodes"]["seen_us"][row] = from_us
        self._scorer.table.touch(np.array([row]))

    def _anew(self, kept: Kept) -> list[_WindowOf]:
        """Judge again what late points came for; windows that are as usual with them."""
        if isinstance(kept, Silence):
            return []
        kind, usual = int(self._kinds(np.array([kept.row]))[0]), []
        for window in kept.windows.values():
            if window.late and (value := value_of(kind, window)) is not None:
                window.now = value
                if not kept.is_unlikely(window):
                    usual.append((_entity(self._signal(kept.row)), window.end_us))
                    self._count_no_more(kept, window)
        return usual

    def _count_no_more(self, episode: Episode, window: Judged) -> None:
        if episode.told is None:
            episodes.as_usual(self._scorer.table.groups["episodes"], episode.row, window.number)

    def _entities(self, points: list[_Point]) -> dict[tuple[str, str, str], list[Episode]]:
        """Those of which something is kept, with the windows that any of these points are of marked."""
        whole: dict[tuple[str, str, str], list[Episode]] = {}
        for each in self.kept:
            if isinstance(each, Episode) and self._signal(each.row).name == ENTITY_SIGNAL:
                whole.setdefault(_entity(self._signal(each.row)), []).append(each)
        for row, time_us, _, _ in points if whole else ():
            for each in whole.get(_entity(self._signal(row)), ()):
                if (window := each.windows.get(self._end_us(row, time_us))) is not None:
                    window.late, self.kept.changed = window.late + 1, True
        return whole

    def _of_signals(self, whole: Mapping[tuple[str, str, str], list[Episode]], usual: list[_WindowOf]) -> list[Episode]:
        """Entities of which a signal was unlikely that is as ``usual`` now, judged again: a window of one is as usual
        where a point of it came late, and none of its signals is unlikely in it any more."""
        found = [each for key in sorted({key for key, _ in usual}) for each in whole.get(key, ())]
        unlikely = {
            (_entity(self._signal(each.row)), end_us)
            for each in (self.kept if found else ())
            if isinstance(each, Episode) and self._signal(each.row).name != ENTITY_SIGNAL
            for end_us, window in each.windows.items()
            if each.is_unlikely(window)
        }
        for each in found:
            key = _entity(self._signal(each.row))
            for end_us, window in each.windows.items():
                if window.late and window.now and (key, end_us) not in unlikely:
                    window.now, self.kept.changed = 0.0, True
                    self._count_no_more(each, window)
        return found

    def _withdraw(self, kept: Kept, at_us: int) -> Anomaly:
        told = kept.told
        assert told is not None
        groups, goes_on = self._scorer.table.groups, told.end_us is None
        self.kept.withdrawn(kept)
        if episodes.withdraw(groups["episodes"], kept.row, told.onset_us) and goes_on and isinstance(kept, Silence):
            self._count_from(kept.row, kept.heard[-1][1], at_us)
        self._scorer.table.touch(np.array([kept.row]))
        return replace(
            told,
            revision=told.revision + 1,
            transition="withdrawn",
            step_us=at_us,
            end_us=told.last_seen_us if told.end_us is None else told.end_us,
            why=late_words.of_silence(kept, at_us) if isinstance(kept, Silence) else late_words.of_episode(kept),
        )


def _entity(signal: Signal) -> tuple[str, str, str]:
    return signal.scope, signal.workload, signal.instance
