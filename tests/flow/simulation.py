"""A log in memory and workers that crash on purpose, to try many schedules of the chains in seconds.

The real broker and real kills are tested in tests/streams; here the order of everything is decided by a seed.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.flow.chain import Chain
from pipeline.records import Message, Output
from pipeline.streams.state import checkpoints


@dataclass(frozen=True)
class LogRecord:
    """One record of the log; what pipeline.records.Message asks for."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Log:
    """Topics and partitions; compacted ones are read by their live records."""

    partitions: dict[tuple[str, int], list[LogRecord]] = field(default_factory=lambda: defaultdict(list))

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int = 0,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        records = self.partitions[topic, partition]
        records.append(LogRecord(len(records), timestamp, key, value, tuple(headers)))

    def live(self, topic: str, partition: int) -> dict[bytes, bytes]:
        newest: dict[bytes, bytes] = {}
        for record in self.partitions[topic, partition]:
            if record.value is None:
                newest.pop(record.key or b"", None)
            else:
                newest[record.key or b""] = record.value
        return newest


class ShardRun:
    """One owner of one shard: restores, applies, saves; may be dropped at any point, or go on as a zombie."""

    def __init__(self, log: Log, topic: str, partition: int, state: str, make: Callable[[], Chain], epoch: str) -> None:
        self.log, self.topic, self.partition, self.state = log, topic, partition, state
        self.name = f"{topic}/{partition}"
        live = log.live(state, partition)
        self.chain = make()
        snapshot = checkpoints.newest(self.name, live)
        if snapshot is not None:
            self.chain.restore(snapshot)
        self.position = snapshot.offset if snapshot is not None else 0
        self.reread = 0
        self.writer = checkpoints.Writer(self.name, epoch)
        self.older = [key for key, _ in checkpoints.other_epochs(self.name, epoch, live)]

    @property
    def behind(self) -> int:
        return len(self.log.partitions[self.topic, self.partition]) - self.position

    def read(self, limit: int) -> None:
        """Apply up to ``limit`` records and let the results out."""
        records: Sequence[Message] = self.log.partitions[self.topic, self.partition][
            self.position : self.position + limit
        ]
        if records:
            output = self.chain.apply(records)
            self._go_on(len(records), output)
            self._write(output)

    def read_and_lose(self, limit: int, dice: random.Random) -> None:
        """Apply records, but one result for another stage is refused by the broker and later ones are not."""
        records: Sequence[Message] = self.log.partitions[self.topic, self.partition][
            self.position : self.position + limit
        ]
        output = self.chain.apply(records) if records else Output()
        output.add(self.chain.flush())
        inner = [i for i, record in enumerate(output.records) if record.topic in ("signals", "anomalies")]
        if inner:
            del output.records[dice.choice(inner)]
        self._write(output)
        self._go_on(len(records), output)
        self.read(limit)  # the refusal is noticed only now
        self.flush()
        raise Crashed

    def _go_on(self, applied: int, output: Output) -> None:
        again = output.reread_from is not None
        self.reread += again
        self.position = output.reread_from if again else self.position + applied  # type: ignore[assignment]

    def flush(self, *, idle: bool = False) -> None:
        self._write(self.chain.flush(idle=idle))

    def save(self, dice: random.Random | None = None) -> None:
        """Checkpoint; with ``dice`` it may stop half-way, as a crash would."""
        self.flush()
        snapshot = self.chain.snapshot(full=not self.writer.started)
        records = list(self.writer.parts(snapshot))
        cut = dice.randrange(len(records) + 2) if dice is not None else len(records) + 2
        for key, value in records[:cut]:
            self.log.append(self.state, self.partition, key, value)
        if cut <= len(records):
            raise Crashed
        self.log.append(self.state, self.partition, *self.writer.manifest(snapshot))
        for key, value in [*self.writer.obsolete(snapshot), *((key, None) for key in self.older)]:
            self.log.append(self.state, self.partition, key, value)
        self.older = []
        self.chain.saved()

    def _write(self, output: Output) -> None:
        for record in output.records:
            self.log.append(record.topic, record.partition or 0, record.key, record.value, 0, record.headers)


class Crashed(Exception):
    """The owner stopped in the middle of its work."""
