"""Why a window was an anomaly or not: every rule, from the row that the score chain wrote."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.codecs import score_block
from pipeline.flow.config import FlowConfig
from pipeline.flow.signal_status import SignalStatus, signal_statuses
from pipeline.flow.window_reasons import Reasons, SeenWindow, reasons_of, seen_window, windows_before
from pipeline.policies import DetectorPolicy, Policy
from pipeline.policies.matcher import Matcher
from pipeline.records import US
from tests.flow.line import CONFIG, START, Line

USUAL = [99.0, 100.0, 101.0]
EVERY = (Matcher("name", "=", "load"),)


def usual(second: int) -> float:
    return USUAL[second % 3]


class Watched:
    """One signal for so many seconds, the windows newest first."""

    def __init__(self, seconds: int, value: Callable[[int], float], **policy: Any) -> None:
        settings: dict[str, Any] = {"min_absolute_by_unit": {}, "threshold_surprise": 4.0} | policy
        self.config: FlowConfig = replace(CONFIG, policy=DetectorPolicy(**settings))
        self.line = Line(self.config)
        for number in range(seconds):
            self.line.second(number, [{"name": "load", "value": value(number)}])
        blocks = [score_block.decode(record.value or b"") for record in self.line.written["scores"]]
        self.windows: list[SeenWindow] = [seen_window(block, 0) for block in reversed(blocks)]

    @property
    def status(self) -> SignalStatus:
        self.line.score.flush()
        (found,) = signal_statuses(self.line.score.snapshot(full=True), 0, self.config)
        return found

    def place(self, second: int) -> int:
        ends = [window.end_us for window in self.windows]
        return ends.index((START + second + 1) * US)

    def of(self, second: int) -> Reasons:
        return reasons_of(self.status, self.windows, self.place(second))

    def rule(self, second: int, name: str) -> Any:
        (found,) = [rule for rule in self.of(second).rules if rule.name == name]
        return found


def jump(at: int, to: float, until: int = 10**6) -> Callable[[int], float]:
    return lambda second: to if at <= second < until else usual(second)


def test_a_calm_window_was_below_the_threshold() -> None:
    seen = Watched(80, usual)
    assert seen.of(70).verdict == "below_threshold"
    assert seen.rule(70, "threshold").numbers["threshold"] == pytest.approx(4.0)
    assert "threshold_surprise 4 of policy default@" in seen.rule(70, "threshold").words


def test_a_window_before_the_history_is_long_enough_says_how_long_it_was() -> None:
    seen = Watched(80, usual)
    assert [seen.of(second).verdict for second in (39, 40)] == ["still_learning", "below_threshold"]
    assert seen.rule(10, "history").numbers == {"seen": 10, "needed": 40}
    assert seen.rule(10, "history").passed is False
    assert (seen.rule(40, "history").passed, seen.rule(40, "history").numbers["seen"]) == (True, 40)


def test_a_window_that_opens_and_those_after_it() -> None:
    seen = Watched(90, jump(70, 300.0, 80), min_absolute=500.0, hard_upper=250.0)
    assert [seen.of(second).verdict for second in (69, 70, 71)] == ["below_threshold", "anomaly_opened", "in_anomaly"]
    assert [seen.of(second).verdict for second in (81, 82, 83)] == ["in_anomaly", "anomaly_ended", "below_threshold"]
    assert seen.rule(70, "n_of_m").passed is True
    assert [rule.passed for rule in seen.of(71).rules if rule.name == "open"] == [None]


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [
        ({"direction": "down"}, "wrong_direction"),
        ({"min_absolute": 500.0}, "too_small_absolute"),
        ({"min_relative": 5.0}, "too_small_relative"),
        ({"min_absolute": 500.0, "hard_upper": 250.0}, "anomaly_opened"),
        ({"min_absolute": 500.0, "hard_upper": 250.0, "open_windows": 2}, "n_of_m"),
        ({"threshold_surprise": 250.0}, "below_threshold"),
    ],
)
def test_the_rule_that_held_it_back_is_named(policy: dict[str, Any], verdict: str) -> None:
    seen = Watched(74, jump(70, 300.0), **policy)
    assert seen.of(70).verdict == verdict
    assert seen.windows[seen.place(70)].unlikely == (verdict in ("anomaly_opened", "n_of_m"))


def test_soon_after_another_anomaly_it_says_that_it_had_to_wait() -> None:
    policy = {"min_absolute": 150.0, "threshold_surprise": 2.5, "close_windows": 1}
    seen = Watched(110, lambda second: 300.0 if second in (70, 100) else usual(second), **policy)
    verdicts = {second: seen.of(second).verdict for second in (70, 71, 100)}
    assert (verdicts[70], verdicts[71], verdicts[100]) == ("anomaly_opened", "anomaly_ended", "resting")
    assert seen.rule(100, "rest").passed is False
    assert not seen.windows[seen.place(100)].unlikely


def test_the_windows_that_count_are_counted() -> None:
    seen = Watched(76, jump(70, 300.0), open_windows=3, of_windows=5)
    assert [seen.of(second).verdict for second in (70, 71, 72)] == ["n_of_m", "n_of_m", "anomaly_opened"]
    assert seen.rule(71, "n_of_m").numbers == {"unlikely": 2, "open_windows": 3, "of_windows": 5}
    assert seen.rule(71, "n_of_m").passed is False


def test_which_policy_said_it_is_told() -> None:
    seen = Watched(80, usual)
    seen.config = replace(
        seen.config, policies=(Policy("ours", EVERY, {"alert_budget": 2.0}), Policy("z", EVERY, {"direction": "up"}))
    )
    seen.line = Line(seen.config)
    for number in range(80):
        seen.line.second(number, [{"name": "load", "value": usual(number)}])
    words = seen.rule(70, "threshold").words
    assert "learned from the fleet for alert_budget 2 a week of policy ours@" in words
    assert "upwards (direction of policy z@" in seen.rule(70, "deviation").words
    assert "min_relative of policy default@" in seen.rule(70, "deviation").words
    assert seen.of(70).policies_changed  # the windows are those of before


def test_policies_that_are_the_same_have_not_changed() -> None:
    assert not Watched(60, usual).of(50).policies_changed


def test_a_window_that_the_checkpoint_has_not_counts_on() -> None:
    seen = Watched(80, usual)
    status = seen.status
    for at in (0, 10, 30):
        before = windows_before(status, seen.windows, at)
        assert before == windows_before(
            replace(status, closed_us=status.closed_us - 5 * US, seen=status.seen - 5), seen.windows, at
        )
        assert before == len(seen.windows) - at - 1
    assert windows_before(replace(status, seen=3), seen.windows, 30) is None
