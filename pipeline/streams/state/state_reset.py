"""Beginning anew: the checkpoints of a role's shards are replaced by one in which nothing was learnt.

Guarantee: refused while anybody is in the role's consumer group. What the role wrote before stays as it is, and what it
writes from then on is numbered on from there, so that its readers, which take each number once, take it. Cut off
anywhere it can be done again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.flow.chain import Numbers
from pipeline.flow.numbers import written
from pipeline.flow.shadow import TOPIC as SHADOW_TOPIC
from pipeline.settings import Settings
from pipeline.streams import groups
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.reading import open_reader, reachable
from pipeline.streams.shard import Stage
from pipeline.streams.state import state_topic
from pipeline.streams.state.saved_state import SavedShard, saved_shards

#: What each role numbers, by short topic; and who reads it.
_NUMBERED = {
    "ingest": ("anomalies",),
    "join-logs": ("signals", "anomalies"),
    "join-spans": ("signals",),
    "score": ("anomalies",),
    "correlate": (),
    "shadow-copy": ("shadow.anomalies",),
    "shadow-score": ("shadow.anomalies",),
    "shadow-correlate": (),
}
_READERS = {"signals": "score", "anomalies": "correlate", "shadow.anomalies": "shadow-correlate"}


@dataclass(frozen=True, slots=True)
class Anew:
    """``shard`` begins anew: it reads its topic from ``offset`` on and numbers what it writes from ``numbers`` on."""

    shard: SavedShard
    offset: int
    numbers: Numbers


async def plan(settings: Settings, stages: Sequence[Stage], role: str, partition: int | None) -> list[Anew]:
    """What would begin anew. Changes nothing. Raises WorkerExit, also where the role's group has members."""
    stage = next(stage for stage in stages if stage.role == role)
    await groups.refuse_members(settings, [groups.group_of(settings, role)])
    found = [shard async for shard in saved_shards(settings, stage)]
    chosen = [each for each in found if partition in (None, each.place.partition)]
    if not chosen:
        raise WorkerExit(Exit.FAILED, f"role {role} has no partition {partition}")
    numbers = await _numbers(settings, stages, _NUMBERED[role])
    return [Anew(each, each.start, numbers.get(_source(settings, role, each.shard), {})) for each in chosen]


async def begin_anew(settings: Settings, stages: Sequence[Stage], plan: Sequence[Anew]) -> None:
    """Do what was planned. Raises WorkerExit."""
    by_role = {stage.role: stage for stage in stages}
    await groups.refuse_members(settings, {groups.group_of(settings, each.shard.role) for each in plan})
    with reachable(settings):
        for each in plan:
            topic, _, partition = each.shard.shard.rpartition("/")
            if not each.shard.wanted:
                await state_topic.remove(settings, each.shard.place, each.shard.keys)
                continue
            stage = by_role[each.shard.role]
            chain = stage.chain(topic, int(partition))
            if stage.prime is not None:
                await stage.prime(chain)
            chain.go_on_from(each.numbers)
            chain.lost_history()
            snapshot = replace(chain.snapshot(full=True), offset=each.offset)
            await state_topic.put(settings, each.shard.place, each.shard.shard, snapshot, each.shard.keys)


def _source(settings: Settings, role: str, shard: str) -> str:
    """The name under which readers know a shard."""
    return shard if role == "ingest" else shard.removeprefix(settings.topic_prefix)


async def _numbers(
    settings: Settings, stages: Sequence[Stage], topics: Sequence[str]
) -> dict[str, dict[tuple[str, int], int]]:
    """Which number comes next, by source: what its readers have, and what stands in the log behind that."""
    found: dict[str, dict[tuple[str, int], int]] = {}

    def heard(source: str, place: tuple[str, int], number: int) -> None:
        known = found.setdefault(source, {})
        known[place] = max(number, known.get(place, 0))

    for topic in topics:
        places = await _read_up_to(settings, stages, topic, heard)
        name = settings.topic(topic)
        async with open_reader(settings, name) as reader:
            ends = await reader.ends(name)
            starts = {at: min(places.get(at.partition, 0), end) for at, end in ends.items()}
            async for records in reader.between(starts, ends):
                for record in records:
                    if (said := written(topic, record)) is not None:
                        heard(said[0], (_chains_call(topic), record.partition), said[1])
    return found


def _chains_call(topic: str) -> str:
    """The chains of the shadow are those of live roles, and number what they write as those do."""
    return topic.removeprefix(SHADOW_TOPIC)


async def _read_up_to(
    settings: Settings, stages: Sequence[Stage], topic: str, heard: Callable[[str, tuple[str, int], int], None]
) -> dict[int, int]:
    """From which offset on the log of each partition says what its reader has not applied."""
    reader = next(stage for stage in stages if stage.role == _READERS[topic])
    places = {}
    async for saved in saved_shards(settings, reader):
        if saved.snapshot is None or saved.wrong or not saved.wanted:
            continue  # all that is in the log counts
        partition = saved.place.partition
        chain = reader.chain(settings.topic(topic), partition)
        chain.restore(saved.snapshot)
        for source, number in chain.heard().items():
            heard(source, (_chains_call(topic), partition), number)
        places[partition] = saved.snapshot.offset
    return places
