"""Dividing the state of a shard, where the topic that it reads gets a whole multiple of its partitions.

Keys are spread by their hash modulo the number of partitions. So everything that stood in partition p of P stands in
one of the partitions p, p + P, p + 2 P, … of a multiple of P, and no two states ever have to be put together.

Guarantee: what follows from a key is in exactly one part, as it was: baselines, open windows and episodes, templates,
incidents, and messages that would be read again after a restart. Progress of the sources, and policies, are in every
part. Part p goes on where the shard was; a new part reads a partition of which nothing is read yet.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.flow import block_parts, score_part
from pipeline.flow.carried import Carried, CarriedMessage, carrying
from pipeline.flow.chain import Chain
from pipeline.flow.correlate import CorrelateChain
from pipeline.flow.join_lines import LineJoinChain
from pipeline.flow.join_spans import SpanJoinChain
from pipeline.flow.score import ScoreChain
from pipeline.records import Message, Snapshot


class NotDrained(ValueError):
    """The shard has not read, and saved, all of its log."""


@dataclass(frozen=True, slots=True)
class Division:
    """Partition ``partition`` of ``before`` becomes those of ``after`` whose keys it had; its log ends at ``end``.
    ``chain`` makes the chain of one of them, as it is to run from then on."""

    partition: int
    before: int
    after: int
    end: int
    chain: Callable[[int], Chain]

    def parts(self) -> range:
        """The partitions that it becomes, itself first."""
        return range(self.partition, self.after, self.before)


def divide(shard: Chain, log: Sequence[Message], division: Division) -> dict[int, Snapshot]:
    """The state of each part. ``shard`` was restored; ``log`` is what follows from there on, to its end. Raises
    NotDrained, and UnreadableState where the parts are not what their chains can read."""
    out = shard.apply(log)
    if out.records or out.reread_from is not None:
        raise NotDrained("messages of its log are not applied yet, or what came of them is not saved")
    inner = shard.inner if isinstance(shard, Carried) else shard
    taken = inner.snapshot(full=True).keep()
    before = [*(shard.messages if isinstance(shard, Carried) else ()), *log]
    waiting = [message for message in before if message.offset >= taken.offset]
    found = {}
    for partition in division.parts():
        found[partition] = _part(taken, waiting, partition, division)
        division.chain(partition).restore(found[partition])
    return found


def _part(taken: Snapshot, waiting: Iterable[Message], partition: int, division: Division) -> Snapshot:
    moved = None if partition == division.partition else division.end
    state, part = _divided(taken, partition, moved, division)
    messages = [each for message in waiting if (each := part(message)) is not None]
    begins = division.end if moved is None else 0
    if moved is not None:
        messages = [replace(message, offset=message.offset - moved) for message in messages]
    return carrying(state, messages, begins) if messages else replace(state, offset=begins)


def _divided(
    taken: Snapshot, partition: int, moved: int | None, division: Division
) -> tuple[Snapshot, block_parts.Part]:
    """The state of a part, and what makes of a message the one that the part would have got."""
    chain = division.chain(partition)
    inner = chain.inner if isinstance(chain, Carried) else chain
    if isinstance(inner, ScoreChain):
        state = score_part.part_of(taken, partition, division.after, moved=moved)
        return state, block_parts.of_signals(score_part.ids_of(state))
    if not isinstance(inner, CorrelateChain | LineJoinChain | SpanJoinChain):
        raise TypeError(f"a {type(inner).__name__} is not divided")
    inner.restore(taken)
    inner.inherit(moved)
    state = inner.snapshot(full=True).keep()
    if isinstance(inner, LineJoinChain):
        owner = inner
        return state, block_parts.of_lines(lambda entity: owner.owns(entity.scope, entity.workload))
    if isinstance(inner, SpanJoinChain):
        return state, block_parts.of_spans(partition, division.after)
    return state, _whole


def _whole(message: Message) -> CarriedMessage:
    """As it is: a part passes over what is of others' scopes, but not over how far its source is."""
    return CarriedMessage(message.offset, message.timestamp, message.key, message.value, tuple(message.headers))
