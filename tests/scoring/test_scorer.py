"""Windows to scores and anomalies: what deviates enough, in which direction, and what an anomaly says."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.policies import DetectorPolicy
from pipeline.records import US, Anomaly, Kind, ScoreBlock, Signal
from pipeline.scoring.scorer import Scorer, anomaly_id

WINDOW = 10 * US
T = 1_700_000_000 * US
SIGNAL = Signal(11, "latency", "", Kind.GAUGE, "prod", "service:s", "", ())
#: The level at which every story below begins: 30 windows around 100.
USUAL = [99.0, 100.0, 101.0] * 10


class Story:
    """Values of some signals, window by window."""

    def __init__(self, policy: DetectorPolicy, *signals: Signal) -> None:
        self.scorer = Scorer(policy, extra={})
        self.rows = np.array([self.scorer.add(signal) for signal in signals or (SIGNAL,)])
        self.end_us = T
        self.anomalies: list[Anomaly] = []
        self.blocks: list[ScoreBlock] = []

    def tell(self, *values: float) -> "Story":
        for value in values:
            self.end_us += WINDOW
            shape = np.ones(self.rows.size, np.int64)
            start_us = (self.end_us - WINDOW) * shape
            block, found = self.scorer.step(self.end_us, self.rows, start_us, start_us + 7, value * shape, 3 * shape)
            self.blocks.append(block)
            self.anomalies += found
        return self

    def transitions(self) -> list[str]:
        return [anomaly.transition for anomaly in self.anomalies]


def opens(policy: DetectorPolicy, value: float, unit: str = "", usual: float = 1.0) -> bool:
    """Does an anomaly open when the signal goes from its usual values to ``value``?"""
    story = Story(policy, replace(SIGNAL, unit=unit)).tell(*(x * usual for x in USUAL)).tell(value, value)
    return story.transitions() == ["opened"]


def test_a_deviation_that_lasts_opens_an_anomaly_that_says_what_and_since_when() -> None:
    story = Story(DetectorPolicy()).tell(*USUAL, 200.0, 220.0)
    (found,) = story.anomalies
    onset = T + 30 * WINDOW
    assert (found.transition, found.revision, found.signal) == ("opened", 1, SIGNAL)
    assert (found.onset_us, found.step_us, found.last_seen_us) == (onset, onset + 2 * WINDOW, onset + 2 * WINDOW)
    assert found.end_us is None
    assert (found.peak_us, found.value, found.windows, found.why) == (onset + WINDOW, 220.0, 2, "higher than usual")
    assert found.lower < found.expected < found.upper
    assert found.expected == pytest.approx(100, abs=1)
    assert found.surprise >= 4
    assert found.detector == "level/1"


def test_an_anomaly_ends_with_the_same_id_and_the_time_of_its_last_unlikely_window() -> None:
    story = Story(DetectorPolicy()).tell(*USUAL, 50.0, 50.0, *USUAL[:3])
    assert story.transitions() == ["opened", "ended"]
    opened, ended = story.anomalies
    assert (ended.id, ended.revision, ended.why) == (opened.id, 2, "lower than usual")
    assert ended.end_us == T + 32 * WINDOW
    assert ended.step_us == T + 35 * WINDOW


def test_a_lone_outlier_opens_nothing_but_is_marked_in_the_scores() -> None:
    story = Story(DetectorPolicy()).tell(*USUAL, 500.0, *USUAL[:5])
    assert story.transitions() == []
    assert [bool(block.anomalous[0]) for block in story.blocks[29:33]] == [False, True, False, False]


def test_windows_of_an_open_anomaly_are_marked_until_it_ends() -> None:
    story = Story(DetectorPolicy()).tell(*USUAL, 200.0, 200.0, 100.0, 100.0, 100.0, 100.0)
    assert [bool(block.anomalous[0]) for block in story.blocks[30:]] == [True, True, True, True, False, False]


def test_a_cold_signal_opens_nothing() -> None:
    story = Story(DetectorPolicy(min_history_windows=40)).tell(*USUAL, 1e6, 1e6, 1e6)
    assert story.transitions() == []


@pytest.mark.parametrize(
    ("direction", "up", "down"), [("both", True, True), ("up", True, False), ("down", False, True)]
)
def test_only_deviations_in_the_wanted_direction_count(direction: str, up: bool, down: bool) -> None:
    policy = DetectorPolicy(direction=direction)  # type: ignore[arg-type]
    assert (opens(policy, 200.0), opens(policy, 50.0)) == (up, down)


def test_a_deviation_below_the_relative_minimum_does_not_count() -> None:
    assert not opens(DetectorPolicy(min_relative=0.5), 140.0)
    assert opens(DetectorPolicy(min_relative=0.5), 160.0)


def test_a_deviation_below_the_absolute_minimum_does_not_count() -> None:
    assert not opens(DetectorPolicy(min_absolute=60.0), 150.0)
    assert opens(DetectorPolicy(min_absolute=60.0), 170.0)


def test_the_absolute_minimum_of_the_unit_comes_before_the_general_one() -> None:
    policy = DetectorPolicy(min_absolute=1e9, min_absolute_by_unit={"ms": 5.0})
    assert opens(policy, 150.0, unit="ms")
    assert not opens(policy, 150.0, unit="s")


def test_by_default_small_changes_of_shares_and_seconds_do_not_count() -> None:
    assert not opens(DetectorPolicy(), 0.0130, unit="1", usual=1e-4)
    assert not opens(DetectorPolicy(), 0.0020, unit="s", usual=1e-5)
    assert opens(DetectorPolicy(), 0.9, unit="1", usual=1e-3)


def test_a_higher_threshold_asks_for_more() -> None:
    usual = [80.0, 100.0, 120.0] * 20
    for threshold, transitions in ((2.0, ["opened"]), (12.0, [])):
        story = Story(DetectorPolicy(threshold_surprise=threshold)).tell(*usual, 190.0, 190.0)
        assert story.transitions() == transitions


def test_the_score_block_is_sorted_by_signal_id_and_says_what_was_seen() -> None:
    story = Story(DetectorPolicy(), *(replace(SIGNAL, id=key) for key in (30, 2**64 - 1, 10))).tell(5.0)
    (block,) = story.blocks
    assert block.end_us == T + WINDOW
    assert block.ids.tolist() == [10, 30, 2**64 - 1]
    assert block.value.tolist() == [5.0] * 3
    assert block.count.tolist() == [3, 3, 3]
    assert block.time_us.tolist() == [T + 7] * 3


def test_a_silent_signal_ends_its_anomaly_and_says_when_it_was_last_unlikely() -> None:
    story = Story(DetectorPolicy()).tell(*USUAL, 200.0, 200.0)
    silent_at = story.scorer.next_silence()
    assert silent_at == story.end_us + 10 * WINDOW
    assert story.scorer.silence(silent_at - 1) == []
    (ended,) = story.scorer.silence(silent_at)
    assert (ended.transition, ended.end_us, ended.step_us) == ("ended", story.end_us, silent_at)


def test_anomalies_of_a_step_come_in_the_order_of_signal_ids() -> None:
    signals = [replace(SIGNAL, id=key) for key in (5, 3, 9, 1)]
    story = Story(DetectorPolicy(), *signals).tell(*USUAL, 200.0, 200.0)
    assert [anomaly.signal.id for anomaly in story.anomalies] == [1, 3, 5, 9]


def test_the_id_of_an_anomaly_is_the_same_in_every_process_and_version() -> None:
    assert anomaly_id(SIGNAL, T) == "74e6d2b39b5410975d184390"
    assert anomaly_id(SIGNAL, T + 1) != anomaly_id(SIGNAL, T)


def test_more_signals_than_fit_at_first_are_all_scored() -> None:
    signals = [replace(SIGNAL, id=key) for key in range(2500)]
    story = Story(DetectorPolicy(), *signals).tell(1.0, 2.0)
    assert story.blocks[-1].ids.size == 2500
    assert np.isfinite(story.blocks[-1].expected).all()
