"""Batches of records that aiokafka's parser gives up on do not stop a reader.

It raises out of the fetcher for a header whose name is no UTF-8 (Kafka's brokers take any bytes), for a batch that
cannot be decompressed and for one that is damaged, at every look at the partition, for ever. ``install`` puts a reader
of ours around its parser (0.14), for all consumers of this process.

Guarantee: what aiokafka can parse comes as it gives it. Of any other batch each record comes by itself: with a
``RefusedValue`` the ones that are damaged, as ever all others; a batch that cannot be taken apart comes as one record,
and so does one whose checksum is wrong: of that no byte is believed.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords

from pipeline.records import RefusedValue
from pipeline.streams import decompression
from pipeline.streams.decompression import Unreadable

log = logging.getLogger(__name__)

#: Header of a record that is a whole batch: what is wrong with it.
UNREADABLE = "calm_unreadable_batch"
_BAD_CHECKSUM = "its checksum is wrong: it was damaged on the broker's disk, or on its way"
#: A batch of more records is refused whole: to take it apart here would hold everything up.
MOST_RECORDS = 100_000

_LENGTH_AT, _FRAME_BYTES = 8, 12  # the batch's length stands there; it counts what is behind it
_HEADER_BYTES = 61
_COUNT_AT = 57
_LOG_APPEND_TIME = 1
_MOST_VARINT_BYTES = 10


class Record(NamedTuple):
    """A record as aiokafka's own, of a batch that it does not parse."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


def install() -> bool:
    """Put it in place; False where aiokafka's fetcher is not the one that this module knows."""
    decompression.bound()
    if getattr(fetcher, "MemoryRecords", None) not in (MemoryRecords, Batches):
        log.warning("aiokafka is not the one we know: a record that its parser gives up on ends the worker")
        return False
    fetcher.MemoryRecords = Batches
    return True


def may_read_otherwise(records: Sequence[Any]) -> bool:
    """Is there a batch among them that may have been damaged on its way, so that to fetch it again may help?"""
    return any(type(each.value) is RefusedValue and each.value.detail == _BAD_CHECKSUM for each in records)


class Batches:
    """As aiokafka's MemoryRecords: what was fetched of a partition, batch by batch."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records: Any = MemoryRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        return len(self._data)

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        begin = self._at
        self._at += _FRAME_BYTES + int.from_bytes(self._data[begin + _LENGTH_AT : begin + _FRAME_BYTES])
        return _Batch(batch, self._data, begin, self._at) if isinstance(batch, DefaultRecordBatch) else batch


class _Batch:
    """A batch, which has what aiokafka's has, but that iterating never fails; its bytes stand in ``data``."""

    def __init__(self, batch: Any, data: bytes, begin: int, end: int) -> None:
        self._batch, self._data, self._begin, self._end = batch, data, begin, end
        self._intact = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parsed())

    def validate_crc(self) -> bool:
        """aiokafka gives up on a batch of which this is false."""
        self._intact = bool(self._batch.validate_crc())
        return True

    @property
    def is_control_batch(self) -> bool:
        """Does it hold marks of transactions, which nobody reads?"""
        return self._intact and bool(self._batch.is_control_batch)

    def _parsed(self) -> list[Any]:
        if not self._intact:
            payload = self._data[self._begin + _HEADER_BYTES : self._end]
            return [_whole(self._batch, _BAD_CHECKSUM, payload)]
        try:
            return list(self._batch)
        except Unreadable as error:
            return [_whole(self._batch, error.what, error.data)]
        except (UnicodeDecodeError, CorruptRecordException) as error:
            payload = self._data[self._begin + _HEADER_BYTES : self._end]
            count = int.from_bytes(self._data[self._begin + _COUNT_AT : self._begin + _HEADER_BYTES], signed=True)
            if count > MOST_RECORDS:
                what = f"{error}; batches of more than {MOST_RECORDS} records are not taken apart"
                return [_whole(self._batch, what, payload)]
            return _taken_apart(self._batch, decompression.decompressed(self._batch.compression_type, payload), count)


