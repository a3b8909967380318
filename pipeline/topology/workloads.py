"""Workloads, their instances, versions and nodes, as telemetry shows them; a new version is a change, announced or not.

Guarantee: what is told depends on the order of sightings alone. A version counts as new where the workload was known
for a while with another one, and no instance began with it of late; of one rollout it is told once.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from pipeline.records import US, Change, Entity

#: A workload must have been known for so long before a version of it is new: at first all versions are.
_KNOWN_US = 120 * US
#: Instances that begin with a version within this time of each other belong to one rollout.
_ROLLOUT_US = 600 * US
#: Instances and versions of a workload that are remembered, and workloads.
_MOST_INSTANCES, _MOST_VERSIONS, _MOST_WORKLOADS = 1_000, 100, 50_000

_NO_INSTANCE = "\0"

_Key = tuple[str, str]


@dataclass(slots=True)
class _Workload:
    first_us: int
    instances: dict[str, str] = field(default_factory=dict)  # instance → its version, the newest last
    begun_us: dict[str, int] = field(default_factory=dict)  # version → when an instance last began with it
    newest: str = ""
    nodes: dict[str, str] = field(default_factory=dict)  # instance → the node that it runs on, an entity


class Workloads:
    """``see`` what blocks say of entities, in the order of the log."""

    def __init__(self) -> None:
        self._known: dict[_Key, _Workload] = {}

    def see(self, entity: Entity, at_us: int) -> tuple[bool, Change | None]:
        """An instance with a version: is it news, and is it the first of a rollout?"""
        version = entity.version or _replicaset(entity)
        known = self._known.get((entity.scope, entity.workload))
        if known is None:
            if len(self._known) >= _MOST_WORKLOADS:
                del self._known[next(iter(self._known))]
            known = self._known[entity.scope, entity.workload] = _Workload(at_us)
        # Where no instance is named, several may be meant, each with a version of its own.
        instance = entity.instance or f"{_NO_INSTANCE}{version}"
        if entity.instance and (node := _node(entity)):
            known.nodes[instance] = node
        if instance in known.instances and version in ("", known.instances[instance]):
            return False, None  # not all that is sent of an instance says which version it is
        known.instances.pop(instance, None)
        known.instances[instance] = version
        if len(known.instances) > _MOST_INSTANCES:
            oldest = next(iter(known.instances))
            del known.instances[oldest]
            known.nodes.pop(oldest, None)
        return True, self._change(known, entity, version, at_us) if version else None

    def node_of(self, scope: str, workload: str, instance: str) -> str:
        """The entity (``node:…`` or ``host:…``) that an instance runs on, empty where it is not known."""
        known = self._known.get((scope, workload))
        return "" if known is None else known.nodes.get(instance, "")

    def _change(self, known: _Workload, entity: Entity, version: str, at_us: int) -> Change | None:
        before, last_us = known.newest, known.begun_us.pop(version, None)
        known.begun_us[version] = at_us
        if len(known.begun_us) > _MOST_VERSIONS:
            del known.begun_us[next(iter(known.begun_us))]
        if last_us is not None and at_us - last_us <= _ROLLOUT_US:
            return None
        known.newest = version
        if not before or before == version or at_us - known.first_us < _KNOWN_US:
            return None
        parts = (entity.scope, entity.workload, version, str(at_us))
        digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8)
        return Change(
            id=f"telemetry-{digest.hexdigest()}",
            effective_us=at_us,
            kind="deployment",
            phase="started",
            entity=(),
            source="telemetry",
            version=version,
            before=before,
            title=f"{entity.workload} began to run {version}, after {before}",
        )

    def dump(self) -> list[Any]:
        return [
            [
                *key,
                known.first_us,
                list(known.instances.items()),
                list(known.begun_us.items()),
                known.newest,
                list(known.nodes.items()),
            ]
            for key, known in self._known.items()
        ]

    def load(self, dumped: list[Any]) -> None:
        self._known = {
            (scope, workload): _Workload(first_us, dict(instances), dict(begun_us), newest, dict(nodes))
            for scope, workload, first_us, instances, begun_us, newest, nodes in dumped
        }


def _replicaset(entity: Entity) -> str:
    """What stands for a version where none is told."""
    return dict(entity.places).get("k8s.replicaset.name", "")


def _node(entity: Entity) -> str:
    """The entity that it runs on. In a pod the host is called as the pod is."""
    places = dict(entity.places)
    if node := places.get("k8s.node.name", ""):
        return f"node:{node}"
    host = "" if "k8s.pod.name" in places else places.get("host.name", "")
    return f"host:{host}" if host and entity.workload != f"host:{host}" else ""
