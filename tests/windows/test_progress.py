"""Progress of sources: the watermark, idleness, gaps and repeats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import NO_TIME
from pipeline.windows.progress import Progress


def two_sources(lateness_us: int = 0) -> Progress:
    return Progress(["in/0", "in/1"], lateness_us)


def test_before_anything_was_said_there_is_no_watermark() -> None:
    assert two_sources().watermark_us == NO_TIME


def test_the_watermark_is_the_least_progress_less_the_lateness() -> None:
    progress = two_sources(lateness_us=5)
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 10, 70, idle=False)
    assert progress.watermark_us == 65


def test_a_source_that_has_said_nothing_yet_holds_the_watermark_back() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    assert progress.watermark_us == NO_TIME


def test_a_source_that_is_not_expected_neither_holds_back_nor_moves_the_watermark() -> None:
    progress = two_sources()
    progress.advance("elsewhere/0", 1, 10**9, idle=False)
    assert progress.watermark_us == NO_TIME
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 10, 90, idle=False)
    assert progress.watermark_us == 90


def test_an_idle_source_does_not_hold_the_watermark_back() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 0, NO_TIME, idle=True)
    assert progress.watermark_us == 100


def test_when_all_are_idle_the_farthest_counts() -> None:
    progress = two_sources(lateness_us=5)
    progress.advance("in/0", 10, 100, idle=True)
    progress.advance("in/1", 10, 70, idle=True)
    assert progress.watermark_us == 95


def test_when_all_are_idle_and_none_ever_spoke_there_is_no_watermark() -> None:
    progress = two_sources()
    progress.advance("in/0", 0, NO_TIME, idle=True)
    progress.advance("in/1", 0, NO_TIME, idle=True)
    assert progress.watermark_us == NO_TIME


def test_a_source_that_wakes_up_behind_holds_the_watermark_but_does_not_turn_it_back() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 5, 50, idle=True)
    progress.advance("in/1", 6, 60, idle=False)
    assert progress.watermark_us == 100
    progress.advance("in/0", 11, 200, idle=False)
    assert progress.watermark_us == 100
    progress.advance("in/1", 7, 150, idle=False)
    assert progress.watermark_us == 150


def test_an_idle_source_stays_idle_until_it_brings_something_new() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 5, 50, idle=True)
    progress.advance("in/1", 5, 50, idle=False)
    progress.advance("in/0", 11, 120, idle=False)
    assert progress.watermark_us == 120


def test_a_stale_block_says_neither_idle_nor_how_far_its_source_is() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 10, 80, idle=False)
    progress.advance("in/1", 7, 500, idle=True)
    assert progress.applied("in/1") == 10
    progress.advance("in/0", 11, 200, idle=False)
    assert progress.watermark_us == 80


def test_a_block_that_would_leave_a_gap_is_not_accepted() -> None:
    progress = two_sources()
    assert progress.accepts("in/0", 0)
    assert not progress.accepts("in/0", 1)
    progress.advance("in/0", 10, 100, idle=False)
    assert [progress.accepts("in/0", start) for start in (0, 9, 10, 11)] == [True, True, True, False]


def test_after_lost_history_each_source_is_taken_from_where_it_is() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    progress.lost_history()
    assert progress.accepts("in/0", 5000)
    progress.advance("in/0", 5100, 300, idle=False)
    assert progress.applied("in/0") == 5100
    assert not progress.accepts("in/0", 5101)


def test_after_lost_history_an_idle_source_that_speaks_is_active() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 10, 50, idle=True)
    progress.lost_history()
    progress.advance("in/1", 700, 90, idle=False)
    progress.advance("in/0", 20, 200, idle=False)
    assert progress.watermark_us == 100


def test_dumped_progress_loads_to_the_same() -> None:
    progress = two_sources(lateness_us=5)
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 3, 70, idle=True)
    again = two_sources(lateness_us=5)
    again.load(progress.dump())
    assert again.dump() == progress.dump()
    assert (again.watermark_us, again.applied("in/1")) == (95, 3)


def test_a_source_that_is_new_in_the_configuration_holds_the_loaded_watermark() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 10, 100, idle=False)
    more = Progress(["in/0", "in/1", "in/2"], 0)
    more.load(progress.dump())
    more.advance("in/0", 11, 200, idle=False)
    more.advance("in/1", 11, 200, idle=False)
    assert (more.watermark_us, more.applied("in/2")) == (100, 0)


def test_a_source_that_left_the_configuration_no_longer_holds_the_watermark() -> None:
    progress = two_sources()
    progress.advance("in/0", 10, 100, idle=False)
    progress.advance("in/1", 10, 100, idle=False)
    fewer = Progress(["in/0"], 0)
    fewer.load(progress.dump())
    fewer.advance("in/0", 11, 200, idle=False)
    assert fewer.watermark_us == 200


SAID = st.tuples(st.sampled_from(["in/0", "in/1"]), st.integers(0, 20), st.integers(0, 1000), st.booleans())


@given(st.lists(SAID, max_size=30), st.sampled_from([0, 7]))
def test_the_watermark_never_goes_back(said: list[tuple[str, int, int, bool]], lateness_us: int) -> None:
    progress = two_sources(lateness_us)
    before = NO_TIME
    for name, end, progress_us, idle in said:
        progress.advance(name, end, progress_us, idle=idle)
        assert progress.watermark_us >= before
        before = progress.watermark_us


@given(st.lists(SAID, max_size=30), st.data())
def test_dumping_and_loading_in_between_changes_nothing(
    said: list[tuple[str, int, int, bool]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(said)))
    whole, first = two_sources(3), two_sources(3)
    for name, end, progress_us, idle in said[:cut]:
        whole.advance(name, end, progress_us, idle=idle)
        first.advance(name, end, progress_us, idle=idle)
    second = two_sources(3)
    second.load(first.dump())
    for name, end, progress_us, idle in said[cut:]:
        whole.advance(name, end, progress_us, idle=idle)
        second.advance(name, end, progress_us, idle=idle)
    assert second.dump() == whole.dump()


@pytest.mark.parametrize("name", ["in/0", "in/1"])
def test_nothing_is_applied_of_an_expected_source_at_first(name: str) -> None:
    progress = two_sources()
    assert progress.applied(name) == 0
    assert progress.accepts(name, 0)
    assert not progress.accepts(name, 3)


def test_a_source_that_nobody_expects_is_taken_from_where_it_is_first_seen() -> None:
    progress = two_sources()
    assert progress.applied("never/heard") is None
    assert progress.accepts("never/heard", 17)
    progress.advance("never/heard", 18, NO_TIME, idle=False)
    assert progress.applied("never/heard") == 18
    assert progress.accepts("never/heard", 18)
    assert not progress.accepts("never/heard", 19)


def test_where_an_unexpected_source_stands_is_kept_over_a_restart() -> None:
    before, after = two_sources(), two_sources()
    before.advance("never/heard", 18, NO_TIME, idle=False)
    after.load(before.dump())
    assert after.applied("never/heard") == 18


def test_how_far_each_source_told_is_known_whether_it_is_idle_or_not() -> None:
    progress = two_sources(lateness_us=5)
    progress.advance("in/0", 10, 100, idle=True)
    progress.advance("in/0", 11, 90, idle=False)
    assert progress.told_us() == {"in/0": 100, "in/1": NO_TIME}
