"""From a series' attributes to the signal they name: scope, workload, instance, and the attributes that are left.

Guarantee: a pure function of the series and the scope attributes; the workload never depends on the pod, the
process id or the version, so that a rollout does not change who a signal belongs to. Attribute names are those of
the OpenTelemetry semantic conventions; older ones are read as what they are called now (``aliases``). The id is made of
the names that were sent, so that two series which only differ in the age of their names stay two signals.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from sys import intern

from pipeline.records import Entity, Kind, Series, Signal
from pipeline.records.signal import ALERT_PREFIX, Attributes
from pipeline.signals.aliases import ATTRIBUTES, current_attributes, current_metric

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
#: Scope and workload as we name them ourselves.
_OURS = ("calm.scope", "calm.workload")
#: What tells a workload's version, most exact first.
_VERSIONS = (
    "service.version",
    "faas.version",
    "app.kubernetes.io/version",
    "container.image.tags",
    "container.image.id",
)
#: Where an instance runs, sorted by name.
_PLACES = (
    "cloud.availability_zone",
    "cloud.region",
    "container.name",
    "host.name",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.node.name",
    "k8s.pod.name",
    "k8s.replicaset.name",
)
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
        "process.state",
        "service.peer.name",
        "service.peer.namespace",
    )
)


def signal_of(series: Series, scope_attributes: Sequence[str], *, rescaled: bool = False) -> Signal:
    """The signal that a series names. The id is a 64-bit BLAKE2b hash of all other fields, with the names as sent.

    rescaled: the caller multiplies values by ``aliases.value_factor(series)``. Without it a metric whose unit changed
    with its name keeps both.
    """
    attributes = dict(series.attributes)
    renamed = () if ATTRIBUTES.keys().isdisjoint(attributes) else current_attributes(series.attributes)
    if renamed:
        attributes = {name: value for name, value, _ in renamed}
    found = [attributes.get(ATTRIBUTES.get(name, name)) for name in scope_attributes]
    scope = "/".join(value for value in found if value) or "default"
    workload = _workload(attributes)
    instance = _instance(attributes, workload)
    if renamed:
        own_now = [each for each in renamed if not _names_entity(each[0], each[1], workload)]
        sent = tuple((name, value) for _, value, name in own_now)
        own = tuple(sorted({(name, value) for name, value, _ in own_now}))
    else:
        sent = own = tuple(pair for pair in series.attributes if not _names_entity(pair[0], pair[1], workload))
    unit = _window_unit(series.unit, series.kind)
    id_ = _id(series.name, unit, series.kind, scope, workload, instance, sent)
    metric = current_metric(series.name, series.unit)
    name = series.name
    if metric.factor == 1.0 or rescaled:
        name, unit = metric.name, _window_unit(metric.unit, series.kind)
    who = intern(scope), intern(workload), intern(instance)
    return Signal(id_, intern(name), intern(unit), series.kind, *who, _shared(own))


@lru_cache(maxsize=16_384)
def _shared(attributes: Attributes) -> Attributes:
    """The same attributes, as one object for the many signals that have them."""
    return attributes


def entity_of(sent: Attributes, scope_attributes: Sequence[str]) -> Entity:
    """Who these resource attributes name, with version and places."""
    attributes = {name: value for name, value, _ in current_attributes(sent)}
    if _OURS[0] in attributes:
        version, instance = attributes.get("service.version", ""), attributes.get("service.instance.id", "")
        return Entity(attributes[_OURS[0]], attributes.get(_OURS[1], "unknown"), instance, version)
    found = [attributes.get(ATTRIBUTES.get(name, name)) for name in scope_attributes]
    workload = _workload(attributes)
    version = next((attributes[name] for name in _VERSIONS if attributes.get(name)), "")
    places = tuple((name, attributes[name]) for name in _PLACES if attributes.get(name))
    scope = "/".join(value for value in found if value) or "default"
    return Entity(scope, workload, _instance(attributes, workload), version, places)


def attributes_of(entity: Entity) -> Attributes:
    """Attributes by which ``entity_of`` finds an entity again, but for its places."""
    found = {
        _OURS[0]: entity.scope,
        _OURS[1]: entity.workload,
        "service.instance.id": entity.instance,
        "service.version": entity.version,
    }
    return tuple(sorted((name, value) for name, value in found.items() if value))


@lru_cache(maxsize=65_536)
def made_signal(name: str, unit: str, kind: Kind, entity: Entity, attributes: Attributes) -> Signal:
    """A signal that we make ourselves, of an entity's workload: its instance and version do not count."""
    parts = ("made", name, unit, kind.value, entity.scope, entity.workload, *chain(*attributes))
    return Signal(_hash(parts), name, unit, kind, entity.scope, entity.workload, "", attributes)


def derived(signal: Signal, suffix: str, unit: str) -> Signal:
    """A signal computed from another one, for instance a histogram's ``p95``; never the same as a producer's own."""
    name = f"{signal.name}.{suffix}"
    parts = [name, unit, "derived", signal.scope, signal.workload, signal.instance, *chain(*signal.attributes)]
    plain = _id(
        signal.name, signal.unit, signal.kind, signal.scope, signal.workload, signal.instance, signal.attributes
    )
    if signal.id != plain:  # it was sent under other names, and there may be another one that was sent under these
        parts.append(str(signal.id))
    return Signal(
        _hash(parts), name, unit, Kind.GAUGE, signal.scope, signal.workload, signal.instance, signal.attributes
    )


def partition_of(signal: Signal, partitions: int) -> int:
    """The partition of ``calm.signals`` for a signal: CRC-32 of its workload (librdkafka's ``consistent`` hash). Counts
    of alerts stand together by scope, for how seldom a type comes says something only of all that it comes for."""
    if signal.alert_type:
        return workload_partition(signal.scope, ALERT_PREFIX, partitions)
    return workload_partition(signal.scope, signal.workload, partitions)


@lru_cache(maxsize=65_536)
def workload_partition(scope: str, workload: str, partitions: int) -> int:
    """The same for all that belongs to a workload."""
    return zlib.crc32(f"{scope}|{workload}".encode("utf-8", "surrogatepass")) % partitions


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


def _window_unit(unit: str, kind: Kind) -> str:
    """The unit of a window's value: of a rate where the kind is one whose rate counts."""
    if kind not in (Kind.COUNTER, Kind.DELTA, Kind.SPARSE_DELTA):
        return unit
    return "1" if unit == "s" else f"{unit or '1'}/s"


def _id(
    name: str, unit: str, kind: Kind, scope: str, workload: str, instance: str, attributes: Sequence[tuple[str, str]]
) -> int:
    return _hash((name, unit, kind.value, scope, workload, instance, *chain(*attributes)))


def _hash(parts: Sequence[str]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(4, "little"))
        digest.update(encoded)
    return int.from_bytes(digest.digest(), "little")
