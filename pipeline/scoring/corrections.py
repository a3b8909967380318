"""What anomalies rest on, kept for as long as late data may show that they are wrong: the windows that made an episode,
or the time without data that made a silence.

Guarantee: an anomaly is withdrawn only where, with what came late, it would not have opened: too few of its windows
still are outside of the range that they were judged by, or no gap is as long as the one that it opened with. Detectors
are not asked again. What is kept depends on the windows and their event times alone, and is bounded: MOST_WINDOWS
windows of an episode with MOST_POINTS points each, MOST_GAPS stretches of data in a silence, MOST_KEPT of all these in
a shard. What is more is not kept, and stays as it was told.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import Anomaly
from pipeline.scoring import episodes, reasons

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

#: Windows of an episode, points of a window, stretches of data in a silence; and all of these together.
MOST_WINDOWS, MOST_POINTS, MOST_GAPS, MOST_KEPT = 64, 500, 64, 50_000
#: What a window, or a silence, takes beside its points, counted in points.
_WEIGHT = 8


@dataclass(slots=True)
class Made:
    """What the value of a window is made of: its points by time, and of the newest point before them value, time and
    start (0: unknown). Shapes (points,)."""

    time_us: Ints
    value: Floats
    start_us: Ints
    before: tuple[float, int, int] = (0.0, 0, 0)

    def with_point(self, time_us: int, value: float, start_us: int) -> "Made | None":
        """The same with one more; None where there is one of that time."""
        at = int(np.searchsorted(self.time_us, time_us))
        if at < self.time_us.size and self.time_us[at] == time_us:
            return None
        times, values = np.insert(self.time_us, at, time_us), np.insert(self.value, at, value)
        return Made(times, values, np.insert(self.start_us, at, start_us), self.before)


@dataclass(slots=True)
class Judged:
    """An unlikely window: the ``number``-th of its row, and its value then and ``now``. Between ``low`` and ``high`` a
    value is as usual; both NaN where what was odd is not the value. ``late``: points that came late."""

    end_us: int
    start_us: int
    number: int
    surprise: float
    value: float
    low: float
    high: float
    made: Made
    now: float
    late: int = 0

    @property
    def unlikely(self) -> bool:
        return not self.low <= self.now <= self.high

    @property
    def weight(self) -> int:
        return _WEIGHT + self.made.time_us.size


@dataclass(slots=True)
class Episode:
    """A run of unlikely windows of a row, by their ends. ``told``: the newest transition of its anomaly, None before
    one; ``open_windows`` of ``of_windows`` made that open. ``late``: points that came late."""

    row: int
    windows: dict[int, Judged] = field(default_factory=dict)
    told: Anomaly | None = None
    open_windows: int = 1
    of_windows: int = 1
    late: int = 0

    @property
    def weight(self) -> int:
        return sum(window.weight for window in self.windows.values())

    def is_unlikely(self, window: Judged) -> bool:
        """Is it still, by its own range and by that of the first window, which nothing of the episode had moved?"""
        first = self.windows[min(self.windows)]
        return window.unlikely and not first.low <= window.now <= first.high

    def stands(self, now_us: int) -> bool:
        """Would it have opened with what is known now?"""
        numbers = sorted(window.number for window in self.windows.values() if self.is_unlikely(window))
        last = numbers[self.open_windows - 1 :]
        return any(end - first < self.of_windows for first, end in zip(numbers, last, strict=False))


@dataclass(slots=True)
class Silence:
    """``heard``: stretches in which data were produced after all, from … to, apart from each other and in order."""

    row: int
    told: Anomaly
    needed_us: int
    heard: list[tuple[int, int]] = field(default_factory=list)
    late: int = 0

    @property
    def weight(self) -> int:
        return _WEIGHT + len(self.heard)

    def hear(self, start_us: int, end_us: int) -> bool:
        """There were data in this window; False where that is no news."""
        until_us = self.told.end_us
        if end_us <= self.told.onset_us or (until_us is not None and start_us >= until_us):
            return False
        if any(start <= start_us and end_us <= end for start, end in self.heard):
            self.late += 1
            return False
        found: list[tuple[int, int]] = []
        for start, end in sorted([*self.heard, (start_us, end_us)]):
            if found and start <= found[-1][1]:
                found[-1] = found[-1][0], max(end, found[-1][1])
            else:
                found.append((start, end))
        self.heard, self.late = found, self.late + 1
        return True

    def longest_us(self, now_us: int) -> int:
        """The longest gap that is left."""
        until_us = now_us if self.told.end_us is None else self.told.end_us
        edges = [(0, self.told.onset_us), *self.heard, (until_us, until_us)]
        return max(later - end for (_, end), (later, _) in pairwise(edges))

    def stands(self, now_us: int) -> bool:
        return self.longest_us(now_us) >= self.needed_us


Kept = Episode | Silence


class Corrections:
    """What is kept of a shard: of each row what goes on, and what is over, for ``horizon_us`` after its end."""

    def __init__(self, horizon_us: int) -> None:
        self._horizon_us = horizon_us
        self.current: dict[int, Kept] = {}  # by row
        self.over: dict[str, Kept] = {}  # by id of the anomaly, in the order in which they ended
        self._weight = 0
        self.left_out = 0
        self.changed = False

    def __len__(self) -> int:
        return len(self.current) + len(self.over)

    def by_row(self) -> dict[int, list[Kept]]:
        """What is kept of each row, what is over first."""
        found: dict[int, list[Kept]] = {}
        for each in self:
            found.setdefault(each.row, []).append(each)
        return found

    # -- what happens ------------------------------------------------------------------------------------------------

    def begin(self, row: int) -> None:
        """The next unlikely window of this row is the first of a run."""
        self._drop(row)
        self._put(row, Episode(row))

    def add(self, row: int, window: Judged) -> None:
        """One more window of a run of which all others are kept."""
        episode = self.current.get(row)
        if not isinstance(episode, Episode):
            return
        if len(episode.windows) >= MOST_WINDOWS or window.made.time_us.size > MOST_POINTS:
            self._drop(row, left_out=True)
            return
        episode.windows[window.end_us] = window
        self._weigh(window.weight)
        self._make_room(row)

    def told(self, row: int, anomaly: Anomaly, open_windows: int, of_windows: int) -> None:
        """A transition of the row's anomaly."""
        known = self.current.get(row)
        if anomaly.transition == "opened" and anomaly.silent:
            self._drop(row)
            self._put(row, Silence(row, anomaly, anomaly.step_us - anomaly.onset_us))
        elif known is None:
            return
        elif anomaly.transition == "opened" and isinstance(known, Episode):
            known.told, known.open_windows, known.of_windows = anomaly, open_windows, of_windows
        elif known.told is not None and known.told.id == anomaly.id:
            known.told = anomaly
            if anomaly.transition == "ended":
                self.over[anomaly.id] = self.current.pop(row)
        self.changed = True

    def pass_over(self, rows: Iterable[int]) -> None:
        """The runs of these rows came to nothing."""
        for row in rows:
            if row in self.current and self.current[row].told is None:
                self._drop(row)

    def runs(self) -> list[int]:
        """Rows with a run that is no anomaly yet."""
        return [row for row, each in self.current.items() if each.told is None]

    def pass_time(self, now_us: int) -> None:
        """Forget what was over for too long."""
        for key, each in list(self.over.items()):
            if each.told is None or each.told.step_us + self._horizon_us >= now_us:
                break
            self._forget_over(key)

    def withdrawn(self, kept: Kept) -> None:
        """It was wrong."""
        if self.current.get(kept.row) is kept:
            self._drop(kept.row)
        elif kept.told is not None:
            self._forget_over(kept.told.id)

    def forget(self, rows: Iterable[int]) -> None:
        """These rows begin anew."""
        gone = set(rows)
        for row in gone & self.current.keys():
            self._drop(row)
        for key in [key for key, each in self.over.items() if each.row in gone]:
            self._forget_over(key)

    # -- room --------------------------------------------------------------------------------------------------------

    def forget_left_out(self) -> int:
        """How many were let go, or not kept, since this was asked."""
        found, self.left_out = self.left_out, 0
        return found

    def grew(self, kept: Kept, by: int) -> None:
        """It takes so much more."""
        self._weigh(by)
        if isinstance(kept, Silence) and len(kept.heard) > MOST_GAPS:
            self.withdrawn(kept)
            self.left_out += 1
        self._make_room(kept.row)

    def _put(self, row: int, kept: Kept) -> None:
        self.current[row] = kept
        self._weigh(kept.weight)
        self._make_room(row)

    def _drop(self, row: int, *, left_out: bool = False) -> None:
        if (gone := self.current.pop(row, None)) is not None:
            self._weigh(-gone.weight)
            self.left_out += left_out

    def _forget_over(self, key: str) -> None:
        if (gone := self.over.pop(key, None)) is not None:
            self._weigh(-gone.weight)

    def _weigh(self, by: int) -> None:
        self._weight, self.changed = self._weight + by, True

    def _make_room(self, row: int) -> None:
        """What ended first goes first; where nothing is over, what needs the room is not kept."""
        while self._weight > MOST_KEPT and self.over:
            self._forget_over(next(iter(self.over)))
            self.left_out += 1
        if self._weight > MOST_KEPT:
            self._drop(row, left_out=True)

    def restore(self, current: Mapping[int, Kept], over: Mapping[str, Kept]) -> None:
        """Become what was saved."""
        self.current, self.over = dict(current), dict(over)
        self._weight = sum(each.weight for each in self)
        self.changed = False

    def __iter__(self) -> Iterator[Kept]:
        yield from self.over.values()
        yield from self.current.values()


