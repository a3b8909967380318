"""Unlikely windows to anomalies: an episode opens when n of the last m windows were unlikely, and ends when the
surprise stays low, when its level became the normal one, or when no data came for many intervals.

Guarantee: an episode's onset is the first unlikely window of the run that opened it (with three or more needed, it may
have left the last m by then); every transition follows from the row's own windows and their event times alone. One
event is one episode: for a while after one opened or became the normal level (its *rest*, a share of the history,
within bounds) only a plainly stronger one opens, and a row that opens many needs a little more each time. All state is
arrays, one row a signal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import US

Array = npt.NDArray[Any]

FIELDS: Mapping[str, npt.DTypeLike] = {
    "recent": np.uint8,  # bit i: was the window i steps ago unlikely
    "open": np.bool_,
    "silent": np.bool_,  # the open episode is about data that do not come
    "quiet": np.uint8,  # windows in a row with low surprise
    "why": np.uint16,  # what was odd at the peak: bits, see scoring.reasons
    "rested": np.uint16,  # windows since an episode opened or its level became the normal one
    "windows": np.uint32,  # windows with data
    "unlikely": np.uint32,  # unlikely windows of the episode
    "revision": np.uint32,
    "fatigue": np.float32,
    "onset_us": np.int64,
    "last_us": np.int64,  # end of the newest unlikely window
    "seen_us": np.int64,  # end of the newest window with data
    "interval_us": np.int64,  # usual distance of windows with data
    "peak_us": np.int64,
    "told": np.float64,  # surprise of the newest transition
    "peak": np.float64,  # greatest surprise
    "peak_value": np.float64,
    "peak_expected": np.float64,
    "peak_lower": np.float64,
    "peak_upper": np.float64,
    "excess": np.float64,  # sum of (value − expected) · seconds over the windows since the onset
}

#: An open episode whose signal sends nothing for this many of its usual intervals ends.
SILENT_INTERVALS = 10

_REST_SHARE, _LEAST_REST, _MOST_REST = 0.03, 45, 288
_DAY_US = 86_400_000_000
_STRONGER = 1.5  # times the peak of the last episode: opens in spite of the rest
_FATIGUE_STEP, _FATIGUE_MEMORY = 0.1, 3000.0  # added to the threshold for each episode but one; windows
_NEVER = np.iinfo(np.uint16).max


@dataclass(frozen=True, slots=True)
class Rules:
    """When an episode opens and ends, see DetectorPolicy; each a number, or an array with one for each row. What is
    ``restless`` needs no rest between episodes, nor does it tire: its surprise tells of how often they come."""

    threshold: Any
    open_windows: Any
    of_windows: Any
    close_windows: Any
    restless: Any = False


@dataclass(frozen=True, slots=True)
class Window:
    """One window of some rows, all shapes (rows,): ``row`` distinct, ``deviates`` = large enough to matter, ``forced``
    = unlikely whatever the surprise, ``why`` bits, ``settled`` = the level it has is the normal one from now on."""

    row: Array
    start_us: Array
    surprise: Array
    deviates: Array
    value: Array
    expected: Array
    lower: Array
    upper: Array
    forced: Any = False
    why: Any = 0
    settled: Any = False


#: Bits of what was made of a window: its deviation is large enough and in the wanted direction; its surprise reached
#: the threshold; it is unlikely whatever the surprise; an episode opened too short a time ago for another one; one was
#: open already; one opened with it; one ended with it; too little was known to judge (for the scorer to say).
MATTERS, SURPRISES, FORCED, RESTS, WAS_OPEN, OPENS, ENDS, COLD = (1 << bit for bit in range(8))


@dataclass(frozen=True, slots=True)
class Judged:
    """What was made of the windows of a step, shapes (rows,): row, the surprise that was needed, bits of the above."""

    row: Array
    threshold: Array
    verdict: Array


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows whose episode opened, got worse, or ended in this step; ``judged`` where windows led to that."""

    opened: Array
    updated: Array
    ended: Array
    judged: Judged | None = None


def empty(rows: int) -> dict[str, Array]:
    return {name: np.zeros(rows, dtype) for name, dtype in FIELDS.items()}


def needed(state: dict[str, Array], row: Array, rules: Rules) -> Array:
    """The surprise from which the next window of these rows is unlikely: more than the threshold where none is open and
    many opened of late."""
    tired = rules.threshold + _FATIGUE_STEP * np.maximum(state["fatigue"][row] - 1.0, 0.0)
    return np.where(state["open"][row] | rules.restless, rules.threshold, tired)


