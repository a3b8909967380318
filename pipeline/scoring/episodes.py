"""Unlikely windows to anomalies: an episode opens when n of the last m windows were unlikely, and ends when the
surprise stays low, or when no data came for many intervals.

Guarantee: an episode's onset is the first unlikely window of the run that opened it (with three or more needed, it may
have left the last m by then); every transition follows from the
row's own windows and their event times alone. All state is arrays, one row a signal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FIELDS: Mapping[str, npt.DTypeLike] = {
    "recent": np.uint8,  # bit i: was the window i steps ago unlikely
    "open": np.bool_,
    "quiet": np.uint8,  # windows in a row with low surprise
    "unlikely": np.uint32,  # unlikely windows of the episode
    "revision": np.uint32,
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
}

#: An open episode whose signal sends nothing for this many of its usual intervals ends.
SILENT_INTERVALS = 10


@dataclass(frozen=True, slots=True)
class Rules:
    """When an episode opens and ends; see DetectorPolicy."""

    threshold: float
    open_windows: int
    of_windows: int
    close_windows: int


@dataclass(frozen=True, slots=True)
class Window:
    """One window of some rows, all shapes (rows,): ``row`` distinct, ``deviates`` = large enough to matter."""

    row: Array
    start_us: Array
    surprise: Array
    deviates: Array
    value: Array
    expected: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows whose episode opened, got worse, or ended in this step."""

    opened: Array
    updated: Array
    ended: Array


def empty(rows: int) -> dict[str, Array]:
    return {name: np.zeros(rows, dtype) for name, dtype in FIELDS.items()}


def step(state: dict[str, Array], window: Window, end_us: int, rules: Rules) -> Changes:
    """Apply the windows that end at ``end_us``."""
    row = window.row
    unlikely = window.deviates & (window.surprise >= rules.threshold)
    calm = ~window.deviates | (window.surprise < rules.threshold / 2)
    _time_passes(state, row, end_us)
    keep = np.uint8((1 << rules.of_windows) - 1)
    recent = ((state["recent"][row] << 1) | unlikely) & keep
    state["recent"][row] = recent
    was_open = state["open"][row]
    first = unlikely & ~was_open & (np.bitwise_count(recent) == 1)
    _forget_peak(state, row[first], window.start_us[first])
    _remember_peak(state, window, unlikely)
    state["last_us"][row[unlikely]] = end_us
    state["unlikely"][row[unlikely]] += 1
    opens = ~was_open & (np.bitwise_count(recent) >= rules.open_windows)
    quiet = np.where(calm, np.minimum(state["quiet"][row].astype(np.int64) + 1, 255), 0)
    state["quiet"][row] = quiet
    ends = was_open & (quiet >= rules.close_windows)
    worse = was_open & ~ends & unlikely & (state["peak"][row] >= 2 * state["told"][row])
    state["open"][row] = (was_open | opens) & ~ends
    state["recent"][row[ends]] = 0
    changes = Changes(row[opens], row[worse], row[ends])
    for rows in (changes.opened, changes.updated, changes.ended):
        state["revision"][rows] += 1
        state["told"][rows] = state["peak"][rows]
    state["revision"][changes.opened] = 1
    return changes


def silent(state: dict[str, Array], now_us: int) -> Array:
    """Rows with an open episode that sent nothing for too long at ``now_us``; their episodes end here."""
    rows = np.flatnonzero(state["open"])
    rows = rows[_silent_at(state, rows) <= now_us]
    state["open"][rows] = False
    state["recent"][rows] = 0
    state["revision"][rows] += 1
    return rows


def next_silence(state: dict[str, Array]) -> int | None:
    """The next event time at which ``silent`` would end an episode."""
    rows = np.flatnonzero(state["open"])
    return int(_silent_at(state, rows).min()) if rows.size else None


def _silent_at(state: dict[str, Array], rows: Array) -> Array:
    return state["seen_us"][rows] + SILENT_INTERVALS * state["interval_us"][rows]


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


def _remember_peak(state: dict[str, Array], window: Window, unlikely: Array) -> None:
    at = unlikely & (window.surprise > state["peak"][window.row])
    rows = window.row[at]
    state["peak"][rows] = window.surprise[at]
    state["peak_us"][rows] = window.start_us[at]
    for name in ("value", "expected", "lower", "upper"):
        state[f"peak_{name}"][rows] = getattr(window, name)[at]