def _whole(batch: Any, what: str, payload: bytes) -> Record:
    """A batch in place of its records."""
    extra = {"offset": batch.base_offset, "reason": "unreadable_batch"}
    log.error("offsets %d to %d cannot be read: %s", batch.base_offset, batch.next_offset - 1, what, extra=extra)
    value = RefusedValue.of(payload, "unreadable_batch", what)
    return Record(
        batch.base_offset, batch.max_timestamp, batch.timestamp_type, None, value, [(UNREADABLE, what.encode())]
    )


def _taken_apart(batch: Any, data: bytes, count: int) -> list[Record]:
    """Every record of a batch, ``data`` decompressed; what is left where they cannot be told apart is the last one."""
    found: list[Record] = []
    at, offset = 0, batch.base_offset
    while at < len(data):
        begin = at
        try:
            length, begin = _varint(data, at, len(data))
            at = begin + length
            if length <= 0 or at > len(data) or len(found) == count:
                raise ValueError("it is not as long as it says")
        except ValueError as error:
            found.append(_damaged(batch, batch.next_offset - 1, data[begin:], error))
            break
        try:
            found.append(_record(batch, data, begin, at))
        except ValueError as error:
            found.append(_damaged(batch, offset, data[begin:at], error))
        offset = found[-1].offset + 1
    if len(found) < count and at == len(data):
        found.append(_damaged(batch, batch.next_offset - 1, b"", ValueError("it is missing")))
    return found


def _damaged(batch: Any, offset: int, data: bytes, error: Exception) -> Record:
    extra = {"offset": offset, "reason": "bad_record"}
    log.error("the record at offset %d is damaged: %s", offset, error, extra=extra)
    value = RefusedValue.of(data, "bad_record", f"the record is damaged ({error}); its bytes stand here undecoded")
    return Record(offset, batch.max_timestamp, batch.timestamp_type, None, value, [])


def _record(batch: Any, data: bytes, at: int, end: int) -> Record:
    """A record from its bytes. Raises ValueError where it is damaged; one whose header has a bad name is refused."""
    later, at = _varint(data, at + 1, end)  # behind its attributes, which are none
    delta, at = _varint(data, at, end)
    key, at = _bytes(data, at, end)
    value, at = _bytes(data, at, end)
    number, at = _varint(data, at, end)
    headers: list[tuple[str, bytes | None]] = []
    wrong = ""
    for _ in range(number):
        raw, at = _bytes(data, at, end)
        if raw is None:
            raise ValueError("a header has no name")
        text, at = _bytes(data, at, end)
        name = raw.decode(errors="backslashreplace")
        if not wrong and name.encode() != raw:
            wrong = f"the name of a header must be UTF-8 and is {name[:100]}"
        headers.append((name, text))
    if number < 0 or at != end or not batch.base_offset <= batch.base_offset + delta < batch.next_offset:
        raise ValueError("its lengths do not fit")
    appended = batch.timestamp_type == _LOG_APPEND_TIME
    timestamp = batch.max_timestamp if appended else batch.first_timestamp + later
    if wrong:
        value = RefusedValue.of(value, "bad_header", wrong)
    return Record(batch.base_offset + delta, timestamp, batch.timestamp_type, key, value, headers)


def _bytes(data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    """Bytes with their length before them, none where it is negative, and the place behind. Raises ValueError."""
    size, at = _varint(data, at, end)
    if size < 0:
        return None, at
    if size > end - at:
        raise ValueError("it ends too early")
    return data[at : at + size], at + size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A signed number and the place behind it. Raises ValueError."""
    number = 0
    for place in range(at, min(end, at + _MOST_VARINT_BYTES)):
        number |= (data[place] & 0x7F) << 7 * (place - at)
        if data[place] < 0x80:
            return (number >> 1) ^ -(number & 1), place + 1
    raise ValueError("a number in it does not end")
