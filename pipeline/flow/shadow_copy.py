"""The copy chain: of ``calm.anomalies`` to ``calm.shadow.anomalies`` what no score shard wrote: events, changes, edges,
and what people say about incidents.

Guarantee: each is copied as it is and to the partition in which it stands, in the order of the log; events and changes
are numbered anew, as one source, so that none is taken twice and none is missed, also where the log was cut off. What
score shards wrote the shadow's own write.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from pipeline.codecs import edge_event, happening_event, said_record
from pipeline.flow.chain import Numbers, damaged, other_version
from pipeline.flow.config import FlowConfig
from pipeline.records import NO_TIME, Message, Output, Produced, Snapshot
from pipeline.windows.progress import Progress

_ROLE = "shadow-copy"
_VERSION = "shadow-copy/1"


class ShadowCopyChain:
    """The shard of partition ``partition`` of ``calm.anomalies``."""

    def __init__(self, partition: int, config: FlowConfig) -> None:
        self._partition = partition
        self._name = f"anomalies/{partition}"
        self._others = frozenset(config.signal_shards())
        self._progress = Progress((), 0)
        self._offset = 0  # messages below it are copied
        self._number = 0  # of the next event or change

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        for message in messages:
            self._offset = message.offset + 1
            copy = Produced("anomalies", message.value, message.key, self._partition, tuple(message.headers))
            if edge_event.is_edge(message.headers) or said_record.is_said(message.headers):
                out.records.append(copy)  # it does not matter how often they are heard
            elif happening_event.is_happening(message.headers):
                self._copy_once(message, copy, out)
        return out

    def _copy_once(self, message: Message, copy: Produced, out: Output) -> None:
        try:
            arrival = happening_event.decode(message)
        except happening_event.BadHappening:
            out.count("drop", "undecodable")
            return
        source, applied = arrival.source, self._progress.applied(arrival.source)
        if source in self._others:
            return
        if not self._progress.accepts(source, arrival.start):
            out.count("notice", "gap")
        elif applied is not None and arrival.start < applied:
            out.count("notice", "sent_again")
        else:
            self._progress.advance(source, arrival.end, NO_TIME, idle=False)
            named = {"calm_source": self._name.encode(), "calm_sequence": str(self._number).encode()}
            headers = tuple((name, named.get(name, value)) for name, value in copy.headers)
            out.records.append(replace(copy, headers=headers))
            self._number += 1

    def flush(self, *, idle: bool = False) -> Output:
        return Output()

    def watermark_us(self) -> int:
        return NO_TIME

    def gauges(self) -> dict[str, float]:
        return {}

    def snapshot(self, *, full: bool) -> Snapshot:
        head = msgspec.msgpack.encode([self._offset, self._number, self._progress.dump()])
        return Snapshot(_VERSION, self._offset, head, {}, (), full=True)

    def saved(self) -> None:
        """Nothing to remember: the state is always saved whole."""

    def restore(self, snapshot: Snapshot) -> None:
        if snapshot.version != _VERSION:
            raise other_version(_ROLE, self._name, snapshot.version, _VERSION)
        try:
            self._offset, self._number, progress = msgspec.msgpack.decode(snapshot.head)
            self._progress.load(progress)
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
            raise damaged(_ROLE, self._name, repr(error)) from error

    def heard(self) -> dict[str, int]:
        return self._progress.heard()

    def numbers(self) -> Numbers:
        return {("anomalies", self._partition): self._number}

    def go_on_from(self, numbers: Numbers) -> None:
        self._number = numbers.get(("anomalies", self._partition), 0)

    def lost_history(self) -> None:
        self._progress.lost_history()
