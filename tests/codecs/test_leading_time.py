"""Times at the beginning of lines, in the forms that programs write."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import leading_time
from pipeline.records import US, iso


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * US)


NOW = us("2026-02-01T00:00:00")


@pytest.mark.parametrize(
    ("line", "time", "rest"),
    [
        ("2026-01-31T12:00:00Z started", "2026-01-31T12:00:00", "started"),
        ("2026-01-31T12:00:00.123456789+02:00 started", "2026-01-31T10:00:00.123456", "started"),
        ("2026-01-31 12:00:00,5 - app - INFO - started", "2026-01-31T12:00:00.5", "app - INFO - started"),
        ("2026-01-31 12:00:00.250 -0130 x", "2026-01-31T13:30:00.25", "x"),
        ("2026/01/31 12:00:00 [error] 7#7: x", "2026-01-31T12:00:00", "[error] 7#7: x"),
        ("[2026-01-31 12:00:00] prod.ERROR: x", "2026-01-31T12:00:00", "prod.ERROR: x"),
        ("2026-01-31 12:00:00 UTC [17] LOG:  x", "2026-01-31T12:00:00", "[17] LOG:  x"),
        ("  2026-01-31T12:00:60z x", "2026-01-31T12:00:59", "x"),
        ("I0131 12:00:00.000005    17 a.go:12] x", "2026-01-31T12:00:00.000005", "a.go:12] x"),
        ("Jan 31 12:00:00 web-1 nginx[17]: x", "2026-01-31T12:00:00", "x"),
        ("<34>Jan  1 12:00:00 web-1 nginx: x", "2026-01-01T12:00:00", "x"),
        ("Dec 31 23:59:59 web-1 nginx: x", "2025-12-31T23:59:59", "x"),
        ('<165>1 2026-01-31T12:00:00.5Z h p 17 ID7 [a@1 b="c \\] d"] x', "2026-01-31T12:00:00.5", "x"),
        ("<165>1 2026-01-31T12:00:00Z h p - - - x", "2026-01-31T12:00:00", "x"),
        ("[Sat Jan 31 12:00:00.5 2026] [core:error] x", "2026-01-31T12:00:00.5", "[core:error] x"),
        (
            '10.0.0.1 - bob [31/Jan/2026:12:00:00 +0100] "GET / HTTP/1.1" 200 5',
            "2026-01-31T11:00:00",
            '10.0.0.1 - bob "GET / HTTP/1.1" 200 5',
        ),
        ("1769860800 x", "2026-01-31T12:00:00", "x"),
        ("1769860800.25: x", "2026-01-31T12:00:00.25", "x"),
        ("1769860800250 x", "2026-01-31T12:00:00.25", "x"),
        ("[1769860800000001] x", "2026-01-31T12:00:00.000001", "x"),
        ("time=2026-01-31T12:00:00Z level=info", "2026-01-31T12:00:00", "time=2026-01-31T12:00:00Z level=info"),
        ('{"ts":"2026-01-31T12:00:00Z","a":1}', "2026-01-31T12:00:00", '{"ts":"2026-01-31T12:00:00Z","a":1}'),
    ],
)
def test_a_time_is_read_and_taken_off(line: str, time: str, rest: str) -> None:
    found = leading_time.read(line, NOW)
    assert found.time_us is not None
    assert iso(found.time_us) == iso(us(time))
    assert found.rest == rest


@pytest.mark.parametrize(
    "line",
    [
        "started",
        "",
        "2026-13-31T12:00:00Z no such month",
        "2026-02-30 12:00:00 no such day",
        "2026-01-31 25:00:00 no such hour",
        "1769860800000000000000 too long a number",
        "1069860800 years ago",
        "1769860800.5.3 a version",
        "404 not found",
        "Foo 31 12:00:00 host app: no such month",
        "I1331 12:00:00.5 17 a.go:1] no such month",
        "10.0.0.1 - - [31/Foo/2026:12:00:00 +0100] x",
        "<34>no time",
        "May the force be with you",
    ],
)
def test_a_line_without_a_time_stays_as_it_is(line: str) -> None:
    assert leading_time.read(line, NOW) == leading_time.Leading(None, line)


def test_syslog_tells_host_program_and_severity() -> None:
    found = leading_time.read("<34>Jan 31 12:00:00 web-1 nginx[17]: x", NOW)
    assert (found.severity, found.host, found.program) == (18, "web-1", "nginx")
    found = leading_time.read("<165>1 2026-01-31T12:00:00Z - myapp 17 - - x", NOW)
    assert (found.severity, found.host, found.program) == (10, "", "myapp")


def test_a_syslog_line_without_a_time_was_received_just_now() -> None:
    assert leading_time.read("<165>1 - h p - - - x", NOW).time_us == NOW


def test_the_letter_of_klog_is_the_severity() -> None:
    assert [leading_time.read(f"{letter}0131 12:00:00.5 17 a.go:1] x", NOW).severity for letter in "DIWEF"] == [
        5,
        9,
        13,
        17,
        21,
    ]


def test_a_leap_day_without_a_year_is_that_of_a_leap_year() -> None:
    found = leading_time.read("Feb 29 12:00:00 h p: x", us("2025-01-01T00:00:00"))
    assert found.time_us == us("2024-02-29T12:00:00")


@given(st.text(), st.integers(-(10**18), 10**18))
def test_any_line_has_an_answer(line: str, received_us: int) -> None:
    assert leading_time.read(line, received_us).rest is not None


BEGINNINGS = [
    "2026-01-31T12:00:00.5Z ",
    "<34>Jan 31 12:00:00 web-1 nginx[17]: ",
    '<165>1 2026-01-31T12:00:00.5Z h p 17 ID7 [a@1 b="c"] ',
    "I0131 12:00:00.000005    17 a.go:12] ",
    "10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] ",
    "1769860800.25 ",
]


@given(st.sampled_from(BEGINNINGS), st.lists(st.tuples(st.integers(0, 60), st.characters()), max_size=3))
def test_a_damaged_beginning_has_an_answer(beginning: str, changes: list[tuple[int, str]]) -> None:
    line = list(beginning + "x")
    for at, character in changes:
        line[at % len(line)] = character
    leading_time.read("".join(line), NOW)


@pytest.mark.parametrize("line", ["<1>1 - h p - - [" + '"\\' * 50_000, "[" * 100_000, "<1>" * 50_000, "9" * 100_000])
def test_hostile_lines_take_no_time(line: str) -> None:
    assert leading_time.read(line, NOW).time_us is None
