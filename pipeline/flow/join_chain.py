"""What the join chains do alike: take blocks, close windows, and write signals as a source of ``calm.signals``.

Guarantee: what comes out depends on the log's contents alone; a block that is damaged goes whole to
``calm.dead-letter``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

import msgspec

from pipeline.codecs import columns
from pipeline.flow.chain import Numbers, damaged, other_version
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.intake import Block, Intake
from pipeline.flow.made_signals import MadeSignals
from pipeline.records import NO_TIME, Message, Output, Snapshot

B = TypeVar("B", bound=Block)


class JoinChain(ABC, Generic[B]):
    """``name`` is ``spans/<partition>`` or ``logs/<partition>``; ``decode`` raises columns.DamagedFrame; ``window_us``
    is the length of the windows in which is counted."""

    ROLE: ClassVar[str]
    VERSION: ClassVar[str]  # of the state

    def __init__(
        self, name: str, decode: Callable[[bytes], B], sources: Iterable[str], window_us: int, config: FlowConfig
    ) -> None:
        self._name = name
        self._decode = decode
        self._window_us = window_us
        self._intake = Intake(sources, config.lateness_us, rest_us=window_us)
        shard = int(name.rpartition("/")[2])
        self._made = MadeSignals(name, shard, config.signal_partitions, window_us)

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        for message in messages:
            self._intake.begins(message.offset)
            try:
                block = self._decode(message.value or b"")
            except columns.DamagedFrame as error:
                out.count("drop", "undecodable")
                topic, _, partition = self._name.rpartition("/")
                out.records.append(dead_letter(message, topic, partition, "undecodable", str(error)))
                continue
            rested = self._intake.idle
            if self._intake.accepts(block, out):
                self._intake.took(block, self._hold(block, out) if block.offset.size else NO_TIME)
            self._close(out, woke=rested and not self._intake.idle)
        return out

    @abstractmethod
    def _hold(self, block: B, out: Output) -> int:
        """Keep a block's rows until their windows close; the greatest window end held."""

    @abstractmethod
    def _close(self, out: Output, *, woke: bool) -> None:
        """Tell every window that the watermark has passed, in order; of those in which nobody waited for us (``woke``)
        only the ones that rows need."""

    def flush(self, *, idle: bool = False) -> Output:
        out = Output()
        out.records += self._made.tell(self._intake.watermark_us, idle=self._intake.idle)
        return out

    def watermark_us(self) -> int:
        return self._intake.watermark_us

    def saved(self) -> None:
        """Nothing to remember: the state is always saved whole."""

    def heard(self) -> dict[str, int]:
        return self._intake.heard()

    def numbers(self) -> Numbers:
        return {("signals", 0): self._made.number}  # the same in all partitions

    def go_on_from(self, numbers: Numbers) -> None:
        self._made.go_on_from(max((number for (topic, _), number in numbers.items() if topic == "signals"), default=0))

    def inherit(self, moved: int | None) -> None:
        """Of the state of a shard that is divided keep what is ours. ``moved``: the end of its log, where this shard
        has a log of its own, that begins."""
        if moved is not None:
            self.go_on_from({})
            self._intake.move(-moved)

    def lost_history(self) -> None:
        self._intake.lost_history()

    def restore(self, snapshot: Snapshot) -> None:
        if snapshot.version != self.VERSION:
            raise other_version(self.ROLE, self._name, snapshot.version, self.VERSION)
        try:
            self._load(snapshot)
        except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise damaged(self.ROLE, self._name, repr(error)) from error

    @abstractmethod
    def _load(self, snapshot: Snapshot) -> None:
        """Become the state saved, whose version is ours."""
