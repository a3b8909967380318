"""Windows to scores and anomalies: what deviates enough, in which direction, and what an anomaly says."""

from dataclasses import fields, replace
from itertools import cycle

import numpy as np
import pytest

from pipeline.policies import DetectorPolicy, PolicyTable
from pipeline.records import US
from pipeline.scoring.anomalies import anomaly_id
from pipeline.scoring.episodes import Rules
from pipeline.scoring.scorer import Scorer
from tests.scoring.story import SIGNAL, USUAL, Story, T, policy

WINDOW = 10 * US
#: A threshold that does not depend on what a budget allows.
FIXED = DetectorPolicy(threshold_surprise=3.0)
#: However detection is tuned, a value is trouble above 150 or below 50, and nothing else is.
RANGE = DetectorPolicy(hard_lower=50.0, hard_upper=150.0, min_absolute=1e9)


def opens(given: DetectorPolicy, value: float, unit: str = "", usual: float = 1.0) -> bool:
    """Does an anomaly open when the signal goes from its usual values to ``value``?"""
    story = Story(given, replace(SIGNAL, unit=unit)).tell(*(x * usual for x in USUAL)).tell(value, value)
    return story.transitions() == ["opened"]


def test_a_deviation_opens_an_anomaly_that_says_what_and_since_when() -> None:
    story = Story(FIXED).tell(*USUAL, 1000.0)
    (found,) = story.anomalies
    onset = T + 60 * WINDOW
    assert (found.transition, found.revision, found.signal) == ("opened", 1, SIGNAL)
    assert (found.onset_us, found.step_us, found.last_seen_us) == (onset, onset + WINDOW, onset + WINDOW)
    assert found.end_us is None
    assert (found.peak_us, found.value, found.windows) == (onset, 1000.0, 1)
    assert "higher than" in found.why
    assert found.lower < found.expected < found.upper
    assert found.expected == pytest.approx(100, abs=2)
    assert found.surprise >= 3
    assert found.detector == story.scorer.detector.version
    assert (found.discovered, found.owner, found.owner_budget) == (True, None, None)


def test_an_anomaly_ends_with_the_same_id_and_the_time_of_its_last_unlikely_window() -> None:
    story = Story(RANGE).tell(*USUAL, 10.0, 10.0, *USUAL[:3])
    assert story.transitions() == ["opened", "ended"]
    opened, ended = story.anomalies
    assert (ended.id, ended.revision) == (opened.id, 2)
    assert ended.end_us == T + 62 * WINDOW
    assert ended.step_us == T + 65 * WINDOW


def test_a_lone_unlikely_window_opens_nothing_where_two_are_needed_but_is_marked_in_the_scores() -> None:
    story = Story(replace(RANGE, open_windows=2)).tell(*USUAL, 500.0, *USUAL[:5])
    assert story.transitions() == []
    assert [bool(block.anomalous[0]) for block in story.blocks[59:63]] == [False, True, False, False]


def test_windows_of_an_open_anomaly_are_marked_until_it_ends() -> None:
    story = Story(RANGE).tell(*USUAL, 200.0, 200.0, 100.0, 100.0, 100.0, 100.0)
    assert [bool(block.anomalous[0]) for block in story.blocks[60:]] == [True, True, True, True, False, False]


def test_a_cold_signal_opens_nothing_whatever_its_values() -> None:
    story = Story(replace(FIXED, min_history_windows=70)).tell(*USUAL, 1e6, 1e6, 1e6)
    assert story.transitions() == []


def test_the_hard_range_holds_for_a_cold_signal_too_and_is_said() -> None:
    story = Story(RANGE).tell(100.0, 151.0, 152.0)
    (found,) = story.anomalies
    assert found.transition == "opened"
    assert found.why.split("; ")[0] == "outside the range that it must keep"


