"""What becomes of a worker whose topic wants more replicas in sync than there are: two brokers, of which one goes.

One broker alone never refuses: Kafka asks for no more replicas than the topic has. The other one goes in order, so that
nothing is written while Kafka still takes it to be there: that would be refused only when the time for it is over.
"""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.settings import Settings
from pipeline.streams import topics
from pipeline.streams.exits import Exit
from tests.kafka.server import KafkaServer, SecondBroker
from tests.streams.one_signal import OneSignal
from tests.streams.outcomes import Story, configured, killed_at_the_end, sending, tell, then
from tests.worker_process import WorkerProcess

#: Group coordinators must outlive the second broker too.
_BOTH = {"offsets.topic.replication.factor": 2}
_HASTE = {
    "BROKER__REQUEST_TIMEOUT_SECONDS": "6",
    "BROKER__LOST_AFTER_SECONDS": "8",
    "WORKER__SHUTDOWN_SECONDS": "3",
}


@dataclass
class Replicated(OneSignal):
    """Each of its topics has two replicas; both of ``topic`` must be in sync."""

    topic: str = "signals"
    changes: dict[str, str] = field(default_factory=lambda: {"TOPICS__REPLICATION_FACTOR": "2"})

    def settings(self) -> Settings:
        settings = super().settings()
        return settings.model_copy(update={"topics": settings.topics.model_copy(update={"replication_factor": 2})})

    def create(self) -> "Replicated":
        asyncio.run(topics.create(self.settings()))
        self.want(2)
        return self

    def want(self, replicas: int) -> None:
        (spec,) = [spec for spec in topics.plan(self.settings()) if spec.name == self.prefix + self.topic]
        configs = dict(spec.configs) | {"min.insync.replicas": str(replicas)}
        configured(self.topic, **{name.replace(".", "_"): value for name, value in configs.items()})(self)


@pytest.fixture(scope="module")
def stories(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Story]]:
    directory = tmp_path_factory.mktemp("replicas")
    first = KafkaServer(kafka_home, properties=_BOTH)
    second = SecondBroker(kafka_home, first, properties=_BOTH)
    with ExitStack() as stack:
        for server in (first, second):
            stack.callback(server.stop)
        with ThreadPoolExecutor(2) as pool:
            for started in [pool.submit(server.start) for server in (first, second)]:
                started.result()
        patient, signals, state = (
            Replicated(first, f"{name}.", directory, topic=topic).create()
            for name, topic in (("patient", "signals"), ("inner", "signals"), ("state", "score.state"))
        )
        signals.changes |= _HASTE
        state.changes |= _HASTE
        waits = patient.worker()
        told = {
            "patient": Story(sending(0)),
            "inner": Story(then(lambda run: second.stop(), sending(5)), lambda run: signals.want(1)),
            "state": Story(then(sending(5), lambda run: _goes_on(patient, waits)), lambda run: second.start()),
        }
        with killed_at_the_end(waits):
            waits.start()
            patient.send_points(5)
            patient.wait_counted(waits)
            tell([(signals, told["inner"]), (state, told["state"])])
            told["patient"].code = waits.stop()
            told["patient"].words = waits.log()
        yield told


def _goes_on(run: Replicated, worker: WorkerProcess) -> None:
    run.send_points(5)
    worker.wait_until(lambda: "NotEnoughReplicas" in worker.log(), "refused")
    assert run.counted() < run.sent - 1
    run.want(1)
    run.wait_counted(worker)


@pytest.mark.parametrize(("name", "topic"), [("inner", "signals"), ("state", "score.state")])
def test_too_few_replicas_end_the_worker_and_nothing_is_lost_when_there_are_enough(
    stories: dict[str, Story], name: str, topic: str
) -> None:
    """Where ``min.insync.replicas`` was put right, and where the other broker came back."""
    story = stories[name]
    assert story.code == Exit.BROKER_LOST
    assert re.search(
        rf"Kafka has refused what we write to {name}\.{topic}/0 for \d+ s \(NOT_ENOUGH_REPLICAS\)", story.words
    )
    assert "bring the missing brokers back, or lower it; it may not be above the number of replicas" in story.words
    assert story.went_on


def test_too_few_replicas_for_a_while_are_waited_for(stories: dict[str, Story]) -> None:
    assert stories["patient"].code == Exit.CLEAN
    assert stories["patient"].words.count("worker with the roles") == 1
