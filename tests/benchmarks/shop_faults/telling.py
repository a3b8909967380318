"""What the shop's processes and its cluster send to Kafka, by way of a collector that sends it on every two seconds.

Guarantee: spans, lines and durations are those of the SDK, pods and nodes are as the receivers ``kubeletstats`` and
``k8s_cluster`` tell of them; messages are in order of time. What a process had not sent when it ended is lost.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics

from pipeline.codecs.otlp_encode import cumulative_sum, gauge, metrics_request, resource_metrics
from pipeline.demo.shop.exporting import LOGS, METRICS, SPANS
from tests.benchmarks.shop_faults import spans
from tests.benchmarks.shop_faults.pods import Pod, Process
from tests.benchmarks.shop_faults.shop import Shop
from tests.benchmarks.shop_faults.town import (
    BATCH,
    BATCH_NAMESPACE,
    ENVIRONMENT,
    MEMORY_LIMIT,
    NAMESPACE,
    NODE_CORES,
    NODES,
    POD_CORES,
)

T = TypeVar("T")
#: A batch of the collector; metrics of one process every five batches.
BATCH_SECONDS, EVERY_BATCHES = 2.0, 5


@dataclass(frozen=True, slots=True)
class Sent:
    """A message, and when it is sent, in seconds since the epoch."""

    at: float
    topic: str
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Telling:
    """Called every ``BATCH_SECONDS`` of event time."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop = shop
        self._dice = random.Random(f"{seed}/telling")
        self._who: dict[tuple[str, str], bytes] = {}
        self._began_us = int(shop.clock.now * 1e6)
        self._batch_load = dict.fromkeys(NODES, 0.0)
        self._network = dict.fromkeys(NODES, 0.0)
        self._rounds = 0

    def messages(self) -> Iterator[Sent]:
        """What the collector has put together until now."""
        shop, now = self._shop, self._shop.clock.now
        pods = [*shop.every_pod(), *shop.leaving]
        processes = [pod.process for pod in pods if pod.process is not None]
        metrics = self._metrics(pods)
        if metrics:
            yield Sent(now, METRICS, metrics_request(*metrics))
        scope = spans.SCOPE
        told = [(self._resource(each), scope, _taken(each.spans)) for each in processes if each.spans]
        if told:
            yield Sent(now, SPANS, spans.request(told))
        lines = [(self._resource(each), b"shop", _taken(each.lines)) for each in processes if each.lines]
        lines += [(who, b"otelcol/k8seventsreceiver", [line]) for who, line in _taken(shop.events.told)]
        if lines:
            yield Sent(now, LOGS, spans.request(lines))
        shop.leaving[:] = [pod for pod in shop.leaving if pod.process is not None and pod.process.alive]
        self._rounds += 1

    # -- who -----------------------------------------------------------------------------------------------------------

    def _resource(self, process: Process) -> bytes:
        key = process.pod.name, process.version
        if key not in self._who:
            self._who[key] = spans.resource(_of_process(process))
        return self._who[key]

    # -- metrics -------------------------------------------------------------------------------------------------------

    def _metrics(self, pods: list[Pod]) -> list[ResourceMetrics]:
        phase, now = self._rounds % EVERY_BATCHES, self._shop.clock.now
        found = []
        for pod in pods:
            if pod.phase == phase and pod.process is not None and (metrics := pod.process.meters.metrics(now)):
                found.append(resource_metrics(_of_process(pod.process), metrics))
        if phase < len(NODES):
            found += self._node(NODES[phase], [pod for pod in pods if pod.node.name == NODES[phase]])
        if phase == len(NODES):
            found += self._cluster()
        return found

    def _node(self, node: str, pods: list[Pod]) -> list[ResourceMetrics]:
        """As the kubelet of a node tells: its pods and itself."""
        found, total = [], self._dice.gauss(0.35, 0.03)
        for pod in pods:
            cores, memory = self._used(pod)
            total += cores
            found.append(resource_metrics(_of_pod(pod), self._pod_metrics(pod, cores, memory)))
        load = self._batch_load[node] = max(0.05, 0.8 * self._batch_load[node] + self._dice.gauss(0.04, 0.03))
        if self._dice.random() < 0.012:
            self._batch_load[node] += self._dice.uniform(0.2, 0.5)  # a small job
        cores = min(load + self._shop.batch[node], NODE_CORES - 0.4) * self._dice.lognormvariate(0.0, 0.03)
        total += cores
        at = int(self._shop.clock.now * 1e6)
        memory = 2**20 * (300.0 + 120.0 * cores) * self._dice.lognormvariate(0.0, 0.01)
        of_batch = [gauge("k8s.pod.cpu.usage", [(at, cores, {})], "{cpu}"), _level("k8s.pod.memory", memory, at)]
        found.append(resource_metrics(_of_batch(node, self._shop.batch_pods[node]), of_batch))
        own = {"deployment.environment.name": ENVIRONMENT, "k8s.node.name": node}
        of_node = [
            gauge("k8s.node.cpu.usage", [(at, min(total, NODE_CORES), {})], "{cpu}"),
            _level("k8s.node.memory", 2**30 * 6.0 * self._dice.lognormvariate(0.0, 0.01), at),
        ]
        return [*found, resource_metrics(own, of_node)]

    def _used(self, pod: Pod) -> tuple[float, float]:
        """Cores and bytes of memory since it was asked last; memory breathes with garbage."""
        process, shop = pod.process, self._shop
        if process is None:
            return 0.0, 0.0
        seconds = min(BATCH_SECONDS * EVERY_BATCHES, max(shop.clock.now - process.began, BATCH_SECONDS))
        used = max(0.0, process.busy_seconds - pod.spent)
        pod.spent = process.busy_seconds
        hog = sum(each.hog for each in pod.troubles if each.is_of(pod.place, process.version))
        share = min(1.0, used / seconds + hog + abs(self._dice.gauss(0.02, 0.006)))
        garbage = MEMORY_LIMIT * (0.02 + 0.03 * share + abs(self._dice.gauss(0.0, 0.006)))
        return share * POD_CORES, min(MEMORY_LIMIT * 0.999, process.base + process.leaked + garbage)

    def _pod_metrics(self, pod: Pod, cores: float, memory: float) -> list[Metric]:
        at = int(self._shop.clock.now * 1e6)
        pod.sent_bytes += 400.0 * self._dice.random()
        if pod.process is None:
            return []
        return [
            gauge("k8s.pod.cpu.usage", [(at, cores, {})], "{cpu}"),
            gauge("k8s.pod.cpu_limit_utilization", [(at, cores / POD_CORES, {})], "1"),
            _level("k8s.pod.memory", memory, at),
            gauge("k8s.pod.memory_limit_utilization", [(at, memory / MEMORY_LIMIT, {})], "1"),
            cumulative_sum(
                "k8s.pod.network.io",
                [(at, int(pod.sent_bytes), {"interface": "eth0", "direction": "transmit"})],
                self._began_us,
                "By",
            ),
        ]

    def _cluster(self) -> list[ResourceMetrics]:
        """As the cluster's API tells: containers and deployments."""
        at, found = int(self._shop.clock.now * 1e6), []
        for name, pods in self._shop.pods.items():
            for pod in pods:
                ready = [
                    gauge("k8s.container.restarts", [(at, pod.restarts, {})], "{restart}"),
                    gauge("k8s.container.ready", [(at, int(pod.open), {})], ""),
                ]
                found.append(resource_metrics(_of_pod(pod) | {"k8s.container.name": name}, ready))
            available = sum(pod.open for pod in pods)
            of_deployment = [
                gauge("k8s.deployment.desired", [(at, self._shop.wanted[name], {})], "{pod}"),
                gauge("k8s.deployment.available", [(at, available, {})], "{pod}"),
            ]
            found.append(resource_metrics(_of_deployment(name), of_deployment))
        return found


