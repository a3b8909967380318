"""Time zones, from the database of this machine, as what a maintenance window carries of them.

Guarantee: what comes out holds for the whole stretch that was asked for. It is looked up once, when a window is
written: all that read the window, today or in a replay years later, find the same hours, whatever databases they have.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.records import US

#: Between two looks clocks change at most once.
_LOOK = timedelta(hours=12)
_AROUND = timedelta(days=10)


def offsets_of(zone: str, since_us: int, until_us: int) -> tuple[tuple[int, int], ...]:
    """Since when (microseconds) clocks are how many seconds east of UTC, for a stretch and some days around it. Raises
    ValueError."""
    clock = _zone(zone)
    at = datetime.fromtimestamp(since_us // US, UTC) - _AROUND
    end = datetime.fromtimestamp(until_us // US, UTC) + _AROUND
    at = max(at, datetime(1970, 1, 1, tzinfo=UTC))
    found = [(int(at.timestamp()) * US, _offset(clock, at))]
    while at < end:
        following = at + _LOOK
        if (offset := _offset(clock, following)) != found[-1][1]:
            found.append((_change(clock, at, following), offset))
        at = following
    return tuple(found)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = "write for instance Europe/Berlin, America/New_York or UTC"
        raise ValueError(f"{name!r} is no time zone that this machine knows; {known}") from None


def _offset(clock: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(clock).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _change(clock: ZoneInfo, before: datetime, after: datetime) -> int:
    """To the second, when the offset of ``after`` begins."""
    low, high, wanted = int(before.timestamp()), int(after.timestamp()), _offset(clock, after)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(clock, datetime.fromtimestamp(middle, UTC)) == wanted:
            high = middle
        else:
            low = middle
    return high * US
