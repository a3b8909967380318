"""``calmstream policy apply|list|remove|diff|promote|rollback|history``: detection policies that count while workers
run."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.policy_changes import change, history, promote, rollback
from pipeline.cli.policy_diff import diff
from pipeline.cli.policy_files import read_policies
from pipeline.cli.quieting import Author, Comment, author_of
from pipeline.cli.running import run
from pipeline.cli.terminal import cell, console, json_text, moment, plain, say, several, table
from pipeline.policies import Policy
from pipeline.records import NO_TIME, to_us

app = typer.Typer(
    help="Change what counts as an anomaly, for some signals or all, while workers run.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command("diff")(diff)
app.command("promote")(promote)
app.command("rollback")(rollback)
app.command("history")(history)


Shadow = Annotated[
    bool, typer.Option("--shadow", help="In the shadow: only to see what it would do, beside what is in force.")
]


@app.command("apply")
def apply(
    files: Annotated[list[Path], typer.Argument(help="YAML or JSON files with policies.")],
    shadow: Shadow = False,
    comment: Comment = "",
    author: Author = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Put policies in force, or replace those of the same names. All of them, or none if one is wrong.

    `docs/policies.md` says how to write one. What it would have changed, `calmstream backtest --against FILE`
    shows. With --shadow they only say what they would do, to `calmstream incidents --shadow`, where a worker has the
    role shadow.
    """
    said = (author_of(author), comment)
    raise typer.Exit(run(_apply(settings_of(config, bootstrap), read_policies(files), said, shadow=shadow)))


@app.command("list")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="One policy per line, as it is written in a file.")] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Only those in the shadow; --json leaves them out else.")
    ] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show the policies that are in force besides those of the configuration, in the order in which they apply."""
    raise typer.Exit(run(_list(settings_of(config, bootstrap), as_json=as_json, shadow=shadow)))


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="Name of the policy.")],
    shadow: Shadow = False,
    comment: Comment = "",
    author: Author = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Take a policy out of force, from the next window on. One of the configuration with the same name counts again."""
    said = (author_of(author), comment)
    raise typer.Exit(run(_remove(settings_of(config, bootstrap), name, said, shadow=shadow)))


async def _apply(settings: Any, policies: list[Policy], said: tuple[str, str], *, shadow: bool) -> int:
    from pipeline.streams import control_topic

    if shadow:
        await control_topic.write(settings, policies, shadow=True)
    else:
        author, comment = said
        await change(settings, [(policy.name, policy) for policy in policies], author, "applied", comment)
    partitions = several(settings.partitions(settings.topic("signals")), "partition")
    where = " of the shadow" if shadow else ""
    for policy in policies:
        print(f"applied  {plain(policy.version)}  {_from_when(policy)}, in {partitions}{where}")
    return 0


def _from_when(policy: Policy) -> str:
    if policy.effective_us <= to_us(time.time()):
        return "at once: from the next window that closes"
    return f"from {moment(policy.effective_us)} on"


async def _list(settings: Any, *, as_json: bool, shadow: bool) -> int:
    from pipeline.policies.form import form_of
    from pipeline.streams import control_topic

    everything = await control_topic.read(settings)
    for wrong in everything.broken:
        say(f"passed over: {wrong}")
    chosen = [("shadow", one) for one in everything.shadow]
    if not shadow:
        chosen = [("live", one) for one in everything.live] + ([] if as_json else chosen)
    found = sorted(chosen, key=lambda each: (each[1].policy.priority, each[1].policy.name, each[0]))
    if as_json:
        for _, one in found:
            print(json_text(form_of(one.policy)))
        return 0
    if not found:
        say("No policies.")
        return 0
    shown = table("version", "mode", ">priority", "signals", "detection", "applied", "effective")
    for mode, one in found:
        policy = one.policy
        effective = "at once" if policy.effective_us == NO_TIME else moment(policy.effective_us)
        words = (policy.version, mode, policy.priority, _match(policy), _changes(policy), moment(one.written_ms * 1000))
        shown.add_row(*(cell(word) for word in (*words, effective)))
    console().print(shown)
    return 0


def _match(policy: Policy) -> str:
    return ", ".join(str(matcher) for matcher in policy.match) or "all"


def _changes(policy: Policy) -> str:
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in policy.changes.items())


async def _remove(settings: Any, name: str, said: tuple[str, str], *, shadow: bool) -> int:
    from pipeline.streams import control_topic

    everything = await control_topic.read(settings)
    there = {one.policy.name for one in (everything.shadow if shadow else everything.live)}
    if name not in there:
        known, where = ", ".join(sorted(there)) or "none", "in the shadow" if shadow else "in force"
        say(f"No policy {name} is {where}; there are: {known}. Those of the configuration are changed there.")
        return 1
    if shadow:
        await control_topic.remove(settings, name, shadow=True)
    else:
        author, comment = said
        await change(settings, [(name, None)], author, "removed", comment)
    print(f"removed  {plain(name)}  from the next window that closes{' in the shadow' if shadow else ''}")
    return 0
