"""Writing for people: tables, lines, numbers and times.

Guarantee: text that came from outside is shown, never obeyed: it is not read as markup, control characters, line ends
and characters that change the direction of writing are spelled out (records/escaping.py), and what is very long is cut.
"""

import json
import math
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.records import iso
from pipeline.records.escaping import plain as plain  # for the verbs, beside what is made here

#: Characters of one cell, and of one line on standard error.
MOST_CHARACTERS = 2000
#: Columns where the output is no terminal, so that nothing is cut off in a file or a pipe.
_WIDE = 240

SEVERITY_STYLES = {"critical": "bold red", "error": "red", "warning": "yellow"}
TRANSITION_STYLES = {
    "opened": "bold", "open": "bold", "reopened": "bold", "updated": "cyan", "acknowledged": "cyan",
    "resolved": "green", "merged": "green", "withdrawn": "green", "suppressed": "dim",
}  # fmt: skip
CONDITION_STYLES = {"anomalous": "bold red", "cold": "cyan", "silent": "yellow", "warm": "green"}


def console() -> Console:
    """Standard output; as wide as the terminal, or wide enough for everything."""
    width = None if sys.stdout.isatty() else _WIDE
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def say(*lines: str) -> None:
    """Lines on standard error: for what is about the command, not its result."""
    print("\n".join(plain(line, MOST_CHARACTERS) for line in lines), file=sys.stderr, flush=True)


def json_text(form: object) -> str:
    """For machines, on one line of ASCII. DEL is the one control character that JSON need not escape."""
    return json.dumps(form).replace("\x7f", "\\u007f")


def cell(text: object, style: str = "") -> Text:
    """Text from outside, for a table or a line."""
    return Text(plain(text, MOST_CHARACTERS), style=style)


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table whose cells wrap rather than being cut off; columns named ``>…`` are aligned to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    return made


def number(value: float | None) -> str:
    """Four digits that matter; a dash for what is not known."""
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def moment(time_us: int) -> str:
    """Event time to the second, in UTC."""
    return short(iso(time_us)) if time_us > 0 else "–"


def short(rfc3339: str) -> str:
    """An RFC 3339 time of ours without the fraction of a second."""
    return plain(rfc3339[:19] + "Z") if len(rfc3339) > 19 else plain(rfc3339)


def deviation(observed: float | None, expected: float | None) -> str:
    """How far off, as people say it: ``3 times as much``, ``+40 %``."""
    if observed is None or expected is None:
        return ""
    difference = observed - expected
    if expected <= 0:
        return f"{difference:+.4g}"
    if observed >= 2 * expected:
        return f"{observed / expected:.3g} times as much"
    return f"{100 * difference / expected:+.0f} %"


def several(count: int, noun: str) -> str:
    """``1 signal``, ``2 signals``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def unit_of(unit: str) -> str:
    """A unit after a number: nothing for plain numbers."""
    return "" if unit in ("", "1") else f" {unit}"
