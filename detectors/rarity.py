"""Rarity: how seldom so many things of one kind happen in a minute, for alerts and other events that come in bursts.

Guarantee: p is the share of earlier minutes in which as many came, in powers of two, with half a minute added, so it is
never 0; minutes in which nothing came count, however long they are. What happened a week ago counts half. While less
than a day is known the surprise is drawn in, for what a day looks like is not known yet.

A minute's count grows window by window; it is scored each time by the minutes before, and learned when the minute is
over. ``FirstSeen`` (a pool) says how surprising a kind is that was never seen before: its members are all kinds of one
place, and it counts the minutes in which a new one came.

Symbols: T decayed number of minutes, h(j) decayed number of those with 2^j … 2^(j+1) − 1
things, d what a minute's memory keeps over a minute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numba import njit

from detectors.protocol import Floats, Mask, Scores, State, check_state, empty_state

#: Powers of two that are told apart; the last one stands for all above.
BUCKETS = 24
_DAY = 86_400.0
_HALF, _MEDIAN = 0.5, 0.5
_SELDOM = 0.01  # the band holds all but this share of minutes


@dataclass(frozen=True, slots=True)
class Known:
    """What a pool knows of rows, shapes (rows,): when the minute began ``since`` which it has looked on, and the
    ``chance`` that a minute brings something of a kind never seen, for rows that are new."""

    since: Floats
    chance: Floats


@njit(cache=True, error_model="numpy")
def _bucket(count: float) -> int:
    """The greatest j with 2^j ≤ count."""
    j = 0
    while j < BUCKETS - 1 and 2.0 ** (j + 1) <= count:
        j += 1
    return j


@njit(cache=True, error_model="numpy")
def _length(keep: float, minutes: float) -> float:
    """T of so many minutes."""
    return (1.0 - keep**minutes) / (1.0 - keep)


@njit(cache=True, error_model="numpy")
def _step(
    values: Any, mask: Any, minute: float, seconds: float, half_life: float, given_since: Any, given_chance: Any,
    seen: Any, since: Any, at: Any, count: Any, kept: Any, shown: Any,
) -> None:  # fmt: skip
    keep = 0.5 ** (seconds / half_life)
    for i in range(values.size):
        if not mask[i] or not np.isfinite(values[i]):
            continue
        if seen[i] == 0:
            since[i] = min(given_since[i], minute)
            at[i] = minute
        elif minute > at[i]:
            faded = keep ** ((minute - at[i]) / seconds)
            if count[i] > 0.0:
                kept[i, _bucket(count[i])] += 1.0
            for j in range(BUCKETS):
                kept[i, j] *= faded
            at[i], count[i] = minute, 0.0
        count[i] = min(count[i] + max(values[i], 0.0), 1e300)
        known = _length(keep, max(minute - since[i], 0.0) / seconds)
        _band(kept[i], known, seen[i] == 0, values[i], shown[:, i])
        seen[i] += 1
        if count[i] <= 0.0:
            shown[3, i] = 0.0
            continue
        beyond, total = 0.0, 0.0
        for j in range(BUCKETS):
            total += kept[i, j]
            beyond += kept[i, j] if j >= _bucket(count[i]) else 0.0
        p = (beyond + _HALF) / (known + 1.0) if total > 0.0 else given_chance[i]
        shown[3, i] = max(-np.log10(min(p, 1.0)), 0.0) * drawn_in(minute - since[i])


@njit(cache=True, error_model="numpy")
def _band(kept: Any, known: float, new: bool, value: float, shown: Any) -> None:
    """The median of a minute's count, and what all but few minutes have; of a new row its value."""
    if new:
        shown[0] = shown[1] = shown[2] = value
        return
    shown[0] = shown[1] = shown[2] = 0.0
    beyond = 0.0
    for j in range(BUCKETS - 1, -1, -1):
        beyond += kept[j]
        share = beyond / max(known, 1.0)
        if share >= _SELDOM and shown[2] == 0.0:
            shown[2] = 2.0 ** (j + 1) - 1.0
        if share >= _MEDIAN and shown[0] == 0.0:
            shown[0] = 2.0**j
        if share >= 1.0 - _SELDOM and shown[1] == 0.0:
            shown[1] = 2.0**j


@njit(cache=True, error_model="numpy")
def drawn_in(looked_on: float) -> float:
    """What a surprise counts after so many seconds: the root of the share of a day, at most 1."""
    return min(max(looked_on, 0.0) / _DAY, 1.0) ** 0.5


