"""Growing the partitions of our own topics, and dividing the states of the shards that read them.

Guarantee: nothing is changed before everything is known to be possible: nobody is in any consumer group, and all that
stands in a topic is applied and saved. The topic itself grows last, and its checkpoint topic first, so that no worker
starts while the work is half done: with either configuration some topic has the wrong number of partitions. What was
cut off goes on when it is begun again: a new shard that has a checkpoint keeps it, and an old one gives up what it no
longer owns only when all new ones have theirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition

from pipeline.flow.carried import CarriedMessage
from pipeline.flow.chain import Chain, UnreadableState
from pipeline.flow.growth import Division, NotDrained, divide
from pipeline.flow.shadow import is_shadow
from pipeline.records import Snapshot
from pipeline.settings import Settings
from pipeline.streams import groups, topics
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.reading import Places, Reader, open_reader, reachable
from pipeline.streams.shard import Stage
from pipeline.streams.state import checkpoints, state_topic
from pipeline.streams.state.saved_state import saved_shards

#: Topics of ours whose readers have a state that is divided, by short name; and what has as many partitions.
_DIVIDED = ("signals", "logs", "spans", "anomalies")
_BESIDE = {"signals": ("scores",)}
#: Topics with a reader of their own that have always as many partitions as another, by that.
_ALIKE = {"anomalies": ("shadow.anomalies",)}
#: Roles whose state says nothing of keys.
_UNDIVIDED = ("ingest", "shadow-copy")


@dataclass(frozen=True, slots=True)
class Growth:
    """``topic`` (full name) gets ``after`` partitions instead of ``before``. ``stage`` reads it, as it is to run from
    then on. ``states`` are those of its shards now, by partition; ``parts`` what they become; ``keys`` of all records
    of their checkpoints, by state partition. ``beside``: topics that grow with it."""

    topic: str
    before: int
    after: int
    stage: Stage
    parts: Mapping[int, Mapping[int, Snapshot]]
    keys: Mapping[int, Sequence[bytes]]
    beside: tuple[str, ...]

    @property
    def inputs(self) -> bool:
        """Is it an input, whose messages may stand anywhere?"""
        return self.stage.role == "ingest"


def refuse_impossible(settings: Settings, counts: Mapping[str, int], inputs: Iterable[str]) -> None:
    """Raises WorkerExit where a topic cannot have so many partitions, whatever is on the broker."""
    ours = [settings.topic(name) for name in _DIVIDED]
    own_inputs = [name for name in inputs if name.startswith(settings.topic_prefix)]
    for topic, count in counts.items():
        before = settings.partitions(topic)
        if topic in inputs and topic not in own_inputs:
            raise _refused(
                f"{topic} is not ours: grow it with Kafka's own kafka-topics.sh, set topics.partitions_by_topic: "
                f"{{{topic}: {count}}} and run calmstream topics create, which grows the checkpoint topic"
            )
        if topic not in ours and topic not in own_inputs:
            raise _refused(f"{topic} does not grow; what grows: {', '.join([*own_inputs, *ours])}")
        if count < before:
            raise _refused(f"{topic} has {before} partitions; Kafka takes none away")
        if topic in ours and count % before:
            raise _refused(
                f"{topic} has {before} partitions and grows to a multiple of that ({2 * before}, {3 * before} …), so "
                f"that no two shards have to become one; {count} is none"
            )


async def plan(
    settings: Settings, counts: Mapping[str, int], before: Sequence[Stage], after: Sequence[Stage]
) -> list[Growth]:
    """What is to be done so that topics (full names) have these ``counts``; ``before`` and ``after`` are the stages by
    the settings as they are and as they will be, those of the shadow included. Changes nothing. Raises WorkerExit where
    it cannot be done."""
    refuse_impossible(settings, counts, next(stage.topics for stage in before if stage.role == "ingest"))
    await refuse_members(settings, before)
    with reachable(settings):
        there = await topics.describe(settings)
    found = []
    for named, count in counts.items():
        alike = _ALIKE.get(named.removeprefix(settings.topic_prefix), ())
        for topic in (named, *map(settings.topic, alike)):
            readers = [[each for each in stages if topic in each.topics] for stages in (before, after)]
            if not all(readers) and topic == named:
                raise _refused(f"nobody reads {topic} by this configuration")
            wanted, state = settings.partitions(named), there[topic]
            if state is None or state.partitions not in (wanted, count):
                has = "is missing" if state is None else f"has {state.partitions} partitions"
                raise _refused(f"{topic} {has}, and by the configuration it has {wanted}; mend that first")
            for old, new in zip(*readers, strict=True):
                _refuse_other_growth(settings, there, new, named, count)
                found.append(await _planned(settings, topic, (wanted, count), old, new))
    if any(growth.topic == settings.topic("anomalies") and growth.before < growth.after for growth in found):
        for stages in ([each for each in before if is_shadow(each.role) == said] for said in (False, True)):
            await _refuse_unsaved(settings, stages)
    return found


def _refuse_other_growth(
    settings: Settings, there: Mapping[str, topics.TopicState | None], stage: Stage, topic: str, count: int
) -> None:
    name = settings.topic(stage.state_topic)
    begun = state.partitions if (state := there[name]) else 0
    if stage.role != "ingest" and begun not in (settings.partitions(topic), count):
        raise _refused(
            f"a growth of {topic} to {begun} partitions was begun and not ended ({name} has as many); end it first: "
            f"calmstream topics grow {topic}={begun}"
        )


async def refuse_members(settings: Settings, stages: Sequence[Stage]) -> None:
    """Raises WorkerExit, which names them, where anybody is in one of our consumer groups."""
    names = [groups.group_of(settings, role) for role in (*(stage.role for stage in stages), "agents")]
    await groups.refuse_members(settings, names)


async def _planned(settings: Settings, topic: str, counts: tuple[int, int], old: Stage, new: Stage) -> Growth:
    before, count = counts
    beside = tuple(settings.topic(name) for name in _BESIDE.get(topic.removeprefix(settings.topic_prefix), ()))
    if new.role in _UNDIVIDED or before == count:
        return Growth(topic, before, count, new, {}, {}, beside)
    state = settings.topic(new.state_topic)
    async with open_reader(settings, topic, state) as reader:
        ends = await reader.ends(topic)
        places = list(await reader.ends(state))
        live = await _live(settings, places)
        parts = {}
        for partition in range(before):
            at = TopicPartition(topic, partition)
            records = live.get(TopicPartition(state, partition), {})
            division = Division(partition, before, count, ends[at], lambda part: new.chain(topic, part))
            parts[partition] = await _parts(reader, old, at, records, division)
    return Growth(topic, before, count, new, parts, {at.partition: list(live[at]) for at in places}, beside)


async def _live(settings: Settings, places: Sequence[TopicPartition]) -> dict[TopicPartition, dict[bytes, bytes]]:
    try:
        return await state_topic.read_live(settings, places)
    except TimeoutError as error:
        raise WorkerExit(Exit.BROKER_LOST, str(error)) from error


async def _parts(
    reader: Reader, stage: Stage, at: TopicPartition, records: Mapping[bytes, bytes], division: Division
) -> dict[int, Snapshot]:
    """What a shard becomes; nothing where it never had anything to read."""
    name = f"{at.topic}/{at.partition}"
    saved = checkpoints.newest(name, records, stage.role)
    if saved is None and (not division.end or is_shadow(stage.role)):
        return {}  # where nobody ever was in the shadow there is nothing to divide
    shard: Chain = stage.chain(at.topic, at.partition)
    if saved is not None:
        if saved.offset > division.end:
            raise UnreadableState(checkpoints.recreated(stage.role, name, saved.offset, division.end))
        shard.restore(saved)
    offset = saved.offset if saved is not None else 0
    log = await _read(reader, {at: offset}, {at: division.end})
    if log and log[0].offset > offset:
        raise _refused(f"{name}: messages from offset {offset} on were deleted unread; let {stage.role} read on first")
    try:
        return divide(shard, log, division)
    except NotDrained as reason:
        raise _refused(
            f"{name} is not drained: {reason}. Run calmstream worker --roles join,score,correlate"
            f"{',shadow' if is_shadow(stage.role) else ''} until calmstream_lag_messages is 0 for all of them, stop "
            "it, and try again"
        ) from reason


async def _read(reader: Reader, starts: Places, ends: Places) -> list[CarriedMessage]:
    return [
        CarriedMessage(record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
        async for records in reader.between(starts, ends)
        for record in records
    ]


async def _refuse_unsaved(settings: Settings, stages: Sequence[Stage]) -> None:
    """Whoever writes anomalies, events or changes goes on with numbers that their reader knows: all that was written
    must be in the state of its writer."""
    heard: dict[tuple[str, int], int] = {}
    written: dict[tuple[str, int], int] = {}
    for stage in stages:
        async for saved in saved_shards(settings, stage):
            if saved.snapshot is None or saved.wrong:
                continue
            topic, _, partition = saved.shard.rpartition("/")
            chain = stage.chain(topic, int(partition))
            chain.restore(saved.snapshot)
            if stage.role.endswith("correlate"):
                heard |= {(source, int(partition)): number for source, number in chain.heard().items()}
            source = saved.shard if stage.role == "ingest" else saved.shard.removeprefix(settings.topic_prefix)
            for (name, at), number in chain.numbers().items():
                if name == "anomalies":
                    written[source, at] = number
    for (source, at), number in sorted(heard.items()):
        if written.get((source, at), number) != number:
            raise _refused(
                f"{source} wrote {number} records to {settings.topic('anomalies')}/{at}, and its saved state knows of "
                f"{written[source, at]}: it was killed. Start all workers, stop them with SIGTERM, and try again"
            )


async def grow(settings: Settings, growths: Iterable[Growth], stages: Sequence[Stage]) -> None:
    """Do what was planned; ``stages`` are those by the settings as they are. Raises WorkerExit."""
    await refuse_members(settings, stages)
    planned = list(growths)
    with reachable(settings):
        for growth in planned:
            state = settings.topic(growth.stage.state_topic)
            await topics.grow(settings, {state: growth.after} | dict.fromkeys(growth.beside, growth.after))
            for partition, parts in growth.parts.items():
                for part in [*(each for each in parts if each != partition), *parts.keys() & {partition}]:
                    await _put(settings, growth, part, parts[part])
        for topic, after in {growth.topic: growth.after for growth in planned}.items():
            await topics.grow(settings, {topic: after})


async def _put(settings: Settings, growth: Growth, part: int, snapshot: Snapshot) -> None:
    place = TopicPartition(settings.topic(growth.stage.state_topic), part)
    shard, keys = f"{growth.topic}/{part}", growth.keys.get(part, ())
    if part >= growth.before and shard in checkpoints.shards(keys):
        return  # from the time before it was cut off; since then its older shard may have given up what is in it
    await state_topic.put(settings, place, shard, snapshot, keys)


def _refused(text: str) -> WorkerExit:
    return WorkerExit(Exit.FAILED, text)