def test_values_on_the_edge_of_the_hard_range_are_inside() -> None:
    assert Story(RANGE).tell(50.0, 150.0).transitions() == []
    assert Story(RANGE).tell(49.9).transitions() == ["opened"]


@pytest.mark.parametrize(
    ("direction", "up", "down"), [("both", True, True), ("up", True, False), ("down", False, True)]
)
def test_only_deviations_in_the_wanted_direction_count(direction: str, up: bool, down: bool) -> None:
    given = replace(FIXED, direction=direction)  # type: ignore[arg-type]
    assert (opens(given, 500.0), opens(given, -300.0)) == (up, down)


def test_a_deviation_below_the_relative_minimum_does_not_count() -> None:
    assert not opens(replace(FIXED, min_relative=9.0), 900.0)
    assert opens(replace(FIXED, min_relative=7.0), 900.0)


def test_a_deviation_below_the_absolute_minimum_does_not_count() -> None:
    assert not opens(replace(FIXED, min_absolute=900.0), 900.0)
    assert opens(replace(FIXED, min_absolute=700.0), 900.0)


def test_the_absolute_minimum_of_the_unit_comes_before_the_general_one() -> None:
    given = replace(FIXED, min_absolute=1e9, min_absolute_by_unit={"ms": 5.0})
    assert opens(given, 900.0, unit="ms")
    assert not opens(given, 900.0, unit="s")


def test_by_default_small_changes_of_shares_and_seconds_do_not_count() -> None:
    assert not opens(FIXED, 0.0130, unit="1", usual=1e-4)
    assert not opens(FIXED, 0.0020, unit="s", usual=1e-5)
    assert opens(FIXED, 0.9, unit="1", usual=1e-3)


@pytest.mark.parametrize(("least", "opened"), [(0.0, True), (10.0, True), (100.0, False)])
def test_a_signal_that_gets_stuck_counts_where_it_usually_moves_by_the_minimum(least: float, opened: bool) -> None:
    moving = (100 + 20 * np.random.default_rng(3).standard_normal(300)).tolist()
    given = replace(FIXED, threshold_surprise=2.0, min_absolute=least, direction="up")
    story = Story(given).tell(*moving)
    before = len(story.anomalies)
    story.tell(*[moving[-1]] * 60)
    assert any("stuck" in found.why for found in story.anomalies[before:]) == opened


def test_a_higher_threshold_asks_for_more() -> None:
    assert opens(replace(FIXED, threshold_surprise=2.0), 1000.0)
    assert not opens(replace(FIXED, threshold_surprise=12.0), 1000.0)


def test_the_score_block_is_sorted_by_signal_id_and_says_what_was_seen() -> None:
    story = Story(FIXED, *(replace(SIGNAL, id=key, workload=f"service:{key}") for key in (30, 2**64 - 1, 10)))
    (block,) = story.tell(5.0).blocks
    assert block.end_us == T + WINDOW
    assert block.ids.tolist() == [10, 30, 2**64 - 1]
    assert block.value.tolist() == [5.0] * 3
    assert block.count.tolist() == [3, 3, 3]
    assert block.time_us.tolist() == [T + 7] * 3


def test_a_silent_signal_ends_its_anomaly_and_says_when_it_was_last_unlikely() -> None:
    story = Story(RANGE).tell(*USUAL, 200.0, 200.0)
    silent_at = story.scorer.next_silence()
    assert silent_at == story.end_us + 10 * WINDOW
    assert story.scorer.silence(silent_at - 1) == []
    (ended,) = story.scorer.silence(silent_at)
    assert (ended.transition, ended.end_us, ended.step_us) == ("ended", story.end_us, silent_at)


def test_anomalies_of_a_step_come_in_the_order_of_signal_ids() -> None:
    signals = [replace(SIGNAL, id=key, workload=f"service:{key}") for key in (5, 3, 9, 1)]
    story = Story(RANGE, *signals).tell(*USUAL, 200.0, 200.0)
    assert [anomaly.signal.id for anomaly in story.anomalies] == [1, 3, 5, 9]


