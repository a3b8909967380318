"""Names that OpenTelemetry has given up, and what they are called now: metrics, attributes, units.

Guarantee: a pure function of one series. Renaming is for reading (whose metric is this, what does it measure) and never
makes one signal of two series: a signal's id stays that of the names the producer sent (see ``identity``), so a
producer that sends both names at once has two signals that are called the same.

Sources: the schema files of the semantic conventions (1.17 to 1.44), and for Kubernetes the names that the collector's
receivers used before there were conventions. Left out is what cannot be told from the name alone, such as
``container.cpu.utilization`` (a share from Docker, cores from the kubelet), and what changed its meaning.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.records import Series
from pipeline.records.signal import Attributes


class Newer(NamedTuple):
    """The name now, and the unit now where that changed (empty: as sent)."""

    name: str
    unit: str = ""


class Current(NamedTuple):
    """A series under today's names. Values are to be multiplied by ``factor``."""

    name: str
    unit: str
    factor: float = 1.0


def _replicas() -> Iterator[tuple[str, Newer]]:
    """Kubernetes' counts of pods, nodes and jobs: twice renamed."""
    counts = {
        "deployment": ("pod", "desired available", "{}", "{}_pods"),
        "replicaset": ("pod", "desired available", "{}", "{}_pods"),
        "replicationcontroller": ("pod", "desired available", "{}", "{}_pods"),
        "statefulset": ("pod", "desired current ready updated", "{}_pods"),
        "daemonset": ("node", "current_scheduled desired_scheduled misscheduled ready", "{}_nodes"),
        "hpa": ("pod", "current desired max min", "{}_replicas", "{}_pods"),
        "job": ("pod", "active desired_successful failed max_parallel successful", "{}_pods"),
    }
    for kind, (what, names, *older) in counts.items():
        for name in names.split():
            for form in older:
                yield f"k8s.{kind}.{form.format(name)}", Newer(f"k8s.{kind}.{what}.{name}")


def _jvm() -> Iterator[tuple[str, Newer]]:
    older, now = "process.runtime.jvm", "jvm"
    same = "memory.committed memory.limit memory.init cpu.time system.cpu.utilization system.cpu.load_1m buffer.count"
    renamed = {
        "memory.usage": "memory.used",
        "memory.usage_after_last_gc": "memory.used_after_last_gc",
        "cpu.utilization": "cpu.recent_utilization",
        "cpu.recent_utilization": "cpu.recent_utilization",
        "threads.count": "thread.count",
        "classes.loaded": "class.loaded",
        "classes.unloaded": "class.unloaded",
        "classes.current_loaded": "class.count",
        "buffer.usage": "buffer.memory.used",
        "buffer.limit": "buffer.memory.limit",
    }
    for name, newer in {**{name: name for name in same.split()}, **renamed}.items():
        yield f"{older}.{name}", Newer(f"{now}.{newer}")
    yield f"{older}.gc.duration", Newer(f"{now}.gc.duration", "s")


