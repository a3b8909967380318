"""``calmstream backtest``: what policies would have told of files or of a stretch of Kafka, and others would change."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.backtest_report import show
from pipeline.cli.options import Bootstrap, Config, seconds_of
from pipeline.cli.replay_inputs import (
    Entity,
    FileFormat,
    Files,
    Layout,
    TimeColumn,
    ValueColumns,
    WindowSeconds,
    check_files,
    milliseconds,
    open_files,
    settings_with,
)
from pipeline.cli.replay_results import progress_bar
from pipeline.cli.running import run
from pipeline.cli.terminal import json_text, say
from pipeline.policies import Policy
from pipeline.records import US
from pipeline.settings import Settings


def backtest(
    files: Files = None,
    file_format: FileFormat = None,
    policy: Annotated[
        list[Path] | None, typer.Option(help="YAML or JSON file with policies to try. May be given several times.")
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Policies to compare those with. May be given several times.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Count what is told from this time on (RFC 3339, record time).")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Records before this time (RFC 3339).")] = None,
    from_topic: Annotated[
        str | None, typer.Option(help="The topic to read: the one of signals, or an input of metrics.")
    ] = None,
    warm_up: Annotated[
        str, typer.Option(help="What is told in the first so much time is not counted: signals are learned in it.")
    ] = "10m",
    time_column: TimeColumn = "timestamp",
    value_column: ValueColumns = ["value"],  # noqa: B006 - typer reads it, nobody changes it
    entity: Entity = None,
    window_seconds: WindowSeconds = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Try policies on what was recorded: which incidents would there have been, how much noise, how late?

    With `--against` also what those policies would have changed, incident by incident. Nothing is written to Kafka,
    and nobody is told. Without `--policy` the policies that are in force are tried. `docs/tuning.md` shows how. For
    instance:

    `calmstream backtest --from 2026-01-30T00:00:00Z --to 2026-01-31T00:00:00Z --policy now.yaml --against calmer.yaml`

    Exit codes: 0 done, 2 wrong arguments, configuration or input, 3 topic missing, 4 broker not reached or lost.
    """
    chosen = files or []
    if not chosen and since is None and from_topic is None:
        raise typer.BadParameter("name files, or a stretch of Kafka (--from, --to, --from-topic)")
    if chosen and from_topic is not None:
        raise typer.BadParameter("name either files or a topic (--from-topic)")
    check_files(chosen, file_format, entity, since, until)
    warm_up_us = round(seconds_of(warm_up) * US)
    tried = _Tried(config, bootstrap, window_seconds, policy or [], against)
    if chosen:
        assert file_format is not None
        layout = Layout(time_column, value_column, entity)
        raise typer.Exit(_of_files(tried, chosen, file_format, layout, warm_up_us, as_json=as_json))
    bounds = (milliseconds(since), milliseconds(until))
    raise typer.Exit(run(_of_topic(tried, from_topic, bounds, warm_up_us, as_json=as_json)))


class _Tried:
    """The sets of policies, and the settings with each. ``against`` is None where there is only one."""

    def __init__(
        self,
        config: Path | None,
        bootstrap: str | None,
        window_seconds: float | None,
        policy: Sequence[Path],
        against: Sequence[Path] | None,
    ) -> None:
        self._given = (config, bootstrap, window_seconds)
        self._files = [policy] if against is None else [policy, against]

    def settings(self, in_force: Sequence[Policy] = ()) -> list[tuple[str, Settings]]:
        """Name and settings of each. Raises ConfigurationError."""
        return [(_name(files), settings_with(*self._given, files, in_force)) for files in self._files]

    def base(self) -> Settings:
        """The settings without any of them: where to read."""
        return settings_with(*self._given)


def _name(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files) or "in force"


def _trials(tried: Sequence[tuple[str, Settings]]) -> tuple[list[Any], list[Any]]:
    """What each tells, and the trials to run."""
    from pipeline.app import flow_config
    from pipeline.replay.backtest import Told
    from pipeline.replay.run import Trial

    told = [Told(name, settings.detection.alert_budget) for name, settings in tried]
    trials = [Trial(flow_config(settings), one.sinks) for (_, settings), one in zip(tried, told, strict=True)]
    return told, trials


def _of_files(
    tried: _Tried, paths: Sequence[Path], file_format: Any, layout: Layout, warm_up_us: int, *, as_json: bool
) -> int:
    from pipeline.replay.message import ReplayError
    from pipeline.replay.run import try_files

    try:
        opened, _ = open_files(paths, file_format, layout)
        told, trials = _trials(tried.settings())
        with progress_bar("bytes", sum(file.size for file in opened)) as on_progress:
            totals = try_files(trials, opened, on_progress)
    except ReplayError as error:
        say(f"calmstream: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    return _report(told, totals, None, warm_up_us, as_json=as_json)


async def _of_topic(
    tried: _Tried, topic: str | None, bounds: tuple[int | None, int | None], warm_up_us: int, *, as_json: bool
) -> int:
    from pipeline.replay.run import try_points, try_signals
    from pipeline.streams import control_topic
    from pipeline.streams.stretch import Bounds, open_stretch

    base = tried.base()
    signals = base.topic("signals")
    topic = topic or signals
    formats = {source.topic: source.format for source in base.inputs if not source.sparse}
    if topic not in formats and topic != signals:
        known = ", ".join([signals, *formats])
        raise typer.BadParameter(f"--from-topic {topic}: it reads {known}; name others under inputs in --config")
    live = (await control_topic.read(base)).live
    told, trials = _trials(tried.settings([one.policy for one in live]))
    since_ms, until_ms = bounds
    begin_ms = None if since_ms is None else since_ms - warm_up_us // 1000
    async with open_stretch(base, topic, Bounds(begin_ms, until_ms)) as stretch:
        with progress_bar("records", stretch.records) as on_progress:
            batches, partitions = stretch.batches(), stretch.partitions
            if topic == signals:
                totals = await try_signals(trials, partitions, batches, on_progress, complete=True)
            else:
                form = formats[topic]
                totals = await try_points(trials, topic, partitions, form, batches, on_progress, complete=True)
    from_us = None if since_ms is None else since_ms * 1000
    return await asyncio.to_thread(_report, told, totals, from_us, warm_up_us, as_json=as_json)


def _report(told: Sequence[Any], totals: Sequence[Any], from_us: int | None, warm_up_us: int, *, as_json: bool) -> int:
    """``from_us``: what is told from then on counts; None = from the first window on, and the warm-up."""
    from pipeline.replay.backtest import Report

    for one, total in zip(told, totals, strict=True):
        one.totals = total
    first_us, last_us = told[0].extent.first_us, told[0].extent.last_us
    if first_us is None or last_us is None:
        say("calmstream: no window closed: does the configuration name the inputs of what was recorded?")
        return 2
    report = Report.of(told, first_us + warm_up_us if from_us is None else from_us, last_us)
    if as_json:
        print(json_text(report.form()))
    else:
        show(report)
    return 0
