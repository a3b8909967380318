"""``calmstream policy promote|rollback|history``: from the shadow into force, and back to what was before."""

from typing import Annotated, Any

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.quieting import Author, Comment, author_of, now_us
from pipeline.cli.running import run
from pipeline.cli.terminal import cell, console, json_text, moment, plain, say, table
from pipeline.policies import Policy
from pipeline.policies.form import form_of
from pipeline.policies.history import Earlier, History, newest
from pipeline.settings import Settings

Name = Annotated[str, typer.Argument(help="Name of the policy.")]


def promote(
    name: Name, comment: Comment = "", author: Author = None, config: Config = None, bootstrap: Bootstrap = None
) -> None:
    """Put a policy that was tried in the shadow in force, in the place of the one of its name.

    From the next window on incidents are those that `calmstream incidents --shadow` showed. `calmstream policy
    rollback` takes it back.
    """
    raise typer.Exit(run(_promote(settings_of(config, bootstrap), name, author_of(author), comment)))


def rollback(
    name: Annotated[
        str | None, typer.Argument(help="Name of the policy; else of the one that was changed last.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Version to go back to, as `policy history` shows it; its beginning is enough.")
    ] = None,
    comment: Comment = "",
    author: Author = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Put a policy back to what it was before it was changed last. Done twice it is as it was."""
    raise typer.Exit(run(_rollback(settings_of(config, bootstrap), name, to, author_of(author), comment)))


def history(
    name: Name,
    as_json: Annotated[bool, typer.Option("--json", help="One earlier state per line.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show what a policy was before, the newest first: until when, who changed it, and why."""
    raise typer.Exit(run(_history(settings_of(config, bootstrap), name, as_json=as_json)))


async def change(
    settings: Settings, wanted: list[tuple[str, Policy | None]], author: str, done: str, comment: str = ""
) -> None:
    """Put policies in force (None: out of it), and keep what was before. Raises WorkerExit."""
    from pipeline.streams import control_topic

    everything = await control_topic.read(settings)
    now = {one.policy.name: one.policy for one in everything.live}
    why = f"{done}: {comment}" if comment else done
    at_us = now_us()
    await control_topic.change(
        settings,
        [
            (
                everything.histories.get(name, History(name)).with_state(Earlier(now.get(name), at_us, author, why)),
                policy,
            )
            for name, policy in wanted
        ],
    )


async def _promote(settings: Settings, name: str, author: str, comment: str) -> int:
    from pipeline.streams import control_topic

    tried = {one.policy.name: one.policy for one in (await control_topic.read(settings)).shadow}
    if name not in tried:
        known = ", ".join(sorted(tried)) or "none"
        say(
            f"No policy {name} is in the shadow; there are: {known}. "
            "`calmstream policy apply --shadow FILE` puts one there."
        )
        return 1
    await change(settings, [(name, tried[name])], author, "promoted", comment)
    await control_topic.remove(settings, name, shadow=True)
    print(f"promoted  {plain(tried[name].version)}  in force from the next window that closes")
    return 0


async def _rollback(settings: Settings, name: str | None, version: str | None, author: str, comment: str) -> int:
    from pipeline.streams import control_topic

    everything = await control_topic.read(settings)
    last = newest(list(everything.histories.values()))
    name = name or (last.name if last else None)
    known = everything.histories.get(name) if name else None
    if name is None or known is None:
        say(f"Nothing is known of earlier states of {name or 'any policy'}: it was not changed by `calmstream policy`.")
        return 1
    now = next((one.policy for one in everything.live if one.policy.name == name), None)
    found = known.before(now, version)
    if found is None:
        there = ", ".join(state.version for state in known.states)
        say(
            f"There is no state of {name} to go back to{f' of version {version}' if version else ''}; "
            f"there are: {there}"
        )
        return 1
    await change(settings, [(name, found.policy)], author, "rolled back", comment)
    before = "none" if now is None else now.version
    print(f"rolled back  {plain(before)} → {plain(found.version)}  in force from the next window that closes")
    return 0


async def _history(settings: Settings, name: str, *, as_json: bool) -> int:
    from pipeline.streams import control_topic

    everything = await control_topic.read(settings)
    now = next((one for one in everything.live if one.policy.name == name), None)
    known = everything.histories.get(name, History(name))
    if now is None and not known.states:
        say(f"No policy {name} is in force, and none is known to have been.")
        return 1
    if as_json:
        for state in known.states:
            print(json_text(_form(state)))
        return 0
    shown = table("version", "until", "changed by", "why", "detection")
    version = "none" if now is None else now.policy.version
    shown.add_row(cell(version), "now", "", "", cell(_says(None if now is None else now.policy)))
    for state in known.states:
        words = (state.version, moment(state.until_us), state.author, state.why, _says(state.policy))
        shown.add_row(*(cell(word) for word in words))
    console().print(shown)
    return 0


def _form(state: Earlier) -> dict[str, Any]:
    policy = None if state.policy is None else form_of(state.policy)
    return {"policy": policy, "until": moment(state.until_us), "author": state.author, "why": state.why}


def _says(policy: Policy | None) -> str:
    return "" if policy is None else json_text(form_of(policy)["detection"])