#: Older name of a metric → what it is called now.
METRICS: Mapping[str, Newer] = {
    "http.server.duration": Newer("http.server.request.duration", "s"),
    "http.client.duration": Newer("http.client.request.duration", "s"),
    "http.server.request.size": Newer("http.server.request.body.size"),
    "http.server.response.size": Newer("http.server.response.body.size"),
    "http.client.request.size": Newer("http.client.request.body.size"),
    "http.client.response.size": Newer("http.client.response.body.size"),
    "rpc.server.duration": Newer("rpc.server.call.duration", "s"),
    "rpc.client.duration": Newer("rpc.client.call.duration", "s"),
    "db.client.connections.usage": Newer("db.client.connection.count"),
    "db.client.connections.idle.max": Newer("db.client.connection.idle.max"),
    "db.client.connections.idle.min": Newer("db.client.connection.idle.min"),
    "db.client.connections.max": Newer("db.client.connection.max"),
    "db.client.connections.pending_requests": Newer("db.client.connection.pending_requests"),
    "db.client.connections.timeouts": Newer("db.client.connection.timeouts"),
    "db.client.connections.create_time": Newer("db.client.connection.create_time", "s"),
    "db.client.connections.wait_time": Newer("db.client.connection.wait_time", "s"),
    "db.client.connections.use_time": Newer("db.client.connection.use_time", "s"),
    "messaging.publish.messages": Newer("messaging.client.sent.messages"),
    "messaging.client.published.messages": Newer("messaging.client.sent.messages"),
    "k8s.pod.cpu.utilization": Newer("k8s.pod.cpu.usage"),
    "k8s.node.cpu.utilization": Newer("k8s.node.cpu.usage"),
    "k8s.container.restarts": Newer("k8s.container.restart.count"),
    "k8s.container.cpu_limit": Newer("k8s.container.cpu.limit.desired"),
    "k8s.container.cpu_request": Newer("k8s.container.cpu.request.desired"),
    "k8s.container.memory_limit": Newer("k8s.container.memory.limit.desired"),
    "k8s.container.memory_request": Newer("k8s.container.memory.request.desired"),
    "k8s.container.cpu.limit": Newer("k8s.container.cpu.limit.desired"),
    "k8s.container.cpu.request": Newer("k8s.container.cpu.request.desired"),
    "k8s.container.memory.limit": Newer("k8s.container.memory.limit.desired"),
    "k8s.container.memory.request": Newer("k8s.container.memory.request.desired"),
    "k8s.container.cpu.limit_utilization": Newer("k8s.container.cpu.limit.utilization"),
    "k8s.container.cpu.request_utilization": Newer("k8s.container.cpu.request.utilization"),
    "k8s.cronjob.active_jobs": Newer("k8s.cronjob.job.active"),
    "k8s.node.allocatable.cpu": Newer("k8s.node.cpu.allocatable"),
    "k8s.node.allocatable.memory": Newer("k8s.node.memory.allocatable"),
    "k8s.node.allocatable.ephemeral_storage": Newer("k8s.node.ephemeral_storage.allocatable"),
    "k8s.node.allocatable.pods": Newer("k8s.node.pod.allocatable"),
    "k8s.node.memory.paging.faults": Newer("k8s.node.paging.faults"),
    "k8s.pod.memory.paging.faults": Newer("k8s.pod.paging.faults"),
    "container.memory.paging.faults": Newer("container.paging.faults"),
    "process.threads": Newer("process.thread.count"),
    "process.open_file_descriptors": Newer("process.unix.file_descriptor.count"),
    "process.open_file_descriptor.count": Newer("process.unix.file_descriptor.count"),
    "system.processes.count": Newer("system.process.count"),
    "system.processes.created": Newer("system.process.created"),
    "system.network.connections": Newer("system.network.connection.count"),
    "cpu.time": Newer("system.cpu.time"),
    "cpu.utilization": Newer("system.cpu.utilization"),
    "cpu.frequency": Newer("system.cpu.frequency"),
    "jvm.memory.usage": Newer("jvm.memory.used"),
    "jvm.memory.usage_after_last_gc": Newer("jvm.memory.used_after_last_gc"),
    "jvm.buffer.memory.usage": Newer("jvm.buffer.memory.used"),
    **dict(_replicas()),
    **dict(_jvm()),
}
#: Older name of an attribute → what it is called now.
ATTRIBUTES: Mapping[str, str] = {
    "deployment.environment": "deployment.environment.name",
    "http.method": "http.request.method",
    "http.status_code": "http.response.status_code",
    "http.scheme": "url.scheme",
    "http.client_ip": "client.address",
    "http.user_agent": "user_agent.original",
    "net.peer.name": "server.address",
    "net.peer.port": "server.port",
    "net.host.name": "server.address",
    "net.host.port": "server.port",
    "net.protocol.name": "network.protocol.name",
    "net.protocol.version": "network.protocol.version",
    "net.app.protocol.name": "network.protocol.name",
    "net.app.protocol.version": "network.protocol.version",
    "peer.service": "service.peer.name",
    "db.system": "db.system.name",
    "db.name": "db.namespace",
    "db.operation": "db.operation.name",
    "db.sql.table": "db.collection.name",
    "db.mongodb.collection": "db.collection.name",
    "db.cassandra.table": "db.collection.name",
    "db.cosmosdb.container": "db.collection.name",
    "db.client.connections.pool.name": "db.client.connection.pool.name",
    "db.client.connections.state": "db.client.connection.state",
    "rpc.system": "rpc.system.name",
    "messaging.destination": "messaging.destination.name",
    "messaging.operation": "messaging.operation.type",
    "messaging.client_id": "messaging.client.id",
    "messaging.kafka.client_id": "messaging.client.id",
    "messaging.kafka.consumer.group": "messaging.consumer.group.name",
    "messaging.rocketmq.client_group": "messaging.consumer.group.name",
    "messaging.eventhubs.consumer.group": "messaging.consumer.group.name",
    "messaging.kafka.destination.partition": "messaging.destination.partition.id",
    "faas.id": "cloud.resource_id",
    "container.runtime": "container.runtime.name",
    "system.cpu.state": "cpu.mode",
    "process.cpu.state": "cpu.mode",
    "container.cpu.state": "cpu.mode",
    "system.cpu.logical_number": "cpu.logical_number",
    "system.network.state": "network.connection.state",
    "system.network.io.direction": "network.io.direction",
    "system.disk.io.direction": "disk.io.direction",
    "system.processes.status": "process.state",
    "system.process.status": "process.state",
    "process.context_switch_type": "process.context_switch.type",
    "process.paging.fault_type": "system.paging.fault.type",
    "system.paging.type": "system.paging.fault.type",
    "thread.daemon": "jvm.thread.daemon",
    "feature_flag.provider_name": "feature_flag.provider.name",
    "feature_flag.variant": "feature_flag.result.variant",
}
#: Units between which values can be converted, in seconds.
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def current_metric(name: str, unit: str) -> Current:
    """A metric under today's name; as it is where its unit cannot be converted."""
    newer = METRICS.get(name)
    if newer is None:
        return Current(name, unit)
    if newer.unit in ("", unit):
        return Current(newer.name, unit)
    if unit not in _SECONDS:
        return Current(name, unit)
    return Current(newer.name, newer.unit, _SECONDS[unit] / _SECONDS[newer.unit])


def current_attributes(attributes: Attributes) -> Sequence[tuple[str, str, str]]:
    """For each attribute its name now, its value and its name as sent.

    An older name beside a newer one keeps its place only where the values differ, and then under its own name; so does
    the second of two older names that became one.
    """
    taken = {name: value for name, value in attributes if name not in ATTRIBUTES}
    found = []
    for sent, value in attributes:
        name = ATTRIBUTES.get(sent, sent)
        if name != sent and taken.setdefault(name, value) != value:
            name = sent
        found.append((name, value, sent))
    return found


def value_factor(series: Series) -> float:
    """What values of a series are to be multiplied by, to be in the unit of the metric's name today."""
    return current_metric(series.name, series.unit).factor
