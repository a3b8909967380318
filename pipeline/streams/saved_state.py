"""The newest checkpoint of each shard of a role, for those who only look."""

from aiokafka import TopicPartition

from pipeline.flow.chain import UnreadableState
from pipeline.records import Snapshot
from pipeline.settings import Settings
from pipeline.streams import checkpoints, state_topic, topics
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.reading import reachable


async def newest_snapshots(settings: Settings, source: str, state: str) -> dict[int, Snapshot]:
    """By partition of the topic ``source``; ``state`` is the topic of its checkpoints (both full names).

    A partition without a checkpoint is left out. Raises WorkerExit when the broker cannot be reached, when a topic is
    missing, or when a shard has checkpoints but none that is complete.
    """
    with reachable(settings):
        described = await topics.describe(settings)
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
