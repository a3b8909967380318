"""What ``docker-compose.yml`` starts, started without Docker: its command lines and environment, on local brokers.

Only addresses are changed: the broker's, and the worker's own (a test opens no port to the network). The embedded
broker knows no idempotent producing, so there that setting is ``if-available``; on Apache Kafka it stays as it is.
Every query of the dashboard and the alerts is held against what that worker exports.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from pipeline.streams.broker_process import LOOPBACK, BrokerProcess, free_port
from pipeline.streams.embedded import EmbeddedBroker
from pipeline.telemetry import Telemetry
from tests.deploy.composition import ROOT, environment, services
from tests.deploy.dockerfile import stages
from tests.deploy.promql import Use, uses
from tests.docs.metrics import described
from tests.kafka.server import KafkaServer
from tests.worker_process import WorkerProcess

DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/calmstream.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
JOBS = {
    job["job_name"] for job in yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
}

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = [(title, target["expr"]) for title, target in TARGETS] + [(rule["alert"], rule["expr"]) for rule in RULES]

#: What Prometheus adds to every sample, and the one metric that it makes of each target.
TARGET_LABELS = {"job", "instance"}
MADE_BY_PROMETHEUS = {"up"}


# -- the worker ----------------------------------------------------------------------------------------------------


def process(service: str, addresses: Mapping[str, str], directory: Path) -> WorkerProcess:
    """A service's process: the image's entry point with compose's command and environment but for ``addresses``."""
    (entry_point,) = stages(ROOT / "deploy/Dockerfile")[-1].last("ENTRYPOINT").words
    assert entry_point == "calmstream"
    arguments = services()[service]["command"]
    settings = {**environment(service), **addresses}
    return WorkerProcess(settings, directory=directory, arguments=arguments, name=service, command=True)


@contextmanager
def started(broker: BrokerProcess, directory: Path, **other: str) -> Iterator[WorkerProcess]:
    """The topics, then the worker, ready."""
    reached = {"CALMSTREAM_BROKER__BOOTSTRAP": broker.bootstrap, **other}
    topics = process("topics", reached, directory).start()
    assert topics.wait_end(within_seconds=60) == 0, topics.log()
    own = {"CALMSTREAM_HTTP__HOST": LOOPBACK, "CALMSTREAM_HTTP__PORT": str(free_port())}
    with process("worker", reached | own, directory) as worker:
        yield worker


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerProcess]:
    """An embedded broker of its own: the names of its topics are the shipped ones."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="module")
def worker(broker: BrokerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """Compose's worker."""
    directory = tmp_path_factory.mktemp("compose")
    with started(broker, directory, CALMSTREAM_BROKER__IDEMPOTENCE="if-available") as worker:
        yield worker


def test_the_worker_becomes_ready_on_the_embedded_broker(worker: WorkerProcess) -> None:
    assert worker.status("/ready") == 200
    assert worker.status("/live") == 200


def test_the_health_check_of_the_image_passes_on_a_running_worker(worker: WorkerProcess) -> None:
    _, *arguments = stages(ROOT / "deploy/Dockerfile")[-1].health_command
    port = {"CALMSTREAM_HTTP__PORT": str(worker.port)}
    subprocess.run([sys.executable, *arguments], env=os.environ | port, timeout=30, check=True)


def compose_kafka(home: Path) -> KafkaServer:
    """Apache Kafka with compose's settings; only its addresses and its folder are others."""
    given = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in environment("kafka").items()
        if key not in ("KAFKA_HEAP_OPTS", "KAFKA_LOG_DIRS")
    }
    # The tests format a folder for a quorum that may grow, the image for the one voter that is named.
    assert given.pop("controller.quorum.voters").startswith(f"{given['node.id']}@kafka:")
    port, outside, controller = free_port(), free_port(), free_port()
    inside = {"INSIDE": port, "OUTSIDE": outside, "CONTROLLER": controller}
    for key in ("listeners", "advertised.listeners"):
        names = re.findall(r"(\w+)://", given[key])
        given[key] = ",".join(f"{name}://{LOOPBACK}:{inside[name]}" for name in names)
    given["controller.quorum.bootstrap.servers"] = f"{LOOPBACK}:{controller}"
    return KafkaServer(home, properties=given, port=port)


def test_the_worker_becomes_ready_on_apache_kafka_with_the_settings_of_compose(
    kafka_home: Path, tmp_path: Path
) -> None:
    with compose_kafka(kafka_home) as broker, started(broker, tmp_path) as worker:
        assert worker.status("/ready") == 200


