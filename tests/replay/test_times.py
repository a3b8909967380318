"""Times: read to the microsecond, and written as the file has them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import US
from pipeline.replay.times import BadTime, form_of

_TIMES = st.integers(0, 7_258_118_400 * US)  # 1970 … 2200


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2014-02-14 14:30:00", 1_392_388_200 * US),
        ("2014-02-14T14:30:00Z", 1_392_388_200 * US),
        ("2014-02-14T15:30:00.250+01:00", 1_392_388_200 * US + 250_000),
        ("2014-02-14T15:30:00+0100", 1_392_388_200 * US),
        ("2014-02-14 14:30", 1_392_388_200 * US),
        ("2014-02-14", 1_392_336_000 * US),
        ("1392388200", 1_392_388_200 * US),
        ("1392388200.5", 1_392_388_200 * US + 500_000),
        ("1392388200.000001", 1_392_388_200 * US + 1),
        ("0", 0),
        ("-1.5", -1_500_000),
    ],
)
def test_a_time_is_read_and_written_as_it_was(text: str, time_us: int) -> None:
    form = form_of(text)
    assert form.read(text) == time_us
    assert form.write(time_us) == text


@pytest.mark.parametrize(
    "first", ["2014-02-14 14:30:00", "2014-02-14T14:30:00.5Z", "2014-02-14", "7", "7.25", "7.000001"]
)
@given(time_us=_TIMES)
def test_any_time_survives_being_written_in_any_form(first: str, time_us: int) -> None:
    form = form_of(first)
    assert form.read(form.write(time_us)) == time_us


@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), hours=st.integers(-12, 14))
def test_an_offset_is_kept(moment: datetime, hours: int) -> None:
    sign = "-" if hours < 0 else "+"
    text = f"{moment.isoformat(timespec='microseconds')}{sign}{abs(hours):02d}:00"
    form = form_of(text)
    since = moment.replace(tzinfo=UTC) - timedelta(hours=hours) - datetime(1970, 1, 1, tzinfo=UTC)
    assert form.read(text) == since // timedelta(microseconds=1)
    assert form.write(form.read(text)) == text


def test_one_form_writes_the_same_length_throughout() -> None:
    form = form_of("2014-02-14 14:30:00.50")
    assert form.write(US) == "1970-01-01 00:00:01.00"


def test_a_time_finer_than_the_first_is_written_in_full() -> None:
    assert form_of("2014-02-14 14:30:00").write(1) == "1970-01-01 00:00:00.000001"
    assert form_of("2014-02-14").write(90 * US) == "1970-01-01 00:01:30"
    assert form_of("1").write(1) == "0.000001"


@pytest.mark.parametrize("text", ["1392388200000", "nan", "inf", "-1e12"])
def test_what_cannot_be_seconds_is_refused(text: str) -> None:
    with pytest.raises(BadTime, match="not in seconds since 1970; if it is in milliseconds, divide by 1000"):
        form_of(text)


@pytest.mark.parametrize("text", ["", "7/20/2015 0:00", "2014-02-30 00:00:00", "now", "14:30:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(
        BadTime, match="cannot be read; write 2014-02-14 14:30:00, an RFC 3339 time or seconds since 1970"
    ):
        form_of(text)


def test_a_time_of_the_other_kind_is_refused() -> None:
    with pytest.raises(BadTime, match="not a number of seconds"):
        form_of("7").read("2014-02-14 14:30:00")
    with pytest.raises(BadTime, match="cannot be read"):
        form_of("2014-02-14 14:30:00").read("1392388200")