def _taken(found: list[T]) -> list[T]:
    taken = found[:]
    found.clear()
    return taken


def _level(name: str, memory: float, at: int) -> Metric:
    return gauge(f"{name}.working_set", [(at, int(memory), {})], "By")


def _of_deployment(name: str) -> dict[str, str | bool | int | float | list[str | bool | int | float]]:
    return {
        "deployment.environment.name": ENVIRONMENT,
        "k8s.namespace.name": NAMESPACE,
        "k8s.deployment.name": name,
    }


def _of_pod(pod: Pod) -> dict[str, str | bool | int | float | list[str | bool | int | float]]:
    return _of_deployment(pod.service.name) | {"k8s.pod.name": pod.name, "k8s.node.name": pod.node.name}


def _of_process(process: Process) -> dict[str, str | bool | int | float | list[str | bool | int | float]]:
    return _of_pod(process.pod) | {
        "service.name": process.pod.service.name,
        "service.version": process.version,
        "service.instance.id": process.pod.name,
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
    }


def _of_batch(node: str, pod: str) -> dict[str, str | bool | int | float | list[str | bool | int | float]]:
    return {
        "deployment.environment.name": ENVIRONMENT,
        "k8s.namespace.name": BATCH_NAMESPACE,
        "k8s.deployment.name": BATCH,
        "k8s.pod.name": pod,
        "k8s.node.name": node,
    }
