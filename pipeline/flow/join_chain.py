"""What the join chains do alike: take blocks, close windows, and write signals as a source of ``calm.signals``.

Guarantee: what comes out depends on the log's contents alone; a block that is damaged goes whole to
``calm.dead-letter``. What waits for the watermark is bounded: when a source is far behind the others, rows of the
latest windows are let go; as soon as all other windows are told, the log is read again from the place that a checkpoint
would name, and what was told and counted is not told and counted again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.codecs import columns
from pipeline.flow.chain import Numbers, damaged, other_version
from pipeline.flow.config import FlowConfig
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.intake import Block, Intake
from pipeline.flow.made_signals import MadeSignals
from pipeline.records import NO_TIME, Entity, Message, Output, Snapshot
from pipeline.windows.held import Held

Array = npt.NDArray[Any]


class TelemetryBlock(Block, Protocol):
    """What blocks of spans and of lines have."""

    @property
    def entities(self) -> tuple[Entity, ...]: ...


B = TypeVar("B", bound=TelemetryBlock)
#: What is held of a block for one window.
C = TypeVar("C")


class JoinChain(ABC, Generic[B, C]):
    """``name`` is ``spans/<partition>`` or ``logs/<partition>``; ``decode`` raises columns.DamagedFrame; ``window_us``
    is the length of the windows in which is counted."""

    ROLE: ClassVar[str]
    VERSION: ClassVar[str]  # of the state
    ROWS: ClassVar[str]  # as what they are counted

    def __init__(
        self, name: str, decode: Callable[[bytes], B], sources: Iterable[str], window_us: int, config: FlowConfig
    ) -> None:
        self._name = name
        self._decode = decode
        self._window_us = window_us
        self._intake = Intake(sources, config.lateness_us, rest_us=window_us)
        self._held: Held[C] = Held(config.most_held_bytes)
        self._read = 0  # messages below it were read by this chain before
        shard = int(name.rpartition("/")[2])
        self._made = MadeSignals(name, shard, config.signal_partitions, window_us)

    # -- in ------------------------------------------------------------------------------------------------------

    def apply(self, messages: Sequence[Message]) -> Output:
        out = Output()
        for message in messages:
            self._take(message, out)
            if self._held.is_done(self._told_until_us()):
                out.reread_from = self._intake.rewind()
                self._let_go()
                out.count("notice", "read_again")
                return out
        return out

    def _take(self, message: Message, out: Output) -> None:
        self._intake.begins(message.offset)
        heard = out if message.offset >= self._read else Output()  # what was said of it before is not said again
        self._read = max(self._read, message.offset + 1)
        try:
            block = self._decode(message.value or b"")
        except columns.DamagedFrame as error:
            heard.count("drop", "undecodable")
            topic, _, partition = self._name.rpartition("/")
            heard.records.append(dead_letter(message, topic, partition, "undecodable", str(error)))
            return
        rested = self._intake.idle
        if self._intake.accepts(block, heard):
            whole = self._held.whole  # else the place to read again from is an earlier one
            held_us = self._keep(block, heard, known=heard is not out) if block.offset.size else NO_TIME
            self._intake.took(block, held_us if whole else NO_TIME)
        self._close_all(out, woke=rested and not self._intake.idle)

    def _keep(self, block: B, heard: Output, *, known: bool) -> int:
        """Keep a block's rows until their windows close, or let them go; the greatest window end. ``known``: its
        entities were told of before."""
        ends = self._intake.ends(self._time_us(block))
        take = self._intake.fresh(block, ends, heard)
        rows = np.flatnonzero(take)
        if not rows.size:
            return NO_TIME
        heard.count(self.ROWS, "", rows.size)
        for entity in () if known else block.entities:
            self._made.know(entity)
        ends = ends[rows]
        near = self._held.near(ends)
        self._hold(block, *((rows, ends) if near is None else (rows[near], ends[near])))
        self._held.bound(self._told_until_us())
        return int(ends.max())

    @abstractmethod
    def _time_us(self, block: B) -> Array:
        """The time by which each row belongs to a window."""

    @abstractmethod
    def _hold(self, block: B, rows: Array, ends: Array) -> None:
        """Hold these rows (by number) for the windows that end at ``ends``."""

    def _let_go(self) -> None:
        """Of everything that is held: it comes again."""
        self._held.clear()

    # -- windows -------------------------------------------------------------------------------------------------

    def _close_all(self, out: Output, *, woke: bool) -> None:
        """Tell every window that the watermark has passed and of which nothing was let go."""
        self._close(self._until_us(), out, woke=woke)
        if self._held.whole and self._held.is_done(self._told_until_us()):
            self._held.unbind()
            self._close(self._until_us(), out, woke=woke)

    @abstractmethod
    def _close(self, until_us: int, out: Output, *, woke: bool) -> None:
        """Tell every window that ends at or before ``until_us``, in order; of those in which nobody waited for us
        (``woke``) only the ones that rows need."""

    @abstractmethod
    def _told_until_us(self) -> int:
        """Windows that end at or before it were told; beyond the watermark right after a restore."""

    def _until_us(self) -> int:
        """Windows that end at or before it are complete, and all of them is here."""
        horizon_us = self._held.horizon_us
        return self._intake.watermark_us if horizon_us is None else min(self._intake.watermark_us, horizon_us)

    def flush(self, *, idle: bool = False) -> Output:
        """Tell how far event time is. That nothing comes for now is not so while we read again what we had read, for
        nobody would wait for what comes of it."""
        out, told_us = Output(), self._told_until_us()
        rests = self._intake.idle and self._intake.watermark_us >= told_us
        out.records += self._made.tell(max(self._intake.watermark_us, told_us), idle=rests)
        return out

    # -- state ---------------------------------------------------------------------------------------------------

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
        self._read = 0
        try:
            self._load(snapshot)
        except (KeyError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise damaged(self.ROLE, self._name, repr(error)) from error

    @abstractmethod
    def _load(self, snapshot: Snapshot) -> None:
        """Become the state saved, whose version is ours."""