def test_the_id_of_an_anomaly_is_the_same_in_every_process_and_version() -> None:
    assert anomaly_id(SIGNAL, T) == "74e6d2b39b5410975d184390"
    assert anomaly_id(SIGNAL, T + 1) != anomaly_id(SIGNAL, T)


def test_more_signals_than_fit_at_first_are_all_scored() -> None:
    signals = [replace(SIGNAL, id=key, workload=f"service:{key}") for key in range(2500)]
    story = Story(FIXED, *signals).tell(1.0, 2.0)
    assert story.blocks[-1].ids.size == 2500
    assert np.isfinite(story.blocks[-1].expected).all()


def test_an_event_like_the_one_before_soon_after_it_is_no_news_unless_it_leaves_the_hard_range() -> None:
    again = Story(replace(FIXED, min_absolute=80.0, hard_upper=2000.0)).tell(*USUAL * 2, 1000.0, *USUAL[:30], 900.0)
    assert again.transitions() == ["opened", "ended"]
    assert again.tell(*USUAL[:3], 2001.0).transitions() == ["opened", "ended", "opened"]


def test_a_level_that_lasts_becomes_the_new_normal_and_that_ends_its_anomaly_and_is_said() -> None:
    story = Story(replace(FIXED, threshold_surprise=4.0, close_windows=255)).tell(
        *USUAL * 5, *(x + 50 for x in USUAL * 3)
    )
    ended = [found for found in story.anomalies if found.transition == "ended"]
    assert story.transitions() == ["opened", "ended"]
    assert "new normal: the level has moved by " in ended[0].why
    assert 100 <= (ended[0].step_us - ended[0].onset_us) / WINDOW <= 200
    story.tell(*(x + 50 for x in USUAL * 5))
    assert story.newest(SIGNAL)["expected"] == pytest.approx(150, abs=3)
    assert not story.newest(SIGNAL)["anomalous"]


# Policies by row


def test_each_signal_is_judged_by_the_policies_that_match_it() -> None:
    down, strict, usual = (
        replace(SIGNAL, id=key, name=name) for key, name in ((1, "down"), (2, "strict"), (3, "usual"))
    )
    table = PolicyTable(
        replace(FIXED, min_absolute=10.0),
        (policy("down", "name=down", direction="down"), policy("strict", "name=strict", hard_upper=102.0)),
    )
    story = Story(table, *(replace(one, workload=f"service:{one.id}") for one in (down, strict, usual)))
    story.tell(*USUAL, 103.0)
    assert [(found.signal.name, found.policy.split("@")[0]) for found in story.anomalies] == [("strict", "strict")]
    story.tell(1000.0)
    assert [found.signal.name for found in story.anomalies if found.transition == "opened"] == ["strict", "usual"]


def test_owner_and_its_budget_go_with_an_anomaly() -> None:
    owned = replace(SIGNAL, attributes=(("owner", "team-a"),))
    table = PolicyTable(RANGE, (policy("owners", "owner=~team-.*", alert_budget=3.0),))
    (found,) = Story(table, owned).tell(200.0).anomalies
    assert (found.owner, found.owner_budget) == ("team-a", 3.0)


def test_new_policies_count_from_the_next_window_on() -> None:
    story = Story(DetectorPolicy(threshold_surprise=100.0)).tell(*USUAL, 150.0)
    assert story.transitions() == []
    story.scorer.apply(
        PolicyTable(DetectorPolicy(threshold_surprise=100.0), (policy("hard", "name=latency", hard_upper=120.0),))
    )
    assert story.transitions() == []
    story.tell(150.0)
    (opened,) = story.anomalies
    assert opened.policy.startswith("hard@")
    story.scorer.apply(PolicyTable(DetectorPolicy(threshold_surprise=100.0)))
    story.tell(150.0, 150.0, 150.0)
    assert story.transitions() == ["opened", "ended"]
    assert story.anomalies[-1].policy.startswith("default@")


