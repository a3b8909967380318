"""Severities: of numbers, words and lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.codecs import severity


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("INFO", 9),
        ("info", 9),
        (" Warning ", 13),
        ("ERROR3", 19),
        ("SEVERITY_NUMBER_ERROR2", 18),
        ("notice", 10),
        ("CRITICAL", 21),
        ("W", 13),
        ("Normal", 9),
        ("Verbose", 1),
        ("SEVERE", 17),
        ("", 0),
        ("blue", 0),
    ],
)
def test_a_word_gives_a_number(word: str, number: int) -> None:
    assert severity.of_word(word) == number


@pytest.mark.parametrize(
    ("level", "number"),
    [("error", 17), (3, 17), ("6", 9), (30, 9), (60, 21), (0, 21), (True, 0), (None, 0), (1000, 0), ({}, 0), ("", 0)],
)
def test_a_level_may_be_a_word_of_syslog_or_in_tens(level: object, number: int) -> None:
    assert severity.of_level(level) == number


def test_a_priority_of_syslog_holds_its_severity() -> None:
    assert [severity.of_syslog(priority) for priority in (34, 165, 0, 191)] == [18, 10, 21, 5]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("ERROR something", 17),
        ("[error] 12#0: upstream timed out", 17),
        ("main WARN  c.a.Cart - slow", 13),
        ("time=x level=warn msg=y", 13),
        ('{"a":1,"level": "fatal"}', 21),
        ("severity: DEBUG here", 5),
        ("[core:error] [pid 7] x", 17),
        ("error: it does not work", 17),
        ("myapp: warning: deprecated", 13),
        ("Traceback (most recent call last):", 17),
        ('Exception in thread "main" java.lang.X', 17),
        ("<info> [17] started", 9),
        ("app | error | x", 17),
        # Only words:
        ("there was no error found", 0),
        ("INFORMATION desk", 9),
        ("MY_ERROR_CODE=3", 0),
        ("TERROR", 0),
        ("ERROR-HANDLER started", 0),
        ("the level of water", 0),
        ("x" * 200 + " ERROR", 0),
        ("", 0),
        ("straße ß ERROR", 17),
        # The first one counts:
        ("INFO no ERROR here", 9),
        ("ERROR after INFO", 17),
    ],
)
def test_a_line_tells_its_level_where_it_is_written_like_one(line: str, number: int) -> None:
    assert severity.in_line(line) == number


@given(st.text())
def test_any_line_has_an_answer(line: str) -> None:
    assert 0 <= severity.in_line(line) <= 24
    assert 0 <= severity.of_word(line) <= 24
    assert 0 <= severity.of_level(line) <= 24
