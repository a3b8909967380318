"""Signals that come and go: what is idle for long is forgotten, whatever is restored meanwhile; and what there is too
much of is refused, until there is room."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.codecs import score_block
from pipeline.codecs.series_table import Limits
from pipeline.flow.score import ScoreChain
from pipeline.records import US
from pipeline.scoring.relatives import ENTITY_SIGNAL
from tests.flow.line import CONFIG as USUAL
from tests.flow.line import START, Line
from tests.flow.restoring import tell_with_restores
from tests.flow.test_restoring import told

HOUR = 3600
CONFIG = replace(USUAL, ttl_us=4 * HOUR * US, instance_ttl_us=HOUR * US)
STEP = 300
STEPS = 100


def gauge(name: str, value: float, service: str = "steady", **more: str) -> dict[str, Any]:
    attributes = {"service.name": service} | {key.replace("_", "."): each for key, each in more.items()}
    return {"name": name, "value": value, "attributes": attributes}


def points(step: int) -> list[dict[str, Any]]:
    """A steady service, pods of five signals that live for 50 minutes, and a job that runs every seven hours."""
    rng = np.random.default_rng(step)
    found = [gauge(f"m{number}", 10 + rng.normal()) for number in range(4)]
    for pod in (step // 10, step // 10 - 1):
        own = {"service": "pods", "service_instance_id": f"pod{pod}"}
        found += [gauge(f"p{number}", 5 + rng.normal(), **own) for number in range(5 - 2 * (step % 10 > 6))]
        found.append(gauge("requests", 100.0 * step, **own) | {"kind": "counter"})
    if step % 84 < 2:
        found.append(gauge("rows", 1000 + rng.normal(), "job"))
    return found


def names(chain: ScoreChain) -> list[str]:
    known = [signal for signal in chain.scorer.catalogue if signal.name != ENTITY_SIGNAL]
    return sorted(f"{signal.name} {signal.instance}".strip() for signal in known)


@pytest.fixture(scope="module")
def undisturbed() -> Line:
    line = Line(CONFIG)
    for step in range(STEPS):
        line.second(step * STEP, points(step))
    return line


def test_what_is_idle_for_long_is_known_no_more_and_its_rows_serve_others(undisturbed: Line) -> None:
    scorer = undisturbed.score.scorer
    pods = {signal.instance for signal in scorer.catalogue if signal.workload == "service:pods"}
    assert pods == {"pod7", "pod8", "pod9"}
    assert len(scorer.catalogue) < 40
    assert scorer.table.rows <= 48  # eleven pods had 77 signals, entities counted
    assert {scorer.catalogue.signals[row].instance for row in scorer.pools.entity_rows} == {"", *pods}


def test_a_signal_that_comes_back_after_its_time_begins_anew(undisturbed: Line) -> None:
    scorer = undisturbed.score.scorer
    (row,) = (row for row, signal in enumerate(scorer.catalogue.signals) if signal.name == "rows")
    assert scorer.table.groups["detector"]["seen"][row] == 2
    (steady,) = (row for row, signal in enumerate(scorer.catalogue.signals) if signal.name == "m0")
    assert scorer.table.groups["detector"]["seen"][steady] == STEPS - 1


@pytest.mark.parametrize("every", [1, 4, 17])
def test_whenever_it_is_restored_the_same_is_forgotten(undisturbed: Line, every: int) -> None:
    line = Line(CONFIG)
    tell_with_restores(line, CONFIG, lambda step: line.second(step * STEP, points(step)), STEPS, every, 17)
    assert told(line) == told(undisturbed)
    assert names(line.score) == names(undisturbed.score)


def test_what_waits_for_its_window_when_its_time_is_up_begins_anew_and_is_not_lost() -> None:
    line = Line(CONFIG)
    for step in range(30):
        line.second(step, [gauge("m", 7.0), gauge("p", 3.0, service_instance_id="one")])
    until = HOUR - START % HOUR + 2 * HOUR  # the first full hour at which it is idle for long enough
    line.second(until - 1, [gauge("p", 3.0, service_instance_id="one")])
    line.second(until, [gauge("m", 7.0)])
    line.second(until + 1, [gauge("m", 7.0)])
    scorer = line.score.scorer
    (row,) = (row for row, signal in enumerate(scorer.catalogue.signals) if signal.name == "p")
    assert scorer.table.groups["detector"]["seen"][row] == 1
    blocks = [score_block.decode(record.value or b"") for record in line.written["scores"]]
    assert sum(int((block.ids == scorer.catalogue.signals[row].id).sum()) for block in blocks) == 31


LIMITED = replace(CONFIG, limits=Limits(max_signals_per_metric=5, max_signals_per_workload=12))


def users(numbers: Iterable[int], name: str = "views") -> list[dict[str, Any]]:
    return [gauge(name, 1.0, "shop", user_id=f"u{number}", service_instance_id="one") for number in numbers]


def refusals(line: Line) -> list[str]:
    return [dict(record.headers)["calm_reason"].decode() for record in line.written["dead-letter"]]


def test_a_metric_with_too_many_signals_leaves_room_for_the_other_metrics() -> None:
    line = Line(LIMITED)
    for second in range(5):
        line.second(second, users(range(second, second + 4)))
    line.second(5, users(range(3), "sales"))
    line.second(6, [])
    assert names(line.score) == ["sales one"] * 3 + ["views one"] * 5
    assert refusals(line) == ["too_many_signals"]
    (letter,) = line.written["dead-letter"]
    detail = dict(letter.headers)["calm_detail"].decode()
    assert "service:shop has 5 signals of the metric views, for instance views{user.id=u5}" in detail
    assert "limits.max_signals_per_metric" in detail


def test_a_workload_with_too_many_signals_leaves_room_for_the_other_workloads() -> None:
    line = Line(LIMITED)
    for number in range(6):
        line.second(number, [*users(range(4), f"m{number}"), gauge("load", 1.0)])
    assert len(names(line.score)) == 13
    assert refusals(line) == ["too_many_signals"]


def test_what_was_refused_is_taken_in_when_there_is_room() -> None:
    line = Line(LIMITED)
    for step in range(3 * HOUR // STEP):
        line.second(step * STEP, users(range(5) if step < 3 else range(10, 12)))
    line.second(3 * HOUR, [])
    known = {signal.attributes for signal in line.score.scorer.catalogue if signal.attributes}
    assert known == {(("user.id", "u10"),), (("user.id", "u11"),)}


def test_with_count_as_the_action_all_are_taken_in_and_it_is_said() -> None:
    limits = replace(LIMITED.limits, over_max_signals="count")
    line = Line(replace(LIMITED, limits=limits))
    line.second(0, users(range(8)))
    line.second(1, [])
    assert names(line.score) == ["views one"] * 8
    assert refusals(line) == ["too_many_signals"]


def test_values_that_are_refused_are_counted() -> None:
    line = Line(LIMITED)
    line.second(0, users(range(8)))
    line.second(1, users(range(8)))
    assert line.counts["drop", "too_many_signals"] == 3 + 2 * 3
