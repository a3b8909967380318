"""``calmstream state inspect|export|reset``: what workers have learnt and saved, for people."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipeline.cli.options import Bootstrap, Config, settings_of
from pipeline.cli.running import refrain, run
from pipeline.cli.terminal import cell, console, plain, say, several, table

app = typer.Typer(
    help="Look at what workers have saved, keep it in a file, or begin anew.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

ShardRole = Literal[
    "ingest", "join-logs", "join-spans", "score", "correlate", "shadow-copy", "shadow-score", "shadow-correlate"
]
Partition = Annotated[int | None, typer.Option(min=0, help="Only this partition of what the role reads.")]

#: What a role learns, and what becomes of it.
_ANEW = {
    "ingest": "how far event time is. Messages that were read before are read again, and who reads on knows them",
    "join-logs": "templates of log lines and their counts. Templates that are found again keep their ids",
    "join-spans": "operations, calls and edges of the service graph",
    "score": "baselines, thresholds, and which anomalies are open. An incident with an anomaly that is not found again "
    "stays open until correlate is reset too",
    "correlate": "which incidents are open. Those that are open now are not told to end; what is read again is told "
    "again with the same ids and revisions where it comes out the same",
    "shadow-copy": "what of events, changes and people's orders the shadow has",
    "shadow-score": "the same as by score, for policies in the shadow. Live anomalies stay as they are",
    "shadow-correlate": "the same as by correlate, for policies in the shadow. Live incidents stay as they are",
}


@app.command("inspect")
def inspect(
    role: Annotated[ShardRole | None, typer.Option(help="Only this role; all but the shadow's without it.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of state export, instead of what is on the broker.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Show what is saved of every shard, and whether this version can go on from it. Changes nothing.

    Exit code 6 if some state is there that this version cannot go on from.
    """
    settings = settings_of(config, bootstrap)
    shown = _of_file(settings, file, role) if file else _of_broker(settings, role)
    raise typer.Exit(run(_inspect(shown, as_json=as_json)))


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    role: Annotated[ShardRole | None, typer.Option(help="Only this role; all but the shadow's without it.")] = None,
    partition: Partition = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Keep the newest checkpoints in a file, which state inspect --file reads. Changes nothing on the broker.

    The file holds names and attributes of signals, templates and examples of log lines, and texts of events: treat it
    as you treat those.
    """
    raise typer.Exit(run(_export(settings_of(config, bootstrap), file, role, partition)))


@app.command("reset")
def reset(
    role: Annotated[ShardRole, typer.Option(help="Whose state.")],
    partition: Partition = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Forget what a role has learnt and begin anew from the oldest of its input that is kept.

    Refused while a worker with the role runs. To keep what is there first: calmstream state export.
    """
    raise typer.Exit(run(_reset(settings_of(config, bootstrap), role, partition, yes=yes, dry_run=dry_run)))


def _stages(settings: Any, role: str | None) -> list[Any]:
    """Of this role, or of all; the shadow's only where they are asked for."""
    from pipeline.app import shadow_stages, stages

    every = stages(settings) if role is None else (*stages(settings), *shadow_stages(settings))
    return [stage for stage in every if role in (None, stage.role)]


async def _of_broker(settings: Any, role: str | None) -> AsyncIterator[dict[str, Any]]:
    from pipeline.streams.state.saved_state import saved_shards, size_of

    for stage in _stages(settings, role):
        async for saved in saved_shards(settings, stage):
            taken = saved.snapshot
            yield {
                "role": saved.role,
                "shard": saved.shard,
                "version": taken.version if taken else None,
                "offset": taken.offset if taken else None,
                "start": saved.start,
                "end": saved.end,
                "lost": max(saved.start - taken.offset, 0) if taken and taken.offset else 0,
                "parts": len(taken.names) if taken else 0,
                "bytes": size_of(taken) if taken else 0,
                "gauges": dict(saved.gauges),
                "readable": not saved.wrong,
                "wrong": saved.wrong,
            }


async def _of_file(settings: Any, file: Path, role: str | None) -> AsyncIterator[dict[str, Any]]:
    from pipeline.app import shadow_stages, stages
    from pipeline.streams.state import state_file
    from pipeline.streams.state.saved_state import judged, size_of

    by_role = {stage.role: stage for stage in (*stages(settings), *shadow_stages(settings))}
    try:
        written_by, states = state_file.read(file)
        say(f"{file} was written by Calmstream {written_by}.")
        for kept in states:
            if role not in (None, kept.role):
                continue
            topic, _, partition = kept.shard.rpartition("/")
            stage, taken = by_role.get(kept.role), kept.snapshot
            if stage is not None and topic in stage.topics:
                gauges, wrong = judged(stage.chain(topic, int(partition)), taken)
            else:
                gauges, wrong = {}, f"the configuration has no role {kept.role} that reads {topic}"
            yield {
                "role": kept.role,
                "shard": kept.shard,
                "version": taken.version,
                "offset": taken.offset,
                "start": None,
                "end": None,
                "lost": 0,
                "parts": len(taken.names),
                "bytes": size_of(taken),
                "gauges": dict(gauges),
                "readable": not wrong,
                "wrong": wrong,
            }
    except (state_file.DamagedFile, OSError) as error:
        raise _failed(f"{file} cannot be read: {error}") from error


