"""Reads what a worker wrote, after it has ended, so that reading takes nothing from the run.

Guarantee: every record of a topic up to its end at the time of the call is seen.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from pipeline.codecs import incident_event, score_block
from pipeline.records import NO_TIME
from tests.benchmarks.run import RunFailed

_LOG_APPEND_TIME = 1


async def records(bootstrap: str, topic: str) -> AsyncIterator[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest", fetch_max_bytes=32 << 20
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for fetched in (await consumer.getmany(timeout_ms=1000)).values():
                for record in fetched:
                    if record.timestamp_type != _LOG_APPEND_TIME:
                        raise RunFailed(f"{topic} does not carry append times: set log.message.timestamp.type")
                    yield record
    finally:
        await consumer.stop()


async def first_append_ms(bootstrap: str, topic: str) -> int:
    """When the first record of a topic was appended."""
    firsts: dict[int, int] = {}
    async for record in records(bootstrap, topic):
        firsts.setdefault(record.partition, record.timestamp)
    if not firsts:
        raise RunFailed(f"nothing was written to {topic}")
    return min(firsts.values())


@dataclass(frozen=True)
class Scores:
    """What stands on ``calm.scores``, each (signal, window) counted once."""

    points: int
    windows: int
    last_append_ms: int
    last_end_us: int


async def scores(bootstrap: str, topic: str) -> Scores:
    ids, ends, counts = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    last_append_ms, last_end_us = 0, NO_TIME
    async for record in records(bootstrap, topic):
        block = score_block.decode(record.value)
        ids.append(block.ids)
        ends.append(np.full(block.ids.size, block.end_us))
        counts.append(block.count.astype(np.int64))
        last_append_ms = max(last_append_ms, record.timestamp)
        last_end_us = max(last_end_us, block.end_us)
    signal, end, count = (np.concatenate(column) for column in (ids, ends, counts))
    order = np.lexsort((signal, end))
    signal, end, count = signal[order], end[order], count[order]
    once = np.ones(signal.size, np.bool_)
    once[1:] = (signal[1:] != signal[:-1]) | (end[1:] != end[:-1])
    return Scores(int(count[once].sum()), int(once.sum()), last_append_ms, last_end_us)


@dataclass(frozen=True)
class Transition:
    """One event of ``calm.incidents``; times in milliseconds."""

    scope: str
    transition: str
    onset_ms: int
    detected_ms: int
    append_ms: int


async def transitions(bootstrap: str, topic: str) -> list[Transition]:
    """Every transition once, in the order of their appends."""
    found: dict[tuple[str, int], Transition] = {}
    async for record in records(bootstrap, topic):
        event = incident_event.decode(record)
        found.setdefault(
            (event["id"], event["revision"]),
            Transition(
                event["scope"],
                event["transition"],
                _ms(event["onset_time"]),
                _ms(event["detected_time"]),
                record.timestamp,
            ),
        )
    return sorted(found.values(), key=lambda transition: transition.append_ms)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
