"""What evaluation takes from the scorer: a window a row, nothing of the future, anomalies in rows, thresholds tried."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluation import plot
from pipeline.evaluation.labelled import Fleet
from pipeline.evaluation.scored import Scored, openings, score
from pipeline.evaluation.suites import file_result, thresholds_for
from pipeline.policies import DetectorPolicy
from pipeline.scoring import episodes
from tests.evaluation.made import fleet, noise

POLICY = DetectorPolicy()
#: Opens wherever anything is rather unlikely: for tests about what is told, and not about when it is.
FIXED = DetectorPolicy(threshold_surprise=2.5)
HIGH = [(900, 907), (1300, 1310)]


@pytest.fixture(scope="module")
def found() -> Scored:
    return score(fleet(noise(1500, HIGH), HIGH), POLICY)


def test_anomalies_are_told_in_rows() -> None:
    found = score(fleet(noise(1500, HIGH), HIGH), FIXED)
    assert len(found.spans) >= 2
    for first, last in HIGH:
        (span,) = [span for span in found.spans if span.onset <= last and span.last >= first]
        assert first <= span.onset <= span.opened <= last
        assert span.opened <= span.last
        assert found.anomalous[span.opened, 0]


def test_a_second_event_is_noticed_by_the_detector_that_people_get(found: Scored) -> None:
    for first, last in HIGH:
        assert any(first <= span.opened <= last for span in found.spans), (first, last)


def test_every_row_has_a_score_and_bounds_once_it_was_seen(found: Scored) -> None:
    assert found.given.all()
    assert np.isfinite(found.surprise).all()
    assert (found.surprise >= 0).all()
    assert found.surprise[HIGH[0][0], 0] > np.quantile(found.surprise, 0.95)
    assert (found.lower[1:] <= found.upper[1:]).all()


def test_labels_and_what_comes_later_change_nothing(found: Scored) -> None:
    shorter = score(fleet(noise(1500, HIGH)[:1000]), POLICY)
    np.testing.assert_array_equal(shorter.surprise, found.surprise[:1000])
    np.testing.assert_array_equal(shorter.upper, found.upper[:1000])


def test_a_row_that_comes_late_twice_or_empty_carries_the_surprise_before_it() -> None:
    values = noise(400)
    values[300:303] = [1e4, -1e4, np.nan]
    made = fleet(values)
    times = made.time_us.copy()
    times[300], times[301] = times[299], times[250]
    result = score(replace(made, time_us=times), POLICY)
    assert not result.given[300:303].any()
    assert result.given[303]
    assert (result.surprise[300:303] == result.surprise[299]).all()
    assert result.expected[303, 0] == pytest.approx(10, abs=5)
    clean = score(fleet(np.delete(values, [300, 301, 302])), POLICY)
    assert clean.surprise[299] == result.surprise[299]


# -- several signals ---------------------------------------------------------------------------------------------------


def columns(signals: int, rows: int = 1000, high: tuple[int, int] = (800, 806)) -> np.ndarray:
    """Noise, and a clear anomaly in the second signal."""
    return np.stack([noise(rows, [high] if place == 1 else (), seed=place + 1) for place in range(signals)], axis=1)


def whole(scored: Scored) -> None:
    """Every span is one of the fleet's rows, in order, and of a signal of the fleet or of the entity."""
    for span in scored.spans:
        assert 0 <= span.onset <= span.opened <= span.last < scored.fleet.rows, span
        assert -1 <= span.signal < len(scored.fleet.signals), span


@pytest.mark.parametrize("signals", [2, 3])
def test_signals_of_a_fleet_stay_apart(signals: int) -> None:
    result = score(fleet(columns(signals)), POLICY)
    whole(result)
    assert {span.signal for span in result.spans if 800 <= span.opened <= 806} - {-1} == {1}
    quiet = [place for place in range(signals) if place != 1]
    assert result.surprise[800:807, 1].min() > result.surprise[800:807, quiet].max()


def test_two_signals_are_taken_together_by_the_greatest_surprise() -> None:
    result = score(fleet(columns(2)), POLICY)
    assert result.entity is None
    together = np.maximum(result.surprise.max(axis=1) - np.log10(2), 0)
    np.testing.assert_allclose(result.surprise_together(), together)
    assert result.surprise_together().shape == (1000,)


