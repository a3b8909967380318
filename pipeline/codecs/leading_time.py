"""The time at the beginning of a log line, in the forms that programs write.

Guarantee: a pure function of the line and of when it was received. What is found is a date that exists; a form without
a year gets the one that brings it nearest to when it was received, a form without an offset is read as UTC, and a bare
number is only taken for a time within a year of that moment.
"""

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from pipeline.codecs import severity
from pipeline.records import US


class Leading(NamedTuple):
    """``time_us`` is None where the line begins with no time; ``rest`` is the line without it."""

    time_us: int | None
    rest: str
    severity: int = 0
    host: str = ""
    program: str = ""


_DAY_US = 86_400 * US
_YEAR_US = 366 * _DAY_US
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MONTHS = {"janfebmaraprmayjunjulaugsepoctnovdec"[3 * month : 3 * month + 3]: month + 1 for month in range(12)}
_CLOCK = r"(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?"
_OFFSET = r"(?:\s?(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d)(?!\w))?"

#: ``2026-01-31T12:00:00.5Z``, ``2026-01-31 12:00:00,500``, ``2026/01/31 12:00:00``, also in brackets.
_DATED = re.compile(
    r"\s*[\[(\"]?(?P<when>\d{4}[-/]\d\d[-/]\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](?P<f>\d{1,9}))?"
    r"(?:\s?(?P<z>[Zz]|UTC|GMT|[+-]\d\d:?\d\d)(?!\w))?"
)
#: RFC 3164: ``Jan 31 12:00:00 host program[123]: ``, with or without the priority before it.
_SYSLOG = re.compile(
    rf"(?:<(?P<pri>\d{{1,3}})>)?(?P<mon>[A-Z][a-z]{{2}}) {{1,2}}(?P<d>\d{{1,2}}) (?:(?P<y>\d{{4}}) )?{_CLOCK}:? "
    r"(?:(?P<host>[\w.:-]+) (?P<program>[\w./@-]+)(?:\[\d+\])?: ?)?"
)
#: RFC 5424: ``<34>1 2026-01-31T12:00:00Z host program 123 ID47 [data] ``.
_SYSLOG_NEW = re.compile(
    rf"<(?P<pri>\d{{1,3}})>\d (?:-|(?P<y>\d{{4}})-(?P<mo>\d\d)-(?P<d>\d\d)T{_CLOCK}{_OFFSET}) "
    r"(?P<host>\S+) (?P<program>\S+) \S+ \S+ (?:-|(?:\[(?:[^\]\\\"]|\\.|\"(?:[^\"\\]|\\.)*\")*\])+)(?: \ufeff?|$)"
)
#: Kubernetes' own: ``I0131 12:00:00.123456   1234 file.go:12] ``.
_KLOG = re.compile(rf"(?P<level>[DIWEF])(?P<mo>\d\d)(?P<d>\d\d) {_CLOCK}\s+\d+ ")
#: Of web servers: ``127.0.0.1 - - [31/Jan/2026:12:00:00 +0000] ``; Apache's errors: ``[Sat Jan 31 12:00:00.5 2026] ``.
_COMMON = re.compile(
    r"(?P<before>\S{1,64} \S{1,64} \S{1,64} )"
    rf"\[(?P<d>\d\d)/(?P<mon>[A-Za-z]{{3}})/(?P<y>\d{{4}}):{_CLOCK}{_OFFSET}\] ?"
)
_APACHE = re.compile(rf"\[[A-Z][a-z]{{2}} (?P<mon>[A-Z][a-z]{{2}}) {{1,2}}(?P<d>\d{{1,2}}) {_CLOCK} (?P<y>\d{{4}})\]")
#: Seconds with or without a fraction, or milli-, micro- or nanoseconds since 1970, by the number of digits.
_NUMBER = re.compile(r"\[?(?P<n>\d{10}|\d{13}|\d{16}|\d{19})(?:\.(?P<f>\d{1,9}))?(?![\w.])")
#: ``time=2026-01-31T12:00:00Z level=info``: the time stays where it is.
_NAMED = re.compile(
    r"\s*\{?\"?(?:time|ts|timestamp|@timestamp)\"?[=:]\s*\"?"
    rf"(?P<y>\d{{4}})-(?P<mo>\d\d)-(?P<d>\d\d)[T ]{_CLOCK}{_OFFSET}"
)
_SEPARATORS = ' \t]),|:"'


def read(line: str, received_us: int) -> Leading:
    """The time that the line begins with, and the rest."""
    first = line[:1]
    if first == "<":
        found = _syslog(line, received_us)
    elif first.isupper():
        found = _syslog(line, received_us) or _klog(line, received_us)
    else:
        found = _dated(line) or _other(line, received_us)
    return found or _common(line) or Leading(None, line)


