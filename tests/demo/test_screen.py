"""What the demo prints, on a page of 100 columns."""

import io

from rich.console import Console

from pipeline.demo.screen import Screen
from pipeline.demo.transitions import Check, Transition

WRITE = {
    "signal": {
        "name": "system.disk.io",
        "unit": "By/s",
        "workload": "host:a-host",
        "instance": "",
        "attributes": {"disk.io.direction": "write"},
    },
    "observed": 8.4e6,
    "expected": {"value": 3.1e5, "lower": -2.0e6, "upper": 2.5e6},
    "onset_time": "2026-01-01T00:00:00.000000Z",
}
CPU = {
    "signal": {
        "name": "process.cpu.time",
        "unit": "1",
        "workload": "process:demo-burner",
        "instance": "a-host/1234567",
        "attributes": {},
    },
    "observed": 0.9876,
    "expected": {"value": 1.2e-10, "lower": -1e-9, "upper": 1e-9},
    "onset_time": "2026-01-01T00:00:00.000000Z",
}


def screen() -> tuple[Screen, io.StringIO]:
    page = io.StringIO()
    return Screen(Console(file=page, highlight=False)), page


def told(what: str, *members: object) -> Transition:
    body = {"id": "inc-1", "transition": what, "severity": "error", "member_count": len(members), "members": members}
    return Transition(0.0, 0.0, body)


def test_an_opened_incident_says_what_deviates_from_what() -> None:
    shown, page = screen()
    shown.opened(told("opened", CPU, WRITE), 6.21)
    lines = page.getvalue().splitlines()
    assert lines[0] == "  6.2 s  incident opened: error, 2 signals"
    assert [word in lines[2] for word in ("process.cpu.time", "demo-burner 1234567", "0.99 cores", "0.00 cores")] == [
        True
    ] * 4
    assert "system.disk.io (write)" in lines[3]
    assert "8.4 MB/s  0.3 (-2.0 to 2.5) MB/s" in lines[3]
    assert max(map(len, lines)) <= 100


def test_another_incident_is_one_line() -> None:
    shown, page = screen()
    shown.other(told("opened", WRITE))
    shown.other(told("updated", WRITE))
    (line,) = page.getvalue().splitlines()
    assert line.endswith("other incident opened: system.disk.io (write) of host:a-host: 8.4, expected 0.3 MB/s")


def test_the_verdict_says_of_each_check_whether_it_passed() -> None:
    shown, page = screen()
    shown.verdict(
        [Check("demo-burner", "became one incident", "2", False), Check("demo-writer", "opened", "6.0 s", True)]
    )
    lines = page.getvalue().splitlines()[1:]
    assert [line.split() for line in lines] == [
        ["FAIL", "demo-burner", "became", "one", "incident", "2"],
        ["PASS", "demo-writer", "opened", "6.0", "s"],
    ]


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    shown, page = screen()
    with shown.progress("warm-up", 46) as progress:
        for second in range(21):
            progress.at(second, "7 points")
    assert page.getvalue().splitlines() == [f"      warm-up: {at} of 46 s, 7 points" for at in (0, 10, 20)]
