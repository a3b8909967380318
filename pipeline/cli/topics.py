"""``calmstream topics create|check|describe|grow``: the one table of topics, applied to any broker."""

from typing import Annotated, Any

import typer

from pipeline.cli import topic_access
from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.running import refrain, run
from pipeline.cli.terminal import cell, console, say, several, table

app = typer.Typer(
    help="Create, check, show and grow the topics that Calmstream needs.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
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


app.command("acls")(topic_access.acls)


@app.command("describe")
def describe(config: Config = None, bootstrap: Bootstrap = None) -> None:
    """Show every topic: what is in it, and how it is and should be on the broker."""
    raise typer.Exit(run(_describe(settings_of(config, bootstrap))))


@app.command("grow")
def grow(
    counts: Annotated[list[str], typer.Argument(metavar="TOPIC=COUNT...", help="Full names, and how many partitions.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and say what would be done, and do nothing.")
    ] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Give topics more partitions, and divide what was learnt: baselines, open windows, open incidents.

    `signals`, `logs`, `spans` and `anomalies` grow to a whole multiple, inputs of ours to any number. All workers must
    be stopped, and must have read everything before: stop those with the role ingest first, the others when their lag
    is 0. Run it with the configuration as it is; at the end it says which setting to change. Cut off, it can be run
    again.
    """
    raise typer.Exit(run(_grow(settings_of(config, bootstrap), _counts(counts), yes=yes, dry_run=dry_run)))


def _counts(texts: list[str]) -> dict[str, int]:
    found = {}
    for text in texts:
        name, equals, count = text.partition("=")
        if not name or not equals or not count.isdecimal() or int(count) < 1:
            raise typer.BadParameter(f"{text!r} is not TOPIC=COUNT; write for instance calm.signals=8")
        found[name] = int(count)
    return found


async def _grow(settings: Any, counts: dict[str, int], *, yes: bool, dry_run: bool) -> int:
    from pipeline.app import shadow_stages, stages
    from pipeline.streams.state import growth

    now = {**settings.topics.partitions_by_topic, **counts}
    topics = settings.topics.model_copy(update={"partitions_by_topic": now})
    then = settings.model_copy(update={"topics": topics})
    before, after = ((*stages(each), *shadow_stages(each)) for each in (settings, then))
    planned = await growth.plan(settings, counts, before, after)
    for each in planned:
        print(_words(each))
    if (code := refrain("Do it?", dry_run=dry_run, yes=yes)) is not None:
        return code
    await growth.grow(settings, planned, before)
    setting = "\n".join(f"    {name}: {count}" for name, count in sorted(now.items()))
    print(
        "Done. Set this wherever Calmstream runs, then start the workers:\n\n"
        f"topics:\n  partitions_by_topic:\n{setting}"
    )
    return 0


def _words(growth: Any) -> str:
    what = f"{growth.topic}: {growth.before} → {several(growth.after, 'partition')}"
    if growth.inputs:
        return f"{what}; new ones begin with nothing, and count as idle until something comes"
    beside = "".join(f", {name} with it" for name in growth.beside)
    states = sum(len(parts) for parts in growth.parts.values())
    old = sum(bool(parts) for parts in growth.parts.values())
    return f"{what}{beside}; {several(old, 'state')} of {growth.stage.role} become {states}"


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
        say(f"{problem.topic}: {problem.wrong}", f"  → {problem.remedy}")
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
