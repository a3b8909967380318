"""A chain with some of its log in its state: messages that an older, coarser partition had, and that it may need again.

Guarantee: a chain restored from such a state is as if its log had these messages, in front of the first one that it
reads from the broker. They stay in its checkpoints as long as the chain would ask for them after a restart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from pipeline.flow.chain import Chain, Numbers, damaged
from pipeline.records import LaterBlocks, Message, Output, Snapshot

_PART = "carried"


@dataclass(frozen=True, slots=True)
class CarriedMessage:
    """What pipeline.records.Message asks for. The offset is below the first one that is read from the broker."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Carried:
    """``inner`` is the chain of this role and shard. ``messages`` are those that it has in its state."""

    def __init__(self, role: str, shard: str, inner: Chain) -> None:
        self.inner = inner
        self.messages: list[CarriedMessage] = []
        self._role, self._shard = role, shard
        self._begins = 0  # the first offset that is read from the broker

    def apply(self, messages: Sequence[Message]) -> Output:
        out = self.inner.apply(messages)
        if out.reread_from is not None and out.reread_from < self._begins:
            again = [message for message in self.messages if message.offset >= out.reread_from]
            out.reread_from = self._begins
            self.inner.apply(again)
        return out

    def flush(self, *, idle: bool = False) -> Output:
        return self.inner.flush(idle=idle)

    def watermark_us(self) -> int:
        return self.inner.watermark_us()

    def gauges(self) -> dict[str, float]:
        return self.inner.gauges()

    def snapshot(self, *, full: bool) -> Snapshot:
        taken = self.inner.snapshot(full=full)
        if not self.messages:
            return taken
        self.messages = [message for message in self.messages if message.offset >= taken.offset]
        return carrying(taken, self.messages, self._begins) if taken.offset < self._begins else taken

    def saved(self) -> None:
        self.inner.saved()

    def restore(self, snapshot: Snapshot) -> None:
        names = tuple(name for name in snapshot.names if name != _PART)
        self.inner.restore(replace(snapshot, names=names))
        self._begins, self.messages = snapshot.offset, []
        if len(names) < len(snapshot.names):
            try:
                kept = msgspec.msgpack.decode(snapshot.blocks[_PART], type=list[CarriedMessage])
            except msgspec.MsgspecError as error:
                raise damaged(self._role, self._shard, repr(error)) from error
            self.messages = kept
            self.inner.apply(kept)  # what comes of it was written before

    def go_on_from(self, numbers: Numbers) -> None:
        self.inner.go_on_from(numbers)

    def numbers(self) -> Numbers:
        return self.inner.numbers()

    def heard(self) -> dict[str, int]:
        return self.inner.heard()

    def lost_history(self) -> None:
        self.inner.lost_history()


def carrying(taken: Snapshot, messages: Iterable[CarriedMessage], begins: int) -> Snapshot:
    """A state with messages in it; the log is read on from the offset ``begins``."""
    makers = {name: partial(taken.blocks.__getitem__, name) for name in taken.blocks}
    packed = msgspec.msgpack.encode(list(messages))
    return replace(
        taken,
        offset=begins,
        blocks=LaterBlocks(makers | {_PART: lambda: packed}),
        names=(*taken.names, _PART),
    )
