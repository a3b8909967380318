"""CSV tables of labelled data: columns by name, times in the forms that the public sets use, numbers, labels.

Guarantee: a cell that cannot be read is an error with the file, the line and what would be right; an empty value is
a window without data, an empty label is a normal one.
"""

import csv
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite, nan
from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: 4/25/2018, perhaps with a time of day in 24 or 12 hours: month first.
_AMERICAN = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d{1,2}):(\d\d)(?::(\d\d)(\.\d+)?)?(?: ([AP])M)?)?", re.IGNORECASE
)
_LABELS = {"": False, "0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}


class BadData(ValueError):
    """Labelled data cannot be read; the message says where, why, and what would be right."""


def columns(path: Path, wanted: Sequence[str]) -> tuple[list[int], list[list[str]]]:
    """Line numbers, and the cells of the wanted columns by row, of a CSV file; upper and lower case are one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(number, row) for number, row in _lines(csv.reader(file, skipinitialspace=True))]
    except UnicodeDecodeError:
        raise BadData(f"{path} is not a text in UTF-8; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise BadData(f"{path} is not CSV: {error}") from None
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}") from None
    if not rows:
        raise BadData(f"{path} is empty; it should begin with a line of column names: {','.join(wanted)}")
    header = [name.strip().casefold() for name in rows[0][1]]
    places = [_place(path, header, name) for name in wanted]
    return [number for number, _ in rows[1:]], [_cells(path, number, row, header, places) for number, row in rows[1:]]


def _lines(reader: "csv._reader") -> list[tuple[int, list[str]]]:  # type: ignore[name-defined]
    return [(reader.line_num, row) for row in reader if row]


def _place(path: Path, header: list[str], name: str) -> int:
    if header.count(name) != 1:
        found = "no column" if name not in header else "more than one column"
        raise BadData(f"{path} has {found} {name!r}; its first line names {', '.join(header)}")
    return header.index(name)


def _cells(path: Path, number: int, row: list[str], header: list[str], places: list[int]) -> list[str]:
    if len(row) != len(header):
        raise BadData(f"{path} line {number} has {len(row)} cells; its first line has {len(header)}")
    return [row[place].strip() for place in places]


def time_us(text: str) -> int:
    """``2014-02-14 14:30:00``, RFC 3339, ``4/25/2018 1:05:00 PM``, or seconds or milliseconds since 1970 →
    microseconds since 1970. A time without a zone is UTC. Raises ValueError."""
    american = _AMERICAN.fullmatch(text)
    if american is not None:
        return _american_us(american)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _epoch_us(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _american_us(found: re.Match[str]) -> int:
    month, day, year, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    half = (found[8] or "").upper()
    if half and not 1 <= hour <= 12:
        raise ValueError(f"hour {hour} {half}M")
    hour = hour % 12 + (12 if half == "P" else 0) if half else hour
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND + round(float(found[7] or 0) * 1e6)


def _epoch_us(text: str) -> int:
    number = float(text)
    if not isfinite(number) or abs(number) > 1e14:
        raise ValueError(text)
    return round(number * (1e6 if abs(number) < 1e11 else 1e3))


def value(text: str) -> float:
    """A number; NaN for nothing. Raises ValueError."""
    if text.casefold() in ("", "nan", "null", "none", "na"):
        return nan
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def label(text: str) -> bool:
    """Is the row anomalous? 0 and 1 in any form, or false and true. Raises ValueError."""
    known = _LABELS.get(text.casefold())
    if known is not None:
        return known
    number = float(text)
    if number not in (0.0, 1.0):
        raise ValueError(text)
    return number == 1.0
