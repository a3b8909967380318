"""Topics with more partitions than before: what was learnt goes on in the shards whose keys it belongs to.

Of what is learnt of all signals of a shard together (the fleet's calibration, the alert budget's threshold, whom a new
signal inherits from) every part begins with what the whole had; from then on each learns of its own signals, so in the
long run scores are those of a run that had as many partitions from the start.
"""

import numpy as np
import pytest

from pipeline.app import stages
from pipeline.flow.carried import Carried
from pipeline.flow.growth import Division, NotDrained, divide
from pipeline.flow.score import ScoreChain
from pipeline.records import Snapshot
from pipeline.scoring.scorer import Scorer
from pipeline.settings import Settings
from pipeline.signals.identity import partition_of
from tests.flow import growing
from tests.memory_run import MemoryRun, Scores

SIGNALS = {"calm.signals": growing.AFTER}
EVERYTHING = {f"calm.{name}": growing.AFTER for name in ("signals", "logs", "spans", "anomalies")}
SETTINGS = growing.settings({})


@pytest.fixture(scope="module")
def middle() -> tuple[MemoryRun, MemoryRun]:
    """A run with few partitions that stands where topics are to grow, and the same gone on to the end."""
    first, whole = (MemoryRun(growing.settings({})) for _ in range(2))
    growing.tell(first, 0, growing.GROWN_AT)
    growing.tell(whole, 0, growing.SECONDS)
    return first, whole


@pytest.fixture(scope="module")
def from_the_start() -> MemoryRun:
    run = MemoryRun(growing.settings(EVERYTHING))
    growing.tell(run, 0, growing.SECONDS)
    return run


def told(*runs: MemoryRun) -> list[tuple[object, ...]]:
    """All transitions of incidents, whoever told them; a repeat must be the same."""
    found: dict[tuple[str, int], tuple[object, ...]] = {}
    for body in (body for run in runs for body in run.incidents()):
        content = (body["transition"], body["title"], body["severity"], len(body["events"]))
        assert found.setdefault((body["id"], body["revision"]), content) == content
    return [(*key, *content) for key, content in sorted(found.items())]


def scores(*runs: MemoryRun) -> Scores:
    return {key: numbers for run in runs for key, numbers in run.scores().items()}


def test_the_story_is_cut_where_things_are_open(middle: tuple[MemoryRun, MemoryRun]) -> None:
    first, whole = middle
    figures = [chain.gauges() for chain in first.chains.values()]
    assert sum(each.get("open_incidents", 0) for each in figures) == 1
    assert sum(each.get("pending_rows", 0) for each in figures) > 500
    assert 2 < len(told(first)) < len(told(whole))


def test_signals_that_are_divided_score_as_if_nothing_had_been(middle: tuple[MemoryRun, MemoryRun]) -> None:
    first, whole = middle
    run = growing.grown(first, SIGNALS)
    growing.tell(run, growing.GROWN_AT, growing.SECONDS)
    assert scores(first, run) == whole.scores()
    assert told(first, run) == told(whole)


def test_with_every_topic_grown_incidents_are_those_of_a_run_that_had_as_many_partitions_from_the_start(
    middle: tuple[MemoryRun, MemoryRun], from_the_start: MemoryRun
) -> None:
    first, whole = middle
    run = growing.grown(first, EVERYTHING)
    growing.tell(run, growing.GROWN_AT, growing.SECONDS)
    assert told(first, run) == told(whole) == told(from_the_start)
    found, wanted = scores(first, run), whole.scores()
    assert found.keys() == wanted.keys() == from_the_start.scores().keys()
    for key, numbers in wanted.items():  # sums over more shards, and counts told some microseconds apart
        np.testing.assert_allclose(found[key], numbers, rtol=1e-5, atol=1e-9, err_msg=str(key))


@pytest.fixture(scope="module")
def parts(middle: tuple[MemoryRun, MemoryRun]) -> tuple[Carried, dict[int, Carried]]:
    """A score shard, and what it becomes."""
    first, _ = middle
    saved = first.save()["calm.signals", 0]
    log = first.rest(("calm.signals", 0), saved.offset)
    made = {}
    for part, state in divide(restored(SETTINGS, saved), log, division(first)).items():
        made[part] = restored(growing.settings(SIGNALS), state, part)
    whole = restored(SETTINGS, saved)
    whole.apply(log)
    return whole, made


def restored(settings: Settings, snapshot: Snapshot, partition: int = 0) -> Carried:
    chain = chain_of(settings, partition)
    chain.restore(snapshot)
    return chain


def chain_of(settings: Settings, partition: int) -> Carried:
    chain = next(stage for stage in stages(settings) if stage.role == "score").chain("calm.signals", partition)
    assert isinstance(chain, Carried)
    return chain


def division(run: MemoryRun) -> Division:
    end = len(run.log["calm.signals", 0])
    return Division(0, growing.BEFORE, growing.AFTER, end, lambda part: chain_of(growing.settings(SIGNALS), part))


def test_every_number_of_every_signal_is_in_one_part_and_as_it_was(parts: tuple[Carried, dict[int, Carried]]) -> None:
    whole, divided = parts
    before = scorer_of(whole)
    assert divided.keys() == {0, 2}
    seen = 0
    for part, chain in divided.items():
        scorer = scorer_of(chain)
        assert len(scorer.catalogue) == scorer.table.rows > 20  # no row is empty
        for row, signal in enumerate(scorer.catalogue):
            assert partition_of(signal, growing.AFTER) == part
            (old,) = before.catalogue.rows(np.array([signal.id], np.uint64)).tolist()
            for group, arrays in scorer.table.groups.items():
                for name, array in arrays.items():
                    np.testing.assert_array_equal(array[row], before.table.groups[group][name][old], err_msg=name)
            seen += 1
    assert seen == len(before.catalogue)


def test_rows_that_wait_are_divided_and_wait_on(
    middle: tuple[MemoryRun, MemoryRun], parts: tuple[Carried, dict[int, Carried]]
) -> None:
    (first, _), (whole, divided) = middle, parts
    waiting = [chain.gauges()["pending_rows"] for chain in divided.values()]
    assert min(waiting) > 0
    assert sum(waiting) == whole.gauges()["pending_rows"]
    begins = {}
    for part, chain in divided.items():
        assert chain.watermark_us() == whole.watermark_us()
        snapshot = chain.snapshot(full=True)
        assert "carried" in snapshot.names
        begins[part] = snapshot.offset
    assert begins == {0: len(first.log["calm.signals", 0]), 2: 0}


def scorer_of(chain: Carried) -> Scorer:
    assert isinstance(chain.inner, ScoreChain)
    return chain.inner.scorer


def test_a_shard_that_has_not_applied_its_log_is_not_divided(middle: tuple[MemoryRun, MemoryRun]) -> None:
    first, whole = middle
    saved = first.save()["calm.signals", 0]
    log = whole.rest(("calm.signals", 0), saved.offset)
    with pytest.raises(NotDrained, match="not applied yet, or what came of them is not saved"):
        divide(restored(SETTINGS, saved), log, division(whole))
