"""A moment as it is written in JSON, as whole microseconds since the epoch.

Guarantee: a moment of the years 1970 … 5138, or BadPoint with the reason ``bad_time``. RFC 3339 times without an offset
are read as UTC; digits beyond microseconds are cut off.
"""

from datetime import UTC, datetime
from typing import Any

from pipeline.codecs.series_table import BadPoint
from pipeline.records import US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Seconds since 1970 stay below this; milliseconds do not.
_MOST_US = 10**11 * US


def moment_us(value: Any, name: str = "ts") -> int:
    """Seconds since 1970 as a number, or RFC 3339 as a text. ``name`` is that of the member, for people."""
    try:
        found = -1
        if isinstance(value, str):
            found = _text_us(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = round(value * US)
        if 0 <= found < _MOST_US:
            return found
    except (ValueError, OverflowError):
        pass  # said below
    raise BadPoint(
        "bad_time",
        f"{name} is {value!r:.64}; give seconds since 1970 (not milliseconds) as a number, or RFC 3339 as a text",
    )


def _text_us(text: str) -> int:
    moment = datetime.fromisoformat(text.upper())
    if len(text) < len("2026-01-31T12:00"):
        raise ValueError("a day is no moment")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * US + since.microseconds
