"""Records that are refused before any chain reads them: what is around their value is damaged.

Guarantee: they go whole to the dead-letter topic and are counted by their reason; the chain gets all the others, as if
these had never been there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.flow.chain import Chain
from pipeline.flow.dead_letter import dead_letter
from pipeline.records import Headers, Message, Output, RefusedValue


@dataclass(frozen=True, slots=True)
class _Whole:
    """A record as it came."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def apply(chain: Chain, topic: str, partition: int, messages: Sequence[Message]) -> Output:
    """What a chain makes of the next messages of a partition, and the dead letters of those that it must not read."""
    refused = [message for message in messages if type(message.value) is RefusedValue]
    if not refused:
        return chain.apply(messages)
    good = [message for message in messages if type(message.value) is not RefusedValue]
    out = chain.apply(good) if good else Output()
    for message in refused:
        value = message.value
        assert isinstance(value, RefusedValue)
        out.count("drop", value.reason)
        whole = _Whole(message.offset, message.timestamp, message.key, value.whole, message.headers)
        out.records.append(dead_letter(whole, topic, str(partition), value.reason, value.detail))
    return out
