"""Why a window is unlikely, in words: from what was odd about it, its value, and the time of its week.

Guarantee: the same for the same bits, value and time; the strongest reason comes first.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.records import US

#: Bits of ``why``: three for the kind of the strongest evidence (1 … 7; 0 none), three for the second, then flags.
_FIRST, _SECOND, _KIND = 0, 3, 0b111
RESIDUAL, SEASON, RECORD, STILLNESS, DRIFT, SHAPE, LONG_SHAPE = range(1, 8)
OUT_OF_RANGE, TOGETHER = 1 << 6, 1 << 7
RARE, FIRST = 1 << 9, 1 << 10  # 1 << 8 is taken by episodes that are no discoveries
FELT = 1 << 11
_TELLING = 1.0  # evidence worth a word


def bits(evidence: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """``evidence`` (rows, kinds) in the order of the kinds above to bits (rows,)."""
    order = np.argsort(-evidence, axis=1, kind="stable")[:, :2]
    rows = np.arange(len(evidence))
    found = np.zeros(len(evidence), np.uint16)
    for shift, at in ((_FIRST, order[:, 0]), (_SECOND, order[:, 1])):
        kind = np.where(evidence[rows, at] >= _TELLING, at + 1, 0).astype(np.uint16)
        found |= kind << np.uint16(shift)
    return found


def of_movement(why: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Is the strongest reason how the signal moves, and not the value it has?"""
    return (why & _KIND) >= STILLNESS


def of_value(why: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """Is the strongest reason the value that the signal has?"""
    return (why & _KIND) <= RECORD


def words(why: int, value: float, expected: float, peak_us: int, least: float, most: float) -> str:
    """The reasons as a sentence without a full stop. ``least`` and ``most``: what was ever seen of the signal."""
    side = "higher" if value > expected else "lower"
    if why & TOGETHER:
        return "the signals of this entity together are far from how they usually are"
    said = ["outside the range that it must keep"] if why & OUT_OF_RANGE else []
    if why & FELT:
        said.append("far beyond what it usually is, and not for one window only")
    for shift in (_FIRST, _SECOND):
        kind = (why >> shift) & _KIND
        if kind:
            said.append(_word(kind, side, peak_us, value, least, most))
    return "; ".join(dict.fromkeys(said)) or f"{side} than usual"


def of_rarity(why: int, surprise: float) -> str:
    """The same of alerts that are rare."""
    if why & FIRST:
        return "alerts of this type were never seen before"
    return f"as many alerts of this type come in one minute of {10.0**surprise:,.0f}, by the last weeks"


def _word(kind: int, side: str, peak_us: int, value: float, least: float, most: float) -> str:
    if kind == RECORD:
        return f"{side} than ever seen" if value >= most or value <= least else f"{side} than almost ever seen"
    if kind == SEASON:
        return f"{side} than usual for a {_time(peak_us)} for a while now"
    if kind == STILLNESS:
        return "stuck, or moving less than it ever does"
    if kind == DRIFT:
        return "values of late are distributed unlike before"
    if kind in (SHAPE, LONG_SHAPE):
        return f"wrong shape for a {_time(peak_us)}" if kind == LONG_SHAPE else "a shape never seen before"
    return f"{side} than expected"


def _time(at_us: int) -> str:
    """Weekday and part of the day (UTC), for instance ``Monday morning``."""
    when = datetime.fromtimestamp(at_us / US, UTC)
    part = ("night", "morning", "afternoon", "evening")[when.hour // 6]
    return f"{when:%A} {part}"
