"""The chains of all roles in a line, one partition each, fed by hand and in memory."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.codecs.registry import input_codec
from pipeline.flow.chain import Chain
from pipeline.flow.config import FlowConfig
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.ingest import IngestChain
from pipeline.flow.score import ScoreChain
from pipeline.records import US, Produced
from pipeline.records.message import Counts

START = 1_700_000_000
#: One-second windows and no lateness: a second is complete as soon as the next one has begun.
CONFIG = FlowConfig(sources=("points/0",), signal_partitions=1, anomaly_partitions=1, window_us=US, lateness_us=0)


@dataclass(frozen=True)
class Passed:
    """A record as the next chain reads it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Line:
    """``written`` has every record by short topic name, in order; ``counts`` is what all chains counted."""

    def __init__(self, config: FlowConfig = CONFIG) -> None:
        self.ingest = IngestChain("points/0", input_codec("json_points", config.limits), config)
        self.score = ScoreChain(0, config)
        self.correlate = CorrelateChain(0, config)
        self.written: dict[str, list[Produced]] = defaultdict(list)
        self.counts: Counts = Counter()
        self._readers: dict[str, Chain] = {"points": self.ingest, "signals": self.score, "anomalies": self.correlate}

    def second(self, number: int, points: Iterable[dict[str, Any]]) -> None:
        """All points of one second, as one message written at its end; each is given its time."""
        timed = [{"ts": START + number + 0.5} | point for point in points]
        self._pass(Produced("points", json.dumps(timed).encode()), (START + number + 1) * 1000)

    def take_over(self, score: ScoreChain, offset: int) -> None:
        """Another chain goes on where the score chain was, after it read what its checkpoint asks for once more."""
        again = self.written["signals"][offset:]
        for at, record in enumerate(again, offset):
            output = score.apply([Passed(at, 0, record.key, record.value, record.headers)])
            assert not output.records
        self.score = self._readers["signals"] = score

    def _pass(self, record: Produced, timestamp: int) -> None:
        offset = len(self.written[record.topic])
        self.written[record.topic].append(record)
        reader = self._readers.get(record.topic)
        if reader is None:
            return
        output = reader.apply([Passed(offset, timestamp, record.key, record.value, record.headers)])
        output.add(reader.flush())
        self.counts += output.counts
        for made in output.records:
            self._pass(made, timestamp)
