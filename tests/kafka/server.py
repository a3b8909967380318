"""Apache Kafka as one JVM on loopback: broker and controller in one, its folder formatted at the first start.

Guarantee: what ``BrokerProcess`` promises; ``kill``, ``stop`` and ``restart`` keep the data in ``directory``.
"""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pipeline.streams.broker_process import LOOPBACK, BrokerError, BrokerProcess, free_port
from tests.kafka import fetch

# Starts in half the time on few cores: compile once and lightly, collect garbage with one thread.
LIGHT_JAVA = ("-Xms128m", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_LOGGING = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn",  # it writes the whole configuration eight times
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.server.config=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
)

# 16 bytes in base64, as Kafka wants them; every server is a cluster of its own, so one name will do.
_CLUSTER = "CalmstreamTestsKafkaAA"


class KafkaServer(BrokerProcess):
    """Apache Kafka.

    home: from ``fetch.home()``. properties: over those below, by Kafka's own names. java_options: heap and collector.
    format_arguments: more of them for the tool that formats the folder, for instance users. also: more listeners, each
    with its port and the one where clients of it are told to come to, which somebody passes on.
    """

    name = "apache-kafka"
    _as: Sequence[str] = ("--standalone",)

    def __init__(
        self,
        home: Path,
        *,
        properties: Mapping[str, str | int] | None = None,
        java_options: Sequence[str] = LIGHT_JAVA,
        directory: Path | None = None,
        port: int | None = None,
        format_arguments: Sequence[str] = (),
        also: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__(directory=directory, port=port, start_seconds=90)
        self._controller_port = free_port()
        self._java = (fetch.java(), *java_options, *_LOGGING, "-cp", f"{home}/libs/*")
        self._properties = dict(properties or {})
        self._format_arguments = format_arguments
        self._also = {f"ALSO{number}": ports for number, ports in enumerate(also)}

    def command(self) -> Sequence[str]:
        return [*self._java, "kafka.Kafka", str(self._configuration)]

    def prepare(self) -> None:
        """Write the configuration; format the folder unless that was done before."""
        lines = (f"{key}={value}\n" for key, value in self.properties().items())
        self._configuration.write_text("".join(lines))
        if not (self._data / "meta.properties").exists():
            self._format()

    def properties(self) -> dict[str, str | int]:
        """The server's configuration: one node, few internal partitions, no waiting for members that will not come."""
        also = [f",{name}://{LOOPBACK}:{port}" for name, (port, _) in self._also.items()]
        told = [f",{name}://{LOOPBACK}:{port}" for name, (_, port) in self._also.items()]
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self._controller_port}"
            + "".join(also),
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{self.port}" + "".join(told),
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self._controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
            + "".join(f",{name}:PLAINTEXT" for name in self._also),
            "log.dirs": str(self._data),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 2,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 2,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 3000,  # after a kill, a start waits for the session of the dead one to end
            "log.cleaner.threads": 1,
            "log.initial.task.delay.ms": 3_600_000,  # tests write old records; they are to stay
            "num.network.threads": 2,
            "num.io.threads": 4,
            **self._properties,
        }

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _configuration(self) -> Path:
        return self.directory / "server.properties"

    def _format(self) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format", *self._as]
        command += ["--cluster-id", _CLUSTER, "--config", str(self._configuration), *self._format_arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise BrokerError(f"{self._data} could not be formatted for Apache Kafka: {done.stdout.strip()}")


class SecondBroker(KafkaServer):
    """One more broker in the cluster of a server that runs or starts; started when the other one knows it."""

    _as = ()

    def __init__(self, home: Path, first: KafkaServer, *, properties: Mapping[str, str | int] | None = None) -> None:
        port, where = free_port(), "controller.quorum.bootstrap.servers"
        own: dict[str, str | int] = {"process.roles": "broker", "node.id": 2, where: first.properties()[where]}
        own["listeners"] = f"PLAINTEXT://{LOOPBACK}:{port}"
        super().__init__(home, properties=own | dict(properties or {}), port=port)
        self._first = first

    def _await_answer(self) -> None:
        super()._await_answer()
        deadline = time.monotonic() + self.start_seconds
        while asyncio.run(_brokers(self._first.bootstrap)) < 2:
            if time.monotonic() > deadline:
                raise BrokerError(f"the second {self.name} is not in the cluster; {self._log_end()}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running().wait(0.1)


async def _brokers(bootstrap: str) -> int:
    """How many it knows; 0 while it does not answer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return len((await admin.describe_cluster())["brokers"])
    except KafkaError:
        return 0
    finally:
        await admin.close()
