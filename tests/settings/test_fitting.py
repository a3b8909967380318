"""Settings that cannot work together are refused before anything is connected, with the keys named."""

import json
from typing import Any

import pytest

from pipeline.settings import ConfigurationError, load
from pipeline.streams.exits import Exit
from tests.cli.person import calmstream

POINTS = [{"topic": "points", "format": "json_points"}, {"topic": "changes", "format": "changes"}]
LINES = {"topic": "lines", "format": "plain_text"}
SPANS = {"topic": "spans", "format": "jaeger_spans"}
MUST_NOT = r"time\.idle_sparse_seconds is {} and must not be above time\.allowed_lateness_seconds, which is {}"


@pytest.mark.parametrize(
    ("times", "idle", "lateness"),
    [
        ({"idle_sparse_seconds": 5.5}, "5.5", "5"),
        ({"allowed_lateness_seconds": 1}, "3", "1"),
        ({"allowed_lateness_seconds": 0, "idle_sparse_seconds": 0.1}, "0.1", "0"),
    ],
)
@pytest.mark.parametrize("source", [LINES, SPANS], ids=["lines", "spans"])
def test_lines_and_spans_must_be_idle_before_windows_close(
    times: dict[str, float], idle: str, lateness: str, source: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError, match=MUST_NOT.format(idle, lateness)) as refused:
        load(overrides={"time": times, "inputs": [*POINTS, source]})
    assert f"({source['topic']})" in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"time": {"idle_sparse_seconds": 5, "allowed_lateness_seconds": 5}},
        {"time": {"idle_empty_seconds": 900}},
        {"time": {"allowed_lateness_seconds": 0}, "inputs": POINTS},
    ],
    ids=["as late", "empty ones", "no lines and no spans"],
)
def test_times_that_lose_nothing_are_taken(given: dict[str, Any]) -> None:
    load(overrides=given)


def test_the_role_join_alone_needs_lines_or_spans() -> None:
    with pytest.raises(ConfigurationError, match=r"worker\.roles: join has nothing to do") as refused:
        load(overrides={"worker": {"roles": ["join"]}, "inputs": POINTS})
    for right in ("otlp_logs", "jaeger_spans", "ingest, score, correlate"):
        assert right in str(refused.value)


@pytest.mark.parametrize(
    ("roles", "inputs"), [(["join"], [LINES]), (["join"], [*POINTS, SPANS]), (["join", "score"], POINTS)]
)
def test_roles_of_which_one_has_something_to_do_are_taken(roles: list[str], inputs: list[dict[str, str]]) -> None:
    load(overrides={"worker": {"roles": roles}, "inputs": inputs})


def test_a_worker_without_roles_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"worker\.roles"):
        load(overrides={"worker": {"roles": []}})


@pytest.mark.parametrize(
    ("settings", "inputs", "said"),
    [
        ({"WORKER__ROLES": '["join"]'}, POINTS, "worker.roles: join has nothing to do"),
        ({"TIME__IDLE_SPARSE_SECONDS": "60"}, [LINES], "time.idle_sparse_seconds is 60 and must not be above"),
    ],
)
def test_a_worker_that_cannot_work_does_not_start(
    settings: dict[str, str], inputs: list[dict[str, str]], said: str
) -> None:
    given = settings | {"INPUTS": json.dumps(inputs)}
    done = calmstream({f"CALMSTREAM_{key}": value for key, value in given.items()}, "worker")
    assert done.returncode == Exit.CONFIGURATION
    assert said in done.stderr