def test_an_anomaly_says_what_is_promised_and_what_it_was_off() -> None:
    table = PolicyTable(FIXED, (policy("promise", "name=latency", slo=99.5),))
    (opened,) = Story(table).tell(*USUAL, 1000.0).anomalies
    assert (opened.slo, opened.silent) == (99.5, False)
    assert opened.excess == pytest.approx((opened.value - opened.expected) * 10)
    assert Story(FIXED).tell(*USUAL, 1000.0).anomalies[0].slo is None


def test_min_history_is_the_signals_own() -> None:
    patient = replace(SIGNAL, id=12, name="patient", workload="service:p")
    table = PolicyTable(FIXED, (policy("patient", "name=patient", min_history_windows=500),))
    story = Story(table, SIGNAL, patient).tell(*USUAL, 1000.0)
    assert [found.signal.name for found in story.anomalies] == ["latency"]


def test_parts_that_are_off_say_nothing() -> None:
    all_off = ("residual", "season", "record", "flat", "quiet", "drift", "novelty")
    story = Story(DetectorPolicy(threshold_surprise=2.0, parts_off=all_off)).tell(*USUAL, 1000.0, 1000.0)
    assert story.transitions() == []
    assert story.newest(SIGNAL)["surprise"] == 0


# False discoveries


@pytest.mark.parametrize(("rate", "discovered"), [(None, True), (0.5, True), (1e-7, False)])
def test_an_anomaly_that_many_signals_would_show_by_chance_is_marked(rate: float | None, discovered: bool) -> None:
    signals = [replace(SIGNAL, id=key, workload=f"service:{key}") for key in range(1, 11)]
    story = Story(replace(FIXED, false_discovery_rate=rate), *signals).tell(*USUAL)
    story.window({signal.id: 1000.0 if signal.id == 4 else 100.0 for signal in signals})
    (found,) = story.anomalies
    assert (found.signal.id, found.discovered) == (4, discovered)


def test_signals_taken_in_by_the_block_are_those_taken_in_one_by_one() -> None:
    given = PolicyTable(FIXED, (policy("slow", "name=b", alert_budget=2.0), policy("mute", "unit=s", direction="up")))
    kinds = [("a", "1", ""), ("b", "s", "pod"), ("a", "s", ""), ("b", "1", "")]
    signals = [
        replace(SIGNAL, id=1000 * key + 3, name=name, unit=unit, instance=instance)
        for key, (name, unit, instance) in zip(range(1500), cycle(kinds), strict=False)
    ]
    one_by_one, at_once = Scorer(given, extra={}), Scorer(given, extra={})
    rows = [one_by_one.add(signal, 60_000_000) for signal in signals]
    assert at_once.add_all(signals[:700], lambda _: 60_000_000) == rows[:700]
    clash = replace(signals[0], name="other")
    assert at_once.add_all([*signals[600:], clash], lambda _: 60_000_000) == [*rows[600:], -1]
    everything = np.arange(len(signals))
    for rule in fields(Rules):
        ours, theirs = (getattr(scorer.rules_of(everything), rule.name) for scorer in (one_by_one, at_once))
        np.testing.assert_array_equal(ours, theirs)
    assert [one_by_one.policy_of(row).version for row in rows] == [at_once.policy_of(row).version for row in rows]
    for name, array in one_by_one.table.groups["detector"].items():
        np.testing.assert_array_equal(array, at_once.table.groups["detector"][name])
    value = np.ones(len(signals))
    blocks = [
        scorer.step(60_000_000, everything, 0 * everything, everything, value, everything)[0]
        for scorer in (one_by_one, at_once)
    ]
    assert blocks[0].ids.tolist() == blocks[1].ids.tolist()
