"""When a maintenance window is open, above all where clocks change, held against the zone's own clock."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.zones import offsets_of
from pipeline.policies.detector import PolicyError
from pipeline.policies.maintenance import DAYS, MOST_RECURRING_US, Maintenance, Recurrence
from pipeline.policies.matcher import Matcher
from pipeline.records import US, Kind, Signal

HOUR, DAY = 3600 * US, 86_400 * US
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca", "UTC"]
MATCH = (Matcher("service.name", "=", "db"),)


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * US


def recurring(
    zone: str, at: str, lasts: timedelta, *, starts: str = "2026-01-01T00:00:00Z", ends: str = "2027-01-01T00:00:00Z",
    days_of_week: tuple[int, ...] = (), days_of_month: tuple[int, ...] = (),
) -> Maintenance:  # fmt: skip
    hours, minutes = map(int, at.split(":"))
    offsets = offsets_of(zone, us(starts), us(ends))
    recurs = Recurrence(
        hours * 3600 + minutes * 60, int(lasts.total_seconds()), zone, offsets, days_of_week, days_of_month
    )
    return Maintenance("db", MATCH, "ann", "backup", us(starts), us(starts), us(ends), recurs)


def open_times(window: Maintenance, since: str, until: str) -> list[tuple[str, str]]:
    """Each time it is open, in UTC."""
    found, at, end = [], us(since), us(until)
    while (change := window.next_change_us(at)) is not None and change < end:
        if window.active(change):
            closes = window.until_us(change)
            assert closes is not None
            found.append((utc(change), utc(closes)))
        at = change
    return found


def utc(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / US, UTC).strftime("%m-%d %H:%M")


def test_once_it_is_open_from_its_start_up_to_and_without_its_end() -> None:
    once = Maintenance("db", MATCH, "ann", "move", 0, DAY, 2 * DAY)
    assert [once.active(at) for at in (DAY - 1, DAY, 2 * DAY - 1, 2 * DAY)] == [False, True, True, False]
    assert [once.next_change_us(at) for at in (0, DAY - 1, DAY, 2 * DAY)] == [DAY, DAY, 2 * DAY, None]
    assert once.until_us(DAY) == 2 * DAY
    signal = Signal(1, "x", "1", Kind.GAUGE, "s", "service:shop/db", "", ())
    assert once.matches(signal)
    assert not once.matches(replace(signal, workload="service:shop/web"))


def test_in_spring_the_clock_takes_an_hour_from_the_night_and_the_window_keeps_its_local_start() -> None:
    window = recurring("Europe/Berlin", "04:00", timedelta(hours=1))
    assert open_times(window, "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z") == [
        ("03-28 03:00", "03-28 04:00"),
        ("03-29 02:00", "03-29 03:00"),
        ("03-30 02:00", "03-30 03:00"),
    ]


def test_a_start_that_clocks_skip_is_counted_from_the_offset_before() -> None:
    window = recurring("Europe/Berlin", "02:30", timedelta(hours=1))
    assert open_times(window, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z") == [
        ("03-29 01:30", "03-29 02:30"),  # 03:30 to 04:30 on clocks that never showed 02:30
        ("03-30 00:30", "03-30 01:30"),
    ]


def test_in_autumn_a_start_that_clocks_show_twice_is_the_first_and_it_comes_once() -> None:
    window = recurring("Europe/Berlin", "02:30", timedelta(hours=1))
    assert open_times(window, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z") == [
        ("10-25 00:30", "10-25 01:30"),
        ("10-26 01:30", "10-26 02:30"),
    ]


def test_a_window_over_the_change_lasts_as_long_as_ever() -> None:
    for month, change in (("03", "03-29"), ("10", "10-25")):
        window = recurring("Europe/Berlin", "23:00", timedelta(hours=6))
        ((begins, ends),) = open_times(window, f"2026-{month}-{int(change[3:]) - 1}T12:00:00Z", f"2026-{change}T12:00Z")
        assert us(f"2026-{ends}Z") - us(f"2026-{begins}Z") == 6 * HOUR


@pytest.mark.parametrize(
    ("weekdays", "month_days", "found"),
    [
        ((0,), (), ["02-02", "02-09", "02-16", "02-23"]),
        ((5, 6), (), ["02-01", "02-07", "02-08", "02-14", "02-15", "02-21", "02-22", "02-28"]),
        ((), (15,), ["02-15"]),
        ((), (-1,), ["02-28"]),
        ((), (31, 30), []),
        ((6,), tuple(range(1, 8)), ["02-01"]),
        ((2,), tuple(range(-7, 0)), ["02-25"]),
    ],
    ids=str,
)
def test_days_are_of_the_week_of_the_month_from_its_end_or_both(
    weekdays: tuple[int, ...], month_days: tuple[int, ...], found: list[str]
) -> None:
    window = recurring("UTC", "12:00", timedelta(hours=1), days_of_week=weekdays, days_of_month=month_days)
    assert [begins[:5] for begins, _ in open_times(window, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")] == found


def test_a_day_is_that_of_the_zone_and_not_of_utc() -> None:
    window = recurring("Asia/Kolkata", "01:00", timedelta(hours=1), days_of_week=(0,))
    ((begins, ends),) = open_times(window, "2026-02-01T12:00:00Z", "2026-02-03T00:00:00Z")
    assert (begins, ends) == ("02-01 19:30", "02-01 20:30")


def test_what_recurs_is_open_only_between_its_first_and_last_time() -> None:
    window = recurring("UTC", "12:00", timedelta(hours=4), starts="2026-02-01T14:00:00Z", ends="2026-02-03T13:00:00Z")
    assert open_times(window, "2026-01-30T00:00:00Z", "2026-02-10T00:00:00Z") == [
        ("02-01 14:00", "02-01 16:00"),
        ("02-02 12:00", "02-02 16:00"),
        ("02-03 12:00", "02-03 13:00"),
    ]


def test_times_that_follow_upon_each_other_are_one() -> None:
    days = recurring("UTC", "00:00", timedelta(days=1), days_of_week=(0, 1, 2))
    assert open_times(days, "2026-02-01T00:00:00Z", "2026-02-08T00:00:00Z") == [("02-02 00:00", "02-05 00:00")]
    always = recurring("Europe/Berlin", "00:00", timedelta(days=7))
    assert always.until_us(us("2026-05-05T05:05:00Z")) == us("2027-01-01T00:00:00Z")


def test_one_that_is_ended_early_is_over_for_good() -> None:
    window = recurring("UTC", "12:00", timedelta(hours=4))
    ended = window.expired(us("2026-02-01T13:00:00Z"), "bob")
    assert ended.until_us(us("2026-02-01T12:30:00Z")) == us("2026-02-01T13:00:00Z")
    assert ended.next_change_us(us("2026-02-01T13:00:00Z")) is None
    assert ended.expired_by == "bob"
    assert window.expired(us("2028-01-01T00:00:00Z"), "bob") is window


def naive_starts(window: Maintenance, zone: str) -> Iterator[int]:
    """By the zone's own clock, one day after the other."""
    assert window.recurs is not None
    at, day = window.recurs.at_seconds, datetime(2025, 12, 20)
    while day.year < 2028:
        local = (day + timedelta(seconds=at)).replace(tzinfo=ZoneInfo(zone), fold=0)
        following = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
        from_the_end = -(following - day).days
        of_week, of_month = window.recurs.days_of_week, window.recurs.days_of_month
        if (not of_week or day.weekday() in of_week) and (not of_month or {day.day, from_the_end} & set(of_month)):
            yield int(local.timestamp()) * US
        day += timedelta(days=1)


