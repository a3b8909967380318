"""Who emits telemetry, as its resource attributes say."""

from dataclasses import dataclass

from pipeline.records.signal import Attributes


@dataclass(frozen=True, slots=True)
class Entity:
    """``scope`` is the correlation domain, ``workload`` is stable across rollouts, ``instance`` is the pod, process or
    host (empty if none is known), as in a Signal. ``version`` is that of the workload (empty if unknown); ``places``
    are the attributes that say where it runs (cluster, node, namespace, replica set, host, region), sorted by name."""

    scope: str
    workload: str
    instance: str
    version: str = ""
    places: Attributes = ()
