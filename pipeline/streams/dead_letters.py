"""The dead-letter topic for people: what stands in it, and putting messages back where they came from.

Guarantee: looking changes nothing. What is put back has the bytes, key and headers that it came with, goes to the
partition that it came from, and only into a topic that is an input. After the broker has it, a receipt (an empty
record) is written beside its dead letter, so that a second time is seen. What goes wrong ends in a WorkerExit.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.settings import Settings
from pipeline.streams import clients
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.reading import Record, open_reader, reachable
from pipeline.streams.stretch import Bounds, open_stretch
from pipeline.streams.topic_table import plan

Headers = Sequence[tuple[str, bytes | None]]

#: Of a message that was put back: its dead letter.
REPLAYED_FROM = "calm_replayed_from"
#: Of a receipt: where the message was put.
REPLAYED_TO = "calm_replayed_to"
_OURS = ("calm_topic", "calm_partition", "calm_offset", "calm_reason", "calm_detail")
#: Behind them where the message was too large for a dead letter: what was cut.
_CUT = "calm_cut"
_RECEIPT = ("calm_topic", "calm_partition", "calm_offset", REPLAYED_TO)
#: Messages on their way at once when they are put back.
_AT_ONCE = 200


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """``topic/partition@offset``, or without a topic. Raises ValueError."""
        where, _, offset = text.rpartition("@")
        topic, _, partition = where.rpartition("/")
        if not (offset.isascii() and offset.isdigit() and partition.isascii() and partition.isdigit()):
            raise ValueError(f"{text!r} is not a place; write partition@offset, or topic/partition@offset")
        return cls(topic, int(partition), int(offset))


class NoLetter(ValueError):
    """A record on the dead-letter topic that is neither a dead letter nor a receipt."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its message: where it stands, where the message came from, and why it is here.

    ``again``: the dead letter that the message was put back from before, or empty. ``cut``: what is not here of a
    message that was too large, or empty.
    """

    place: Place
    origin: Place
    written_ms: int
    reason: str
    detail: str
    size: int
    again: str = ""
    cut: str = ""

    @classmethod
    def of(cls, record: Record) -> Self:
        """Raises NoLetter."""
        headers, cut = _uncut(record)
        said = _texts(headers[-len(_OURS) :])
        if tuple(said) != _OURS:
            raise NoLetter("it is not a dead letter of ours: its last headers are not " + ", ".join(_OURS))
        before = _texts([(name, value) for name, value in original_headers(record, keep_all=True)])
        return cls(
            place=Place(intern(record.topic), record.partition, record.offset),
            origin=_origin(said),
            written_ms=record.timestamp,
            reason=intern(said["calm_reason"]),
            detail=said["calm_detail"],
            size=len(record.value or b""),
            again=before.get(REPLAYED_FROM, ""),
            cut=cut,
        )

    def reasons(self) -> list[str]:
        """A message may have several."""
        return self.reason.split(",")


def original_headers(record: Record, *, keep_all: bool = False) -> Headers:
    """The headers that the message came with; without that of an earlier replay unless all are wanted."""
    headers = _uncut(record)[0][: -len(_OURS)]
    return headers if keep_all else [header for header in headers if header[0] != REPLAYED_FROM]


def _uncut(record: Record) -> tuple[list[tuple[str, bytes | None]], str]:
    """The headers of a dead letter but for the last one if it says what was cut, and what it says. Somebody else's
    header of that name never is the last one."""
    headers = list(record.headers)
    if headers and headers[-1][0] == _CUT:
        return headers[:-1], (headers[-1][1] or b"").decode("utf-8", "replace")
    return headers, ""


def _texts(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode("utf-8", "replace") for name, value in headers}


def _origin(said: Mapping[str, str]) -> Place:
    try:
        return Place(intern(said["calm_topic"]), int(said["calm_partition"]), int(said["calm_offset"]))
    except ValueError:
        raise NoLetter("calm_partition and calm_offset are not whole numbers") from None


@dataclass(slots=True)
class Found:
    """What was looked through. A message that a restarted worker refused again counts once, by its newest letter.

    ``receipts``: the origin of a message → where it was last put back to. ``older``: records not looked at.
    """

    letters: dict[Place, Letter] = field(default_factory=dict)
    receipts: dict[Place, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    older: int = 0

    def newest_first(self) -> list[Letter]:
        return sorted(self.letters.values(), key=_age, reverse=True)

    def replayed(self, letter: Letter) -> str:
        """Where its message was put back to, or an empty text."""
        return self.receipts.get(letter.origin, "")

    def take(self, records: Sequence[Record], wants: Callable[[Letter], bool]) -> None:
        for record in records:
            try:
                if (said := _texts(list(record.headers)[-len(_RECEIPT) :])) and tuple(said) == _RECEIPT:
                    self.receipts[_origin(said)] = said[REPLAYED_TO]
                    continue
                letter = Letter.of(record)
            except NoLetter as error:
                self.broken.append(f"{Place(record.topic, record.partition, record.offset)} passed over: {error}")
                continue
            before = self.letters.get(letter.origin)
            if wants(letter) and (before is None or _age(before) < _age(letter)):
                self.letters[letter.origin] = letter

    def keep(self, most: int) -> None:
        """Forget all but the newest."""
        self.letters = {letter.origin: letter for letter in self.newest_first()[:most]}


def _age(letter: Letter) -> tuple[int, int, int]:
    return letter.written_ms, letter.place.partition, letter.place.offset


async def look(
    settings: Settings,
    wants: Callable[[Letter], bool],
    *,
    since_ms: int | None = None,
    last: int | None = None,
    most: int | None = None,
) -> Found:
    """The letters that are wanted: of all, of those since a record time, or of the ``last`` records of each partition.
    ``most``: keep only so many, the newest."""
    found = Found()
    async for records in _records(settings, found, since_ms, last):
        found.take(records, wants)
        if most is not None and len(found.letters) > 2 * most + 1000:
            found.keep(most)
    return found


async def _records(
    settings: Settings, found: Found, since_ms: int | None, last: int | None
) -> AsyncIterator[list[Record]]:
    topic = settings.topic("dead-letter")
    if since_ms is not None:
        async with open_stretch(settings, topic, Bounds(since_ms=since_ms)) as stretch:
            async for _, records in stretch.batches():
                yield records
        return
    async with open_reader(settings, topic) as reader:
        ends = await reader.ends(topic)
        starts = {where: 0 if last is None else max(end - last, 0) for where, end in ends.items()}
        found.older = sum(starts.values())
        async for records in reader.between(starts, ends):
            yield records


async def fetch(settings: Settings, place: Place) -> Record | None:
    """The record at a place of the dead-letter topic; None when there is none (any more)."""
    topic = settings.topic("dead-letter")
    where = TopicPartition(topic, place.partition)
    async with open_reader(settings, topic) as reader:
        ends = await reader.ends(topic)
        if place.offset >= ends.get(where, 0):
            return None
        async for records in reader.between({where: place.offset}, {where: place.offset + 1}):
            for record in records:
                if record.offset == place.offset:
                    return record
    return None


def inputs_of(settings: Settings) -> set[str]:
    """Topics into which a message may be put back."""
    return {spec.name for spec in plan(settings) if not spec.output}


async def put_back(settings: Settings, letters: Sequence[Letter]) -> AsyncIterator[tuple[Letter, Place]]:
    """Write the messages of these letters into their input topics; tells each with its new place when the broker has
    it and its receipt is written too. Raises WorkerExit; what was told until then is done. No letter may be cut."""
    if cut := [letter for letter in letters if letter.cut]:
        raise ValueError(f"{cut[0].place} was cut ({cut[0].cut}) and cannot be put back")
    chosen = {letter.place: letter for letter in letters}
    with reachable(settings):
        # A repeat after a lost connection is possible: exactly once is not promised.
        producer = await clients.start_writer(settings, idempotent=False)
    try:
        async for records in _chosen_records(settings, chosen):
            for first in range(0, len(records), _AT_ONCE):
                for done in await _send(settings, producer, records[first : first + _AT_ONCE], chosen):
                    yield done
    finally:
        await producer.stop()


async def _chosen_records(settings: Settings, chosen: Mapping[Place, Letter]) -> AsyncIterator[list[Record]]:
    """The records at these places, of the partitions where some stand."""
    topic = settings.topic("dead-letter")
    offsets: dict[TopicPartition, list[int]] = {}
    for place in chosen:
        offsets.setdefault(TopicPartition(topic, place.partition), []).append(place.offset)
    async with open_reader(settings, topic) as reader:
        starts = {where: min(found) for where, found in offsets.items()}
        ends = {where: max(found) + 1 for where, found in offsets.items()}
        async for records in reader.between(starts, ends):
            wanted = [one for one in records if Place(one.topic, one.partition, one.offset) in chosen]
            if wanted:
                yield wanted


async def _send(
    settings: Settings, producer: AIOKafkaProducer, records: Sequence[Record], chosen: Mapping[Place, Letter]
) -> list[tuple[Letter, Place]]:
    letters = [chosen[Place(record.topic, record.partition, record.offset)] for record in records]
    with reachable(settings):
        partitions = {topic: await producer.partitions_for(topic) for topic in {one.origin.topic for one in letters}}
        sending = []
        for letter, record in zip(letters, records, strict=True):
            there = letter.origin.partition in partitions[letter.origin.topic]
            headers = [*original_headers(record), (REPLAYED_FROM, str(letter.place).encode())]
            where = letter.origin.partition if there else None  # the topic was made anew with fewer
            sending.append(_sent(producer, letter, record.value, record.key, where, headers))
        done = [(letter, await sent) for letter, sent in zip(letters, await asyncio.gather(*sending), strict=True)]
        places = [(letter, Place(sent.topic, sent.partition, sent.offset)) for letter, sent in done]
        await asyncio.gather(*[await _receipt(producer, letter, place) for letter, place in places])
    return places


async def _sent(
    producer: AIOKafkaProducer,
    letter: Letter,
    value: bytes | None,
    key: bytes | None,
    partition: int | None,
    headers: Headers,
) -> "asyncio.Future[Record]":
    try:
        return await producer.send(letter.origin.topic, value, key, partition=partition, headers=headers)
    except KafkaError as error:
        raise WorkerExit(Exit.FAILED, f"{letter.place} cannot be put back: {error}") from error


async def _receipt(producer: AIOKafkaProducer, letter: Letter, to: Place) -> "asyncio.Future[Record]":
    origin = letter.origin
    texts = (origin.topic, str(origin.partition), str(origin.offset), str(to))
    headers = [(name, text.encode()) for name, text in zip(_RECEIPT, texts, strict=True)]
    where = letter.place
    return await producer.send(where.topic, b"", None, partition=where.partition, headers=headers)
