"""Fetched batches as they came off the wire, without a Python object of aiokafka's for every record.

``AIOKafkaConsumer.getmany`` builds a ``ConsumerRecord`` in Python for each record, which costs more than decoding it.
The records that aiokafka's own C parser yields have what a chain reads of a message (``pipeline.records.Message``), so
they are handed on as they are. This reaches into aiokafka's fetcher: ``available`` says whether its inside looks as
expected (aiokafka 0.14), and where it does not, ``getmany`` works as always, only slower.

Guarantee: the same records, in the same order, with the same position afterwards, as ``getmany`` gives
(tests/streams/test_fetching.py compares them).
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

#: The attributes used below.
_RESULT = ("check_assignment", "has_more", "_update_position", "getall")
_PARTITION = ("_unpack_records", "_consume_aborted_up_to")


def available(consumer: AIOKafkaConsumer) -> bool:
    """Does this aiokafka look like the one that this module knows? Ask after ``consumer.start()``."""
    try:
        parts = (fetcher.FetchResult, fetcher.PartitionRecords)
        known = all(
            hasattr(part, name) for part, names in zip(parts, (_RESULT, _PARTITION), strict=True) for name in names
        )
    except AttributeError:
        return False
    return known and isinstance(getattr(getattr(consumer, "_fetcher", None), "_records", None), dict)


def keep_raw(consumer: AIOKafkaConsumer) -> None:
    """Let ``getmany`` give raw records from now on. Only for read-uncommitted consumers, and without max_records."""
    results = consumer._fetcher._records
    if not isinstance(results, _RawResults):
        consumer._fetcher._records = _RawResults(results)


class _RawResults(OrderedDict[Any, Any]):
    """The fetcher's results by partition; each is told on its way in how to give its records."""

    def __setitem__(self, partition: Any, result: Any) -> None:
        if isinstance(result, fetcher.FetchResult):
            result.getall = partial(_all_raw, result)
        super().__setitem__(partition, result)


def _all_raw(result: Any, max_records: int | None = None) -> list[Any]:
    """What ``FetchResult.getall`` gives, with raw records; all that was fetched (``max_records`` must be None)."""
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return []
    partition = result._partition_records
    found: list[Any] = []
    while partition._records.has_next():
        _take(partition, partition._records.next_batch(), found.extend)
    result._update_position()
    result._partition_records = None
    return found


def _take(partition: Any, batch: Any, add: Callable[[list[Any]], None]) -> None:
    if partition._check_crcs and not batch.validate_crc():
        raise CorruptRecordException(f"Invalid CRC - {partition._tp}")
    if not batch.is_control_batch:
        records = list(batch)
        if records and records[0].offset < partition.next_fetch_offset:  # the fetch began inside this batch
            records = [record for record in records if record.offset >= partition.next_fetch_offset]
        add(records)
    partition.next_fetch_offset = batch.next_offset
