"""``calmstream signals``: every signal and its state, from the newest checkpoints."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.running import run
from pipeline.cli.terminal import CONDITION_STYLES, cell, console, moment, number, say, several, table

_RANK = {"anomalous": 0, "warm": 1, "silent": 2, "cold": 3}


def signals(
    matcher: Annotated[
        list[str] | None,
        typer.Argument(help="Text to search for, or name=value, name!=value, name=~regex; several must all hold."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 500,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """List the signals and their state, as of the newest checkpoints.

    **anomalous**: an episode is open. **cold**: too few windows seen to judge. **silent**: nothing came for more than
    ten of its usual intervals. **warm**: watched, and as expected. Where the worker is minutes behind its input, that
    is said below the table.

    A matcher names a field (name, workload, instance, scope, unit, kind, id) or an attribute, for instance:
    `calmstream signals workload=service:shop/checkout http.route=~'/api/.*'`
    """
    settings = settings_of(config, bootstrap)
    raise typer.Exit(run(_list(settings, _matchers(matcher or []), limit)))


def _matchers(texts: list[str]) -> list[Any]:
    from pipeline.policies.matcher import parse

    try:
        return [parse(text) for text in texts]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


async def statuses(settings: Any) -> AsyncIterator[Any]:
    """The SignalStatus of every signal that a checkpoint knows."""
    from pipeline.app import flow_config
    from pipeline.flow.signal_status import signal_statuses
    from pipeline.streams.state.saved_state import newest_snapshots

    flow = flow_config(settings)
    found = await newest_snapshots(settings, settings.topic("signals"), settings.topic("score.state"))
    if not found:
        say("No checkpoint yet: a worker writes the first one some seconds after it starts.")
    for partition, snapshot in sorted(found.items()):
        for status in signal_statuses(snapshot, partition, flow):
            yield status


async def _list(settings: Any, matchers: list[Any], limit: int) -> int:
    from pipeline.policies.matcher import matches_all

    found = [status async for status in statuses(settings) if matches_all(matchers, status.signal)]
    found.sort(key=lambda s: (_RANK[s.condition], s.signal.workload, s.signal.name, s.signal.instance, s.signal.id))
    if not found:
        say("No signals.")
        return 0
    console().print(status_table(found[:limit]))
    counts = Counter(status.condition for status in found)
    summary = ", ".join(f"{counts[name]} {name}" for name in _RANK if counts[name])
    event_time = moment(max(status.watermark_us for status in found))
    print(f"\n{several(len(found), 'signal')}: {summary}; event time {event_time}")
    await say_if_behind(settings)
    if len(found) > limit:
        say(f"{len(found) - limit} are not shown: narrow them down with a matcher, or raise --limit")
    return 0


async def say_if_behind(settings: Any) -> None:
    """States are as of the newest checkpoints: where much came since, they say nothing of today."""
    from pipeline.streams.behind import behind_seconds
    from pipeline.streams.exits import WorkerExit

    try:
        behind = await behind_seconds(settings)
    except WorkerExit as reason:  # who may look at signals need not be allowed to read the inputs
        say(f"How far behind the worker is cannot be told: {reason}")
        return
    if behind > 2 * settings.state.max_state_age_seconds:
        say(
            f"The worker is {behind / 60:.0f} min behind, or does not run: all of this is as of then, and a signal of "
            "which nothing came since is not silent for that"
        )


def status_table(statuses: list[Any]) -> Any:
    shown = table("id", "state", "workload", "instance", "signal", ">last value", ">expected", "unit")
    for status in statuses:
        signal = status.signal
        shown.add_row(
            cell(f"{signal.id:016x}"),
            cell(status.condition, CONDITION_STYLES[status.condition]),
            cell(signal.workload),
            cell(signal.instance or "–"),
            cell(signal.label()),
            cell(number(status.last_value)),
            cell(number(status.expected)),
            cell(signal.unit),
        )
    return shown
