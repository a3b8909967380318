"""``calmstream evaluate``: what the detector is worth on labelled data."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import Config
from pipeline.cli.terminal import cell, console, plain, say, table
from pipeline.settings import load


class Suite(StrEnum):
    """How labelled data is laid out."""

    NAB = "nab"
    SMD = "smd"
    MSCLOUD = "mscloud"
    LABELLED_CSV = "labelled-csv"
    PETSHOP = "petshop"
    ALERTS = "alerts"
    TRAINTICKET = "trainticket"


def evaluate(
    paths: Annotated[list[Path], typer.Argument(help="Folders of the suite's layout; labelled-csv: files, too.")],
    suite: Annotated[Suite, typer.Option(help="How the data is laid out.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    as_table: Annotated[bool, typer.Option("--table", help="Print a table, one line a file (the default).")] = False,
    plots: Annotated[Path | None, typer.Option(help="Folder for an HTML plot of every signal.")] = None,
    variants: Annotated[bool, typer.Option(help="nab: score changed copies of the files, too.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Files at once (default: one a processor).")] = None,
    config: Config = None,
) -> None:
    """Score labelled data with the detector that people get, as if it had come one window after the other.

    Without `--config` the shipped configuration is scored. `docs/evaluation.md` describes the layouts and every figure.
    For instance:

    `calmstream evaluate --suite labelled-csv cpu.csv --plots plots`

    Exit codes: 0 done, 1 a plot could not be written, 2 wrong arguments, configuration or data.
    """
    from pipeline.evaluation.incident_suites import INCIDENT_SUITES
    from pipeline.evaluation.table import BadData

    if variants and suite is not Suite.NAB:
        raise typer.BadParameter("--variants is for --suite nab: it changes the files and scores NAB's profiles again")
    if plots is not None and plots.exists() and not plots.is_dir():
        raise typer.BadParameter(f"--plots {plots} is a file; name a folder")
    if suite in INCIDENT_SUITES:
        _incidents(suite, paths, plots, config, as_json=as_json, as_table=as_table)
        return
    try:
        work = _Work(suite, paths, _policies(config), _jobs(suite, paths, jobs))
        figures, results = _score(work, plots)
        if variants:
            figures["variants"] = _variants(work)
    except BadData as error:
        say(f"calmstream: {error}")
        raise typer.Exit(2) from None
    except OSError as error:
        say(f"calmstream: {error}")
        raise typer.Exit(1) from None
    if as_table or not as_json:
        _show(figures, results)
    if as_json:
        print(json.dumps(_ordered(figures)))


def _incidents(
    suite: Suite, paths: list[Path], plots: Path | None, config: Path | None, *, as_json: bool, as_table: bool
) -> None:
    """A suite that judges incidents and their causes: one folder, and the shipped configuration."""
    from pipeline.evaluation.incident_suites import INCIDENT_SUITES
    from pipeline.evaluation.table import BadData

    if len(paths) != 1:
        raise typer.BadParameter(f"--suite {suite} takes one folder, not {len(paths)} paths")
    if plots is not None or config is not None:
        raise typer.BadParameter(f"--suite {suite} has no plots and is scored as shipped; leave --plots and --config")
    try:
        figures = INCIDENT_SUITES[suite](paths[0])
    except BadData as error:
        say(f"calmstream: {error}")
        raise typer.Exit(2) from None
    if as_table or not as_json:
        shown = table("figure", ">value")
        for name, value in _flat(figures):
            shown.add_row(cell(name), cell(value))
        console().print(shown)
    if as_json:
        print(json.dumps(figures))


def _flat(figures: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Figures within figures, one a line, by the way to them."""
    inside: Iterator[tuple[Any, Any]]
    if isinstance(figures, dict):
        inside = iter(figures.items())
    elif isinstance(figures, list):
        inside = enumerate(figures, 1)
    else:
        yield name, _figure(figures, ".4g") if isinstance(figures, float | None) else str(figures)
        return
    for key, value in inside:
        yield from _flat(value, f"{name}.{key}" if name else str(key))


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be scored, with which policies, and how many files at once."""

    suite: Suite
    paths: list[Path]
    policies: Any
    jobs: int


def _policies(config: Path | None) -> Any:
    """The shipped policy, or those of a configuration file."""
    from pipeline.policies import DetectorPolicy, PolicyTable

    if config is None:
        return DetectorPolicy()
    settings = load(config, {})
    return PolicyTable(settings.detection, settings.policies)


def _jobs(suite: Suite, paths: list[Path], jobs: int | None) -> int:
    from pipeline.evaluation import reading

    return min(jobs or os.cpu_count() or 1, reading.count(suite, paths))


def _score(work: _Work, plots: Path | None) -> tuple[dict[str, Any], list[Any]]:
    """The figures of the suite, and the results by file."""
    from pipeline.evaluation import plot, reading, suites

    results: list[Any] = []
    with _progress(reading.count(work.suite, work.paths)) as done:

        def on_file(scored: Any, result: Any) -> None:
            results.append(result)
            if plots is not None:
                plot.write(plots, scored)
            done()

        figures = suites.evaluate(
            work.suite,
            reading.read(work.suite, work.paths),
            work.policies,
            with_peers=work.suite is Suite.SMD,
            jobs=work.jobs,
            on_file=on_file,
        )
    return figures, results


def _variants(work: _Work) -> dict[str, Any]:
    """NAB's standard profile of changed copies of the files."""
    from pipeline.evaluation import reading, suites
    from pipeline.evaluation.variants import VARIANTS

    found = {}
    for name, change in VARIANTS.items():
        fleets = (change(fleet) for fleet in reading.read("nab", work.paths))
        found[name] = suites.evaluate("nab", fleets, work.policies, jobs=work.jobs)["profiles"]["standard"]
    return found


