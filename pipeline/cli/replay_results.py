"""What ``calmstream replay`` gives back: the files it writes, a bar on the way, and a summary at the end."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.cli.terminal import MOST_CHARACTERS, SEVERITY_STYLES, cell, console, plain, say, short, table

#: Incidents shown at the end.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the results are written; None = nowhere."""

    scores: Path | None
    entity_scores: Path | None
    incidents: Path | None
    anomalies: Path | None

    def named(self) -> dict[str, Path]:
        paths = {
            "--scores": self.scores,
            "--entity-scores": self.entity_scores,
            "--incidents": self.incidents,
            "--anomalies": self.anomalies,
        }
        return {option: path for option, path in paths.items() if path is not None}


class Book:
    """The newest transition of each incident."""

    topic: ClassVar[str] = "incidents"

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, Any]] = {}

    def take(self, record: Any) -> None:
        from pipeline.codecs import incident_event
        from pipeline.replay.message import handed_over

        body = incident_event.decode(handed_over(record, 0))
        self.bodies[body["id"]] = {name: value for name, value in body.items() if name != "members"}

    def release(self, _: int) -> None:
        pass

    def close(self) -> None:
        pass


@contextmanager
def open_sinks(flow: Any, outputs: Outputs, time_text: Any, names: dict[str, str]) -> Iterator[tuple[Any, Book]]:
    """Open what is to be written."""
    from pipeline.replay.driver import Sinks
    from pipeline.replay.event_files import AnomaliesFile, IncidentsFile
    from pipeline.replay.score_files import EntityScoresFile, ScoresFile

    book = Book()
    longest_us = max(flow.window_us, *flow.window_us_by_kind.values(), 0)
    with ExitStack() as stack:

        def opened(path: Path) -> Any:
            return stack.enter_context(path.open("w", encoding="utf-8", errors="surrogatepass", newline=""))

        scores: list[Any] = []
        events: list[Any] = [book]
        if outputs.scores is not None:
            scores.append(ScoresFile(opened(outputs.scores), time_text, names, longest_us))
        if outputs.entity_scores is not None:
            scores.append(EntityScoresFile(opened(outputs.entity_scores), time_text, names, longest_us))
        if outputs.incidents is not None:
            events.append(IncidentsFile(opened(outputs.incidents)))
        if outputs.anomalies is not None:
            events.append(AnomaliesFile(opened(outputs.anomalies)))
        yield Sinks(scores, events), book


@contextmanager
def progress_bar(unit: str, total: int) -> Iterator[Any]:
    """A bar on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[points]:,} points"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(unit, total=total or None, points=0)
        yield lambda done, totals: shown.update(task, completed=done, points=totals.points or totals.windows)


def summarise(totals: Any, book: Book, seconds: float) -> None:
    opened = totals.counts["anomaly", "opened"]
    ended = totals.counts["anomaly", "ended"] + totals.counts["withdrawn", "going_on"]
    going_on = sum(body["state"] not in ("resolved", "merged", "withdrawn") for body in book.bodies.values())
    points = f"{_many(totals.points, 'point')} in " if totals.points else ""  # blocks of signals do not count theirs
    print(f"{points}{_many(totals.windows, 'window')} of {_many(totals.signals, 'signal')}, in {seconds:.1f} s")
    withdrawn = totals.counts["anomaly", "withdrawn"]
    late = f", {withdrawn:,} withdrawn for late data" if withdrawn else ""
    print(f"{_many(opened, 'anomaly', 'anomalies')}, {opened - ended:,} going on at the end{late}")
    print(f"{_many(len(book.bodies), 'incident')}, {going_on:,} open at the end")
    if book.bodies:
        console().print(_incidents(list(book.bodies.values())))
    drops = totals.of("drop")
    print(f"{sum(drops.values()):,} dropped" + (":" if drops else ""))
    for reason, number in sorted(drops.items(), key=lambda drop: -drop[1]):
        example = totals.examples.get(reason)
        first = f", first {example.where}: {example.detail}" if example else ""
        print(plain(f"  {number:,} {reason}{first}", MOST_CHARACTERS))
    if "late" in drops:
        print("  late: came after the window had closed; sort by time, or raise time.allowed_lateness_seconds")
    if not totals.windows:
        say("No window closed: does the configuration name the inputs and partition counts of what was recorded?")


def _many(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _incidents(bodies: list[dict[str, Any]]) -> Any:
    """The most unlikely ones, in the order of their onset."""
    chosen = sorted(bodies, key=lambda body: -body["surprise"])[:_SHOWN]
    title = "" if len(chosen) == len(bodies) else f"The {len(chosen)} most unlikely:"
    shown = table("since", "resolved", "severity", ">signals", "what", title=title or None)
    for body in sorted(chosen, key=lambda body: (body["onset_time"], body["id"])):
        resolved = body["resolved_time"]
        shown.add_row(
            cell(short(body["onset_time"])),
            cell(short(resolved) if resolved else "open"),
            cell(body["severity"], SEVERITY_STYLES.get(body["severity"], "")),
            cell(body["member_count"]),
            cell(body["title"]),
        )
    return shown
