"""Expected data that do not come: an anomaly that opens, ends when they come, or ends for good."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies import DetectorPolicy, PolicyTable
from pipeline.records import US
from pipeline.scoring.table import PART_ROWS
from tests.scoring.story import CLOCK, SIGNAL, Story, T, policy

WINDOW = 10 * US
FIXED = DetectorPolicy(threshold_surprise=4.0, min_absolute=1e9)


def silent(policies: DetectorPolicy | PolicyTable, *, sent: int = 60, windows: int = 40, every: int = 1) -> Story:
    """A signal that sent in every so many windows and then does not, while time passes."""
    story = Story(policies, SIGNAL, CLOCK)
    for i in range(sent * every):
        story.window({CLOCK.id: 1.0} | ({SIGNAL.id: 5.0} if i % every == 0 else {}))
    return pause(story, windows)


def pause(story: Story, windows: int) -> Story:
    for _ in range(windows):
        story.window({CLOCK.id: 1.0})
    return story


def test_a_signal_that_always_sent_and_does_not_opens_an_anomaly_since_its_newest_data() -> None:
    (found,) = silent(FIXED, windows=6).anomalies
    assert (found.transition, found.signal, found.revision) == ("opened", SIGNAL, 1)
    assert found.onset_us == found.last_seen_us == T + 60 * WINDOW
    assert 61 * WINDOW <= found.step_us - T <= 66 * WINDOW
    assert found.surprise >= 4
    silence = round((found.step_us - found.onset_us) / WINDOW)
    assert found.why == f"no data for {silence} windows; usually at most 1 between data"
    assert (found.silent, found.excess) == (True, None)
    assert (found.value, found.windows) == (silence, silence)


def test_it_is_told_once_and_ends_when_data_come_with_the_time_when_they_came() -> None:
    story = silent(FIXED, windows=30)
    assert story.transitions() == ["opened"]
    story.tell(5.0)
    opened, ended = story.anomalies
    assert (ended.transition, ended.id, ended.revision) == ("ended", opened.id, 2)
    assert (ended.end_us, ended.step_us) == (T + 90 * WINDOW, T + 91 * WINDOW)
    assert ended.why.endswith("; data came again")


def test_a_gap_as_long_as_usual_is_none() -> None:
    story = silent(FIXED, every=4, windows=1)
    assert story.transitions() == []
    assert pause(story, 20).transitions() == ["opened"]


def test_a_signal_with_few_data_so_far_is_not_missed() -> None:
    assert silent(FIXED, sent=8).transitions() == []


def test_it_ends_for_good_after_long_and_says_so_and_is_no_longer_missed() -> None:
    story = silent(FIXED, windows=2900)
    assert story.transitions() == ["opened", "ended"]
    ended = story.anomalies[-1]
    assert ended.why.endswith("; taken to have ended for good")
    assert ended.end_us == ended.step_us


def test_instances_may_go() -> None:
    story = Story(FIXED, replace(SIGNAL, instance="pod-1"), CLOCK).tell(*[5.0] * 60)
    assert pause(story, 40).transitions() == []


@pytest.mark.parametrize(("where", "missed"), [("name=clock", True), ("name=latency", False)])
def test_silence_can_be_turned_off_by_policy(where: str, missed: bool) -> None:
    table = PolicyTable(FIXED, (policy("off", where, parts_off=["silence"]),))
    assert (silent(table).transitions() == ["opened"]) == missed


def test_a_policy_that_comes_later_counts_for_silence_too() -> None:
    story = silent(FIXED, windows=0)
    story.scorer.apply(PolicyTable(FIXED, (policy("off", "name=latency", parts_off=["silence"]),)))
    assert pause(story, 40).transitions() == []


def test_a_signal_in_trouble_that_falls_silent_is_missed_once_that_trouble_is_told_to_have_ended() -> None:
    story = silent(replace(FIXED, hard_upper=100.0), windows=0).window({SIGNAL.id: 200.0, CLOCK.id: 1.0})
    pause(story, 9)
    assert story.transitions() == ["opened"]
    at = story.scorer.next_silence()
    assert at == T + 71 * WINDOW
    story.anomalies += story.scorer.silence(at)
    pause(story, 1)
    assert story.transitions() == ["opened", "ended", "opened"]
    assert len({found.id for found in story.anomalies}) == 2


def test_the_entity_of_signals_that_fall_silent_is_not_missed_itself() -> None:
    signals = [replace(SIGNAL, id=key, name=f"s{key}") for key in (2, 3, 4)]
    story = Story(FIXED, *signals, CLOCK).tell(*np.linspace(1, 2, 60).tolist())
    pause(story, 40)
    assert sorted(found.signal.name for found in story.anomalies) == ["s2", "s3", "s4"]


def test_time_that_passes_in_silence_is_a_change_that_a_checkpoint_keeps() -> None:
    others = [replace(CLOCK, id=key) for key in range(1000, 1000 + PART_ROWS)]
    story = Story(FIXED, CLOCK, *others, SIGNAL).tell(1.0)
    story.scorer.table.clean()
    pause(story, 1)
    rows = story.scorer.catalogue.rows(np.array([SIGNAL.id], np.uint64))
    assert f"fast/{int(rows[0]) // PART_ROWS}" in {name for name, _ in story.scorer.table.changed(everything=False)}


def test_what_we_count_ourselves_ends_without_a_word() -> None:
    """It was 0 for long before: a template of log lines that is seen no more, an operation that nobody asks for."""
    for name in ("log.lines", "events", "traces.operation.duration.rate", "traces.call.failed.share"):
        counted = replace(SIGNAL, id=77, name=name)
        story = Story(DetectorPolicy(), counted, CLOCK)
        for _ in range(200):
            story.window({counted.id: 1.0, CLOCK.id: 1.0})
        for _ in range(100):
            story.window({CLOCK.id: 1.0})
        assert story.transitions(name) == []
