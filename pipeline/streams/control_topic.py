"""Policies on the compacted topic ``control``: reading all that are live, and writing and removing some.

Guarantee: the newest record of a key counts. A record that is no policy is told, not guessed: it stands for nothing,
and what it may have replaced is not taken for removed. What goes wrong on the way ends in a WorkerExit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.codecs import policy_event
from pipeline.policies import Change, Control, Policy
from pipeline.settings import Settings
from pipeline.streams import clients
from pipeline.streams.reading import Record, open_reader, reachable


@dataclass(frozen=True, slots=True)
class Live:
    """A policy on the topic: where it stands, and its record time in milliseconds."""

    policy: Policy
    offset: int
    written_ms: int


@dataclass(frozen=True, slots=True)
class Everything:
    """``live`` in the order of their offsets; ``broken`` says what is wrong with records; ``end`` of the topic."""

    live: tuple[Live, ...]
    broken: tuple[str, ...]
    end: int

    def control(self) -> Control:
        """As one control record."""
        changes = tuple(Change(one.offset, one.policy.name, one.policy) for one in self.live)
        return Control(self.end, changes, complete=not self.broken)


async def read(settings: Settings) -> Everything:
    """What is on the topic now. Raises WorkerExit."""
    topic = settings.topic("control")
    newest: dict[bytes | None, Record] = {}
    async with open_reader(settings, topic) as reader:
        end = max((await reader.ends(topic)).values(), default=0)
        async for records in reader.everything(topic):
            newest |= {record.key: record for record in records}
    live, broken = [], []
    for record in newest.values():
        end = max(end, record.offset + 1)
        try:
            change = policy_event.decode(record.key, record.value, record.offset)
        except policy_event.BadPolicy as error:
            broken.append(f"{topic}/{record.partition} offset {record.offset}: {error}")
            continue
        if change.policy is not None:
            live.append(Live(change.policy, record.offset, record.timestamp))
    return Everything(tuple(sorted(live, key=lambda one: one.offset)), tuple(broken), end)


async def write(settings: Settings, policies: Iterable[Policy]) -> None:
    """Apply policies, in this order; returns when the broker has them. Raises WorkerExit."""
    await _send(settings, [(policy_event.key_of(policy.name), policy_event.encode(policy)) for policy in policies])


async def remove(settings: Settings, name: str) -> None:
    """Take a policy away. Raises WorkerExit."""
    await _send(settings, [(policy_event.key_of(name), None)])


async def _send(settings: Settings, records: list[tuple[bytes, bytes | None]]) -> None:
    with reachable(settings):
        producer = await clients.start_writer(settings, idempotent=False)  # a repeat changes nothing
        try:
            for key, value in records:
                await producer.send_and_wait(settings.topic("control"), value, key, partition=0)
        finally:
            await producer.stop()
