"""Policies, and what people say about incidents, on the compacted topic ``control``: reading all that is live, and
writing and removing some.

Guarantee: the newest record of a key counts. A record that is none of ours is told, not guessed: it stands for nothing,
and what it may have replaced is not taken for removed. What goes wrong on the way ends in a WorkerExit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.codecs import policy_event, policy_history, said_record
from pipeline.policies import Change, Control, Policy
from pipeline.policies.control import Said, SaidControl, What
from pipeline.policies.history import History
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
    """Policies that are ``live``, those that are tried in the ``shadow``, and what is ``said`` about incidents, in the
    order of their offsets; earlier states of policies, by name (``histories``); ``broken`` and ``broken_said`` say what
    is wrong with records; ``end`` of the topic. ``ever_said``: is there a trace of anything said, be it that it was
    taken away?"""

    live: tuple[Live, ...]
    broken: tuple[str, ...]
    end: int
    said: tuple[Said, ...] = ()
    broken_said: tuple[str, ...] = ()
    ever_said: bool = False
    shadow: tuple[Live, ...] = ()
    histories: Mapping[str, History] = field(default_factory=dict)

    def control(self) -> Control:
        """The policies as one control record."""
        changes = [Change(one.offset, one.policy.name, one.policy) for one in self.live]
        changes += [Change(one.offset, one.policy.name, one.policy, shadow=True) for one in self.shadow]
        changes.sort(key=lambda change: change.offset)
        return Control(self.end, tuple(changes), complete=not self.broken)

    def said_controls(self) -> list[SaidControl]:
        """What is said about incidents, as said records; none where nothing ever was."""
        if not self.ever_said:
            return []
        parts = list(said_record.everything(self.end, self.said))
        return [replace(part, complete=part.complete and not self.broken_said) for part in parts]


async def read(settings: Settings) -> Everything:
    """What is on the topic now. Raises WorkerExit."""
    topic = settings.topic("control")
    newest: dict[bytes | None, Record] = {}
    async with open_reader(settings, topic) as reader:
        end = max((await reader.ends(topic)).values(), default=0)
        async for records in reader.everything(topic):
            newest |= {record.key: record for record in records}
    live: list[Live] = []
    shadow: list[Live] = []
    broken, said, broken_said = [], [], []
    histories: dict[str, History] = {}
    for record in newest.values():
        end = max(end, record.offset + 1)
        if said_record.is_kind(record.key):
            try:
                said.append(said_record.decode(record.key, record.value, record.offset))
            except said_record.BadSaid as error:
                broken_said.append(f"{topic}/{record.partition} offset {record.offset}: {error}")
            continue
        if policy_history.is_history(record.key):
            if record.value is not None:
                histories |= _history(record)
            continue
        try:
            change = policy_event.decode(record.key, record.value, record.offset)
        except policy_event.BadPolicy as error:
            broken.append(f"{topic}/{record.partition} offset {record.offset}: {error}")
            continue
        if change.policy is not None:
            (shadow if change.shadow else live).append(Live(change.policy, record.offset, record.timestamp))
    there = sorted((one for one in said if one.what is not None), key=lambda one: one.offset)
    live.sort(key=lambda one: one.offset)
    shadow.sort(key=lambda one: one.offset)
    ever_said = bool(said or broken_said)
    said_now = (tuple(there), tuple(broken_said), ever_said)
    return Everything(tuple(live), tuple(broken), end, *said_now, tuple(shadow), histories)


def _history(record: Record) -> dict[str, History]:
    """By name; nothing of what cannot be read: it decides nothing, and the next change writes it anew."""
    try:
        found = policy_history.decode(record.key or b"", record.value or b"")
    except policy_history.BadHistory:
        return {}
    return {found.name: found}


async def change(settings: Settings, changes: Iterable[tuple[History, Policy | None]]) -> None:
    """Put policies in force, or take them out of it (None), in this order, each after the history of what was before;
    returns when the broker has all of it. Raises WorkerExit."""
    records: list[tuple[bytes, bytes | None]] = []
    for history, policy in changes:
        value = None if policy is None else policy_event.encode(policy)
        records += [policy_history.encode(history), (policy_event.key_of(history.name), value)]
    await _send(settings, records)


async def write(settings: Settings, policies: Iterable[Policy], *, shadow: bool = False) -> None:
    """Apply policies, in this order, or try them in the shadow; returns when the broker has them. Raises WorkerExit."""
    records: list[tuple[bytes, bytes | None]] = [
        (policy_event.key_of(policy.name, shadow=shadow), policy_event.encode(policy)) for policy in policies
    ]
    await _send(settings, records)


async def remove(settings: Settings, name: str, *, shadow: bool = False) -> None:
    """Take a policy away. Raises WorkerExit."""
    await _send(settings, [(policy_event.key_of(name, shadow=shadow), None)])


async def say(settings: Settings, whats: Iterable[What], forget: Iterable[str] = ()) -> None:
    """Write what is said about incidents, in this order, and take the keys ``forget`` off the topic; returns when the
    broker has all of it. Raises WorkerExit."""
    gone: list[tuple[bytes, bytes | None]] = [(key.encode(), None) for key in forget]
    await _send(settings, [*(said_record.record_of(what) for what in whats), *gone])


async def _send(settings: Settings, records: list[tuple[bytes, bytes | None]]) -> None:
    with reachable(settings):
        producer = await clients.start_writer(settings, idempotent=False)  # a repeat changes nothing
        try:
            for key, value in records:
                await producer.send_and_wait(settings.topic("control"), value, key, partition=0)
        finally:
            await producer.stop()
