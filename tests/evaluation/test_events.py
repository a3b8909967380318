"""Which events were noticed, how late, and what was a false alarm."""

import numpy as np
import pytest

from pipeline.evaluation.events import Tally, tally, together
from pipeline.evaluation.scored import Span
from tests.evaluation.made import fleet, scored

ROWS = 2016
EVENTS = [(100, 119), (500, 500)]


def counts(*spans: Span, scored_from: int = 0, signals: int = 1) -> Tally:
    return tally(scored(fleet(np.zeros((ROWS, signals)), EVENTS, scored_from), spans))


def test_an_anomaly_inside_an_event_notices_it_and_is_late_by_the_windows_before_it_opened() -> None:
    found = counts(Span(0, 104, 105, 110))
    assert (found.noticed, found.right, found.anomalies, found.delays) == (1, 1, 1, (5,))
    assert (found.recall, found.precision, found.delay) == (0.5, 1.0, 5.0)


def test_an_anomaly_that_was_open_before_an_event_is_not_late() -> None:
    assert counts(Span(0, 90, 91, 100)).delays == (0,)


def test_an_anomaly_that_began_in_an_event_and_opened_after_it_counts_with_its_delay() -> None:
    found = counts(Span(0, 500, 502, 505))
    assert (found.noticed, found.delays, found.right) == (1, (2,), 1)


@pytest.mark.parametrize("span", [Span(0, 120, 121, 130), Span(0, 80, 81, 99)])
def test_an_anomaly_beside_an_event_is_a_false_alarm(span: Span) -> None:
    found = counts(span)
    assert (found.noticed, found.right, found.anomalies) == (0, 0, 1)
    assert found.precision == 0


def test_one_anomaly_can_notice_two_events_and_two_can_notice_one() -> None:
    assert counts(Span(0, 110, 111, 600)).recall == 1.0
    both = counts(Span(0, 105, 106, 107), Span(0, 112, 113, 114))
    assert (both.noticed, both.right, both.delays) == (1, 2, (6,))


def test_false_alarms_are_counted_by_signal_and_week() -> None:
    found = counts(Span(0, 900, 901, 902), Span(1, 300, 301, 302), Span(0, 105, 106, 107), signals=10)
    assert found.signal_weeks == pytest.approx(10 * ROWS / (7 * 24 * 60))
    assert found.false_a_week == pytest.approx(2 / found.signal_weeks)
    assert found.alarms_per_1000 == pytest.approx(3 / (10 * ROWS / 1000))


def test_what_ends_before_the_scored_rows_does_not_count() -> None:
    found = counts(Span(0, 105, 106, 107), Span(0, 190, 191, 210), scored_from=200)
    assert (found.events, found.anomalies, found.noticed, found.windows) == (1, 1, 0, ROWS - 200)


def test_where_there_is_nothing_there_is_no_figure() -> None:
    found = tally(scored(fleet(np.zeros(10))))
    assert (found.recall, found.precision, found.delay, found.false_a_week) == (None, None, None, 0.0)
    assert together([]).false_a_week is None


def test_files_add_up() -> None:
    found = together([counts(Span(0, 104, 105, 110)), counts(Span(0, 900, 901, 902)), counts(Span(0, 499, 500, 501))])
    assert (found.events, found.noticed, found.anomalies, found.right) == (6, 2, 3, 2)
    assert found.delays == (5, 0)
    assert found.delay == 2.5
