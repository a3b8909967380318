"""A score chain restored from its checkpoints is the one that wrote them: pools, policies, relatives, and what it says
from then on."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.flow.config import FlowConfig
from pipeline.flow.score import ScoreChain
from pipeline.policies import DetectorPolicy, Policy
from pipeline.policies.matcher import Matcher
from pipeline.records import Kind
from tests.flow.line import CONFIG as USUAL
from tests.flow.line import Line
from tests.flow.restoring import tell_with_restores

POLICIES = (
    Policy("generous", (Matcher("name", "=", "m1"),), {"alert_budget": 700.0}),
    Policy("fixed", (Matcher("service.name", "=", "s0"),), {"threshold_surprise": 2.0, "season": "none"}),
)
CONFIG: FlowConfig = replace(
    USUAL,
    policy=DetectorPolicy(alert_budget=500.0, hard_upper=60.0),
    policies=POLICIES,
    window_us_by_kind={Kind.DELTA: 2 * USUAL.window_us},
)
SECONDS = 260


def points(second: int) -> list[dict[str, Any]]:
    """Two entities of four signals, one that stops and comes back, and a pod that is replaced after 150 s."""
    rng = np.random.default_rng(second)
    found = []
    for number in range(8):
        value = 10 + rng.normal() + 100 * (number == 3 and second % 70 in (60, 61))
        kind = "delta" if number == 5 else "gauge"
        attributes = {"service.name": f"s{number // 4}"}
        found.append({"name": f"m{number}", "value": value, "kind": kind, "attributes": attributes})
    if not 100 <= second < 160 and second < 240:
        found.append({"name": "gaps", "value": rng.normal()})
    pod = {"service.name": "pods", "service.instance.id": f"pod{second // 150}"}
    found.append({"name": "load", "value": 5 + rng.normal(), "attributes": pod})
    return found


def told(line: Line) -> list[tuple[str, bytes | None]]:
    return [(topic, record.value) for topic in ("scores", "anomalies") for record in line.written[topic]]


def said(line: Line) -> list[tuple[str, bytes]]:
    """Scores and anomalies: how far event time is may be told once more after a restore."""
    return [(topic, value) for topic, value in told(line) if value is not None]


@pytest.fixture(scope="module")
def undisturbed() -> Line:
    line = Line(CONFIG)
    for second in range(SECONDS):
        line.second(second, points(second))
    return line


def test_the_story_has_all_that_a_state_holds(undisturbed: Line) -> None:
    scorer = undisturbed.score.scorer
    whys = {record.value for record in undisturbed.written["anomalies"] if record.value is not None}
    assert any(b"no data for" in why for why in whys)
    assert any(b"outside the range" in why for why in whys)
    assert len(scorer.pools.entity_rows) == 2
    pods = [signal.instance for signal in scorer.catalogue.signals if signal.name == "load"]
    assert pods == ["pod0", "pod1"]


@pytest.mark.parametrize("every", [1, 7, 50])
def test_whenever_it_is_restored_it_goes_on_as_if_nothing_had_been(undisturbed: Line, every: int) -> None:
    line = Line(CONFIG)
    tell_with_restores(line, CONFIG, lambda second: line.second(second, points(second)), SECONDS, every, 45)
    assert told(line) == told(undisturbed)


def test_pools_policies_and_relatives_are_the_same_after_a_restore(undisturbed: Line) -> None:
    written, restored = undisturbed.score, ScoreChain(0, CONFIG)
    restored.restore(written.snapshot(full=True))
    for name, array in written.scorer.pools.dump().items():
        np.testing.assert_array_equal(restored.scorer.pools.dump()[name], array, err_msg=name)
    rows = np.arange(len(written.scorer.catalogue))
    ours, theirs = (chain.scorer.rules_of(rows) for chain in (written, restored))
    np.testing.assert_array_equal(ours.threshold, theirs.threshold)
    assert len(set(ours.threshold.tolist())) >= 4  # two budgets, two lengths of windows, one that is fixed
    assert [written.scorer.policy_of(row) for row in rows] == [restored.scorer.policy_of(row) for row in rows]
    assert written.snapshot(full=True).keep() == restored.snapshot(full=True).keep()


def test_a_restored_chain_may_have_other_policies_in_its_configuration(undisturbed: Line) -> None:
    restored = ScoreChain(0, replace(CONFIG, policies=()))
    restored.restore(undisturbed.score.snapshot(full=True))
    assert {restored.scorer.policy_of(row).version.split("@")[0] for row in range(12)} == {"default"}
