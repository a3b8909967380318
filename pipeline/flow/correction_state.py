"""What a score shard keeps to correct anomalies, as bytes of its checkpoint, and back.

Guarantee: what is unpacked goes on as what was packed does.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from pipeline.codecs import anomaly_event
from pipeline.records import Anomaly
from pipeline.scoring.corrections import Corrections, Episode, Judged, Kept, Made, Silence

_EPISODE, _SILENCE = 0, 1


def pack(kept: Corrections) -> bytes:
    forms = [[_form(each) for each in found.values()] for found in (kept.current, kept.over)]
    return msgspec.msgpack.encode(forms)


def unpack(value: bytes, into: Corrections) -> None:
    """Raises ValueError, TypeError, KeyError or msgspec's errors."""
    current, over = ([_made(form) for form in forms] for forms in msgspec.msgpack.decode(value))
    into.restore({each.row: each for each in current}, {each.told.id: each for each in over if each.told is not None})


def of_rows(value: bytes, rows: Mapping[int, int]) -> bytes:
    """Of what is packed the part of these rows, which have other numbers now. Raises as ``unpack``."""
    found = [
        [[what, rows[row], *rest] for what, row, *rest in forms if row in rows]
        for forms in msgspec.msgpack.decode(value)
    ]
    return msgspec.msgpack.encode(found)


def _form(kept: Kept) -> list[Any]:
    if isinstance(kept, Silence):
        return [_SILENCE, kept.row, _told(kept.told), kept.needed_us, kept.heard, kept.late]
    told = None if kept.told is None else _told(kept.told)
    windows = [_window(each) for each in kept.windows.values()]
    return [_EPISODE, kept.row, told, kept.open_windows, kept.of_windows, kept.late, windows]


def _made(form: list[Any]) -> Kept:
    what, row, told, *rest = form
    if what == _SILENCE:
        needed_us, heard, late = rest
        return Silence(row, _anomaly(told), needed_us, [(start, end) for start, end in heard], late)
    open_windows, of_windows, late, windows = rest
    judged = {each.end_us: each for each in map(_judged, windows)}
    return Episode(row, judged, None if told is None else _anomaly(told), open_windows, of_windows, late)


def _told(anomaly: Anomaly) -> list[Any]:
    return [anomaly_event.pack(anomaly), anomaly.threshold, anomaly.false_discovery_rate]


def _anomaly(form: list[Any]) -> Anomaly:
    packed, threshold, rate = form
    return replace(anomaly_event.unpack(packed), threshold=threshold, false_discovery_rate=rate)


def _window(each: Judged) -> list[Any]:
    made, numbers = each.made, [each.end_us, each.start_us, each.number, each.surprise, each.value, each.low, each.high]
    points = [made.time_us.tobytes(), made.value.tobytes(), made.start_us.tobytes(), made.before]
    return [*numbers, points, each.now, each.late]


def _judged(form: list[Any]) -> Judged:
    end_us, start_us, number, surprise, value, low, high, (times, values, starts, before), now, late = form
    columns = (np.frombuffer(times, np.int64), np.frombuffer(values), np.frombuffer(starts, np.int64))
    last_value, last_us, last_start_us = before
    made = Made(*columns, (last_value, last_us, last_start_us))
    return Judged(end_us, start_us, number, surprise, value, low, high, made, now, late)