@given(
    st.sampled_from(ZONES),
    st.integers(0, 23),
    st.integers(1, 3 * 24 * 4),
    st.lists(st.integers(0, 6), max_size=3),
    st.lists(st.sampled_from([1, 2, 8, 25, 29, 31, -1, -3]), max_size=3),
    st.data(),
)
def test_it_is_open_when_the_zones_own_clock_says_so(
    zone: str, hour: int, quarters: int, weekdays: list[int], month_days: list[int], data: st.DataObject
) -> None:
    lasts = timedelta(minutes=15 * quarters)
    at_time, ends = f"{hour:02d}:30", "2027-06-01T00:00:00Z"
    of_week, of_month = tuple(weekdays), tuple(month_days)
    window = recurring(zone, at_time, lasts, ends=ends, days_of_week=of_week, days_of_month=of_month)
    near = [window.starts_us, window.expires_us, *(us(f"2026-{day}T12:00:00Z") for day in ("03-08", "03-29", "10-25"))]
    at = data.draw(st.sampled_from(near)) + data.draw(st.integers(-5 * DAY, 5 * DAY))
    lasts_us = int(lasts.total_seconds()) * US
    naive = any(start <= at < start + lasts_us for start in naive_starts(window, zone))
    assert window.active(at) == (naive and window.starts_us <= at < window.expires_us)
    change = window.next_change_us(at)
    if change is None:
        assert window.active(at) is False
        assert not any(max(at, window.starts_us) < s < window.expires_us for s in naive_starts(window, zone))
    else:
        assert window.active(change) != window.active(at) == window.active(change - 1)
    assert window.until_us(at) == (change if window.active(at) else None)


