"""Every role over a log in memory, with as many partitions as the settings say: the chains of a worker, no broker.

Guarantee: everything happens in one order, so that two runs over the same input give the same log.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.app import stages
from pipeline.codecs import incident_event, score_block
from pipeline.flow.chain import Chain
from pipeline.records import Output, Snapshot
from pipeline.settings import Settings

#: Full topic and partition.
Place = tuple[str, int]
#: Partition, window end and signal → value, expected, lower, upper, surprise, anomalous.
Scores = dict[tuple[int, int], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of the log; what pipeline.records.Message asks for."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class MemoryRun:
    """``log`` has every record by topic and partition; ``first`` are offsets of the first ones, 0 unless it goes on
    from states that were saved and what stood in the log behind them.
    ``role`` names the role of each topic that is read; ``chains`` are those of all their partitions."""

    def __init__(
        self,
        settings: Settings,
        saved: Mapping[Place, Snapshot] | None = None,
        log: Mapping[Place, Sequence[Logged]] | None = None,
    ) -> None:
        self.settings = settings
        self.log: dict[Place, list[Logged]] = defaultdict(list, {at: list(told) for at, told in (log or {}).items()})
        self.first = {at: told[0].offset for at, told in self.log.items() if told}
        self.role: dict[str, str] = {}
        self.chains: dict[Place, Chain] = {}
        self._due: deque[Place] = deque()
        for stage in stages(settings):
            for topic in stage.topics:
                self.role[topic] = stage.role
                for number in range(settings.partitions(topic)):
                    self.chains[topic, number] = stage.chain(topic, number)
        self._read = dict.fromkeys(self.chains, 0)
        for at, snapshot in (saved or {}).items():
            self.chains[at].restore(snapshot)
            self._read[at] = snapshot.offset
            self.first.setdefault(at, snapshot.offset)
        self._catch_up()

    def send(self, topic: str, partition: int, value: bytes, timestamp_ms: int) -> None:
        """A message to an input (full name), and all that follows from it."""
        self._append((topic, partition), timestamp_ms, None, value)
        self._catch_up()

    def idle(self, *topics: str) -> None:
        """All partitions of these inputs were silent for long enough to say so, one after the other."""
        for at in [at for at in self.chains if at[0] in topics]:
            self._route(self.chains[at].flush(idle=True), 0)
            self._catch_up()

    def save(self) -> dict[Place, Snapshot]:
        """A checkpoint of every shard, as the shard service takes it."""
        for chain in self.chains.values():
            self._route(chain.flush(), 0)
        self._catch_up()
        return {at: chain.snapshot(full=True).keep() for at, chain in self.chains.items()}

    def rest(self, at: Place, offset: int) -> list[Logged]:
        """What stands in the log from an offset on."""
        return self.log[at][offset - self.first.get(at, 0) :]

    def scores(self, after_us: int = 0) -> Scores:
        """Every scored window that ends after then, by window end and signal."""
        found: Scores = {}
        for (topic, _), told in self.log.items():
            if topic != self.settings.topic("scores"):
                continue
            for block in (score_block.decode(each.value or b"") for each in told):
                if block.end_us <= after_us:
                    continue
                columns = (block.value, block.expected, block.lower, block.upper, block.surprise, block.anomalous)
                for id_, *numbers in zip(block.ids.tolist(), *(column.tolist() for column in columns), strict=True):
                    found[block.end_us, id_] = tuple(numbers)
        return found

    def incidents(self, after_us: int = 0) -> list[dict[str, Any]]:
        """Bodies of all transitions of incidents that were decided after then, by id and revision."""
        told = [
            each for (topic, _), all_ in self.log.items() if topic == self.settings.topic("incidents") for each in all_
        ]
        decided = [each for each in told if int(dict(each.headers)["calm_decided_us"]) > after_us]
        bodies = [incident_event.decode(each) for each in decided]
        return sorted(bodies, key=lambda body: (body["id"], body["revision"]))

    def _catch_up(self) -> None:
        """Read until nobody has anything left."""
        busy = True
        while busy:
            busy = False
            for at, chain in self.chains.items():
                new = self.rest(at, self._read[at])
                if new:
                    busy = True
                    self._read[at] += len(new)
                    self._route(chain.apply(new), new[-1].timestamp)
                    self._route(chain.flush(), new[-1].timestamp)

    def _route(self, output: Output, timestamp: int) -> None:
        for made in output.records:
            at = (self.settings.topic(made.topic), made.partition or 0)
            self._append(at, timestamp, made.key, made.value, made.headers)

    def _append(
        self, at: Place, timestamp: int, key: bytes | None, value: bytes | None, headers: Iterable[Any] = ()
    ) -> None:
        offset = self.first.setdefault(at, 0) + len(self.log[at])
        self.log[at].append(Logged(offset, timestamp, key, value, tuple(headers)))
