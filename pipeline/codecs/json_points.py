"""JSON points: one object, an array of objects, or NDJSON in a message.

Guarantee: a message is used whole or refused whole, except that single points of an array or NDJSON may be refused
for their limits; whatever is refused is named. A message is never joined with its neighbour.
"""

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from pipeline.codecs.series_table import BadPoint, Limits, SeriesTable
from pipeline.records import US, Kind, Message, PointColumns, Rejection, Series

_KINDS = {None: Kind.GAUGE, "gauge": Kind.GAUGE, "counter": Kind.COUNTER, "delta": Kind.DELTA}


class _Point(msgspec.Struct, gc=False):
    ts: float | str
    name: str
    value: float
    unit: str | None = None
    kind: str | None = None
    attributes: msgspec.Raw = msgspec.Raw(b"")


#: What tells series apart: name, attributes as sent, kind, unit.
_Key = tuple[str, bytes, str | None, str | None]

_one = msgspec.json.Decoder(_Point)
_many = msgspec.json.Decoder(list[_Point])
_attributes = msgspec.json.Decoder(dict[str, str | bool | int | float | None])

#: What the decoder raises on bad input: wrong JSON or types, wrong UTF-8, nesting without end.
_BAD_INPUT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
#: Seconds since 1970 stay below this; milliseconds do not.
_MOST_SECONDS = 1e11


class JsonPoints:
    """Decodes ``{"ts", "name", "value", "unit"?, "kind"?, "attributes"?}`` (see docs/schema/point.json)."""

    def __init__(self, limits: Limits) -> None:
        self.table = SeriesTable(limits)
        self._refused: dict[Any, BadPoint] = {}

    def decode(self, messages: Sequence[Message]) -> PointColumns:
        """Columns of all points; RFC 3339 times without an offset are read as UTC."""
        self.table.forget_if_full()
        self._refused.clear()
        rejections: list[Rejection] = []
        try:
            points = [_one.decode(message.value) for message in messages]  # type: ignore[arg-type]
            owner: Any = np.arange(len(points), dtype=np.int32)
        except (*_BAD_INPUT, TypeError):
            points, owner = _decode_each(messages, rejections)
            owner = np.array(owner, np.int32)
        return self._columns(points, owner, rejections)

    def _columns(self, points: list[_Point], owner: Any, rejections: list[Rejection]) -> PointColumns:
        keys = [(point.name, bytes(point.attributes), point.kind, point.unit) for point in points]
        numbers = list(map(self.table.index.get, keys))
        bad: dict[int, BadPoint] = {}
        if None in numbers:
            self._number(keys, numbers, bad)
        series = np.array(numbers, np.int32)
        times, values = _times(points, bad), np.array([point.value for point in points], np.float64)
        finite = np.isfinite(values)
        if not bad and finite.all():
            return PointColumns(owner, series, times, values, rejections=rejections)
        keep = finite & (series >= 0)
        keep[list(bad)] = False
        rejections.extend(_reject(bad, owner, keep))
        columns = PointColumns(owner, series, times, values, rejections=rejections)
        columns.dropped["not_finite"] = int((~finite).sum())
        return _filtered(columns, keep)

    def _number(self, keys: list[_Key], numbers: list[int | None], bad: dict[int, BadPoint]) -> None:
        """Number the series seen for the first time; −1 for what is refused."""
        for row, number in enumerate(numbers):
            if number is None:
                known = self.table.index.get(keys[row])
                try:
                    numbers[row] = self._new_series(keys[row]) if known is None else known
                except BadPoint as error:
                    bad[row] = error
                    numbers[row] = -1

    def _new_series(self, key: _Key) -> int:
        known = self._refused.get(key)
        if known is not None:
            raise known
        name, raw, kind, unit = key
        try:
            if kind not in _KINDS:
                raise BadPoint("bad_kind", f"kind is {kind!r}; use gauge, counter or delta")
            return self.table.add(key, Series(name, unit or "", _KINDS[kind], _read_attributes(raw)))
        except BadPoint as error:
            self._refused[key] = error
            raise


def _read_attributes(raw: bytes) -> tuple[tuple[str, str], ...]:
    if raw in (b"", b"null"):
        return ()
    try:
        found = _attributes.decode(raw)
    except _BAD_INPUT as error:
        raise BadPoint("bad_attributes", f"attributes must be strings, numbers or booleans by name: {error}") from None
    return tuple(sorted((name, _text(value)) for name, value in found.items() if value is not None))