def test_three_signals_have_a_surprise_of_their_entity_whose_anomalies_are_of_no_signal() -> None:
    result = score(fleet(columns(3)), POLICY)
    assert result.entity is not None
    assert result.entity.shape == (1000,)
    assert (np.isfinite(result.entity) & (result.entity >= 0)).all()
    assert result.entity.argmax() in range(800, 807)
    assert result.surprise_together() is result.entity
    (own,) = [span for span in result.spans if span.signal == -1 and span.onset <= 806 and span.last >= 800]
    assert 800 <= own.onset <= own.opened <= 806
    assert "calm.entity" not in result.fleet.signals


def test_signals_that_break_together_as_they_never_do_are_seen_by_their_entity() -> None:
    cause, dice = noise(1500, seed=1), np.random.default_rng(2)
    values = np.stack([cause + 0.05 * dice.normal(size=1500) for _ in range(3)], axis=1)
    values[1200:1210, 2] = 20 - values[1200:1210, 2]  # within its usual range, and against the others
    result = score(fleet(values), FIXED)
    assert result.entity is not None
    assert result.entity[1200:1210].max() > 2 * result.surprise[1200:1210].max()
    assert any(span.signal == -1 and 1200 <= span.opened < 1210 for span in result.spans)


@pytest.mark.parametrize("signals", [1, 2, 4])
@pytest.mark.parametrize("silent", ["one", "all but one", "all", "one in an anomaly", "one comes back"])
def test_signals_that_are_silent_at_the_end_have_whole_spans(silent: str, signals: int) -> None:
    values = columns(signals, 700, (600, 604) if silent == "one in an anomaly" and signals > 1 else (400, 406))
    place = signals - 1 if silent != "one in an anomaly" else min(1, signals - 1)
    which = {"all but one": slice(1, None), "all": slice(None)}.get(silent, slice(place, place + 1))
    values[605 : 690 if silent == "one comes back" else 700, which] = np.nan
    result = score(fleet(values), FIXED)
    whole(result)
    assert not result.given[605:690, which].any()
    missing = [span for span in result.spans if span.signal == signals - 1 and span.onset >= 605]
    if silent in ("one", "one comes back") and signals > 1:
        assert missing
    figures = file_result(result, with_peers=False)
    assert figures.tally.anomalies == len(result.spans)
    for signal in range(signals):
        assert plot.page(result, signal, "made").startswith("<!doctype html>")


# -- thresholds --------------------------------------------------------------------------------------------------------


def naive_openings(scored: Scored, threshold: float) -> list[int]:
    """One threshold, one row of state, window by window."""
    rules = replace(scored.rules, threshold=threshold)
    state, found = episodes.empty(1), []
    for row in np.flatnonzero(scored.given[:, 0]).tolist():
        end_us = int(scored.end_us[row])
        while (at := episodes.next_silence(state)) is not None and at <= end_us:
            episodes.silent(state, at)
        one = {name: np.zeros(1) for name in ("value", "expected", "lower", "upper")}
        window = episodes.Window(
            row=np.zeros(1, np.int64),
            start_us=np.array([end_us - scored.fleet.window_us]),
            surprise=scored.surprise[row],
            deviates=scored.deviates[row],
            **one,
        )
        if episodes.step(state, window, end_us, rules).opened.size:
            found.append(row)
    return found


def with_gaps(made: Fleet) -> Fleet:
    keep = np.ones(made.rows, np.bool_)
    keep[905:960] = False
    keep[100:103] = False
    return replace(made, time_us=made.time_us[keep], values=made.values[keep], labels=made.labels[keep])


@pytest.mark.parametrize("gaps", [False, True], ids=["without gaps", "with gaps"])
def test_many_thresholds_at_once_open_where_each_would_alone(gaps: bool) -> None:
    made = fleet(noise(1500, [(300, 301), *HIGH]))
    result = score(with_gaps(made) if gaps else made, POLICY)
    thresholds = np.array([0.3, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 1e9])
    together = openings(result, thresholds)
    for place, threshold in enumerate(thresholds.tolist()):
        assert np.flatnonzero(together[place]).tolist() == naive_openings(result, threshold), threshold
    assert together[0].sum() > together[4].sum() > 0
    assert not together[-1].any()


def test_thresholds_reach_from_little_to_beyond_everything(found: Scored) -> None:
    thresholds = thresholds_for([found])
    assert (np.diff(thresholds) > 0).all()
    assert thresholds[-1] > found.surprise.max()
    assert thresholds.size > 50