def rest(state: dict[str, Array], row: Array) -> Array:
    """Windows for which an episode of these rows keeps others from opening: a share of the windows seen, within bounds,
    and a day at most."""
    a_day = _DAY_US / np.maximum(state["interval_us"][row], 1)
    return np.minimum(np.clip(_REST_SHARE * state["windows"][row], _LEAST_REST, _MOST_REST), a_day)


def step(state: dict[str, Array], window: Window, end_us: int, rules: Rules) -> Changes:
    """Apply the windows that end at ``end_us``. An open episode about silence must have ended before."""
    row = window.row
    _time_passes(state, row, end_us)
    rested, may_open = _rested(state, window)
    may_open |= rules.restless
    was_open = state["open"][row]
    threshold = needed(state, row, rules)
    surprises = window.surprise >= threshold
    unlikely = window.deviates & surprises | window.forced
    calm = (~window.deviates | (window.surprise < rules.threshold / 2)) & ~np.asarray(window.forced)
    keep = ((1 << np.asarray(rules.of_windows, np.int64)) - 1).astype(np.uint8)
    recent = ((state["recent"][row] << 1) | (unlikely & (was_open | may_open))) & keep
    state["recent"][row] = recent
    fresh = unlikely & ~was_open & may_open
    first = fresh & (np.bitwise_count(recent) == 1)
    _forget_peak(state, row[first], window.start_us[first])
    _remember_peak(state, window, unlikely & (was_open | may_open))
    _sum_up(state, window, end_us, was_open | (recent != 0))
    state["last_us"][row[unlikely]] = end_us
    state["unlikely"][row[unlikely]] += 1
    opens = fresh & (np.bitwise_count(recent) >= rules.open_windows)
    quiet = np.where(calm, np.minimum(state["quiet"][row].astype(np.int64) + 1, 255), 0)
    state["quiet"][row] = quiet
    ends = was_open & ((quiet >= rules.close_windows) | window.settled)
    peak, told = state["peak"][row], state["told"][row]
    worse = was_open & ~ends & unlikely & (peak >= 2 * told) & (peak > told)
    state["open"][row] = (was_open | opens) & ~ends
    state["recent"][row[ends]] = 0
    state["rested"][row] = np.where(opens | np.asarray(window.settled), 1, rested)
    state["fatigue"][row] = state["fatigue"][row] * np.exp(-1.0 / _FATIGUE_MEMORY) + opens
    verdict = _bits(row.size, window.deviates, surprises, window.forced, ~(may_open | was_open), was_open, opens, ends)
    return _told(state, row[opens], row[worse], row[ends], Judged(row, threshold, verdict))


def begin_silence(state: dict[str, Array], row: Array, surprise: Array, silence: Array, usual: Array) -> Changes:
    """Open episodes of rows from which nothing comes: since their newest window, with gaps as values."""
    opens = ~state["open"][row]
    row, surprise = row[opens], surprise[opens]
    state["open"][row] = state["silent"][row] = True
    state["excess"][row] = np.nan
    state["onset_us"][row] = state["last_us"][row] = state["peak_us"][row] = state["seen_us"][row]
    state["peak"][row], state["unlikely"][row], state["why"][row] = surprise, silence[opens], 0
    for name, value in (("value", silence), ("expected", usual), ("lower", usual), ("upper", usual)):
        state[f"peak_{name}"][row] = value[opens]
    return _told(state, row, row[:0], row[:0])


def end_silence(state: dict[str, Array], row: Array, until_us: Array) -> Changes:
    """End the episodes about silence of these rows, shape as ``until_us``: data came then, or never will."""
    about = state["open"][row] & state["silent"][row]
    ends = row[about]
    state["last_us"][ends] = until_us[about]
    state["open"][ends] = False
    state["recent"][ends] = 0
    return _told(state, ends[:0], ends[:0], ends)


def end(state: dict[str, Array], row: Array) -> Changes:
    """End the open episodes of these rows, whatever they are about."""
    ends = row[state["open"][row]]
    state["open"][ends] = False
    state["recent"][ends] = 0
    return _told(state, ends[:0], ends[:0], ends)


