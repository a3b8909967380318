"""``calmstream replay``: what Calmstream would have said of files, or of a stretch of Kafka."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Bootstrap, Config
from pipeline.cli.replay_inputs import (
    Entity,
    FileFormat,
    Files,
    Format,
    Layout,
    TimeColumn,
    ValueColumns,
    WindowSeconds,
    check_files,
    milliseconds,
    open_files,
    settings_with,
)
from pipeline.cli.replay_results import Outputs, open_sinks, progress_bar, summarise
from pipeline.cli.running import run
from pipeline.cli.terminal import say
from pipeline.settings import Settings


def replay(
    files: Files = None,
    file_format: FileFormat = None,
    time_column: TimeColumn = "timestamp",
    value_column: ValueColumns = ["value"],  # noqa: B006 - typer reads it, nobody changes it
    entity: Entity = None,
    window_seconds: WindowSeconds = None,
    scores: Annotated[Path | None, typer.Option(help="CSV to write: every window of every signal.")] = None,
    entity_scores: Annotated[Path | None, typer.Option(help="CSV to write: every window of every entity.")] = None,
    incidents: Annotated[Path | None, typer.Option(help="JSON lines to write: every incident transition.")] = None,
    anomalies: Annotated[Path | None, typer.Option(help="JSON lines to write: every anomaly transition.")] = None,
    from_topic: Annotated[
        str | None, typer.Option(help="Read a topic instead of files: an input, or the one of signals.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Records of the topic from this time on (RFC 3339).")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Records of the topic before this time (RFC 3339).")] = None,
    policy: Annotated[
        list[Path] | None, typer.Option(help="YAML or JSON file with policies to try. May be given several times.")
    ] = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Run files, or a stretch of a topic, through the same stages as a worker, in event time and as fast as it can.

    No broker is needed for files, and nothing is written to Kafka. `docs/replay.md` describes the files that are read
    and written, `docs/policies.md` those with policies. For instance:

    `calmstream replay cpu.csv --format csv --scores scores.csv --incidents incidents.jsonl`

    Exit codes: 0 done, 1 a result could not be written, 2 wrong arguments, configuration or input, 3 topic missing,
    4 broker not reached or lost.
    """
    outputs = Outputs(scores, entity_scores, incidents, anomalies)
    _check_arguments(files or [], file_format, entity, from_topic, since, until)
    _check_outputs(files or [], outputs)
    settings = settings_with(config, bootstrap, window_seconds, policy or [])
    if from_topic is not None:
        raise typer.Exit(run(_replay_topic(settings, from_topic, milliseconds(since), milliseconds(until), outputs)))
    assert files
    assert file_format is not None
    layout = Layout(time_column, value_column, entity)
    raise typer.Exit(_replay_files(settings, files, file_format, layout, outputs))


# -- arguments ---------------------------------------------------------------------------------------------------------


def _check_arguments(
    files: Sequence[Path],
    file_format: Format | None,
    entity: str | None,
    from_topic: str | None,
    since: str | None,
    until: str | None,
) -> None:
    if bool(files) == (from_topic is not None):
        raise typer.BadParameter("name either files or a topic (--from-topic)")
    check_files(files, file_format, entity, since, until)


def _check_outputs(files: Sequence[Path], outputs: Outputs) -> None:
    taken = {path.resolve(): str(path) for path in files}
    for option, path in outputs.named().items():
        where = path.resolve()
        if where in taken:
            raise typer.BadParameter(f"{option} {path} would overwrite {taken[where]}; name another file")
        if not where.parent.is_dir():
            raise typer.BadParameter(f"{option} {path}: there is no directory {path.parent}")
        taken[where] = option


# -- files -------------------------------------------------------------------------------------------------------------


def _replay_files(
    settings: Settings,
    paths: Sequence[Path],
    file_format: Format,
    layout: Layout,
    outputs: Outputs,
) -> int:
    from pipeline.app import flow_config
    from pipeline.replay import files
    from pipeline.replay.message import ReplayError
    from pipeline.replay.run import replay_files

    try:
        opened, names = open_files(paths, file_format, layout)
        flow = flow_config(settings)
        with (
            open_sinks(flow, outputs, files.time_text(opened), names) as (sinks, book),
            progress_bar("bytes", sum(file.size for file in opened)) as on_progress,
        ):
            started = time.monotonic()
            totals = replay_files(flow, opened, sinks, on_progress)
        summarise(totals, book, time.monotonic() - started)
    except ReplayError as error:
        say(f"calmstream: {error}")
        return 2
    except OSError as error:
        say(f"calmstream: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


# -- Kafka -------------------------------------------------------------------------------------------------------------


async def _replay_topic(
    settings: Settings, topic: str, since_ms: int | None, until_ms: int | None, outputs: Outputs
) -> int:
    from pipeline.app import flow_config
    from pipeline.records import iso
    from pipeline.replay.run import replay_points, replay_signals
    from pipeline.streams.stretch import Bounds, open_stretch

    formats = {source.topic: source.format for source in settings.inputs if not source.sparse}
    signals = settings.topic("signals")
    if topic not in formats and topic != signals:
        known = ", ".join([*formats, signals])
        raise typer.BadParameter(f"--from-topic {topic}: replay reads {known}; name others under inputs in --config")
    flow = flow_config(settings)
    async with open_stretch(settings, topic, Bounds(since_ms, until_ms)) as stretch:
        with (
            open_sinks(flow, outputs, iso, {}) as (sinks, book),
            progress_bar("records", stretch.records) as on_progress,
        ):
            started, batches = time.monotonic(), stretch.batches()
            if topic == signals:
                totals = await replay_signals(flow, stretch.partitions, batches, sinks, on_progress)
            else:
                totals = await replay_points(
                    flow, topic, stretch.partitions, formats[topic], batches, sinks, on_progress
                )
    summarise(totals, book, time.monotonic() - started)
    return 0