async def _inspect(shards: AsyncIterator[dict[str, Any]], *, as_json: bool) -> int:
    from pipeline.streams.exits import Exit

    shown = table("role", "shard", "version", ">offset", ">of", ">parts", ">bytes", "holds", "")
    wrong = []
    async for shard in shards:
        if shard["wrong"]:
            wrong.append(shard)
        if as_json:
            print(json.dumps(shard), flush=True)
            continue
        known = shard["version"] is not None
        bounds = "–" if shard["end"] is None else f"{shard['start']}–{shard['end']}"
        holds = ", ".join(f"{number:g} {name.replace('_', ' ')}" for name, number in shard["gauges"].items())
        shown.add_row(
            cell(shard["role"]),
            cell(shard["shard"]),
            cell(shard["version"] if known else "nothing saved"),
            cell(shard["offset"] if known else "–"),
            cell(bounds),
            cell(shard["parts"] if known else "–"),
            cell(shard["bytes"] if known else "–"),
            cell(holds),
            _verdict(shard),
        )
    if not as_json:
        console().print(shown)
        for shard in wrong:
            say(f"\n{shard['role']} {shard['shard']}: {shard['wrong']}")
    return int(Exit.STATE_UNREADABLE) if wrong else 0


def _verdict(shard: dict[str, Any]) -> Any:
    if shard["wrong"]:
        return cell("cannot go on", "bold red")
    if shard["lost"]:
        return cell(f"{several(shard['lost'], 'message')} behind it were deleted", "yellow")
    return cell("")


async def _export(settings: Any, file: Path, role: str | None, partition: int | None) -> int:
    from pipeline.streams.state import state_file
    from pipeline.streams.state.saved_state import saved_shards

    kept, missing = [], []
    for stage in _stages(settings, role):
        async for saved in saved_shards(settings, stage):
            if partition not in (None, saved.place.partition) or not saved.wanted:
                continue
            if saved.snapshot is None:
                missing.append(f"{saved.role} {saved.shard}: {saved.wrong or 'nothing is saved'}")
            else:
                kept.append(state_file.Kept(saved.role, saved.shard, saved.snapshot))
    for line in missing:
        say(f"left out: {line}")
    if not kept:
        raise _failed("there is nothing to export")
    try:
        number = state_file.write(file, kept)
    except OSError as error:
        raise _failed(f"{file} was not written: {error}") from error
    print(f"{several(number, 'state')} of {several(len({each.role for each in kept}), 'role')} kept in {plain(file)}.")
    return 0


async def _reset(settings: Any, role: str, partition: int | None, *, yes: bool, dry_run: bool) -> int:
    from pipeline.app import shadow_stages, stages
    from pipeline.streams.state import state_reset

    every = (*stages(settings), *shadow_stages(settings))
    if role not in {stage.role for stage in every}:
        raise _failed(f"the configuration has no role {role}: no input is of its kind")
    planned = await state_reset.plan(settings, every, role, partition)
    print(f"To be learnt anew by {role}: {_ANEW[role]}.")
    for each in planned:
        print(plain(f"  {each.shard.shard}: {_words(each)}"))
    if (code := refrain("Forget what is saved there?", dry_run=dry_run, yes=yes)) is not None:
        return code
    await state_reset.begin_anew(settings, every, planned)
    print(f"{several(len(planned), 'shard')} of {role} will begin anew when a worker starts.")
    return 0


def _words(anew: Any) -> str:
    saved = anew.shard
    if not saved.wanted:
        return f"{several(len(saved.keys), 'record')} of checkpoints that nobody reads are removed"
    was = "now nothing that counts"
    if saved.snapshot:
        was = f"now {saved.snapshot.version} at offset {saved.snapshot.offset}"
    records = several(saved.end - anew.offset, "message")
    return f"{was}; then reads {records}, from offset {anew.offset} (the oldest that is kept) to {saved.end} and on"


def _failed(text: str) -> Exception:
    from pipeline.streams.exits import Exit, WorkerExit

    return WorkerExit(Exit.FAILED, text)