def withdraw(state: dict[str, Array], row: int, anomaly_onset_us: int) -> bool:
    """The episode of a row turns out not to have been one: it ends if it goes on, and keeps no other one from opening.
    False where the row's newest episode is another one."""
    if state["onset_us"][row] != anomaly_onset_us or not state["revision"][row]:
        return False
    state["open"][row] = False
    state["recent"][row] = state["rested"][row] = 0
    state["fatigue"][row] = max(float(state["fatigue"][row]) - 1.0, 0.0)
    state["revision"][row] += 1
    return True


def as_usual(state: dict[str, Array], row: int, number: int) -> None:
    """The ``number``-th window of a row turns out not to have been unlikely: it counts no more towards an episode."""
    ago = int(state["windows"][row]) - number
    if 0 <= ago < 8:
        state["recent"][row] &= np.uint8(0xFF ^ (1 << ago))


def silent(state: dict[str, Array], now_us: int) -> Array:
    """Rows with an open episode that sent nothing for too long at ``now_us``; their episodes end here."""
    rows = _waiting(state)
    rows = rows[_silent_at(state, rows) <= now_us]
    state["told"][rows] = state["peak"][rows]
    state["open"][rows] = False
    state["recent"][rows] = 0
    state["revision"][rows] += 1
    return rows


def next_silence(state: dict[str, Array]) -> int | None:
    """The next event time at which ``silent`` would end an episode."""
    rows = _waiting(state)
    return int(_silent_at(state, rows).min()) if rows.size else None


def _waiting(state: dict[str, Array]) -> Array:
    return np.flatnonzero(state["open"] & ~state["silent"])


def _silent_at(state: dict[str, Array], rows: Array) -> Array:
    return state["seen_us"][rows] + SILENT_INTERVALS * state["interval_us"][rows]


def _bits(rows: int, *facts: Any) -> Array:
    """Facts (rows,), or the same for all of them, as bits (rows,), the first one the lowest."""
    found = np.zeros(rows, np.uint8)
    for bit, fact in enumerate(facts):
        found |= np.asarray(fact, np.uint8) << np.uint8(bit)
    return found


def _told(
    state: dict[str, Array], opened: Array, updated: Array, ended: Array, judged: Judged | None = None
) -> Changes:
    for rows in (opened, updated, ended):
        state["revision"][rows] += 1
        state["told"][rows] = state["peak"][rows]
    state["revision"][opened] = 1
    return Changes(opened, updated, ended, judged)


def _rested(state: dict[str, Array], window: Window) -> tuple[Array, Array]:
    """Windows since an episode opened (0: none ever did), and whether a new one may open now."""
    row = window.row
    state["windows"][row] += 1
    before = state["rested"][row].astype(np.int64)
    rested = np.where(before > 0, np.minimum(before + 1, _NEVER), 0)
    stronger = window.surprise >= _STRONGER * state["told"][row]
    may = (before == 0) | (before > rest(state, row)) | stronger | window.forced
    return rested, may


def _time_passes(state: dict[str, Array], row: Array, end_us: int) -> None:
    """Learn the usual distance between windows with data, an eighth of the way each time."""
    seen, usual = state["seen_us"][row], state["interval_us"][row]
    gap = end_us - seen
    follow = usual + (np.minimum(gap, 4 * usual) - usual) // 8
    state["interval_us"][row] = np.where(seen == 0, 0, np.where(usual == 0, gap, follow))
    state["seen_us"][row] = end_us


def _forget_peak(state: dict[str, Array], rows: Array, onset_us: Array) -> None:
    state["onset_us"][rows] = onset_us
    state["peak"][rows] = 0.0
    state["unlikely"][rows] = 0
    state["silent"][rows] = False
    state["excess"][rows] = 0.0


def _sum_up(state: dict[str, Array], window: Window, end_us: int, during: Array) -> None:
    """Add what windows of an episode, or of the run that may become one, were off."""
    off = (window.value - window.expected) * ((end_us - window.start_us) / US)
    state["excess"][window.row[during]] += off[during]


def _remember_peak(state: dict[str, Array], window: Window, unlikely: Array) -> None:
    at = unlikely & ((window.surprise > state["peak"][window.row]) | (state["peak"][window.row] == 0.0))
    rows = window.row[at]
    state["peak"][rows] = window.surprise[at]
    state["peak_us"][rows] = window.start_us[at]
    state["why"][rows] = np.broadcast_to(window.why, window.row.shape)[at]
    for name in ("value", "expected", "lower", "upper"):
        state[f"peak_{name}"][rows] = getattr(window, name)[at]
