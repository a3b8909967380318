"""How far behind their inputs the workers are, for those who only look: by the checkpoints and what stands behind them.

Guarantee: nothing is changed on the broker. What no worker has saved yet counts as not read, so that up to
``state.max_state_age_seconds`` of it may be known to a worker already.
"""

import time

from aiokafka import TopicPartition

from pipeline.settings import Settings
from pipeline.streams.reading import Reader, open_reader
from pipeline.streams.state.saved_state import newest_snapshots


async def behind_seconds(settings: Settings) -> float:
    """How long ago the oldest message was written that no checkpoint follows from, by its Kafka time; 0 where there is
    none. Raises WorkerExit."""
    topics = [source.topic for source in settings.inputs]
    oldest_ms = None
    async with open_reader(settings, *topics) as reader:
        for topic in topics:
            saved = await newest_snapshots(settings, topic, settings.topic("ingest.state"))
            for partition, end in (await reader.ends(topic)).items():
                offset = found.offset if (found := saved.get(partition.partition)) else 0
                if offset < end and (at_ms := await _time_ms(reader, partition, offset, end)) is not None:
                    oldest_ms = at_ms if oldest_ms is None else min(oldest_ms, at_ms)
    return max(time.time() - oldest_ms / 1000, 0.0) if oldest_ms is not None else 0.0


async def _time_ms(reader: Reader, partition: TopicPartition, offset: int, end: int) -> int | None:
    """Of the first record from an offset on; there may be none: marks of transactions."""
    async for records in reader.between({partition: offset}, {partition: end}):
        return int(records[0].timestamp)
    return None