def _text(value: str | bool | int | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _times(points: list[_Point], bad: dict[int, BadPoint]) -> Any:
    try:
        seconds = np.array(array("d", [point.ts for point in points]))  # type: ignore[type-var]
    except TypeError:  # there are texts among them
        return _mixed_times(points, bad)
    wrong = ~(np.abs(seconds) < _MOST_SECONDS)
    if wrong.any():
        for row in np.flatnonzero(wrong).tolist():
            bad.setdefault(row, _bad_time(points[row].ts))
        seconds = np.where(wrong, 0.0, seconds)
    return np.rint(seconds * US).astype(np.int64)


def _mixed_times(points: list[_Point], bad: dict[int, BadPoint]) -> Any:
    times = np.zeros(len(points), np.int64)
    for row, point in enumerate(points):
        try:
            times[row] = _one_time(point.ts)
        except (ValueError, OverflowError):
            bad.setdefault(row, _bad_time(point.ts))
    return times


def _bad_time(ts: float | str) -> BadPoint:
    detail = f"ts is {ts!r:.64}; give seconds since 1970 (not milliseconds) as a number, or an RFC 3339 time as a text"
    return BadPoint("bad_time", detail)


def _one_time(ts: float | str) -> int:
    if not isinstance(ts, str):
        if not abs(ts) < _MOST_SECONDS:
            raise ValueError(ts)
        return round(ts * US)
    moment = datetime.fromisoformat(ts.upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * US + since.microseconds


def _decode_lines(messages: Sequence[Message]) -> list[_Point] | None:
    """The points when every message is one point on one line (the usual case, and the fast way), else None.

    Every line must begin with ``{`` and end with ``}``: then no value can go on in the next line, for after ``}`` a
    ``{`` is never right inside a value. So as many values as lines means that each line is one value.
    """
    try:
        joined = b"\n".join([message.value for message in messages])  # type: ignore[misc]
        breaks = len(messages) - 1
        if (
            joined.count(b"\n") != breaks
            or joined.count(b"}\n{") != breaks
            or joined[:1] != b"{"
            or joined[-1:] != b"}"
        ):
            return None
        points = _one.decode_lines(joined)
    except (*_BAD_INPUT, TypeError):
        return None
    return points if len(points) == len(messages) else None


def _decode_each(messages: Sequence[Message], rejections: list[Rejection]) -> tuple[list[_Point], list[int]]:
    points: list[_Point] = []
    owner: list[int] = []
    for number, message in enumerate(messages):
        value = message.value
        if not value or not value.strip():
            rejections.append(Rejection(number, "empty", "the message has no value; send a JSON point"))
            continue
        try:
            found = _decode_message(value)
        except _BAD_INPUT as error:
            rejections.append(
                Rejection(number, "undecodable", f"not a JSON point, an array of points or NDJSON: {error}")
            )
            continue
        points.extend(found)
        owner.extend([number] * len(found))
    return points, owner


def _decode_message(value: bytes) -> list[_Point]:
    start = value.lstrip()[:1]
    if start == b"[":
        return _many.decode(value)
    try:
        return [_one.decode(value)]
    except msgspec.ValidationError:
        raise  # a whole object; its lines would only give a worse reason
    except msgspec.DecodeError:
        if start != b"{" or b"\n" not in value.strip():
            raise
    return [_one.decode(line) for line in value.splitlines() if line.strip()]


def _reject(bad: dict[int, BadPoint], owner: Any, keep: Any) -> list[Rejection]:
    """One rejection per message and reason; ``whole`` when no point of the message is left."""
    alive = set(owner[keep].tolist())
    found: dict[tuple[int, str], Rejection] = {}
    for row, error in bad.items():
        number = int(owner[row])
        found.setdefault((number, error.reason), Rejection(number, error.reason, error.detail, number not in alive))
    return list(found.values())


def _filtered(columns: PointColumns, keep: Any) -> PointColumns:
    return PointColumns(
        columns.message[keep],
        columns.series[keep],
        columns.time_us[keep],
        columns.value[keep],
        rejections=columns.rejections,
        dropped=columns.dropped,
    )
