"""Messages in portions, as the scanners take them."""

from collections.abc import Iterator, Sequence

from pipeline.records import Message

_SCANNED_AT_ONCE = 4 * 2**20  # bytes


def runs(messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
    """Runs of messages of some megabytes (or one message): first and end."""
    first = size = 0
    for number, message in enumerate(messages):
        length = len(message.value or b"")
        if number > first and size + length > _SCANNED_AT_ONCE:
            yield first, number
            first, size = number, 0
        size += length
    yield first, len(messages)
