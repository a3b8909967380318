"""On Apache Kafka: whatever happens to the workers, the same incidents and the same windows come out.

The number of random schedules is ``FAULT_RUNS`` (default 3); each prints its seed.
"""

import json
import os
from pathlib import Path

import pytest

from tests.kafka.server import KafkaServer
from tests.streams.fault_run import FaultRun, Result, random_schedule

RUNS = int(os.environ.get("FAULT_RUNS", "3"))
FEED_SECONDS = 10.0


@pytest.fixture(scope="module")
def undisturbed(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return FaultRun(kafka.bootstrap, "calm0.", tmp_path_factory.mktemp("undisturbed")).go(None, feed_seconds=2.0)


def test_an_undisturbed_run_finds_the_faults_and_counts_every_point(undisturbed: Result) -> None:
    opened = [key for key, revision in undisturbed.incidents if revision == 1]
    assert len(opened) >= 4
    assert undisturbed.points > 0.97 * 48 * 260


@pytest.mark.parametrize("seed", range(RUNS))
def test_kills_and_pauses_at_random_moments_change_nothing(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path, undisturbed: Result, seed: int
) -> None:
    run = FaultRun(kafka.bootstrap, topic_prefix, tmp_path)
    disturbed = run.go(random_schedule(seed, steps=5, pause_seconds=4.0), FEED_SECONDS)
    print(f"seed {seed}: {len(disturbed.incidents)} transitions, {disturbed.points} points")
    assert disturbed.points == undisturbed.points
    assert disturbed.windows == undisturbed.windows
    assert disturbed.incidents == undisturbed.incidents


@pytest.mark.parametrize("topic", ["points", "signals"])
def test_replay_of_what_is_on_kafka_gives_what_the_workers_gave(
    kafka: KafkaServer, tmp_path: Path, undisturbed: Result, topic: str
) -> None:
    """Late points included: lateness is judged by each source's own progress, which replay works out again."""
    replayed = FaultRun(kafka.bootstrap, "calm0.", tmp_path).replay(topic)
    assert {(data["id"], data["revision"]): data for data in replayed} == {
        key: json.loads(value) for key, value in undisturbed.incidents.items()
    }
