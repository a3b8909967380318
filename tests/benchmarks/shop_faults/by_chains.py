"""The quick way: the stages of a worker in this process, without a broker, each fed with what the one before wrote.

Guarantee: the stages and their shards are those of ``pipeline.app``. What came out can be asked for why an incident is
as it is: anomalies, suppressions, edges and scores by their topics.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from pipeline.app import stages
from pipeline.codecs import incident_event
from pipeline.flow.chain import Chain
from pipeline.records import Output, Produced
from pipeline.settings import Settings
from tests.benchmarks.shop_faults.judge import Transition
from tests.benchmarks.shop_faults.story import START, Story
from tests.benchmarks.shop_faults.telemetry_in import LAST_SECONDS, UNUSED, settings, stretches
from tests.timeline import Record

#: Topics of which everything is kept, to ask why.
_KEPT = ("anomalies", "suppressions", "incidents", "topology", "dead-letter")


class Line:
    """All chains; ``written`` has the records of kept topics, by short name."""

    def __init__(self) -> None:
        self.settings = Settings(**settings())
        self.written: dict[str, list[Produced]] = defaultdict(list)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.listen: Callable[[Produced], None] = lambda record: None
        self.chains: dict[tuple[str, int], Chain] = {}
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._waiting: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self._order: list[list[tuple[str, int]]] = []
        for stage in stages(self.settings):
            shards = []
            for topic in stage.topics:
                for partition in range(self.settings.partitions(topic)):
                    self.chains[topic, partition] = stage.chain(topic, partition)
                    shards.append((topic, partition))
            self._order.append(shards)
        for topic in UNUSED:
            self.rest(topic)

    def feed(self, topic: str, messages: list[Record]) -> None:
        """The next messages of an input."""
        self._take(self.chains[topic, 0].apply(messages))

    def rest(self, topic: str) -> None:
        """Nothing comes of this input for now."""
        self._take(self.chains[topic, 0].flush(idle=True))

    def flush(self, *, idle: bool = False) -> None:
        """All stages let out what they hold back, the first stages first."""
        for shards in self._order:
            for shard in shards:
                self._take(self.chains[shard].flush(idle=idle))

    def _take(self, output: Output) -> None:
        """Hand on what a chain wrote, and what others make of that, each shard in the order of its log."""
        self._put(output)
        while waiting := [shard for shards in self._order for shard in shards if self._waiting[shard]]:
            for shard in waiting:
                messages, self._waiting[shard] = self._waiting[shard], []
                self._put(self.chains[shard].apply(messages))

    def _put(self, output: Output) -> None:
        assert output.reread_from is None, "a chain wants messages again, and there is no broker that has them"
        self.counts.update(output.counts)
        for record in output.records:
            self.listen(record)
            if record.topic in _KEPT:
                self.written[record.topic].append(record)
            shard = (self.settings.topic(record.topic), record.partition or 0)
            if shard in self.chains and record.partition is not None:
                message = Record(self._offsets[shard], 0, record.key, record.value, record.headers)
                self._offsets[shard] += 1
                self._waiting[shard].append(message)


def run(story: Story, line: Line | None = None) -> list[Transition]:
    """Tell the story; the transitions of all incidents."""
    line, began = line or Line(), time.monotonic()
    offsets: Counter[str] = Counter()
    for until, sent in stretches(story):
        by_topic: dict[str, list[Record]] = defaultdict(list)
        for each in sent:
            offset = offsets[each.topic]
            offsets[each.topic] += 1
            by_topic[each.topic].append(Record(offset, int(each.at * 1000), each.key, each.value, each.headers))
        for topic in sorted(by_topic):  # changes first
            line.feed(topic, by_topic[topic])
        line.flush()
        if int(until) % 1800 < 20:
            took = time.monotonic() - began
            print(f"{until / 60:.0f} minutes told in {took:.0f} s", file=sys.stderr, flush=True)
    line.flush(idle=True)
    told = (Record(0, 0, record.key, record.value, record.headers) for record in line.written["incidents"])
    return counted(story, map(transition, told))


def counted(story: Story, transitions: Iterable[Transition]) -> list[Transition]:
    """Those that were decided before the last of the story."""
    until = START + story.schedule.seconds - LAST_SECONDS
    return [each for each in transitions if each.decided <= until]


def transition(record: Any) -> Transition:
    """As it is read from ``calm.incidents``."""
    decided = int(dict(record.headers)["calm_decided_us"]) / 1e6
    return Transition(decided, incident_event.decode(record))
