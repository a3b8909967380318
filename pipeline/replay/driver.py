"""The chains of all roles in one process, each fed with what the one before wrote.

Guarantee: the chains are those of a worker, with the same partitioner and partition counts; so the same messages give
the same scores, anomalies and incidents, however they are cut into batches and in whatever order sources take turns.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from pipeline.codecs import score_block
from pipeline.codecs.registry import input_codec
from pipeline.flow import refused
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.ingest import IngestChain
from pipeline.flow.score import ScoreChain
from pipeline.records import Counts, Message, Output, Produced, ScoreBlock, Signal
from pipeline.replay.message import handed_over
from pipeline.replay.refusals import Example, Refusals

#: (source, offset) → where that is, for people.
Place = Callable[[str, int], str]


class _Sink(Protocol):
    def release(self, complete_us: int, /) -> None:
        """All windows that end, and all that was decided, at or before this time have come."""
        ...

    def close(self) -> None:
        """Nothing comes any more."""
        ...


class ScoreSink(_Sink, Protocol):
    """Takes every block of scores, in any order."""

    def take(self, block: ScoreBlock, signals: Mapping[int, Signal], /) -> None: ...


class EventSink(_Sink, Protocol):
    """Takes every record of one topic (short name), in any order."""

    topic: ClassVar[str]

    def take(self, record: Produced, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where a replay's results go."""

    scores: Sequence[ScoreSink] = ()
    events: Sequence[EventSink] = ()


@dataclass(slots=True)
class Totals:
    """What a replay came to.

    ``counts`` are those of the chains, added up: (what, reason or kind) → how many; what a reader of files passed over
    is among the drops. ``examples`` shows the first message refused for a reason.
    """

    counts: Counts = field(default_factory=Counter)
    examples: dict[str, Example] = field(default_factory=dict)
    signals: int = 0

    def of(self, what: str) -> dict[str, int]:
        """Reason or kind → how many, for one thing counted (``drop``, ``anomaly``, ``incident`` …)."""
        return {reason: number for (found, reason), number in sorted(self.counts.items()) if found == what}

    def add_refusals(self, refusals: Refusals) -> None:
        """What a reader could not use."""
        for reason, number in refusals.counts.items():
            self.counts["drop", reason] += number
            self.examples.setdefault(reason, refusals.examples[reason])

    @property
    def points(self) -> int:
        return self.counts["points", ""]

    @property
    def windows(self) -> int:
        return self.counts["windows", ""]


class Replay:
    """``format_name`` is that of the messages of ``config.sources``; None when what is fed are blocks of
    ``calm.signals``, which name their sources themselves. ``place`` words where a message stands."""

    def __init__(
        self, config: FlowConfig, format_name: str | None, sinks: Sinks, place: Place = "{} offset {}".format
    ) -> None:
        self.totals = Totals()
        self._place = place
        self._ingest: dict[str, IngestChain] = {}
        if format_name is not None:
            for source in config.sources:
                self._ingest[source] = IngestChain(source, input_codec(format_name, config.limits), config)
        self._score = [ScoreChain(partition, config) for partition in range(config.signal_partitions)]
        self._correlate = [CorrelateChain(partition, config) for partition in range(config.anomaly_partitions)]
        self._sinks = sinks
        self._signals: dict[int, Signal] = {}
        for chain in self._score:
            chain.scorer.catalogue.heard = self._hear
        self._offset: Counter[tuple[str, int]] = Counter()

    def _hear(self, signal: Signal) -> None:
        self._signals[signal.id] = signal

    # -- in ----------------------------------------------------------------------------------------------------------

    def progress_us(self, source: str) -> int:
        """The greatest event time of a source so far (NO_TIME before any)."""
        return self._ingest[source].watermark_us()

    def feed(self, source: str, messages: Sequence[Message]) -> None:
        """The next messages of a source."""
        chain = self._ingest[source]
        topic, _, partition = source.rpartition("/")
        output = refused.apply(chain, topic, int(partition), messages)
        output.add(chain.flush())
        self._hand_over(output)
        self._pass_on()

    def end(self, source: str) -> None:
        """A source has no more messages: it no longer holds the others up."""
        self._hand_over(self._ingest[source].flush(idle=True))
        self._pass_on()

    def feed_signals(self, partition: int, messages: Sequence[Message]) -> None:
        """The next blocks of one partition of ``calm.signals``."""
        self._take_scores(partition, self._score[partition].apply(messages))
        self._pass_on()

    def begin_inside(self, partition: int) -> None:
        """The blocks of this partition of ``calm.signals`` do not start with the first one ever."""
        self._score[partition].lost_history()

    def finish(self, *, complete: bool) -> Totals:
        """Nothing comes any more. ``complete``: windows that are still open have all their points, so close them."""
        if complete:
            for partition, chain in enumerate(self._score):
                self._take_scores(partition, chain.drain())
            self._tell_progress()
            for correlate in self._correlate:
                self._take_in(correlate.drain())
        for sink in (*self._sinks.scores, *self._sinks.events):
            sink.close()
        self.totals.signals = sum(int(chain.gauges()["signals"]) for chain in self._score)
        return self.totals

    # -- from chain to chain -----------------------------------------------------------------------------------------

    def _hand_over(self, output: Output) -> None:
        """From ingest to score."""
        self._take_in(output)
        blocks: dict[int, list[Message]] = defaultdict(list)
        for record in output.records:
            if record.topic == "signals" and record.partition is not None:
                blocks[record.partition].append(self._message("signals", record.partition, record))
        for partition, messages in blocks.items():
            self._take_scores(partition, self._score[partition].apply(messages))

    def _take_scores(self, partition: int, output: Output) -> None:
        """From score to correlate."""
        self._take_in(output)
        for record in output.records:
            if record.topic == "anomalies" and record.partition is not None:
                message = self._message("anomalies", record.partition, record)
                self._take_in(self._correlate[record.partition].apply([message]))

    def _pass_on(self) -> None:
        """Tell the correlate chains how far event time is, and the sinks what is complete."""
        self._tell_progress()
        scored_us, correlated_us = _least(self._score), _least(self._correlate)
        for sink in self._sinks.scores:
            sink.release(scored_us)
        for events in self._sinks.events:
            events.release(correlated_us if events.topic == "incidents" else scored_us)

    def _tell_progress(self) -> None:
        for partition, chain in enumerate(self._score):
            self._take_scores(partition, chain.flush())

    def _message(self, topic: str, partition: int, record: Produced) -> Message:
        offset = self._offset[topic, partition]
        self._offset[topic, partition] += 1
        return handed_over(record, offset)

    def _take_in(self, output: Output) -> None:
        """Count, and give the records to the sinks that want them."""
        self.totals.counts.update(output.counts)
        for record in output.records:
            if record.topic == "scores" and self._sinks.scores:
                block = score_block.decode(record.value or b"")
                for sink in self._sinks.scores:
                    sink.take(block, self._signals)
            elif record.topic == "dead-letter":
                self._refused(record)
            for events in self._sinks.events:
                if events.topic == record.topic:
                    events.take(record)

    def _refused(self, letter: Produced) -> None:
        ours = [(name, value or b"") for name, value in letter.headers if name.startswith("calm_")]
        said = {name: value.decode("utf-8", "replace") for name, value in ours}
        where = self._place(f"{said['calm_topic']}/{said['calm_partition']}", int(said["calm_offset"]))
        for reason in said["calm_reason"].split(","):
            self.totals.examples.setdefault(reason, Example(where, said.get("calm_detail", "")))


def _least(chains: Iterable[Chain]) -> int:
    return min(chain.watermark_us() for chain in chains)
