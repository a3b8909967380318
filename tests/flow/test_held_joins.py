"""What waits in a join shard for a source that is far behind is bounded: what it could not hold is read again, and what
comes out is what would have come out without a bound."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.flow.config import FlowConfig
from pipeline.flow.join_lines import LineJoinChain
from pipeline.flow.join_spans import SpanJoinChain
from pipeline.records import US
from tests.flow import joined_story
from tests.flow.simulation import Crashed, Log, ShardRun

CONFIG = FlowConfig(
    sources=(),
    signal_partitions=2,
    anomaly_partitions=1,
    window_us=5 * US,
    lateness_us=2 * US,
    trace_wait_us=10 * US,
    span_sources=joined_story.SOURCES,
    line_sources=joined_story.SOURCES,
)
CHAINS: dict[str, Callable[[int, FlowConfig], LineJoinChain | SpanJoinChain]] = {
    "logs": LineJoinChain,
    "spans": SpanJoinChain,
}
every_chain = pytest.mark.parametrize("topic", list(CHAINS))
#: As many bytes as a window has, about, and as ten of them have.
TINY, SMALL = 10_000, 100_000


def story(topic: str, seed: int, *, one_after_the_other: bool = False) -> Log:
    log = Log()
    joined_story.fill(log, topic, seed, one_after_the_other=one_after_the_other)
    return log


def owner(log: Log, topic: str, most: int | None, epoch: int = 0) -> ShardRun:
    config = replace(CONFIG, most_held_bytes=most)
    return ShardRun(log, topic, 0, f"join-{topic}.state", lambda: CHAINS[topic](0, config), f"e{epoch}")


def read_through(log: Log, topic: str, most: int | None, at_once: int = 1) -> ShardRun:
    run = owner(log, topic, most)
    while run.behind:
        run.read(at_once)
        run.flush()
    return run


def read_disturbed(log: Log, topic: str, most: int, seed: int) -> int:
    """With checkpoints, some of them cut off, and restarts from them; how often it read again for the bound."""
    dice, reread, epoch = random.Random(seed), 0, 0
    run = owner(log, topic, most)
    while run.behind:
        act = dice.random()
        try:
            if act < 0.8:
                run.read(dice.choice((1, 4, 20, 100)))
                if dice.random() < 0.7:
                    run.flush()
                continue
            if act < 0.95:
                run.save(dice if act < 0.84 else None)
                continue
        except Crashed:
            pass
        reread, epoch = reread + run.reread, epoch + 1
        run = owner(log, topic, most, epoch)
    run.flush()
    return reread + run.reread


@every_chain
@pytest.mark.parametrize("most", [TINY, SMALL])
@pytest.mark.parametrize("one_after_the_other", [False, True])
def test_with_a_bound_the_same_is_written_to_the_byte(topic: str, most: int, one_after_the_other: bool) -> None:
    for seed in range(2):
        free, bound = (story(topic, seed, one_after_the_other=one_after_the_other) for _ in range(2))
        read_through(free, topic, None)
        assert read_through(bound, topic, most, at_once=1 + 6 * seed).reread >= (4 if most == TINY else 1)
        assert joined_story.signals(bound) == joined_story.signals(free)
        assert len(joined_story.signals(free)) > 40
        assert joined_story.written(bound) == joined_story.written(free)
        assert joined_story.others(bound) == joined_story.others(free)
        assert joined_story.rests(bound) <= joined_story.rests(free)


@every_chain
@pytest.mark.parametrize("seed", range(5))
def test_so_it_does_when_it_is_saved_and_restored_in_between(topic: str, seed: int) -> None:
    free, bound = (story(topic, seed, one_after_the_other=seed % 2 == 0) for _ in range(2))
    read_through(free, topic, None)
    assert read_disturbed(bound, topic, TINY, seed) > 2
    assert joined_story.signals(bound) == joined_story.signals(free)
    assert joined_story.others(bound) == joined_story.others(free)
    assert joined_story.rests(bound) <= joined_story.rests(free)


@every_chain
def test_what_is_read_again_is_counted_once(topic: str) -> None:
    counts = []
    for most in (None, TINY):
        log, counted = story(topic, 5, one_after_the_other=True), Counter[tuple[str, str]]()
        run = owner(log, topic, most)
        apply = run.chain.apply
        while run.behind:
            records = log.partitions[topic, 0][run.position : run.position + 10]
            output = apply(records)
            counted += output.counts
            run.position = records[-1].offset + 1 if output.reread_from is None else output.reread_from
        counts.append(counted)
    free, bound = counts
    assert bound.pop(("notice", "read_again")) > 4
    assert bound == free
    assert free[{"logs": "lines", "spans": "spans"}[topic], ""] > 500
    assert {("drop", "undecodable"), ("drop", "late_after_idle")} <= free.keys()


@every_chain
def test_no_more_is_held_than_the_bound_and_the_windows_that_are_due(topic: str) -> None:
    free, bound = (most_rows(topic, most) for most in (None, TINY))
    assert bound < (0.3 if topic == "logs" else 0.6) * free  # spans of five windows are needed at once


def most_rows(topic: str, most: int | None) -> float:
    """That waited at any time."""
    run, rows = owner(story(topic, 1, one_after_the_other=True), topic, most), 0.0
    while run.behind:
        run.read(1)
        rows = max(rows, run.chain.gauges()["pending_rows"])
    return rows
