"""Every role over a log in memory, the shadow's too: several roles may read one topic.

Guarantee: everything happens in one order, and what a role of the shadow says is written where its worker writes it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.app import shadow_stages, stages
from pipeline.codecs import policy_event, said_record
from pipeline.flow.chain import Chain
from pipeline.flow.shadow import is_shadow, redirected
from pipeline.policies import Control
from pipeline.policies.control import SaidControl
from pipeline.records import Output
from pipeline.records.message import Counts
from pipeline.settings import Settings
from tests.flow.simulation import Log, LogRecord

PREFIX = "calm."
#: Topic and partition.
Place = tuple[str, int]


class ShadowRun:
    """``log`` has every record by short topic; ``counts`` of each role. ``shadow``: does the role shadow run?"""

    def __init__(self, settings: Settings, *, shadow: bool) -> None:
        self.settings = settings
        self.log = Log()
        self.counts: dict[str, Counts] = defaultdict(Counter)
        self._make: dict[tuple[str, Place], Callable[[], Chain]] = {}
        for stage in (*stages(settings), *(shadow_stages(settings) if shadow else ())):
            for topic in stage.topics:
                like = topic.replace("shadow.", "")
                for number in range(settings.partitions(like)):
                    at = topic.removeprefix(PREFIX), number
                    self._make[stage.role, at] = lambda make=stage.chain, of=(topic, number): make(*of)  # type: ignore[misc]
        self.chains = {reader: make() for reader, make in self._make.items()}
        self._read = dict.fromkeys(self.chains, 0)

    def send(self, topic: str, what: Any, at_seconds: float) -> None:
        """A message to partition 0 of an input, and all that follows from it."""
        self.log.append(topic, 0, None, json.dumps(what).encode(), round(at_seconds * 1000))
        self.catch_up()

    def idle(self, topic: str) -> None:
        """An input was silent for long enough to say so."""
        for (role, at), chain in self.chains.items():
            if at[0] == topic:
                self._route(role, chain.flush(idle=True), 0)
        self.catch_up()

    def control(self, control: Control) -> None:
        """Policies, as they go into every partition of ``signals``."""
        self._everywhere("signals", *policy_event.encode_control(control))

    def say(self, control: SaidControl) -> None:
        """What people say, as it goes into every partition of ``anomalies``."""
        self._everywhere("anomalies", *said_record.encode_control(control))

    def restart_shadow(self) -> None:
        """Each of its shards goes on from a checkpoint of just now."""
        for reader in [reader for reader in self.chains if is_shadow(reader[0])]:
            role, _ = reader
            self._route(role, self.chains[reader].flush(), 0)
            snapshot = self.chains[reader].snapshot(full=True).keep()
            self.chains[reader] = self._make[reader]()
            self.chains[reader].restore(snapshot)
            self._read[reader] = snapshot.offset
        self.catch_up()

    def catch_up(self) -> None:
        """Read until nobody has anything left."""
        busy = True
        while busy:
            busy = False
            for reader, chain in self.chains.items():
                role, at = reader
                new: Sequence[LogRecord] = self.log.partitions[at][self._read[reader] :]
                if new:
                    busy = True
                    self._read[reader] += len(new)
                    self._route(role, chain.apply(new), new[-1].timestamp)
                    self._route(role, chain.flush(), new[-1].timestamp)

    def written(self, topic: str) -> list[tuple[Any, ...]]:
        """All that stands there: partition, key, value, headers."""
        return [
            (number, record.key, record.value, record.headers)
            for (name, number), records in sorted(self.log.partitions.items())
            if name == topic
            for record in records
        ]

    def topics(self) -> set[str]:
        return {topic for (topic, _), records in self.log.partitions.items() if records}

    def incidents(self, topic: str) -> dict[tuple[str, int], tuple[dict[str, Any], Any]]:
        """Body without the mark, and headers, by id and revision; a repeat must be the same again."""
        found: dict[tuple[str, int], tuple[dict[str, Any], Any]] = {}
        for _, _, value, headers in self.written(topic):
            body = json.loads(value)
            assert body.pop("shadow") == topic.startswith("shadow.")
            told = body, headers
            assert found.setdefault((body["id"], body["revision"]), told) == told
        return found

    def _everywhere(self, topic: str, value: bytes, headers: Any) -> None:
        for number in range(self.settings.partitions(PREFIX + topic)):
            self.log.append(topic, number, None, value, 0, headers)
        self.catch_up()

    def _route(self, role: str, output: Output, timestamp: int) -> None:
        said = redirected(role, output)
        self.counts[role].update(said.counts)
        for made in said.records:
            self.log.append(made.topic, made.partition or 0, made.key, made.value, timestamp, made.headers)
