"""Times of a CSV file: text to microseconds, and back to text in the form that the file has.

Guarantee: ``write(read(text)) == text`` for every text that looks like the first one (down to microseconds), so that
what is written joins to the file's own rows. A calendar time without a zone is UTC.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.records import US, to_us

_EPOCH, _EPOCH_UTC = datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Seconds beyond it are milliseconds, or nonsense (year 5138).
_MAX_SECONDS = 1e11
_CALENDAR = re.compile(r"\d{4}-\d\d-\d\d(?:([ T])\d\d:\d\d(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:?\d\d)?)?")


class BadTime(ValueError):
    """A text is not a time of the form wanted."""


@dataclass(frozen=True, slots=True)
class SecondsForm:
    """``1392388200`` or ``1392388200.25``: seconds since 1970; ``digits`` after the point, as in the first row."""

    digits: int = 0

    def read(self, text: str) -> int:
        """Microseconds since the epoch. Raises BadTime."""
        try:
            seconds = float(text)
        except ValueError:
            raise BadTime(f"time {text!r} is not a number of seconds since 1970, as the rows before have it") from None
        if not abs(seconds) < _MAX_SECONDS:
            raise BadTime(f"time {text!r} is not in seconds since 1970; if it is in milliseconds, divide by 1000")
        return to_us(seconds)

    def write(self, time_us: int) -> str:
        digits = _digits_needed(time_us % US, self.digits)
        sign, (whole, rest) = "-" if time_us < 0 else "", divmod(abs(time_us), US)
        return f"{sign}{whole}.{rest:06d}"[: digits - 6 or None] if digits else f"{sign}{whole}"


@dataclass(frozen=True, slots=True)
class CalendarForm:
    """``2014-02-14 14:30:00`` or RFC 3339: what stands between date and time, the precision, and the zone."""

    separator: str = " "
    shortest: str = "seconds"  # "date", "minutes" or "seconds"
    digits: int = 0
    zone: str = ""
    offset_us: int = 0

    def read(self, text: str) -> int:
        """Microseconds since the epoch. Raises BadTime."""
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise BadTime(
                f"time {text!r} cannot be read; write 2014-02-14 14:30:00, an RFC 3339 time or seconds since 1970"
            ) from None
        return (moment - (_EPOCH if moment.tzinfo is None else _EPOCH_UTC)) // _MICROSECOND

    def write(self, time_us: int) -> str:
        moment = _EPOCH + timedelta(microseconds=time_us + self.offset_us)
        digits = _digits_needed(moment.microsecond, self.digits)
        if digits:
            return moment.isoformat(self.separator, "microseconds")[: 20 + digits] + self.zone
        if moment.second or self.shortest == "seconds":
            return moment.isoformat(self.separator, "seconds") + self.zone
        if moment.hour or moment.minute or self.shortest == "minutes":
            return moment.isoformat(self.separator, "minutes") + self.zone
        return moment.date().isoformat()


TimeForm = SecondsForm | CalendarForm


def form_of(text: str) -> TimeForm:
    """The form that a first time has. Raises BadTime."""
    try:
        float(text)
    except ValueError:
        return _calendar_form(text)
    form = SecondsForm(min(len(text.partition(".")[2]), 6) if re.fullmatch(r"-?\d+\.\d+", text) else 0)
    form.read(text)
    return form


def _calendar_form(text: str) -> CalendarForm:
    CalendarForm().read(text)
    match = _CALENDAR.fullmatch(text)
    if match is None:  # another ISO 8601 form that Python reads, for instance 20140214T143000
        return CalendarForm(separator="T", digits=6, zone="Z")
    separator, seconds, fraction, zone = match.groups()
    if separator is None:
        return CalendarForm(shortest="date")
    shift = datetime.fromisoformat(text).utcoffset() if zone else None
    shortest = "seconds" if seconds else "minutes"
    return CalendarForm(separator, shortest, len(fraction or ""), zone or "", (shift or timedelta()) // _MICROSECOND)


def _digits_needed(fraction_us: int, usual: int) -> int:
    """The usual number of digits where they can say it, else six."""
    return usual if fraction_us % 10 ** (6 - usual) == 0 else 6
