"""The newest checkpoint of each shard of a role, for those who only look.

Guarantee: nothing is changed on the broker. What is wrong with one shard's state does not hide the others'.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from pipeline.flow.chain import Chain, UnreadableState
from pipeline.records import Snapshot
from pipeline.settings import Settings
from pipeline.streams import clients, topics
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.reading import open_reader, reachable
from pipeline.streams.shard import Stage
from pipeline.streams.state import checkpoints, state_topic


async def newest_snapshots(settings: Settings, source: str, state: str) -> dict[int, Snapshot]:
    """By partition of the topic ``source``; ``state`` is the topic of its checkpoints (both full names).

    A partition without a checkpoint is left out. Raises WorkerExit when the broker cannot be reached, when a topic is
    missing, or when a shard has checkpoints but none that is complete.
    """
    with reachable(settings):
        described = await topics.describe(settings, (source, state), configs=False)
        missing = [name for name in (source, state) if described[name] is None]
        if missing:
            raise WorkerExit(Exit.TOPICS, f"missing: {', '.join(missing)}; run: calmstream topics create")
        count = found.partitions if (found := described[source]) else 0
        partitions = {number: TopicPartition(state, number) for number in range(count)}
        try:
            live = await state_topic.read_live(settings, partitions.values())
            newest = {number: checkpoints.newest(f"{source}/{number}", live[at]) for number, at in partitions.items()}
        except UnreadableState as error:
            raise WorkerExit(Exit.STATE_UNREADABLE, str(error)) from error
        except TimeoutError as error:
            raise WorkerExit(Exit.BROKER_LOST, str(error)) from error
    return {number: snapshot for number, snapshot in newest.items() if snapshot is not None}


@dataclass(frozen=True, slots=True)
class SavedShard:
    """What is saved of one shard.

    ``shard``: topic/partition. ``start`` and ``end``: the offsets that its topic has. ``snapshot``: None where there is
    none, or none that is complete. ``wrong``: why this version cannot go on from it, empty where it can. ``keys``: of
    all records of its checkpoints. ``wanted``: some input or topic of the configuration has this shard.
    """

    role: str
    shard: str
    start: int
    end: int
    snapshot: Snapshot | None
    wrong: str
    place: TopicPartition
    keys: tuple[bytes, ...] = ()
    gauges: Mapping[str, float] = field(default_factory=dict)
    wanted: bool = True


async def saved_shards(settings: Settings, stage: Stage) -> AsyncIterator[SavedShard]:
    """What is saved of each shard of a role, and of shards that the configuration does not have. Raises WorkerExit."""
    state = settings.topic(stage.state_topic)
    async with open_reader(settings, state, *stage.topics) as reader:
        ends = {at: end for topic in stage.topics for at, end in (await reader.ends(topic)).items()}
        places = list(await reader.ends(state))
    try:
        with reachable(settings):
            starts = await _starts(settings, list(ends))
            live = await state_topic.read_live(settings, places)
    except TimeoutError as error:
        raise WorkerExit(Exit.BROKER_LOST, str(error)) from error
    for at in sorted(ends):
        place = TopicPartition(state, at.partition)
        yield _saved(stage, at, (starts[at], ends[at]), place, live.get(place, {}))
    for place, records in sorted(live.items()):
        for shard in sorted(checkpoints.shards(records) - {f"{at.topic}/{at.partition}" for at in ends}):
            keys = tuple(key for key, _ in checkpoints.other_epochs(shard, "", records))
            wrong = "no input or topic of the configuration has this partition; nobody reads it"
            yield SavedShard(stage.role, shard, 0, 0, None, wrong, place, keys, wanted=False)


def _saved(
    stage: Stage, at: TopicPartition, bounds: tuple[int, int], place: TopicPartition, records: Mapping[bytes, bytes]
) -> SavedShard:
    shard, (start, end) = f"{at.topic}/{at.partition}", bounds
    keys = tuple(key for key, _ in checkpoints.other_epochs(shard, "", records))
    try:
        snapshot = checkpoints.newest(shard, records, stage.role)
    except UnreadableState as error:
        return SavedShard(stage.role, shard, start, end, None, str(error), place, keys)
    if snapshot is None:
        return SavedShard(stage.role, shard, start, end, None, "", place, keys)
    gauges, wrong = judged(stage.chain(at.topic, at.partition), snapshot)
    if not wrong and snapshot.offset > end:
        wrong = checkpoints.recreated(stage.role, shard, snapshot.offset, end)
    return SavedShard(stage.role, shard, start, end, snapshot, wrong, place, keys, gauges)


def judged(chain: Chain, snapshot: Snapshot) -> tuple[Mapping[str, float], str]:
    """Figures of a state, and why a new chain cannot go on from it (empty: it can)."""
    try:
        chain.restore(snapshot)
    except UnreadableState as error:
        return {}, str(error)
    return chain.gauges(), ""


def size_of(snapshot: Snapshot) -> int:
    """Bytes of a whole state."""
    return len(snapshot.head) + sum(len(snapshot.blocks[name]) for name in snapshot.names)


async def _starts(settings: Settings, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    consumer = clients.reader(settings)
    await consumer.start()
    try:
        return dict(await consumer.beginning_offsets(list(partitions)))
    finally:
        await clients.stop_reader(consumer)
