"""Counts of CloudWatch that are left out for a minute in which nothing happened: zeros where they were left out, and
nowhere else, whatever comes late, is idle or is restored meanwhile."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.flow.config import FlowConfig
from pipeline.policies import DetectorPolicy
from pipeline.records import US, Kind
from tests.flow.cloudwatch import BOTH, CONFIG, MINUTE, Stream, record
from tests.flow.restoring import tell_with_restores
from tests.flow.test_restoring import said

PAY = "AWS/Lambda/Invocations function:pay"
SHIP = "AWS/Lambda/Invocations function:ship"
#: Anything may be an anomaly that the detectors find.
SENSITIVE = replace(CONFIG, policy=DetectorPolicy(alert_budget=5.0))


def silences(stream: Stream) -> list[bytes]:
    return [each.value for each in stream.written["anomalies"] if each.value and b"no data for" in each.value]


@pytest.mark.parametrize("others", [{}, {"ship": 6.0}], ids=["alone", "beside another function"])
def test_minutes_in_which_a_function_was_not_called_are_zeros(others: dict[str, float]) -> None:
    stream = Stream(SENSITIVE)
    called = {minute for minute in range(200) if not 180 <= minute < 185}
    for minute in range(200):
        if minute in called or others:
            stream.minute(minute, others | ({"pay": 30.0} if minute in called else {}))
    expected = {float(minute): 0.5 if minute in called else 0.0 for minute in range(199)}
    assert stream.rates(PAY) == expected  # the newest minute waits for its window to close
    assert silences(stream) == []


def test_errors_go_from_zero_to_some_and_back_while_the_function_is_called_now_and_then() -> None:
    stream = Stream()
    for minute in range(30):
        stream.minute(minute, {"ship": 60.0})
        if minute % 3 == 0:
            stream.minute(minute, {"pay": 12.0 if minute in (12, 15) else 0.0}, "Errors")
    found = stream.rates("AWS/Lambda/Errors function:pay")
    assert found == {float(minute): 0.2 if minute in (12, 15) else 0.0 for minute in range(29)}


def test_a_function_that_is_no_longer_called_is_zero_for_an_hour_and_then_no_silence() -> None:
    stream = Stream(SENSITIVE)
    for minute in range(300):
        stream.minute(minute, {"ship": 60.0} | ({"pay": 30.0} if minute < 100 else {}))
    assert stream.rates(PAY) == {float(minute): 0.5 if minute < 100 else 0.0 for minute in range(160)}
    assert silences(stream) == []


def test_what_comes_late_within_the_allowance_is_no_zero() -> None:
    stream = Stream(replace(CONFIG, lateness_us=90 * US))
    for minute in range(20):
        stream.minute(minute, {"ship": 60.0})
        if minute > 0:
            stream.minute(minute - 1, {"pay": 30.0})  # one minute after the others
    assert set(stream.rates(PAY).values()) == {0.5}
    assert stream.counts["notice", "late"] == 0


def test_a_stream_that_is_minutes_behind_other_inputs_gets_no_zeros_before_its_points() -> None:
    quick, slow = Stream(BOTH, delay=0), Stream(BOTH, delay=0)
    for second in range(0, 20 * MINUTE, 5):
        for stream, behind in ((quick, 0), (slow, 3)):
            stream.second(second, [{"name": "m", "value": 1.0, "attributes": {"service.name": "pay"}}])
            if second % MINUTE == 30 and second // MINUTE >= behind:
                minute = second // MINUTE - behind
                stream.minute(minute, {"ship": 60.0} | ({"pay": 30.0} if minute % 4 else {}))
    for stream in (quick, slow):
        found = stream.rates(PAY)
        assert found == {float(minute): 0.5 if minute % 4 else 0.0 for minute in range(1, len(found) + 1)}
        assert len(found) > 10


def test_minutes_in_which_the_stream_was_idle_while_others_went_on_are_gaps() -> None:
    stream = Stream(BOTH, delay=0)
    for minute in range(30):
        if not 10 <= minute < 20:
            stream.minute(minute, {"ship": 60.0} | ({"pay": 30.0} if minute < 5 else {}))
        if minute == 10:
            stream.silent("cloudwatch")
        stream.second((minute + 1) * MINUTE, [{"name": "m", "value": 1.0}])
    zeros = {minute for minute, rate in stream.rates(PAY).items() if rate == 0.0}
    assert zeros == {float(minute) for minute in (*range(5, 9), *range(20, 29))}


def test_longer_windows_count_the_minutes_that_were_left_out() -> None:
    stream = Stream(replace(CONFIG, window_us_by_kind={Kind.SPARSE_DELTA: 300 * US}))
    for minute in range(40):
        stream.minute(minute, {"ship": 60.0} | ({"pay": 30.0} if minute % 5 == 1 else {}))
    found = list(stream.rates(PAY).values())
    assert len(found) >= 6
    assert found[1:] == [0.1] * (len(found) - 1)


def test_sparse_deltas_have_the_windows_of_deltas_where_nothing_else_is_said() -> None:
    by_delta = replace(CONFIG, window_us_by_kind={Kind.DELTA: 60 * US})
    assert by_delta.window_of(Kind.SPARSE_DELTA) == 60 * US
    assert CONFIG.window_of(Kind.SPARSE_DELTA) == CONFIG.window_us
    both = {Kind.DELTA: 60 * US, Kind.SPARSE_DELTA: 300 * US}
    assert replace(CONFIG, window_us_by_kind=both).window_of(Kind.SPARSE_DELTA) == 300 * US


def test_a_version_of_a_function_that_is_replaced_leaves_a_gap() -> None:
    stream = Stream()
    for minute in range(20):
        stream.minute(minute, {"ship": 60.0})
        if minute < 10:
            text = record(minute, "pay", "Invocations", 30.0)
            stream.send(minute, [text.replace('"pay"', '"pay", "ExecutedVersion": "7"')])
    assert stream.rates(PAY) == {float(minute): 0.5 for minute in range(10)}


def test_at_the_end_of_a_finite_input_zeros_stand_in_between_and_not_after_it() -> None:
    stream = Stream(replace(CONFIG, lateness_us=3600 * US))
    for minute in (0, 1, 4):
        stream.minute(minute, {"pay": 30.0})
    stream.written["scores"] += [each for each in stream.score.drain().records if each.topic == "scores"]
    assert stream.rates(PAY) == {0.0: 0.5, 1.0: 0.5, 2.0: 0.0, 3.0: 0.0, 4.0: 0.5}


# Whatever is restored meanwhile

RESTORED: FlowConfig = replace(BOTH, policy=DetectorPolicy(alert_budget=200.0))
MINUTES = 150


def feed(stream: Stream, minute: int) -> None:
    """Functions that are called now and then, one for a while only; a gauge, a pause of the stream, other points."""
    dice = np.random.default_rng(minute)
    calls = {f"f{number}": float(dice.poisson(20)) for number in range(4) if dice.random() < (number + 1) / 5}
    if minute < 20:
        calls["gone"] = 5.0
    if not 60 <= minute < 66:
        lines = [record(minute, function, "Invocations", total) for function, total in calls.items()]
        lines += [record(minute, function, "Errors", float(dice.random() < 0.2)) for function in calls]
        stream.send(minute, [*lines, record(minute, "f0", "Duration", 50 + dice.normal())])
    if minute in (61, 62):
        stream.silent("cloudwatch")
    for second in (20, 50):
        stream.second((minute + 1) * MINUTE + second, [{"name": "m", "value": dice.normal()}])


@pytest.fixture(scope="module")
def undisturbed() -> Stream:
    stream = Stream(RESTORED, delay=0)
    for minute in range(MINUTES):
        feed(stream, minute)
    return stream


def test_the_story_has_zeros_and_gaps(undisturbed: Stream) -> None:
    rates = undisturbed.rates("AWS/Lambda/Invocations function:f0")
    assert 0.0 in rates.values()
    assert not rates.keys() & set(range(60, 66))
    gone = undisturbed.rates("AWS/Lambda/Invocations function:gone")
    assert {minute for minute, rate in gone.items() if not rate} == set(range(20, 80)) - set(range(59, 66))


@pytest.mark.parametrize("every", [1, 3, 11])
def test_whenever_it_is_restored_the_same_zeros_stand(undisturbed: Stream, every: int) -> None:
    stream = Stream(RESTORED, delay=0)
    tell_with_restores(stream, RESTORED, lambda minute: feed(stream, minute), MINUTES, every, 20)
    assert said(stream) == said(undisturbed)