# -- the queries ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(worker: WorkerProcess) -> dict[str, str]:
    """Every sample name that a running worker exports, and the type of its metric."""
    found = {}
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", worker.exposition(), re.MULTILINE):
        names = [f"{name}_{suffix}" for suffix in ("bucket", "sum", "count")] if kind == "histogram" else [name]
        found.update(dict.fromkeys(names, kind))
    return found


METRICS = described(Telemetry())


def labels_of(sample: str) -> set[str]:
    """The labels of a metric, by the name of one of its samples."""
    for metric in METRICS:
        if sample in metric.samples:
            return set(metric.labels) | ({"le"} if sample.endswith("_bucket") else set())
    raise AssertionError(f"{sample} is no metric of Telemetry")


@pytest.mark.parametrize(("name", "expression"), QUERIES)
def test_a_query_uses_only_metrics_and_labels_that_a_running_worker_exports(
    name: str, expression: str, exported: dict[str, str]
) -> None:
    found = uses(expression)
    assert found
    for use in found:
        if use.metric in MADE_BY_PROMETHEUS:
            assert use.labels <= TARGET_LABELS
            assert {use.matched.get("job")} <= JOBS
        else:
            assert use.metric in exported, f"{name} asks for {use.metric}, which the worker does not export"
            assert use.labels <= labels_of(use.metric) | TARGET_LABELS, f"{name}: {use.metric}"
            assert {use.matched.get("job")} <= {*JOBS, None}
            assert_fits(use, exported[use.metric])


def assert_fits(use: Use, kind: str) -> None:
    """Rates are of what counts up, slopes of gauges, and quantiles need the bounds of the buckets."""
    if {"rate", "increase"} & set(use.functions):
        assert kind in ("counter", "histogram"), use
    if {"deriv", "changes"} & set(use.functions):
        assert kind == "gauge", use
    if "histogram_quantile" in use.functions:
        assert use.metric.endswith("_bucket"), use
        assert all("le" in kept for kept in use.kept), use


def test_what_alerts_go_by_moves_with_what_happens(worker: WorkerProcess, broker: BrokerProcess) -> None:
    """A message that cannot be used is counted, and state is saved again and again."""
    saved = {f'calmstream_checkpoint_timestamp_seconds{{role="{role}"}}' for role in ("ingest", "score", "correlate")}
    before = worker.metrics()
    letters = 'calmstream_dead_letters_total{role="ingest",topic="calm.points"}'
    assert before[letters] == 0
    asyncio.run(send(broker, "calm.points", b"no point"))
    worker.wait_until(lambda: worker.metrics()[letters] == 1, "done with the message")
    worker.wait_until(lambda: all(worker.metrics()[each] > before[each] for each in saved), "saved anew")
    after = worker.metrics()
    assert all(abs(time.time() - after[each]) < 300 for each in saved)
    assert {value for name, value in after.items() if name.startswith("calmstream_lag_seconds")} == {0}


async def send(broker: BrokerProcess, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


def matched(label: str) -> set[str]:
    return {use.matched[label] for _, expression in QUERIES for use in uses(expression) if label in use.matched}


def test_a_role_that_a_query_names_is_a_role(worker: WorkerProcess) -> None:
    ready = worker.metrics()
    assert all(f'calmstream_ready{{role="{role}"}}' in ready for role in matched("role"))


def test_a_reason_that_a_query_names_is_counted_somewhere() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "pipeline").rglob("*.py"))
    assert all(f'"{reason}"' in sources for reason in matched("reason"))


def shown(expression: str) -> set[str]:
    """The labels that the result of a query carries."""
    found = uses(expression)
    outer = [use.kept[0] for use in found if use.kept]
    if outer:
        return set().union(*outer) - {"le"}
    return (
        set().union(*(labels_of(use.metric) for use in found if use.metric not in MADE_BY_PROMETHEUS)) | TARGET_LABELS
    )


@pytest.mark.parametrize(("title", "target"), TARGETS)
def test_a_legend_names_only_labels_that_its_query_returns(title: str, target: dict[str, Any]) -> None:
    named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    assert named <= shown(target["expr"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_with_labels_that_its_query_returns(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    text = " ".join(rule["annotations"][key] for key in ("summary", "description"))
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= shown(rule["expr"])


@pytest.mark.parametrize(
    "metric",
    [
        *("points", "drops", "anomalies", "incidents", "lag", "incident_latency", "watermark", "checkpoint_bytes"),
        *("checkpoint_seconds", "signals"),
    ],
)
def test_the_dashboard_shows(metric: str) -> None:
    (family,) = getattr(Telemetry(), metric).describe()
    assert any(use.metric.startswith(family.name) for _, target in TARGETS for use in uses(target["expr"]))
