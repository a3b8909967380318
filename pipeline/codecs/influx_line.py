r"""InfluxDB line protocol, Telegraf's default: ``measurement,tag=a field=1,other=2i 1767225600000000000``.

Guarantee: a line is used whole or refused whole, except that single fields may be refused for their names; what it
becomes depends on it alone (a line without a time has that of its Kafka record). Fields that are texts are no points
and are counted as ``text_field``.

A message without quotes and backslashes (nearly all) is split by its commas and spaces; any other is read field by
field, in time proportional to its size.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.codecs.point_rows import PointRows
from pipeline.codecs.series_table import BadPoint, Limits
from pipeline.codecs.telegraf_names import Measurement, measurement_of
from pipeline.codecs.telegraf_series import REFUSED, TelegrafSeries
from pipeline.records import Message, PointColumns

_BOOLEANS = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}
#: Nanoseconds of any time after April 1970 are more than this; microseconds of any before 2286 are less.
_LEAST_NANOSECONDS, _MOST_NANOSECONDS = 10**16, 2**63
_SHOWN = 64  # characters of a bad line

# A backslash and the character after it stand together; a quoted text may hold line breaks. Possessive quantifiers
# (++ and *+) never go back, so that no text takes more than one pass.
_HEAD = re.compile(r"(?:[^\\ \n]++|\\[^\n])++")
_FIELD = re.compile(r'((?:[^\\=, \n]++|\\[^\n])++)=("(?:[^"\\]++|\\.)*+"|[^", \n]++)', re.DOTALL)
_END = re.compile(r" *+([^ \n]*+) *+(?=\n|\Z)")
_PART = re.compile(r"(?:[^\\,]++|\\.)++", re.DOTALL)
_TAG = re.compile(r"((?:[^\\=]++|\\.)++)=(.++)", re.DOTALL)
_ESCAPED = re.compile(r"\\([,= ])")


class InfluxLine:
    """Decodes one or many lines a message; times are nanoseconds."""

    def __init__(self, limits: Limits) -> None:
        self._series: TelegrafSeries[str] = TelegrafSeries(limits, _measurement)
        self.table = self._series.table

    def decode(self, messages: Sequence[Message]) -> PointColumns:
        """Columns of all numbers and booleans (true is 1)."""
        self._series.begin_batch()
        lines = _Lines(self._series)
        for number, message in enumerate(messages):
            try:
                text = _text(message.value)
            except BadPoint as error:
                lines.rows.refuse(number, error)
                continue
            lines.add(number, message.timestamp * 1_000_000, text)
        return lines.columns()


class _Lines:
    """What was read of a batch: ``numbers`` and ``values`` for each field; the others for each line."""

    def __init__(self, series: TelegrafSeries[str]) -> None:
        self.rows = PointRows()
        self._series = series
        self._numbers: list[int] = []
        self._values: list[str] = []
        self._times: list[int] = []  # nanoseconds
        self._messages: list[int] = []
        self._ends: list[int] = []  # fields up to the end of each line
        self._texts = 0  # fields of the line being read that are texts

    def add(self, message: int, default_time: int, text: str) -> None:
        """Adds the lines of a message; the default is in nanoseconds."""
        if '"' in text or "\\" in text:
            self._add_quoted(message, default_time, text)
            return
        for line in text.split("\n"):
            if line and not line.startswith("#") and not line.isspace():
                before = len(self._values)
                try:
                    time = self._add_line(message, line)
                    self._end_line(message, default_time if time is None else time)
                except BadPoint as error:
                    self._take_back(message, before, error)

    def _add_line(self, message: int, line: str) -> int | None:
        """Adds the fields of a line without quotes and backslashes; its time."""
        parts = line.split(" ")
        if len(parts) != 3 or "" in parts:
            parts = [part for part in parts if part]
            if not 2 <= len(parts) <= 3:
                raise _bad_line(line)
        head = parts[0]
        measurement = self._series.known.get(head) or self._series.measurement(head)
        find, numbers, values = measurement.numbers.get, self._numbers, self._values
        for pair in parts[1].split(","):
            name, _, text = pair.partition("=")
            number = find(name)
            numbers.append(self._series.add(head, measurement, name, message, self.rows) if number is None else number)
            values.append(text)
        return _time(parts[2]) if len(parts) == 3 else None

    def _add_quoted(self, message: int, default_time: int, text: str) -> None:
        """Adds the lines of any message."""
        at, end = 0, len(text)
        while at < end:
            if text[at] in "\n ":
                at += 1
                continue
            before, line_end = len(self._values), text.find("\n", at)
            if text[at] == "#":
                at = end if line_end < 0 else line_end
                continue
            try:
                time, at = self._add_fields(message, text, at)
                self._end_line(message, default_time if time is None else time)
            except BadPoint as error:
                self._take_back(message, before, error)
                at = max(at, end if line_end < 0 else line_end)

    def _add_fields(self, message: int, text: str, start: int) -> tuple[int | None, int]:
        """Adds the fields of the line that begins at ``start``; its time, and where it ends."""
        found = _HEAD.match(text, start)
        if found is None or text[found.end() : found.end() + 1] != " ":
            raise _bad_line(text[start : start + _SHOWN])
        head, at = found[0], found.end()
        while text[at : at + 1] == " ":
            at += 1
        measurement = self._series.measurement(head)
        while pair := _FIELD.match(text, at):
            name, value = _unescaped(pair[1]), pair[2]
            if value.startswith('"'):
                self._texts += 1
            else:
                self._values.append(value)
                number = measurement.numbers.get(name)
                if number is None:
                    number = self._series.add(head, measurement, name, message, self.rows)
                self._numbers.append(number)
            at = pair.end()
            if text[at : at + 1] != ",":
                break
            at += 1
        else:
            raise _bad_line(text[start : start + _SHOWN])
        last = _END.match(text, at)
        if last is None or (last[1] and text[at] != " "):
            raise _bad_line(text[start : start + _SHOWN])
        return (_time(last[1]) if last[1] else None), last.end()

    def _end_line(self, message: int, time: int) -> None:
        if not _LEAST_NANOSECONDS <= abs(time) < _MOST_NANOSECONDS:
            raise BadPoint("bad_time", f"the time is {time}; give nanoseconds since 1970"[:200])
        self._times.append(time)
        self._messages.append(message)
        self._ends.append(len(self._values))
        if self._texts:
            self.rows.dropped["text_field"] += self._texts
            self._texts = 0

    def _take_back(self, message: int, fields: int, error: BadPoint) -> None:
        """Forget what was added of a line that is refused."""
        del self._numbers[fields:], self._values[fields:]
        self._texts = 0
        self.rows.refuse(message, error)

    def columns(self) -> PointColumns:
        ends: npt.NDArray[np.int64] = np.array([0, *self._ends], np.int64)
        sizes = ends[1:] - ends[:-1]
        series = np.array(self._numbers, np.int32)
        value = self._floats(series)
        time_us = np.array(self._times, np.int64) // 1000
        message = np.repeat(np.array(self._messages, np.int32), sizes)
        return self.rows.columns(message, series, np.repeat(time_us, sizes), value)

    def _floats(self, series: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """All values, (fields,); lines with a text that is none are taken out of ``series``."""
        if not self._values:
            return np.empty(0)
        joined = "\n".join(self._values)
        # Integers end with i or u. One pass over all of them is three times as fast as a look at each.
        bare = f"{joined}\n".replace("i\n", "\n").replace("u\n", "\n").split("\n")
        try:
            return np.array(list(map(float, bare[:-1])), np.float64)
        except ValueError:  # booleans, or no number at all
            return self._floats_one_by_one(series)

    def _floats_one_by_one(self, series: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        values = np.zeros(len(self._values))
        ends = np.array(self._ends)
        for row, text in enumerate(self._values):
            try:
                values[row] = _number(text)
            except ValueError:
                line = int(np.searchsorted(ends, row, side="right"))
                series[(ends[line - 1] if line else 0) : ends[line]] = REFUSED
                detail = f"a field's value is {text!r:.64}; it must be a number, 2i, 2u, true or a quoted text"
                self.rows.refuse(self._messages[line], BadPoint("bad_value", detail))
        return values


def _text(value: bytes | None) -> str:
    if not value or value.isspace():
        raise BadPoint("empty", "the message has no value; send InfluxDB line protocol")
    try:
        return value.decode().replace("\r\n", "\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise BadPoint("undecodable", f"line protocol must be UTF-8: {error}") from None


def _number(text: str) -> float:
    """A number, an integer (``2i``), an unsigned one (``2u``) or a boolean; raises ValueError."""
    known = _BOOLEANS.get(text)
    return float(text[:-1] if text.endswith(("i", "u")) else text) if known is None else known


def _time(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadPoint("bad_time", f"the time is {text!r:.64}; give nanoseconds since 1970") from None


def _bad_line(line: str) -> BadPoint:
    form = "measurement,tag=value field=1,other=2i 1767225600000000000"
    return BadPoint("undecodable", f"not a line of InfluxDB line protocol ({form}): {line[:_SHOWN]!r}")


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _measurement(head: str) -> Measurement:
    parts = _PART.findall(head)
    if sum(map(len, parts)) + len(parts) - 1 != len(head):  # a part is empty
        raise _bad_line(head)
    name, *pairs = parts
    tags: dict[str, str] = {}
    for pair in pairs:
        found = _TAG.fullmatch(pair)
        if found is None:
            raise BadPoint("undecodable", f"a tag has the form name=value, not {pair!r:.64}")
        tags[_unescaped(found[1])] = _unescaped(found[2])
    return measurement_of(_unescaped(name), tags)
