"""``calmstream signal show``: one signal closely, from the saved state and the newest scores."""

from typing import Annotated, Any

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.running import run
from pipeline.cli.terminal import cell, console, moment, number, table, unit_of
from pipeline.cli.traces import signal_named, windows_of

app = typer.Typer(help="Look at one signal closely.", no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def signal() -> None:
    """Look at one signal closely."""


@app.command("show")
def show(
    which: Annotated[str, typer.Argument(metavar="NAME_OR_ID", help="Its name, or its id from calmstream signals.")],
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many of its last windows.")] = 20,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show one signal: attributes, state, baseline, bounds and its last windows."""
    raise typer.Exit(run(_show(settings_of(config, bootstrap), which, last)))


async def _show(settings: Any, which: str, last: int) -> int:
    status = await signal_named(settings, which)
    if status is None:
        return 1
    _print_details(status)
    await _print_windows(settings, status, last)
    return 0


def _print_details(status: Any) -> None:
    signal, unit = status.signal, unit_of(status.signal.unit)
    shown = table("", "")
    shown.show_header = False
    facts: list[tuple[str, object]] = [
        ("signal", signal.name),
        ("id", f"{signal.id:016x}"),
        ("kind", f"{signal.kind.value}, in {signal.unit or '1'}"),
        ("scope", signal.scope),
        ("workload", signal.workload),
        ("instance", signal.instance or "–"),
    ]
    facts += [(f"  {name}", value) for name, value in signal.attributes]
    facts += [
        ("state", _condition(status)),
        ("last value", f"{number(status.last_value)}{unit}, window ended {moment(status.seen_us)}"),
        (
            "expected next",
            f"{number(status.expected)}{unit}, between {number(status.lower)} and {number(status.upper)}",
        ),
        ("windows seen", f"{status.windows}, usually every {status.interval_us / 1e6:g} s"),
        ("judged since", f"{status.needed} windows were seen; {status.seen} are now, inherited ones among them"),
        ("unlikely from", f"surprise {number(status.threshold)} on, for the next window"),
        (f"baseline ({status.detector})", _numbers(status.baseline)),
        ("policy", status.policy),
        ("partition", f"{status.partition}, event time {moment(status.watermark_us)}"),
    ]
    for name, value in facts:
        shown.add_row(cell(name, "dim"), cell(value))
    console().print(shown)


def _condition(status: Any) -> str:
    if status.anomalous_since_us is None:
        return str(status.condition)
    return f"{status.condition}, since {moment(status.anomalous_since_us)}"


def _numbers(named: dict[str, float]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in named.items())


async def _print_windows(settings: Any, status: Any, last: int) -> None:
    from pipeline.flow.window_reasons import SHORT, reasons_of

    windows = await windows_of(settings, status, lambda found: len(found) >= last, last)
    if not windows:
        print("\nNo windows of it are kept any more.")
        return
    shown = table(
        *("window end", ">points", ">value", ">expected", ">lower", ">upper", ">surprise", ">needed", ""),
        title="Last windows",
    )
    for place in reversed(range(len(windows))):
        window, verdict = windows[place], reasons_of(status, windows, place).verdict
        numbers = (window.value, window.expected, window.lower, window.upper, window.surprise, window.threshold)
        shown.add_row(
            cell(moment(window.end_us)),
            cell(window.points),
            *(cell(number(each)) for each in numbers),
            cell(SHORT[verdict], "bold red" if SHORT[verdict] == "anomalous" else "dim"),
        )
    console().print()
    console().print(shown)
