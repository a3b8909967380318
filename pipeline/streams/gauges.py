"""The gauges of a shard: how far it is, how far behind, and how much it knows.

Guarantee: what ``show`` has set, ``hide`` takes back, so that a partition is shown by the worker that has it only.
"""

import contextlib
import time
from collections.abc import Iterable

from aiokafka import TopicPartition
from prometheus_client import Gauge

from pipeline.flow.chain import Chain
from pipeline.flow.shadow import is_shadow
from pipeline.records import NO_TIME, US
from pipeline.telemetry import Telemetry


def show(telemetry: Telemetry, role: str, partition: TopicPartition, chain: Chain) -> None:
    """What the chain says of itself."""
    where = _where(partition)
    watermark_us = chain.watermark_us()
    if watermark_us > NO_TIME:
        telemetry.watermark.labels(role, where).set(watermark_us / US)
    if is_shadow(role):
        return  # what it knows is known to the live roles, and counts once
    gauges = chain.gauges()
    if "signals" in gauges:
        telemetry.signals.labels(where).set(gauges["signals"])
    if "open_incidents" in gauges:
        telemetry.open_incidents.labels(where).set(gauges["open_incidents"])


def show_lag(
    telemetry: Telemetry, role: str, partition: TopicPartition, messages: int, *, read_ms: int | None
) -> float:
    """``messages`` wait; ``read_ms`` is the Kafka time of the one that was read last, None before the first. Returns
    how many seconds we are behind: not known, and 0, while messages wait of which none was read yet."""
    place = (role, partition.topic, str(partition.partition))
    telemetry.lag.labels(*place).set(messages)
    seconds = max(time.time() - read_ms / 1000, 0.0) if messages > 0 and read_ms is not None else 0.0
    if messages <= 0 or read_ms is not None:
        telemetry.lag_seconds.labels(*place).set(seconds)
    return seconds


def hide(telemetry: Telemetry, role: str, partitions: Iterable[TopicPartition]) -> None:
    """Take back the gauges of shards that may go to another worker."""
    gone: list[tuple[Gauge, tuple[str, ...]]] = [(telemetry.checkpoint_time, (role,))]
    for partition in partitions:
        where, place = _where(partition), (role, partition.topic, str(partition.partition))
        gone += [(telemetry.lag, place), (telemetry.lag_seconds, place), (telemetry.watermark, (role, where))]
        if not is_shadow(role):
            gone += [(telemetry.signals, (where,)), (telemetry.open_incidents, (where,))]
    for gauge, labels in gone:
        with contextlib.suppress(KeyError):
            gauge.remove(*labels)


def _where(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"
