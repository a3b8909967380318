"""Random schedules of faults on Apache Kafka: the same incidents and windows as without. The short form of
``python -m tests.chaos``, which says how to run more and repeats one by its seed.

Held are the schedules 0 to 8 and a fresh one, or those of ``CHAOS_SEEDS=a..b``.
"""

import json
import logging
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from tests.chaos import results
from tests.chaos.campaign import Campaign
from tests.chaos.schedules import fresh, weather_of
from tests.chaos.stories import SECONDS, SIGNALS
from tests.kafka.server import KafkaServer

_FIXED = range(9)


def _groups() -> list[list[int]]:
    """Those that are held at once, because they have the same weather."""
    named = os.environ.get("CHAOS_SEEDS")
    seeds = list(results.seeds(named)) if named else [*_FIXED, fresh(_FIXED)]
    return [list(group) for _, group in groupby(seeds, weather_of)]


_GROUPS = _groups()


@pytest.fixture(scope="module")
def campaign(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """On a server of its own, for it is not spared."""
    clients = logging.getLogger("aiokafka")
    level = clients.level
    clients.setLevel(logging.CRITICAL)  # our producers say a lot while their broker is away
    with KafkaServer(kafka_home) as server:
        yield Campaign(server, tmp_path_factory.mktemp("chaos"))
    clients.setLevel(level)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(len(_GROUPS)))
def test_whatever_happens_to_workers_broker_and_input_the_incidents_are_the_same(
    campaign: Campaign, number: int
) -> None:
    seeds = _GROUPS[number]
    print(f"seeds: {seeds}")
    outcomes = campaign.go(seeds, lambda outcome: print(outcome.line(), flush=True))
    wrong = [f"{outcome.line()}\n{campaign.last_words(outcome.seed)}" for outcome in outcomes if not outcome.ok]
    assert not wrong, "\n".join([*wrong, "repeat one with: python -m tests.chaos --seed SEED"])
    print(results.summary(outcomes))


def test_an_undisturbed_run_finds_the_faults_and_counts_every_point(campaign: Campaign) -> None:
    _, expected = campaign.of("metrics")
    opened = [key for key, revision in expected.incidents if revision == 1]
    assert len(opened) >= 4
    assert expected.points > 0.97 * SIGNALS * SECONDS


@pytest.mark.parametrize("topic", ["points", "signals"])
def test_replay_of_what_is_on_kafka_gives_what_the_workers_gave(campaign: Campaign, topic: str) -> None:
    """Late points included: lateness is judged by each source's own progress, which replay works out again."""
    run, expected = campaign.of("metrics")
    assert {(data["id"], data["revision"]): data for data in run.replay(topic)} == {
        key: json.loads(value) for key, value in expected.incidents.items()
    }
