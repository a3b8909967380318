"""The storm of the benchmark, made small: nothing of it is lost, and it is the same each time."""

from dataclasses import replace

import pytest

from tests.benchmarks import storm


@pytest.mark.parametrize("name", ["web", "islands", "unknown"])
def test_a_small_storm_loses_nothing_and_is_the_same_each_time(name: str) -> None:
    one, other = storm.storm(name, 600), storm.storm(name, 600)
    assert one.lost == 0
    assert 1 <= one.incidents <= storm.LIMITS[storm.INCIDENTS]
    timed = {"behind": 0.0, "memory_mib": 0.0, "cpu_seconds": 0.0, "snapshot_seconds": 0.0}
    assert replace(one, **timed) == replace(other, **timed)  # type: ignore[arg-type]
