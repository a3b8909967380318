"""Records that are refused before any chain reads them: what is around their value is damaged.

Guarantee: they go to the dead-letter topic, whole but for what is redacted there, and are counted by their reason; the
chain gets all the others, as if these had never been there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.flow.chain import Chain
from pipeline.flow.dead_letter import dead_letter
from pipeline.flow.input_chain import InputChain
from pipeline.policies.redaction import NOTHING
from pipeline.records import Headers, Message, Output, RefusedValue


@dataclass(frozen=True, slots=True)
class _Whole:
    """A record as it came."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def is_refused(message: Message) -> bool:
    """Is no chain to read it?"""
    return type(message.value) is RefusedValue


def apply(chain: Chain, topic: str, partition: int, messages: Sequence[Message]) -> Output:
    """What a chain makes of the next messages of a partition, and the dead letters of those that it must not read."""
    refused = [message for message in messages if is_refused(message)]
    if not refused:
        return chain.apply(messages)
    good = [message for message in messages if not is_refused(message)]
    out = chain.apply(good) if good else Output()
    if out.reread_from is not None:  # they come again
        return out
    redaction = chain.redaction if isinstance(chain, InputChain) else NOTHING  # what is ours was redacted before
    for message in refused:
        value = message.value
        assert isinstance(value, RefusedValue)
        out.count("drop", value.reason)
        whole = _Whole(message.offset, message.timestamp, message.key, value.whole, message.headers)
        detail = redaction.detail(value.detail)
        out.records.append(dead_letter(whole, topic, str(partition), value.reason, detail, redaction))
    return out
