"""What is told of each signal is what its checkpoint says."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipeline.codecs import score_block
from pipeline.flow.chain import UnreadableState
from pipeline.flow.signal_status import SignalStatus, signal_statuses
from pipeline.policies import DetectorPolicy, Policy
from pipeline.policies.matcher import Matcher
from pipeline.records import US, ScoreBlock
from tests.flow.line import CONFIG, START, Line


def run(seconds: int, **shapes: Callable[[int], float | None]) -> Line:
    """Signals by name; a shape gives the value of a second, or None for no point."""
    line = Line()
    for number in range(seconds):
        second(line, number, **{name: shape(number) for name, shape in shapes.items()})
    return line


def second(line: Line, number: int, **values: float | None) -> None:
    line.second(number, [{"name": name, "value": value} for name, value in values.items() if value is not None])


def statuses(line: Line) -> dict[str, SignalStatus]:
    line.score.flush()
    found = signal_statuses(line.score.snapshot(full=True), 0, CONFIG)
    return {status.signal.name: status for status in found}


def blocks(line: Line) -> list[ScoreBlock]:
    return [score_block.decode(record.value or b"") for record in line.written["scores"]]


def test_a_signal_is_cold_then_warm_then_silent() -> None:
    line = Line()
    for number in range(100):
        points: list[dict[str, object]] = [{"name": "steady", "value": 5 + number % 2}]
        if number > 90:
            points.append({"name": "new", "value": 1.0})
        if number < 60:
            points.append({"name": "gone", "value": 1.0, "attributes": {"service.instance.id": "a"}})
        line.second(number, points)
    states = {name: status.condition for name, status in statuses(line).items()}
    assert states == {"steady": "warm", "new": "cold", "gone": "silent"}


def test_a_signal_that_should_send_and_does_not_is_anomalous() -> None:
    line = run(100, steady=lambda n: 5 + n % 2, gone=lambda n: 1.0 if n < 60 else None)
    gone = statuses(line)["gone"]
    assert (gone.condition, gone.anomalous_since_us) == ("anomalous", (START + 60) * US)


def test_an_entity_has_a_condition_and_nothing_is_said_of_its_next_window() -> None:
    line = run(60, a=lambda n: 5 + n % 2, b=lambda n: 5 + n % 3, c=lambda n: 5 + n % 4)
    entity = statuses(line)["calm.entity"]
    assert (entity.condition, entity.windows, entity.needed) == ("cold", 59, 100)
    assert all(math.isnan(number) for number in (entity.last_value, entity.expected, entity.lower, entity.upper))


def test_silence_is_counted_in_the_signals_own_intervals() -> None:
    line = Line(replace(CONFIG, policy=DetectorPolicy(parts_off=("silence",))))
    for number in range(400):
        second(line, number, steady=5 + number % 2, slow=1.0 if number % 8 == 0 and number < 370 else None)
    slow = statuses(line)["slow"]
    assert (slow.condition, slow.interval_us) == ("warm", 8 * US)


def test_an_open_episode_makes_a_signal_anomalous() -> None:
    line = Line(replace(CONFIG, policy=DetectorPolicy(hard_upper=50.0)))
    for number in range(60):
        second(line, number, broken=5 + number % 2 + 100 * (number >= 55))
    status = statuses(line)["broken"]
    assert status.condition == "anomalous"
    assert status.anomalous_since_us == (START + 55) * US
    assert status.last_value > 100


def test_expectation_and_bounds_are_those_that_the_next_window_gets() -> None:
    line = run(60, steady=lambda n: 5 + math.sin(n))
    status = statuses(line)["steady"]
    before = len(blocks(line))
    second(line, 60, steady=1000.0)  # closes the window of second 59, the next one when the status was read
    block = blocks(line)[before]
    assert block.lower[0] < block.expected[0] < block.upper[0]
    assert (status.expected, status.lower, status.upper) == (block.expected[0], block.lower[0], block.upper[0])
    assert status.last_value == blocks(line)[before - 1].value[0]
    assert (status.windows, status.seen_us) == (before, blocks(line)[before - 1].end_us)


def test_looking_changes_nothing() -> None:
    looked_at, left_alone = run(40, a=lambda n: 5.0 + n % 3), run(40, a=lambda n: 5.0 + n % 3)
    assert statuses(looked_at) == statuses(looked_at)
    for line in (looked_at, left_alone):
        second(line, 40, a=9.0)
        second(line, 41, a=9.0)
    assert statuses(looked_at) == statuses(left_alone)


def test_a_signal_without_a_window_is_known_and_nothing_is_expected() -> None:
    status = statuses(run(1, a=lambda n: 5.0))["a"]
    assert (status.condition, status.windows, status.seen_us) == ("cold", 0, 0)
    assert all(math.isnan(number) for number in (status.last_value, status.expected, status.lower, status.upper))


def test_a_checkpoint_of_another_version_is_refused_by_name() -> None:
    line = run(5, a=lambda n: 5.0)
    line.score.flush()
    old = replace(line.score.snapshot(full=True), version="score/0+old")
    with pytest.raises(UnreadableState, match="version 'score/0\\+old'"):
        list(signal_statuses(old, 0, CONFIG))


def test_what_is_said_names_the_policies_in_force_and_judges_by_them() -> None:
    patient = Policy("patient", (Matcher("name", "=", "slow"),), {"min_history_windows": 1000})
    line = Line(replace(CONFIG, policies=(patient,)))
    for number in range(60):
        second(line, number, slow=number % 2, usual=number % 3)
    line.score.flush()
    config = replace(CONFIG, policies=(patient,))
    found = {s.signal.name: s for s in signal_statuses(line.score.snapshot(full=True), 0, config)}
    assert found["slow"].policy.startswith("patient@")
    assert found["usual"].policy.startswith("default@")
    assert (found["slow"].condition, found["usual"].condition) == ("cold", "warm")
