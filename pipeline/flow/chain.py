"""What every chain offers to the shard service and to replay."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pipeline.records import Message, Output, Snapshot

#: (short topic, partition) → number of the next record that a stage writes there. Readers take each number once.
Numbers = Mapping[tuple[str, int], int]


class UnreadableState(ValueError):
    """A checkpoint cannot be read by this version; the message says what to do."""


def other_version(role: str, shard: str, version: str, reads: str) -> UnreadableState:
    """The state of a shard (``topic/partition``) has another version than this worker reads."""
    text = f"state of {shard} has version {version!r}; this worker reads {reads!r}. "
    return UnreadableState(f"{text}Go on with the version of Calmstream that wrote it, or {begin_anew(role, shard)}")


def damaged(role: str, shard: str, why: object) -> UnreadableState:
    """The state of a shard has the right version, and is not what that version writes."""
    return UnreadableState(f"state of {shard} is damaged: {why}; {begin_anew(role, shard)}")


def begin_anew(role: str, shard: str) -> str:
    """What to run where a shard's state cannot be used."""
    partition = shard.rpartition("/")[2]
    return f"begin anew with: calmstream state reset --role {role} --partition {partition}"


class Chain(Protocol):
    """The state and the logic of one shard.

    Guarantee: for the same messages in the same order the same records come out, however the messages are cut into
    batches; ``restore`` of a snapshot followed by all messages from its ``offset`` on equals never having stopped
    (records that were sent already are sent again, and recognised by their sequence).
    """

    def apply(self, messages: Sequence[Message]) -> Output:
        """Take messages of the shard's partition, in offset order."""
        ...

    def flush(self, *, idle: bool = False) -> Output:
        """Let out what is held back only for efficiency, and say how far event time is.

        ``idle``: the partition was read to its end and stayed silent for long enough to say so.
        """
        ...

    def watermark_us(self) -> int:
        """Event time that is complete (NO_TIME before any)."""
        ...

    def gauges(self) -> dict[str, float]:
        """Figures about the state, for display."""
        ...

    def snapshot(self, *, full: bool) -> Snapshot:
        """The state now; only call right after ``flush``."""
        ...

    def saved(self) -> None:
        """The last snapshot is safe: the next one may leave out what did not change since."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Become the state saved. Raises UnreadableState."""
        ...

    def heard(self) -> dict[str, int]:
        """Up to which number we have what each source wrote, where that is known."""
        ...

    def numbers(self) -> Numbers:
        """What was numbered so far."""
        ...

    def go_on_from(self, numbers: Numbers) -> None:
        """Nothing was learnt yet, but this was written before: go on with these numbers."""
        ...

    def lost_history(self) -> None:
        """The log was cut off below our place: go on from where it starts now, without asking for what is gone."""
        ...
