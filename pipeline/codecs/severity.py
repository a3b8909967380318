"""How bad something is, as OpenTelemetry's severity number: from a number, a word, or the beginning of a log line.

Guarantee: 0 … 24, and 0 where nothing is said; a pure function. Words are those of the common logging libraries, of
syslog, Kubernetes and Alertmanager, by the table in the appendix of OpenTelemetry's log data model. In a line only what
is written like a level counts (``[warn]``, ``level=warn``, ``WARN``, ``warn:`` at its beginning or after a colon), not
every "error" in a sentence.
"""

import re
from typing import Any

from pipeline.records.lines import DEBUG, ERROR, FATAL, INFO, TRACE, UNSPECIFIED, WARN

HIGHEST = 24
_FIRST = {"TRACE": TRACE, "DEBUG": DEBUG, "INFO": INFO, "WARN": WARN, "ERROR": ERROR, "FATAL": FATAL}
_WORDS: dict[str, int] = {
    **_FIRST,
    **{f"{word}{step}": first + step - 1 for word, first in _FIRST.items() for step in (2, 3, 4)},
    **dict.fromkeys(("T", "TRC", "VERBOSE", "FINEST"), TRACE),
    **dict.fromkeys(("D", "DBG", "FINER"), DEBUG),
    "FINE": DEBUG + 1,
    "CONFIG": DEBUG + 2,
    **dict.fromkeys(("I", "INF", "INFORMATION", "INFORMATIONAL", "NORMAL", "LOG"), INFO),
    "NOTICE": INFO + 1,
    **dict.fromkeys(("W", "WRN", "WARNING"), WARN),
    **dict.fromkeys(("E", "ERR", "EROR", "SEVERE", "FAILURE"), ERROR),
    "ALERT": ERROR + 2,
    **dict.fromkeys(("F", "FTL", "CRIT", "CRITICAL", "PANIC", "DPANIC", "EMERG", "EMERGENCY", "PAGE"), FATAL),
}
#: Syslog's numbers, 0 (emergency) … 7 (debug).
_SYSLOG = (FATAL, ERROR + 2, ERROR + 1, ERROR, WARN, INFO + 1, INFO, DEBUG)
#: Bunyan's and pino's numbers, in steps of ten from ``trace`` on.
_TENS = (TRACE, DEBUG, INFO, WARN, ERROR, FATAL)

_NAMED = re.compile(r"\b(?:LOG[._]?)?(?:LEVEL|LVL|SEVERITY)[\"']?\s*[=:]\s*[\"']?(\w+)")
#: How the words begin that are levels in a line, where they are written like levels.
_STEMS = ("ERR", "WARN", "INFO", "DEBUG", "NOTICE", "CRIT", "FATAL", "TRACE", "SEVERE", "PANIC", "ALERT", "EMERG")
_WORD = re.compile(r"\w+")
_FIRST_WORD = re.compile(r"\W*([A-Z]{3,9})(?![\w-])")
_BEFORE, _AFTER = re.compile(r"(?:^|[\[<(|:])\s*$"), re.compile(r"\s*[\]>)|:]")
_RAISED = ("Traceback (most recent call last)", "Exception in thread ", "Unhandled exception", "Uncaught ")
#: A level stands near the beginning of a line, in characters.
_NEAR = 160


def of_number(number: int) -> int:
    """A severity number as sent; 0 where there is no such."""
    return number if 0 < number <= HIGHEST else UNSPECIFIED


def of_word(word: str) -> int:
    """The number of a level's name, in any case; 0 for a word that is none."""
    found = _WORDS.get(word)
    if found is None:
        found = _WORDS.get(word.strip().upper().removeprefix("SEVERITY_NUMBER_"), UNSPECIFIED)
    return found


def of_syslog(number: int) -> int:
    """The number of one of syslog's severities; a priority with a facility may be given whole."""
    return _SYSLOG[number & 7]


def of_level(level: Any) -> int:
    """A level as libraries write it into JSON: a word, syslog's 0 … 7, or tens (``30`` is info)."""
    if isinstance(level, str):
        return of_level(int(level)) if level.isdecimal() and len(level) < 4 else of_word(level)
    if not isinstance(level, int) or isinstance(level, bool):
        return UNSPECIFIED
    if 0 <= level < len(_SYSLOG):
        return _SYSLOG[level]
    return _TENS[level // 10 - 1] if 10 <= level < 70 else UNSPECIFIED


def in_line(line: str) -> int:
    """The level that stands near the beginning of a line."""
    begins = _FIRST_WORD.match(line)  # nearly always, once the time is off
    if begins and begins[1].startswith(_STEMS) and begins[1] in _WORDS:
        return _WORDS[begins[1]]
    near = line[:_NEAR]
    upper = near.upper()
    if len(upper) != len(near):  # some letters become two
        upper = near
    if "LEVEL" in upper or "LVL" in upper or "SEVERITY" in upper:
        named = _NAMED.search(upper)
        if named and of_level(named[1]):
            return of_level(named[1])
    first, found = _NEAR, UNSPECIFIED
    for stem in _STEMS:
        at = upper.find(stem)
        while 0 <= at < first:
            level = _level_at(near, upper, at)
            if level:
                first, found = at, level
            at = upper.find(stem, at + 1)
    return found or (ERROR if near.startswith(_RAISED) else UNSPECIFIED)


def _level_at(near: str, upper: str, at: int) -> int:
    """The level whose word begins here; 0 where it is only a word, or a part of one."""
    word = _WORD.match(upper, at)
    if word is None or word[0] not in _WORDS:
        return UNSPECIFIED
    before, after = near[at - 1 : at], near[word.end() : word.end() + 1]
    if before.isalnum() or before in ("_", "-") or after == "-":
        return UNSPECIFIED
    if near[at : word.end()].isupper() or (_BEFORE.search(near, 0, at) and _AFTER.match(near, word.end())):
        return _WORDS[word[0]]
    return UNSPECIFIED
