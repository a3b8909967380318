"""What is fed to the chains in a replay: a message that never was on a broker, and the error of an input that cannot
be replayed."""

from dataclasses import dataclass

from pipeline.records import Produced

Headers = tuple[tuple[str, bytes], ...]


class ReplayError(ValueError):
    """The input cannot be replayed; the message says where, why, and what would be right."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A message as ``pipeline.records.Message`` asks for it. ``offset`` is the line number where a file has lines."""

    offset: int
    timestamp: int  # milliseconds since the epoch
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def handed_over(record: Produced, offset: int) -> Replayed:
    """What one chain wrote, as the next one reads it."""
    return Replayed(offset, 0, record.key, record.value, record.headers)


def record_time_ms(time_us: int) -> int:
    """The Kafka record time of a message whose newest point is of this time: never before it."""
    return -(-time_us // 1000)
