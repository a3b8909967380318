"""Fixtures that many tests share: the brokers, and a name of its own for each test.

Tests that need Apache Kafka carry the mark ``kafka``. Where it cannot be run they are skipped and the reason is shown;
``REQUIRE_KAFKA=1`` makes that a failure.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pipeline.flow.warm_up import warm_up
from pipeline.streams.broker_process import BrokerProcess
from pipeline.streams.embedded import EmbeddedBroker
from tests.kafka import fetch
from tests.kafka.server import KafkaServer

#: Where compiled kernels are, with what they are compiled from.
KERNELS = [Path(__file__).parent.parent / room for room in ("detectors", "pipeline/codecs", "pipeline/signals")]

#: A machine that does other things meanwhile is slow now and then, which says nothing about what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
settings.register_profile("thorough", settings.get_profile("untimed"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))


def pytest_configure() -> None:
    """Compile anew the kernels that are older than the newest source of any. Numba compares a cached kernel with its
    own file only, not with those of the kernels it calls, and would run the old ones; and a worker that compiles is not
    ready in time."""
    if _deleted():
        warm_up()


def _deleted() -> bool:
    """Delete what is too old; was there any?"""
    deleted = False
    for room in KERNELS:
        newest = max(source.stat().st_mtime for source in room.glob("*.py"))
        for cached in room.glob("__pycache__/*.nb[ic]"):
            try:
                if cached.stat().st_mtime < newest:
                    cached.unlink()
                    deleted = True
            except FileNotFoundError:
                pass  # another run was faster
    return deleted


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "kafka_home" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """Where Apache Kafka is, for a test that starts a server of its own."""
    try:
        return fetch.home()
    except fetch.Unavailable as reason:
        if os.environ.get("REQUIRE_KAFKA", "0") not in ("", "0"):
            pytest.fail(f"REQUIRE_KAFKA is set and Apache Kafka cannot be run here: {reason}", pytrace=False)
        pytest.skip(f"Apache Kafka cannot be run here: {reason}")


@pytest.fixture(scope="session")
def kafka(kafka_home: Path) -> Iterator[KafkaServer]:
    """One Apache Kafka for the whole run. A test that stops or pauses it starts its own instead."""
    with KafkaServer(kafka_home) as server:
        yield server


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """One embedded broker for the whole run."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(params=[pytest.param("kafka", marks=pytest.mark.kafka), "embedded_broker"])
def broker(request: pytest.FixtureRequest) -> BrokerProcess:
    """Either broker: the test runs once on each."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def topic_prefix() -> str:
    """What the names of this test's topics and groups begin with, so that tests share brokers and do not meet."""
    return f"t{uuid.uuid4().hex[:12]}."
