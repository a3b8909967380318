"""``calmstream topics create|check|describe``: the one table of topics, applied to any broker."""

from typing import Any

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.running import run
from pipeline.cli.terminal import cell, console, say, several, table

app = typer.Typer(
    help="Create, check and show the topics that Calmstream needs.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.command("create")
def create(config: Config = None, bootstrap: Bootstrap = None) -> None:
    """Create the topics that are missing and mend what can be mended without losing anything.

    Nothing is deleted, and topics of others (inputs without our prefix) are created but never changed.
    """
    raise typer.Exit(run(create_topics(settings_of(config, bootstrap))))


@app.command("check")
def check(config: Config = None, bootstrap: Bootstrap = None) -> None:
    """Say what is wrong with the topics and what mends it. Exit code 3 if anything is."""
    raise typer.Exit(run(_check(settings_of(config, bootstrap))))


@app.command("describe")
def describe(config: Config = None, bootstrap: Bootstrap = None) -> None:
    """Show every topic: what is in it, and how it is and should be on the broker."""
    raise typer.Exit(run(_describe(settings_of(config, bootstrap))))


async def create_topics(settings: Any) -> int:
    """Create and mend, then check; the exit code."""
    from pipeline.streams import topics
    from pipeline.streams.reading import reachable

    with reachable(settings):
        applied = await topics.create(settings)
    for name in applied.created:
        print(f"created  {name}")
    for name in applied.mended:
        print(f"mended   {name}")
    return await _check(settings)


async def _check(settings: Any) -> int:
    from pipeline.streams import topics
    from pipeline.streams.exits import Exit
    from pipeline.streams.reading import reachable

    specs = topics.plan(settings)
    with reachable(settings):
        states = await topics.describe(settings)
    if unseen := topics.undescribed(specs, states):
        say(f"Not checked, because the broker does not tell: {'; '.join(unseen)}")
    problems = topics.problems(specs, states)
    for problem in problems:
        say(f"{problem.topic}: {problem.wrong}\n  → {problem.remedy}")
    if problems:
        return int(Exit.TOPICS)
    print(f"All {len(specs)} topics are as they should be on {settings.broker.bootstrap}.")
    return 0


async def _describe(settings: Any) -> int:
    from pipeline.streams import topics
    from pipeline.streams.reading import reachable

    specs = topics.plan(settings)
    with reachable(settings):
        states = await topics.describe(settings)
    wrong = {problem.topic for problem in topics.problems(specs, states)}
    shown = table("topic", "key", "value", "cleanup", "partitions", "retention", "on the broker")
    for spec in specs:
        state = states[spec.name]
        found = (
            "missing"
            if state is None
            else f"{several(state.partitions, 'partition')}, {several(state.replication, 'replica')}"
        )
        retention = _duration(spec.configs.get("retention.ms"))
        style = "red" if spec.name in wrong else ""
        words = (spec.name, spec.key, spec.value, spec.cleanup, spec.partitions, retention, found)
        shown.add_row(*(cell(word, style) for word in words))
    console().print(shown)
    if wrong:
        say("What is wrong with the red ones, and what to do: calmstream topics check")
    return 0


def _duration(milliseconds: str | None) -> str:
    if milliseconds is None:
        return "–"
    hours = int(milliseconds) / 3_600_000
    return f"{hours / 24:g} d" if hours >= 24 else f"{hours:g} h"
