"""A role that has lost its state and begins anew is heard by those who read what it writes."""

from dataclasses import replace

import pytest

from pipeline.app import stages
from pipeline.flow.numbers import written
from pipeline.records import US
from tests.flow import growing
from tests.memory_run import MemoryRun

#: Trouble begins anew after that second.
LOST_AT = 84
#: Messages that a topic keeps.
_KEPT = 20


def without(run: MemoryRun, role: str, *, numbered: bool) -> MemoryRun:
    """The run goes on, and this role reads again what is kept of its log, with nothing learnt."""
    saved = run.save()
    for at in [at for at in saved if run.role[at[0]] == role]:
        chain = next(stage for stage in stages(run.settings) if stage.role == role).chain(*at)
        if numbered:
            chain.go_on_from(numbers(run, f"{at[0].removeprefix('calm.')}/{at[1]}"))
        chain.lost_history()
        oldest = max(len(run.log[at]) - _KEPT, 0)
        saved[at] = replace(chain.snapshot(full=True).keep(), offset=oldest)
    return MemoryRun(run.settings, saved, {at: run.rest(at, one.offset) for at, one in saved.items()})


def numbers(run: MemoryRun, source: str) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    for (topic, partition), log in run.log.items():
        name = topic.removeprefix("calm.")
        for told in [written(name, each) for each in log] if name in ("signals", "anomalies") else []:
            if told is not None and told[0] == source:
                found[name, partition] = max(told[1], found.get((name, partition), 0))
    return found


@pytest.fixture(scope="module")
def first() -> MemoryRun:
    run = MemoryRun(growing.settings({}))
    growing.tell(run, 0, LOST_AT)
    return run


@pytest.mark.parametrize("role", ["score", "join-logs", "join-spans", "correlate"])
def test_what_it_says_after_it_began_anew_is_taken(first: MemoryRun, role: str) -> None:
    run = without(first, role, numbered=True)
    growing.tell(run, LOST_AT, growing.SECONDS)
    later = run.incidents((growing.START + LOST_AT) * US)
    assert any("load of s2" in body["title"] for body in later)


def test_its_readers_would_wait_for_it_if_it_counted_from_0_again(first: MemoryRun) -> None:
    for numbered in (True, False):
        run = without(first, "join-spans", numbered=numbered)
        growing.tell(run, LOST_AT, LOST_AT + 15)
        assert bool(run.scores()) == numbered