def known_minutes(detector: "RarityDetector", looked_on: float) -> float:
    """The decayed number of minutes of so many seconds."""
    keep = 0.5 ** (detector.seconds / detector.half_life)
    return float(_length(keep, max(np.floor(looked_on / detector.seconds), 0.0)))


def minute_of(now: float, seconds: float) -> float:
    """When the minute (``seconds`` long) began that a window which ends at ``now`` is in."""
    return (float(np.ceil(now / seconds)) - 1.0) * seconds


@dataclass(frozen=True, slots=True)
class RarityDetector:
    """Row i is one kind of thing; values are how many came in a window, and windows are at most ``seconds`` long:
    that is what is called a minute here. ``half_life`` of what is remembered, in seconds. A row judged by itself is
    looked on since its first window, and that is no surprise."""

    seconds: float = 60.0
    half_life: float = 7 * _DAY

    version: ClassVar[str] = "rarity/1"
    fields: ClassVar[Mapping[str, npt.DTypeLike]] = {
        "seen": np.int64,
        "since": np.float64,  # when the first minute that counts began, epoch seconds
        "minute": np.float64,  # when the minute that goes on began
        "count": np.float64,  # things so far in it
        "kept": np.dtype(("f8", (BUCKETS,))),  # h, as of that minute
    }
    slow: ClassVar[frozenset[str]] = frozenset()

    def empty(self, rows: int) -> State:
        return empty_state(self.version, self.fields, rows)

    def check(self, state: State) -> None:
        """Raises StateVersionError when ``state`` is not this detector's."""
        check_state(self.version, self.fields, state)

    def step(self, state: State, values: Floats, mask: Mask, now: float, known: Known | None = None) -> Scores:
        """See RowDetector; ``known`` is what a pool knows of the rows. Bounds are of a whole minute's count."""
        shown = np.full((4, values.size), np.nan)
        minute, a = minute_of(now, self.seconds), state.arrays
        if known is None:
            known = Known(np.full(values.size, minute), np.ones(values.size))
        _step(
            values, mask, minute, self.seconds, self.half_life, known.since, known.chance,
            a["seen"], a["since"], a["minute"], a["count"], a["kept"], shown,
        )  # fmt: skip
        return Scores(*shown)


@dataclass(frozen=True, slots=True)
class FirstSeen:
    """How often a kind comes that was never seen, in each of several places (a row of the state each), by the minutes
    in which one came: several in one minute count once, for they seldom come alone. Remembered for less long than the
    kinds are: what is new now says little of tomorrow."""

    seconds: float = 60.0
    half_life: float = 6 * 3600.0

    version: ClassVar[str] = "first_seen/1"
    fields: ClassVar[Mapping[str, npt.DTypeLike]] = {
        "looking": np.bool_,
        "since": np.float64,
        "minute": np.float64,  # of the newest kind
        "firsts": np.float64,  # decayed number of minutes with a new kind, before that one
    }

    def empty(self, places: int) -> State:
        return empty_state(self.version, self.fields, places)

    def since(self, state: State, place: int, now: float) -> float:
        """When the minute began since which a place is looked on: that of ``now`` where it was not yet."""
        a = state.arrays
        if not a["looking"][place]:
            minute = minute_of(now, self.seconds)
            a["looking"][place], a["since"][place], a["minute"][place] = True, minute, minute
        return float(a["since"][place])

    def chance(self, state: State, place: int, now: float) -> float:
        """The chance that a minute has a kind that was never seen, by the minutes before this one."""
        minute, a = minute_of(now, self.seconds), state.arrays
        known = _length(self._keep(), max(minute - self.since(state, place, now), 0.0) / self.seconds)
        return min((self._firsts(a, place, minute) + _HALF) / (known + 1.0), 1.0)

    def saw(self, state: State, place: int, now: float) -> None:
        """A kind came for the first time."""
        minute, a = minute_of(now, self.seconds), state.arrays
        self.since(state, place, now)
        if minute > a["minute"][place]:
            a["firsts"][place], a["minute"][place] = self._firsts(a, place, minute), minute

    def _firsts(self, a: Mapping[str, npt.NDArray[Any]], place: int, minute: float) -> float:
        """Decayed number of minutes with a new kind before ``minute``."""
        firsts, apart = float(a["firsts"][place]), (minute - float(a["minute"][place])) / self.seconds
        return firsts if apart <= 0.0 else (firsts + 1.0) * self._keep() ** apart

    def _keep(self) -> float:
        return float(0.5 ** (self.seconds / self.half_life))
