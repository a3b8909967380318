"""``calmstream signal show``: one signal closely, from the saved state and the newest scores."""

from typing import Annotated, Any

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.running import run
from pipeline.cli.signals import status_table, statuses
from pipeline.cli.terminal import cell, console, moment, number, plain, say, table, unit_of

app = typer.Typer(help="Look at one signal closely.", no_args_is_help=True, rich_markup_mode="markdown")

#: Score blocks looked through for the last windows of a signal: beyond, it has been silent for long.
_BLOCKS_LOOKED_AT = 5000


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
    every = [status async for status in statuses(settings)]
    found = [status for status in every if f"{status.signal.id:016x}" == which.lower()]
    found = found or [status for status in every if status.signal.name == which]
    if not found:
        say(f"No signal has the name or id {which}; calmstream signals lists them all.")
        return 1
    if len(found) > 1:
        say(f"{len(found)} signals have the name {which}; say which one by its id:")
        console().print(status_table(found[:50]))
        return 1
    _print_details(found[0])
    await _print_windows(settings, found[0], last)
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
    windows = await _windows(settings, status, last)
    if not windows:
        print("\nNo windows of it are kept any more.")
        return
    shown = table(
        "window end", ">points", ">value", ">expected", ">lower", ">upper", ">surprise", "", title="Last windows"
    )
    for end_us, block, row in reversed(windows):
        numbers = (block.value, block.expected, block.lower, block.upper, block.surprise)
        shown.add_row(
            cell(moment(end_us)),
            cell(int(block.count[row])),
            *(cell(number(float(column[row]))) for column in numbers),
            cell("anomalous" if block.anomalous[row] else "", "bold red"),
        )
    console().print()
    console().print(shown)


async def _windows(settings: Any, status: Any, last: int) -> list[tuple[int, Any, int]]:
    """The newest windows of a signal, newest first: (end, block, row). A block that was sent again counts once."""
    from pipeline.codecs import columns, score_block
    from pipeline.streams.reading import open_reader

    topic, looked_at = settings.topic("scores"), 0
    found: dict[int, tuple[int, Any, int]] = {}
    async with open_reader(settings, topic) as reader:
        async for record in reader.backwards(topic, status.partition, last):
            looked_at += 1
            try:
                block = score_block.decode(record.value or b"")
            except columns.DamagedFrame as error:
                say(f"{topic}/{record.partition} offset {record.offset} passed over: {plain(error)}")
                continue
            row = int(block.ids.searchsorted(status.signal.id))
            if row < block.ids.size and int(block.ids[row]) == status.signal.id:
                found.setdefault(block.end_us, (block.end_us, block, row))
            if len(found) >= last or looked_at >= _BLOCKS_LOOKED_AT:
                break
    return [found[end_us] for end_us in sorted(found, reverse=True)]
