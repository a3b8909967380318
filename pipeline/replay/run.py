"""Files, or a stretch of a topic, through a replay.

Guarantee: the next messages are always taken from the source whose event time is least, so that event time can go on
and little is held back; what comes out does not depend on it, nor on how many are taken at once.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from pipeline.flow.config import FlowConfig
from pipeline.records import Message
from pipeline.replay.driver import Replay, Sinks, Totals
from pipeline.replay.files import InputFile
from pipeline.replay.message import ReplayError
from pipeline.replay.refusals import text

#: Messages taken from a file at once.
BATCH_MESSAGES = 500

#: Told how much is done, of as much as there is (bytes of files, records of a stretch), and the totals so far.
OnProgress = Callable[[int, Totals], None]


def replay_files(
    config: FlowConfig,
    files: Sequence[InputFile],
    sinks: Sinks,
    on_progress: OnProgress | None = None,
    batch: int = BATCH_MESSAGES,
) -> Totals:
    """Each file is a source of its own; all are of one format. Raises ReplayError for a file that cannot be used."""
    sources = {f"file/{number}": file for number, file in enumerate(files)}
    place = _place_in(sources)
    replay = Replay(
        replace(config, sources=tuple(sources), line_sources=(), span_sources=()), files[0].format_name, sinks, place
    )
    waiting = {source: file.messages() for source, file in sources.items()}
    while waiting:
        source = min(waiting, key=replay.progress_us)
        messages = list(islice(waiting[source], batch))
        if messages:
            replay.feed(source, messages)
        else:
            replay.end(source)
            replay.totals.add_refusals(sources[source].refusals)
            del waiting[source]
        if on_progress is not None:
            on_progress(sum(file.done() for file in files), replay.totals)
    totals = replay.finish(complete=True)
    if not totals.points:
        names = ", ".join(str(file.path) for file in files)
        raise ReplayError(f"{names}: no point can be used: {text(totals.of('drop'), totals.examples)}")
    return totals


async def replay_points(
    config: FlowConfig,
    topic: str,
    partitions: int,
    format_name: str,
    batches: AsyncIterator[tuple[int, Sequence[Message]]],
    sinks: Sinks,
    on_progress: OnProgress | None = None,
) -> Totals:
    """A stretch of an input topic: (partition, messages), and no messages at the end of a partition."""
    sources = tuple(f"{topic}/{partition}" for partition in range(partitions))
    replay = Replay(replace(config, sources=sources, line_sources=(), span_sources=()), format_name, sinks)
    done = 0
    async for partition, messages in batches:
        if messages:
            replay.feed(sources[partition], messages)
        else:
            replay.end(sources[partition])
        done += len(messages)
        if on_progress is not None:
            on_progress(done, replay.totals)
    return replay.finish(complete=False)


async def replay_signals(
    config: FlowConfig,
    partitions: int,
    batches: AsyncIterator[tuple[int, Sequence[Message]]],
    sinks: Sinks,
    on_progress: OnProgress | None = None,
) -> Totals:
    """A stretch of ``calm.signals``, read like one of an input topic: event time goes as it was written there."""
    replay = Replay(replace(config, signal_partitions=partitions), None, sinks)
    begun: set[int] = set()
    done = 0
    async for partition, messages in batches:
        if messages and partition not in begun:
            begun.add(partition)
            if messages[0].offset > 0:
                replay.begin_inside(partition)
        replay.feed_signals(partition, messages)
        done += len(messages)
        if on_progress is not None:
            on_progress(done, replay.totals)
    return replay.finish(complete=False)


def _place_in(sources: Mapping[str, InputFile]) -> Callable[[str, int], str]:
    """Line numbers are the offsets of messages from files."""

    def place(source: str, offset: int) -> str:
        return f"{sources[source].path.name} line {offset}" if source in sources else f"{source} offset {offset}"

    return place