def test_a_window_carries_the_offsets_of_its_zone() -> None:
    offsets = offsets_of("Europe/Berlin", us("2026-01-01T00:00:00Z"), us("2027-01-01T00:00:00Z"))
    assert [(utc(since), seconds) for since, seconds in offsets[1:]] == [("03-29 01:00", 7200), ("10-25 01:00", 3600)]
    assert offsets[0][1] == 3600
    ten_years = offsets_of("Africa/Casablanca", us("2026-01-01T00:00:00Z"), us("2026-01-01T00:00:00Z") + 3660 * DAY)
    assert len(ten_years) <= 64


FINE = recurring("Europe/Berlin", "02:30", timedelta(hours=1))


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"at_seconds": 86_400}, "recurs.at", "a time of day"),
        ({"lasts_seconds": 59}, "recurs.lasts_seconds", "a minute to 7 days"),
        ({"lasts_seconds": True}, "recurs.lasts_seconds", "is True"),
        ({"lasts_seconds": 8 * 86_400}, "recurs.lasts_seconds", "a minute to 7 days"),
        ({"days_of_week": (7,)}, "recurs.days_of_week", f"days of {', '.join(DAYS)}"),
        ({"days_of_month": (0,)}, "recurs.days_of_month", "has a 0"),
        ({"days_of_month": (32,)}, "recurs.days_of_month", "days from 1 to 31"),
        ({"zone": ""}, "recurs.zone", "name a time zone"),
        ({"offsets": ()}, "recurs.offsets", "has 0 entries"),
        ({"offsets": ((5, 0), (5, 1))}, "recurs.offsets", "not in the order of time"),
        ({"offsets": ((5, 100_000),)}, "recurs.offsets", "seconds east of UTC"),
    ],
    ids=str,
)
def test_what_cannot_recur_is_refused(changes: dict[str, Any], key: str, said: str) -> None:
    assert FINE.recurs is not None
    with pytest.raises(PolicyError) as refused:
        replace(FINE.recurs, **changes)
    assert refused.value.key == key
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"starts_us": FINE.expires_us}, "expires", "is not after starts"),
        ({"expires_us": FINE.starts_us + MOST_RECURRING_US + 1}, "expires", "more than 3660 days after starts; add it"),
        ({"expires_us": FINE.starts_us + 367 * DAY, "recurs": None}, "expires", "more than 366 days after starts"),
        ({"match": ()}, "match", "is empty"),
        ({"author": ""}, "author", "say who"),
        ({"starts_us": None}, "starts", "it must be a time"),
    ],
    ids=str,
)
def test_what_is_no_window_is_refused(changes: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        replace(FINE, **changes)
    assert refused.value.key == key
    assert said in str(refused.value)
