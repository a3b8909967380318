"""``calmstream policy diff``: what policies change in effect, key by key, and of which signals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.policy_files import read_policies
from pipeline.cli.running import run
from pipeline.cli.signals import statuses
from pipeline.cli.terminal import cell, console, json_text, plain, say, several, table
from pipeline.policies import Policy
from pipeline.settings import Settings

_EXAMPLES = 3
#: Words for what is on the topic.
IN_FORCE, IN_SHADOW, BASE = "in-force", "shadow", "base"

Policies = Mapping[str, Policy]


def diff(
    a: Annotated[str, typer.Argument(help="A file, the name of a policy in force, `in-force`, `shadow` or `base`.")],
    b: Annotated[str | None, typer.Argument(help="The same; else what is in force of what A names.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per policy.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show what B changes of A, or what A changes of what is in force: each key with its value before and after, and
    how many signals are meant.

    `base` is the configuration alone, so `policy diff base in-force` shows everything that was applied since. For
    instance: `calmstream policy diff checkout.yaml`

    Exit codes: 0 nothing differs, 1 something does, 2 wrong arguments or policies, 4 broker not reached or lost.
    """
    raise typer.Exit(run(_diff(settings_of(config, bootstrap), a, b, as_json=as_json)))


async def _diff(settings: Settings, a: str, b: str | None, *, as_json: bool) -> int:
    from pipeline.streams import control_topic

    everything = await control_topic.read(settings)
    live = {one.policy.name: one.policy for one in everything.live}
    tried = {one.policy.name: one.policy for one in everything.shadow}
    named = {IN_FORCE: live, IN_SHADOW: live | tried, BASE: {}}
    if b is None:
        after = _side(a, named, live)
        before: Policies = {name: live[name] for name in after if name in live and a not in live}
    else:
        before, after = _side(a, named, live), _side(b, named, live)
    rows = list(_rows(settings, before, after))
    if not rows:
        if not as_json:
            say("Nothing differs.")
        return 0
    meant = await _meant(settings, [policy for _, policy, _ in rows])
    for (name, _, changes), signals in zip(rows, meant, strict=True):
        if as_json:
            form = [{"key": key, "before": old, "after": new} for key, old, new in changes]
            print(json_text({"policy": name, "signals": len(signals), "changes": form}))
        else:
            _show(name, changes, signals)
    return 1


def _side(said: str, named: Mapping[str, Policies], live: Policies) -> Policies:
    """Raises BadParameter, ConfigurationError."""
    if said in named:
        return named[said]
    if said in live:
        return {said: live[said]}
    if Path(said).exists() or Path(said).suffix:
        return {policy.name: policy for policy in read_policies([Path(said)])}
    known = ", ".join([*named, *sorted(live)])
    raise typer.BadParameter(f"{said!r} is no file, and no policy that is in force; there are: {known}")


def _rows(
    settings: Settings, before: Policies, after: Policies
) -> list[tuple[str, Policy, list[tuple[str, Any, Any]]]]:
    """Name, the policy that tells which signals are meant, and (key, before, after) of all that differs."""
    from pipeline.app import flow_config

    base = _plain(asdict(flow_config(settings).policy))
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        changes: list[tuple[str, Any, Any]] = []
        if old is not None and new is not None:
            pairs = (("match", _match(old), _match(new)), ("priority", old.priority, new.priority))
            changes += [(key, one, other) for key, one, other in pairs if one != other]
        said_old, said_new = (_plain(policy.changes) if policy else {} for policy in (old, new))
        for key in sorted({*said_old, *said_new}):
            values = (said_old.get(key, base.get(key)), said_new.get(key, base.get(key)))
            if values[0] != values[1]:
                changes.append((key, *values))
        policy = new or old
        if changes and policy is not None:
            found.append((name, policy, changes))
    return found


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else _mapped(value) for key, value in values.items()}


def _mapped(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _match(policy: Policy) -> list[str]:
    return [str(matcher) for matcher in policy.match]


async def _meant(settings: Settings, policies: Sequence[Policy]) -> list[list[Any]]:
    """The signals that each means, as far as a checkpoint knows them."""
    found: list[list[Any]] = [[] for _ in policies]
    async for status in statuses(settings):
        for signals, policy in zip(found, policies, strict=True):
            if policy.matches(status.signal):
                signals.append(status.signal)
    return found


def _show(name: str, changes: Sequence[tuple[str, Any, Any]], signals: Sequence[Any]) -> None:
    labels = sorted(f"{signal.label()} of {signal.entity}" for signal in signals)
    examples = ", ".join(labels[:_EXAMPLES]) + (" …" if len(labels) > _EXAMPLES else "")
    print(plain(f"{name}: {several(len(signals), 'signal')}{f' ({examples})' if labels else ''}"))
    shown = table("  key", "before", "", "after")
    for key, old, new in changes:
        shown.add_row(cell(f"  {key}"), cell(json_text(old)), "→", cell(json_text(new)))
    console().print(shown)
