"""What is written for people: text from outside is spelled out, numbers and times are short."""

import math

import pytest

from pipeline.cli.terminal import cell, deviation, moment, number, plain, several


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("µs × 3 … ü 漢字", "µs × 3 … ü 漢字"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m\x7f\x00", "\\x9b31m\\x7f\\x00"),
        ("two\nlines\r\t", "two\\x0alines\\x0d\\x09"),
        ("\u202eevil\u2066\u200b\u2028", "\\u202eevil\\u2066\\u200b\\u2028"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_markup_in_a_cell_is_text() -> None:
    assert cell("[bold red]x[/]").plain == "[bold red]x[/]"
    assert cell("[bold red]x[/]").spans == []


@pytest.mark.parametrize(
    ("observed", "expected", "said"),
    [(40, 10, "4 times as much"), (14, 10, "+40 %"), (5, 10, "-50 %"), (3, 0, "+3"), (-4, -2, "-2"), (None, 1, "")],
)
def test_a_deviation_is_said_as_people_do(observed: float | None, expected: float, said: str) -> None:
    assert deviation(observed, expected) == said


def test_what_is_not_known_is_a_dash() -> None:
    assert number(None) == number(math.nan) == moment(0) == "–"
    assert number(1234567.0) == "1.235e+06"
    assert moment(1_700_000_000_900_000) == "2023-11-14T22:13:20Z"


def test_one_is_singular() -> None:
    assert (several(1, "signal"), several(2, "signal"), several(0, "signal")) == ("1 signal", "2 signals", "0 signals")