@contextmanager
def _progress(files: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error where that is a terminal; to be called after each file."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("files", total=files)
        yield lambda: shown.advance(task)


def _ordered(figures: dict[str, Any]) -> dict[str, Any]:
    """The keys that are always there first."""
    first = ("suite", "files", "profiles", "vus_pr", "event_precision", "event_recall")
    return {name: figures[name] for name in first} | figures


# -- for people --------------------------------------------------------------------------------------------------------


def _show(figures: dict[str, Any], results: Any) -> None:
    shown = table("file", ">windows", ">signals", ">events", ">noticed", ">anomalies", ">false", ">delay", ">VUS-PR")
    for result in results:
        tally = result.tally
        numbers = (result.rows, result.signals, tally.events, tally.noticed, tally.anomalies)
        shown.add_row(
            cell(result.name),
            *(cell(f"{number:,}") for number in numbers),
            cell(f"{tally.anomalies - tally.right:,}"),
            cell(_figure(tally.delay, "g")),
            cell(_figure(result.vus_pr, ".3f")),
        )
    console().print(shown)
    print()
    for line in _totals(figures):
        print(plain(line))


def _totals(figures: dict[str, Any]) -> Iterator[str]:
    yield (
        f"event recall {_figure(figures['event_recall'], '.3f')} of {figures['events']:,}, "
        f"event precision {_figure(figures['event_precision'], '.3f')} of {figures['anomalies']:,} anomalies, "
        f"median delay {_figure(figures['median_delay_windows'], 'g')} windows"
    )
    yield (
        f"{_figure(figures['false_alarms_per_signal_week'], '.3g')} false alarms per signal and week "
        f"({figures['signal_weeks']:,.1f} signal-weeks), "
        f"{_figure(figures['alarms_per_1000_windows'], '.3g')} alarms per 1,000 windows"
    )
    peers = figures.get("peers", {}).items()
    rivals = "".join(f", {name} {_figure(peer['vus_pr'], '.3f')}" for name, peer in peers)
    yield f"VUS-PR {_figure(figures['vus_pr'], '.3f')}{rivals}"
    yield f"normal windows within their bounds {_figure(figures['bounds_coverage'], '.2%')}"
    if figures["best_thresholds"]:
        for name, profile in figures["profiles"].items():
            threshold = figures["best_thresholds"][name]
            yield f"NAB {name}: {_profile(profile)}, best threshold {threshold:.3g}"
    for name, profile in figures.get("variants", {}).items():
        yield f"NAB standard, {name}: {_profile(profile)}"


def _profile(profile: dict[str, Any]) -> str:
    error = _figure(profile["stderr"], ".1f")
    return f"shipped {_figure(profile['shipped'], '.1f')}, best {_figure(profile['best'], '.1f')} ± {error}"


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
