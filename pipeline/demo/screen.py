"""What people see of the demo: few lines, coloured on a terminal, plain elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape as _escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pipeline.demo.transitions import Check, Transition
from pipeline.records.escaping import plain

#: Members of an incident that are written out.
FIRST_MEMBERS = 3
_PLAIN_WIDTH = 100
_PLAIN_EVERY_SECONDS = 10.0
_MOST_CHARACTERS = 500


def escape(text: object) -> str:
    """Text from outside as rich may print it: neither rich nor the terminal obeys what is in it."""
    return _escape(plain(text, _MOST_CHARACTERS))


class Screen:
    """Prints; knows nothing of what goes on."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = _PLAIN_WIDTH

    def line(self, text: str = "", style: str | None = None) -> None:
        told = text.removeprefix("\n")
        if told != text:
            self._console.print()
        self._console.print(escape(told), style=style, soft_wrap=not self._console.is_terminal)

    def heading(self, text: str) -> None:
        self._console.print()
        self.line(text, "bold")

    def done(self, text: str, seconds: float | None = None) -> None:
        """A step of the preparation that is behind us."""
        after = "" if seconds is None else f" [dim]({seconds:.1f} s)[/]"
        self._console.print(f"  [green]ok[/]  {escape(text)}{after}")

    def other(self, transition: Transition) -> None:
        """An incident that is not that of a disturbance."""
        if transition.what == "updated":
            return
        member = transition.body["members"][0]
        what, of, *_ = _cells(member)
        scale, unit = _scale(member["signal"])
        at = datetime.fromtimestamp(transition.received)
        told = f"{at:%H:%M:%S}  other incident {transition.what}: {what} of {of}"
        if transition.opens:
            was, expected = _number(member["observed"], scale), _number(member["expected"]["value"], scale)
            told += f": {was}, expected {expected} {unit}"
        self._console.print(Padding(f"[dim]{told}[/]", (0, 0, 0, 2), expand=False))

    @contextmanager
    def progress(self, text: str, total_seconds: float) -> "Iterator[ProgressShown]":
        """A bar on a terminal, a line now and then elsewhere."""
        if not self._console.is_terminal:
            yield ProgressShown(self, text, total_seconds, None)
            return
        columns = (
            TextColumn("      {task.description}"),
            BarColumn(bar_width=32),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            yield ProgressShown(self, text, total_seconds, bar)

    def waiting(self, text: str) -> AbstractContextManager[Any]:
        """A turning sign on a terminal, nothing elsewhere."""
        return self._console.status(f"[dim]{escape(text)}[/]") if self._console.is_terminal else nullcontext()

    def listing(self, names: Iterable[str]) -> None:
        self._console.print(Padding(Text(plain(", ".join(names)), style="dim"), (0, 2, 0, 6), expand=False))

    def opened(self, transition: Transition, after_seconds: float) -> None:
        """The incident of a disturbance: what deviates, by how much, since when."""
        body = transition.body
        colour = "red" if body["severity"] != "warning" else "yellow"
        text = (
            f"{after_seconds:5.1f} s  [bold {colour}]incident opened[/]: {escape(body['severity'])}, {_signals(body)}"
        )
        self._console.print(text)
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for column in ("what deviates", "of"):
            table.add_column(column, overflow="fold")
        for column in ("was", "expected"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("since", no_wrap=True)
        for member in body["members"][:FIRST_MEMBERS]:
            table.add_row(*_cells(member))
        self._console.print(Padding(table, (0, 0, 0, 9), expand=False))
        if (more := body["member_count"] - FIRST_MEMBERS) > 0:
            self.line(f"         and {more} more", "dim")

    def known(self, transition: Transition, changes: Sequence[dict[str, Any]], after_seconds: float) -> None:
        """What an incident has become: of how many services, and with which changes in its evidence."""
        body = transition.body
        self.line(f"{after_seconds:5.1f} s  {_signals(body)}, of {', '.join(body['affected'])}")
        for change in changes:
            told = [str(change[key]) for key in ("kind", "phase", "version", "id") if change.get(key)]
            self._console.print(Padding(f"[yellow]change[/] {escape(', '.join(told))}", (0, 0, 0, 9), expand=False))

    def resolved(self, transition: Transition, after_seconds: float, since_end_seconds: float) -> None:
        text = f"{after_seconds:5.1f} s  [bold green]incident resolved[/], {since_end_seconds:.1f} s after the end"
        self._console.print(f"{text} [dim]({_signals(transition.body)} in all)[/]")

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        for name, value in facts:
            table.add_row(f"  [dim]{escape(name)}[/]", escape(value))
        self._console.print(table)

    def verdict(self, checks: Sequence[Check]) -> None:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for column in ("  ", "about", "expected", "seen"):
            table.add_column(column)
        for check in checks:
            word = "[green]  PASS[/]" if check.passed else "[bold red]  FAIL[/]"
            table.add_row(word, escape(check.about), escape(check.what), escape(check.seen))
        self._console.print(table)


class ProgressShown:
    """A progress bar, or its plain form."""

    def __init__(self, screen: Screen, text: str, total_seconds: float, bar: Progress | None) -> None:
        self._screen, self._text, self._total = screen, text, total_seconds
        self._bar = bar
        self._task = bar.add_task(text, total=total_seconds, note="") if bar else None
        self._next = 0.0

    def at(self, seconds: float, note: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=min(seconds, self._total), note=note)
        elif seconds >= self._next:
            self._screen.line(f"      {self._text}: {seconds:.0f} of {self._total:.0f} s, {note}")
            self._next += _PLAIN_EVERY_SECONDS


def _signals(body: dict[str, Any]) -> str:
    count = body["member_count"]
    return "1 signal" if count == 1 else f"{count} signals"


def _cells(member: dict[str, Any]) -> tuple[str, ...]:
    signal, expected = member["signal"], member["expected"]
    inside = ", ".join(str(value) for value in signal["attributes"].values())
    what = f"{signal['name']} ({inside})" if inside else signal["name"]
    kind, _, name = signal["workload"].partition(":")
    entity = f"{name} {signal['instance'].rpartition('/')[2]}" if kind == "process" else signal["workload"]
    scale, unit = _scale(signal)
    was = _number(member["observed"], scale)
    value, lower, upper = (_number(expected[key], scale) for key in ("value", "lower", "upper"))
    band = value if value == lower == upper else f"{value} ({lower} to {upper})"
    since = datetime.fromisoformat(member["onset_time"]).astimezone().strftime("%H:%M:%S")
    return (escape(what), escape(entity), f"{was} {unit}", f"{band} {unit}", since)


def _scale(signal: dict[str, Any]) -> tuple[float, str]:
    """What to multiply a value with for people, and the unit that it then has."""
    if signal["name"] == "process.cpu.time":  # seconds of CPU time a second
        return 1.0, "cores"
    if signal["name"].endswith(".utilization"):
        return 100.0, "%"
    if signal["unit"].startswith("By"):
        return 1e-6, escape(signal["unit"].replace("By", "MB"))
    return 1.0, escape(signal["unit"])


def _number(value: float | None, scale: float) -> str:
    if value is None:
        return "?"
    shown = value * scale
    decimals = 1 if abs(shown) >= 10 or scale != 1.0 else 2
    return f"{round(shown, decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus before a zero
