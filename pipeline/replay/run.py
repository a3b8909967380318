"""Files, or a stretch of a topic, through a replay.

Guarantee: the next messages are always taken from the source whose event time is least, so that event time can go on
and little is held back; what comes out does not depend on it, nor on how many are taken at once.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from pipeline.codecs import policy_event
from pipeline.flow.config import FlowConfig
from pipeline.records import Message
from pipeline.replay.driver import Place, Replay, Sinks, Totals
from pipeline.replay.files import InputFile
from pipeline.replay.message import ReplayError
from pipeline.replay.refusals import text

#: Messages taken from a file at once.
BATCH_MESSAGES = 500

#: Told how much is done, of as much as there is (bytes of files, records of a stretch), and the totals so far.
OnProgress = Callable[[int, Totals], None]
#: (partition, messages), and no messages at the end of a partition.
Batches = AsyncIterator[tuple[int, Sequence[Message]]]


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration that messages go through, and where what comes of it goes. Trials of the same messages differ in
    their policies alone."""

    config: FlowConfig
    sinks: Sinks


def replay_files(
    config: FlowConfig,
    files: Sequence[InputFile],
    sinks: Sinks,
    on_progress: OnProgress | None = None,
    batch: int = BATCH_MESSAGES,
) -> Totals:
    """Each file is a source of its own; all are of one format. Raises ReplayError for a file that cannot be used."""
    return try_files([Trial(config, sinks)], files, on_progress, batch)[0]


def try_files(
    trials: Sequence[Trial],
    files: Sequence[InputFile],
    on_progress: OnProgress | None = None,
    batch: int = BATCH_MESSAGES,
) -> list[Totals]:
    """As ``replay_files``, through several configurations while the files are read once; the totals of each."""
    sources = {f"file/{number}": file for number, file in enumerate(files)}
    place = _place_in(sources)
    replays = [_replay(trial, tuple(sources), files[0].format_name, place) for trial in trials]
    waiting = {source: file.messages() for source, file in sources.items()}
    while waiting:
        source = min(waiting, key=replays[0].progress_us)
        messages = list(islice(waiting[source], batch))
        for replay in replays:
            if messages:
                replay.feed(source, messages)
            else:
                replay.end(source)
                replay.totals.add_refusals(sources[source].refusals)
        if not messages:
            del waiting[source]
        if on_progress is not None:
            on_progress(sum(file.done() for file in files), replays[0].totals)
    found = [replay.finish(complete=True) for replay in replays]
    if not found[0].points:
        names = ", ".join(str(file.path) for file in files)
        raise ReplayError(f"{names}: no point can be used: {text(found[0].of('drop'), found[0].examples)}")
    return found


async def replay_points(
    config: FlowConfig,
    topic: str,
    partitions: int,
    format_name: str,
    batches: Batches,
    sinks: Sinks,
    on_progress: OnProgress | None = None,
) -> Totals:
    """A stretch of an input topic: (partition, messages), and no messages at the end of a partition."""
    return (await try_points([Trial(config, sinks)], topic, partitions, format_name, batches, on_progress))[0]


async def try_points(
    trials: Sequence[Trial],
    topic: str,
    partitions: int,
    format_name: str,
    batches: Batches,
    on_progress: OnProgress | None = None,
    *,
    complete: bool = False,
) -> list[Totals]:
    """As ``replay_points``, through several configurations at once. ``complete``: windows that are open at the end are
    judged by what they have, as those of files are."""
    sources = tuple(f"{topic}/{partition}" for partition in range(partitions))
    replays = [_replay(trial, sources, format_name) for trial in trials]
    done = 0
    async for partition, messages in batches:
        for replay in replays:
            if messages:
                replay.feed(sources[partition], messages)
            else:
                replay.end(sources[partition])
        done += len(messages)
        if on_progress is not None:
            on_progress(done, replays[0].totals)
    return [replay.finish(complete=complete) for replay in replays]


async def replay_signals(
    config: FlowConfig,
    partitions: int,
    batches: Batches,
    sinks: Sinks,
    on_progress: OnProgress | None = None,
) -> Totals:
    """A stretch of ``calm.signals``, read like one of an input topic: event time goes as it was written there."""
    return (await try_signals([Trial(config, sinks)], partitions, batches, on_progress))[0]


async def try_signals(
    trials: Sequence[Trial],
    partitions: int,
    batches: Batches,
    on_progress: OnProgress | None = None,
    *,
    complete: bool = False,
) -> list[Totals]:
    """As ``replay_signals``, through several configurations at once. ``complete``: as for ``try_points``; then the
    policies that were applied meanwhile are left out, too: those that are tried count from the first window on."""
    replays = [Replay(replace(trial.config, signal_partitions=partitions), None, trial.sinks) for trial in trials]
    begun: set[int] = set()
    done = 0
    async for partition, messages in batches:
        begins = bool(messages) and partition not in begun
        begun.update([partition] if begins else ())
        kept = [each for each in messages if not policy_event.is_control(each.headers)] if complete else messages
        for replay in replays:
            if begins and messages[0].offset > 0:
                replay.begin_inside(partition)
            replay.feed_signals(partition, kept)
        done += len(messages)
        if on_progress is not None:
            on_progress(done, replays[0].totals)
    return [replay.finish(complete=complete) for replay in replays]


def _replay(trial: Trial, sources: tuple[str, ...], format_name: str, place: Place = "{} offset {}".format) -> Replay:
    config = replace(trial.config, sources=sources, line_sources=(), span_sources=())
    return Replay(config, format_name, trial.sinks, place)


def _place_in(sources: Mapping[str, InputFile]) -> Callable[[str, int], str]:
    """Line numbers are the offsets of messages from files."""

    def place(source: str, offset: int) -> str:
        return f"{sources[source].path.name} line {offset}" if source in sources else f"{source} offset {offset}"

    return place