def usual_range(window: episodes.Window, place: Array, given: Mapping[str, Array]) -> tuple[Array, Array]:
    """Between which values the windows at these places would have been as usual, by the band and the policy that they
    were judged by; NaN where what was odd is not the value, so that no other value says anything. Shapes (places,).

    That is an approximation: the band of a forecast is the central 99 % of what was expected, and a window needs more
    than to be outside of it. So some anomalies stay that would not have opened, and none goes that is outside.
    """
    row, why = window.row[place], np.broadcast_to(window.why, window.row.shape)[place]
    value, expected, lower, upper = (getattr(window, name)[place] for name in ("value", "expected", "lower", "upper"))
    least = np.maximum(given["least"][row], given["relative"][row] * np.abs(expected))
    direction, felt = given["direction"][row], why & reasons.FELT > 0
    low = np.where((direction > 0) | felt, -np.inf, np.minimum(lower, expected - least))
    high = np.where(felt, upper, np.where(direction < 0, np.inf, np.maximum(upper, expected + least)))
    low, high = np.maximum(low, given["hard_lower"][row]), np.minimum(high, given["hard_upper"][row])
    by_value = felt | (why & reasons.OUT_OF_RANGE > 0) | reasons.of_value(why)
    known = by_value & (why & (reasons.TOGETHER | reasons.RARE) == 0) & ~((low <= value) & (value <= high))
    return np.where(known, low, np.nan), np.where(known, high, np.nan)