def _dated(line: str) -> Leading | None:
    found = _DATED.match(line)
    if found is None or (second_us := _second_us(found["when"], found["z"])) is None:
        return None
    rest = line[found.end() :].lstrip(_SEPARATORS)
    return Leading(second_us + _fraction(found["f"]), rest[2:] if rest[:2] == "- " else rest)


@lru_cache(maxsize=4096)
def _second_us(when: str, offset: str | None) -> int | None:
    """``2026-01-31T12:00:00``; None where there is no such second."""
    try:
        day_us = _day_us(int(when[:4]), int(when[5:7]), int(when[8:10]))
    except ValueError:
        return None
    clock = int(when[11:13]) * 3600 + int(when[14:16]) * 60 + min(int(when[17:19]), 59)
    return None if clock >= 86_400 else day_us + clock * US - _offset_us(offset)


def _syslog(line: str, received_us: int) -> Leading | None:
    newer = line[:1] == "<" and line[line.find(">") + 2 : line.find(">") + 3] == " "
    found = (_SYSLOG_NEW if newer else _SYSLOG).match(line)
    if found is None:
        return None
    parts = found.groupdict()
    level = severity.of_syslog(int(parts["pri"])) if parts["pri"] else 0
    time_us = received_us if parts["h"] is None else _time_us(found, received_us)
    if time_us is None:
        return None
    host, program = ("" if part in (None, "-") else part for part in (parts["host"], parts["program"]))
    return Leading(time_us, line[found.end() :], level, host, program)


def _klog(line: str, received_us: int) -> Leading | None:
    found = _KLOG.match(line)
    if found is None or (time_us := _time_us(found, received_us)) is None:
        return None
    return Leading(time_us, line[found.end() :], severity.of_word(found["level"]))


def _other(line: str, received_us: int) -> Leading | None:
    if (named := _NAMED.match(line)) and (time_us := _time_us(named)) is not None:
        return Leading(time_us, line)
    if (found := _APACHE.match(line)) and (time_us := _time_us(found)) is not None:
        return Leading(time_us, line[found.end() :].lstrip(_SEPARATORS))
    number = _NUMBER.match(line)
    if number is None:
        return None
    digits = number["n"]
    time_us = int(digits) * US // 10 ** (len(digits) - 10) + (_fraction(number["f"]) if len(digits) == 10 else 0)
    if abs(time_us - received_us) > _YEAR_US:
        return None
    return Leading(time_us, line[number.end() :].lstrip(_SEPARATORS))


def _common(line: str) -> Leading | None:
    if " [" not in line[:200] or not (found := _COMMON.match(line)):
        return None
    time_us = _time_us(found)
    return None if time_us is None else Leading(time_us, found["before"] + line[found.end() :])


def _time_us(found: re.Match[str], received_us: int = 0) -> int | None:
    """The moment that a match spells; None where there is no such date."""
    parts = found.groupdict()
    month = int(parts["mo"]) if parts.get("mo") else _MONTHS.get((parts.get("mon") or "").lower(), 0)
    clock = (int(parts["h"]) * 3600 + int(parts["m"]) * 60 + min(int(parts["s"]), 59)) * US + _fraction(parts["f"])
    if clock >= _DAY_US:
        return None
    try:
        if parts.get("y"):
            return _day_us(int(parts["y"]), month, int(parts["d"])) + clock - _offset_us(parts.get("z"))
        return _nearest_day_us(month, int(parts["d"]), received_us // _DAY_US) + clock
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _day_us(year: int, month: int, day: int) -> int:
    """Raises ValueError where there is no such day."""
    return (date(year, month, day).toordinal() - _EPOCH_DAY) * _DAY_US


@lru_cache(maxsize=1024)
def _nearest_day_us(month: int, day: int, received_day: int) -> int:
    """In the year that brings it nearest to the day on which it was received. Raises ValueError."""
    year = date.fromordinal(min(max(received_day + _EPOCH_DAY, 400), 3_000_000)).year
    days = []
    for candidate in (year - 1, year, year + 1):
        try:
            days.append(_day_us(candidate, month, day))
        except ValueError:
            continue  # 29 February
    if not days:
        raise ValueError(f"there is no day {day} in month {month}")
    return min(days, key=lambda found: abs(found - received_day * _DAY_US))


def _fraction(digits: str | None) -> int:
    return int(digits[:6].ljust(6, "0")) if digits else 0


def _offset_us(text: str | None) -> int:
    if not text or text[0] not in "+-":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return (minutes if text[0] == "+" else -minutes) * 60 * US
