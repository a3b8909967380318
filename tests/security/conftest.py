"""One Apache Kafka with every way in, and the certificates, for all tests of Kafka's security."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security import certificates
from tests.security.certificates import Certificates
from tests.security.server import SecureKafka


@pytest.fixture(scope="session")
def made_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def secure_kafka(kafka_home: Path, made_certificates: Certificates) -> Iterator[SecureKafka]:
    with SecureKafka(kafka_home, made_certificates) as server:
        yield server
