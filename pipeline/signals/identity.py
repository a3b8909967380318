"""From a series' attributes to the signal they name: scope, workload, instance, and the attributes that are left.

Guarantee: a pure function of the series and the scope attributes; the workload never depends on the pod, the
process id or the version, so that a rollout does not change who a signal belongs to. Attribute names are those of
the OpenTelemetry semantic conventions.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence

from pipeline.records import Kind, Series, Signal

#: Kubernetes controllers, most exact first: the attribute and the entity type it names.
_CONTROLLERS = (
    ("k8s.deployment.name", "deployment"),
    ("k8s.statefulset.name", "statefulset"),
    ("k8s.daemonset.name", "daemonset"),
    ("k8s.cronjob.name", "cronjob"),
    ("k8s.job.name", "job"),
)
#: The ReplicaSet of a Deployment is named after it and a hash of the pod template, in this alphabet of Kubernetes.
_REPLICASET = re.compile(r"(.+)-[bcdfghjklmnpqrstvwxz2456789]{5,10}")
#: What names a workload outside Kubernetes' controllers, after the service.
_WORKLOADS = (
    ("faas.name", "function"),
    ("process.executable.name", "process"),
    ("container.name", "container"),
    ("container.image.name", "image"),
    ("k8s.node.name", "node"),
    ("host.name", "host"),
    ("host.id", "host"),
)
#: What tells instances of one workload apart, most exact first.
_INSTANCES = (
    "k8s.pod.name",
    "service.instance.id",
    "faas.instance",
    "process.pid",
    "container.id",
    "host.name",
    "host.id",
)
#: Older names of scope attributes, read where the newer one is missing.
_OLDER = {"deployment.environment.name": "deployment.environment"}
#: Attributes that identify the entity (or its version) and so are not part of what a signal measures …
_ENTITY_PREFIXES = (
    "service.",
    "k8s.",
    "host.",
    "container.",
    "cloud.",
    "faas.",
    "deployment.",
    "process.",
    "telemetry.",
    "os.",
)
#: … except these, which tell apart what one instance measures: without them two series would become one signal.
_MEASURED = frozenset(
    (
        "container.cpu.state",
        "container.name",
        "faas.coldstart",
        "faas.trigger",
        "k8s.container.name",
        "k8s.container.status.reason",
        "k8s.container.status.state",
        "k8s.hugepage.size",
        "k8s.namespace.phase",
        "k8s.node.condition.status",
        "k8s.node.condition.type",
        "k8s.persistentvolumeclaim.name",
        "k8s.pod.status.phase",
        "k8s.pod.status.reason",
        "k8s.resourcequota.resource_name",
        "k8s.storageclass.name",
        "k8s.volume.name",
        "k8s.volume.type",
        "process.context_switch.type",
        "process.cpu.state",
        "process.paging.fault_type",
    )
)


def signal_of(series: Series, scope_attributes: Sequence[str]) -> Signal:
    """The signal that a series names. The id is a 64-bit BLAKE2b hash of all other fields."""
    attributes = dict(series.attributes)
    found = [attributes.get(name) or attributes.get(_OLDER.get(name, "")) for name in scope_attributes]
    scope = "/".join(value for value in found if value) or "default"
    workload = _workload(attributes)
    instance = _instance(attributes, workload)
    own = tuple(pair for pair in series.attributes if not _names_entity(pair[0], pair[1], workload))
    unit = _rate_unit(series.unit) if series.kind in (Kind.COUNTER, Kind.DELTA) else series.unit
    parts = (series.name, unit, series.kind.value, scope, workload, instance, *(text for pair in own for text in pair))
    return Signal(_hash(parts), series.name, unit, series.kind, scope, workload, instance, own)


def derived(signal: Signal, suffix: str, unit: str) -> Signal:
    """A signal computed from another one, for instance a histogram's ``p95``; never the same as a producer's own."""
    name = f"{signal.name}.{suffix}"
    parts = (
        name,
        unit,
        "derived",
        signal.scope,
        signal.workload,
        signal.instance,
        *(t for p in signal.attributes for t in p),
    )
    return Signal(
        _hash(parts), name, unit, Kind.GAUGE, signal.scope, signal.workload, signal.instance, signal.attributes
    )


def partition_of(signal: Signal, partitions: int) -> int:
    """The partition of ``calm.signals`` for a signal: CRC-32 of its workload (librdkafka's ``consistent`` hash)."""
    return zlib.crc32(f"{signal.scope}|{signal.workload}".encode()) % partitions


def scope_partition(scope: str, partitions: int) -> int:
    """The partition of ``calm.anomalies`` for a scope, by the same hash."""
    return zlib.crc32(scope.encode()) % partitions


def _names_entity(name: str, value: str, workload: str) -> bool:
    """Is this attribute part of who emits, and so not of what is measured?"""
    if name in _MEASURED:
        return workload == f"container:{value}"
    return name.startswith(_ENTITY_PREFIXES)


def _workload(attributes: Mapping[str, str]) -> str:
    namespace = attributes.get("k8s.namespace.name")
    for name, kind in _CONTROLLERS:
        if attributes.get(name):
            return f"{kind}:{_with_namespace(namespace, attributes[name])}"
    replicaset = attributes.get("k8s.replicaset.name")
    if replicaset:
        owner = _REPLICASET.fullmatch(replicaset)
        kind, name = ("deployment", owner[1]) if owner else ("replicaset", replicaset)
        return f"{kind}:{_with_namespace(namespace, name)}"
    if attributes.get("service.name"):
        return f"service:{_with_namespace(attributes.get('service.namespace'), attributes['service.name'])}"
    for name, kind in _WORKLOADS:
        if attributes.get(name):
            return f"{kind}:{attributes[name]}"
    return "unknown"


def _instance(attributes: Mapping[str, str], workload: str) -> str:
    for name in _INSTANCES:
        value = attributes.get(name)
        if value and workload.partition(":")[2] != value:
            host = attributes.get("host.name", "") if name == "process.pid" else ""
            return f"{host}/{value}" if host else value
    return ""


def _with_namespace(namespace: str | None, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _rate_unit(unit: str) -> str:
    return "1" if unit == "s" else f"{unit or '1'}/s"


def _hash(parts: Sequence[str]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(4, "little"))
        digest.update(encoded)
    return int.from_bytes(digest.digest(), "little")
