"""CSV files, one or several values a row, as the messages of JSON points that a producer would have sent.

Guarantee: read once, row by row, and never looked ahead; a row that cannot be used is counted with its reason and its
line, and the rest goes on. A file of which nothing can be used is refused.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from pathlib import Path

from pipeline.records import US
from pipeline.replay.message import Replayed, ReplayError, record_time_ms
from pipeline.replay.refusals import Refusals
from pipeline.replay.times import BadTime, TimeForm, form_of

#: A file whose first so many rows all have no readable time is refused at once.
_HOPELESS_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of a file are what. ``entity`` names what emits the signals; each value column is one signal."""

    entity: str
    time_column: str = "timestamp"
    value_columns: tuple[str, ...] = ("value",)


class CsvFile:
    """``form`` is that of the file's times, known from the first row on that has one."""

    format_name = "json_points"

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self.layout = layout
        self.size = path.stat().st_size
        self.refusals = Refusals()
        self.form: TimeForm | None = None
        self._file = path.open("rb")
        text = io.TextIOWrapper(self._file, encoding="utf-8-sig", errors="replace", newline="")
        self._reader = csv.reader(text, skipinitialspace=True)
        self._header = self._read_header()
        self._time_at = self._column(layout.time_column)
        self._values = [(self._column(name), _point_start(name, layout.entity)) for name in layout.value_columns]

    def done(self) -> int:
        """Bytes read so far."""
        return self._file.tell()

    def messages(self) -> Iterator[Replayed]:
        """One message a row that has a value. Raises ReplayError when there is none in the whole file."""
        found = False
        for line, row in self._rows():
            time_us = self._time_of(line, row)
            points = self._points_of(line, row, time_us) if time_us is not None else []
            if points and time_us is not None:
                found = True
                text = points[0] if len(points) == 1 else f"[{','.join(points)}]"
                yield Replayed(line, record_time_ms(time_us), None, text.encode())
        if not found:
            why = self.refusals.text() or "it has a header and no rows"
            raise ReplayError(f"{self.path}: no row can be used: {why}")

    # -- header ------------------------------------------------------------------------------------------------------

    def _read_header(self) -> list[str]:
        try:
            header = next(self._reader, None)
        except csv.Error as error:
            raise ReplayError(f"{self.path}: the first line is not a CSV header: {error}") from None
        if not header:
            raise ReplayError(f"{self.path} has no header; a CSV file starts with a line of column names")
        return [name.strip() for name in header]

    def _column(self, name: str) -> int:
        places = [place for place, found in enumerate(self._header) if found == name]
        if len(places) == 1:
            return places[0]
        columns = ", ".join(self._header)
        if places:
            raise ReplayError(f"{self.path}: {len(places)} columns are named {name!r}; the file has {columns}")
        raise ReplayError(
            f"{self.path}: there is no column {name!r}; the file has {columns}. "
            "Name the columns with --time-column and --value-column"
        )

    # -- rows --------------------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of each row that has as many fields as the header."""
        width = len(self._header)
        while True:
            try:
                row = next(self._reader, None)
            except csv.Error as error:
                self._refuse("bad_row", self._reader.line_num, f"not CSV: {error}")
                continue
            if row is None:
                return
            if len(row) == width or (len(row) > width and not any(row[width:])):
                yield self._reader.line_num, row
            elif row:  # an empty line is nothing
                self._refuse("bad_row", self._reader.line_num, f"{len(row)} fields; the header has {width}")

    def _time_of(self, line: int, row: Sequence[str]) -> int | None:
        text = row[self._time_at].strip()
        try:
            if self.form is None:
                self.form = form_of(text)
            return self.form.read(text)
        except BadTime as error:
            self._refuse("bad_time", line, str(error))
        if self.form is None and self.refusals.counts["bad_time"] >= _HOPELESS_ROWS:
            why = self.refusals.text()
            raise ReplayError(f"{self.path}: none of the first {_HOPELESS_ROWS} times can be read: {why}")
        return None

    def _points_of(self, line: int, row: Sequence[str], time_us: int) -> list[str]:
        """The row's values as JSON points."""
        points = []
        for at, start in self._values:
            try:
                value = float(row[at])
            except ValueError:
                self._refuse_text(line, self._header[at], row[at].strip())
                continue
            if isfinite(value):
                points.append(f'{start}{time_us / US!r},"value":{value!r}}}')
            elif isnan(value):
                self._refuse_text(line, self._header[at], "")
            else:
                self._refuse("not_finite", line, f"{self._header[at]} is infinite")
        return points

    def _refuse_text(self, line: int, column: str, text: str) -> None:
        if text:
            self._refuse("bad_value", line, f"{column} is {text!r}, not a number")
        else:
            self._refuse("missing_value", line, f"{column} has no value")

    def _refuse(self, reason: str, line: int, detail: str) -> None:
        self.refusals.add(reason, f"{self.path.name} line {line}", detail)


def _point_start(column: str, entity: str) -> str:
    """A JSON point up to its time."""
    return f'{{"name":{json.dumps(column)},"attributes":{json.dumps({"service.name": entity})},"ts":'
