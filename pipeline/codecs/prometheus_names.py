"""What a Prometheus series is, by its conventions: kind and unit from the name, OpenTelemetry attributes from labels.

Guarantee: a pure function of the labels. What describes a pod or node belongs to that pod or node, whoever was scraped
for it (kube-state-metrics, cAdvisor, the node exporter). Labels are left out only where they say which exporter was
asked, or where the entity is known by a more exact one; a label without a mapping keeps its own name.
"""

from collections.abc import Mapping

from pipeline.codecs.kubernetes_names import CONTROLLER_ATTRIBUTES, controller_attributes
from pipeline.codecs.series_lookup import LeftOut
from pipeline.records import Kind, Series

#: Who is written about: families by the beginning of their names, and all others.
_OBJECTS, _CONTAINERS, _HOSTS, _OTHERS = "kube_", "container_", "node_", ""

_COUNTERS = ("_total", "_count", "_sum")
#: Gauges whose names look like those of counters, and counters whose names do not.
_NOT_COUNTERS = frozenset(
    ("kubelet_running_container_count", "kubelet_running_pod_count", "node_netstat_Tcp_CurrEstab")
)
_COUNTER_FAMILIES = ("node_netstat_", "node_vmstat_")

#: Units by the last part of a name, once ``_total``, ``_sum`` and ``_bucket`` are off; OpenTelemetry's (UCUM).
_UNITS = {
    "seconds": "s",
    "milliseconds": "ms",
    "microseconds": "us",
    "bytes": "By",
    "ratio": "1",
    "percent": "%",
    "celsius": "Cel",
    "volts": "V",
    "amperes": "A",
    "joules": "J",
    "hertz": "Hz",
    "meters": "m",
    "grams": "g",
}

#: Labels of Kubernetes' own exporters and of service discovery.
_ATTRIBUTES = {
    "namespace": "k8s.namespace.name",
    "pod": "k8s.pod.name",
    "container": "k8s.container.name",
    "node": "k8s.node.name",
    "cluster": "k8s.cluster.name",
    "deployment": "k8s.deployment.name",
    "statefulset": "k8s.statefulset.name",
    "daemonset": "k8s.daemonset.name",
    "replicaset": "k8s.replicaset.name",
    "cronjob": "k8s.cronjob.name",
    "job": "service.name",
    "instance": "service.instance.id",
    "env": "deployment.environment.name",
    "environment": "deployment.environment.name",
}
#: Labels that mean this only in the families about objects and containers.
_ATTRIBUTES_OF: Mapping[str, Mapping[str, str]] = {
    _OBJECTS: {
        "uid": "k8s.pod.uid",
        "pod_ip": "k8s.pod.ip",
        "host_ip": "k8s.node.ip",
        "job_name": "k8s.job.name",
    },
    _CONTAINERS: {"image": "container.image.name", "id": "container.cgroup.path", "name": "container.id"},
}
#: What service discovery says of an exporter; it is no part of what the exporter tells of others.
_SCRAPED = frozenset(("job", "instance", "endpoint", "metrics_path"))
_HOST_EXPORTER = _SCRAPED | {"service", "namespace", "pod", "container"}
#: OpenTelemetry's resource attributes as its exporters to Prometheus spell them.
_SPELLED = {
    name.replace(".", "_"): name
    for name in (
        "service.name",
        "service.namespace",
        "service.version",
        "service.instance.id",
        "deployment.environment",
        "deployment.environment.name",
        "k8s.cluster.name",
        "k8s.namespace.name",
        "k8s.deployment.name",
        "k8s.statefulset.name",
        "k8s.daemonset.name",
        "k8s.replicaset.name",
        "k8s.cronjob.name",
        "k8s.job.name",
        "k8s.pod.name",
        "k8s.pod.uid",
        "k8s.container.name",
        "k8s.node.name",
        "container.name",
        "container.id",
        "container.image.name",
        "host.name",
        "host.id",
        "faas.name",
        "http.route",
        "http.request.method",
        "http.response.status_code",
        "error.type",
    )
}
_OWNER_LABELS = (("owner_kind", "owner_name"), ("created_by_kind", "created_by_name"))
_CONTROLLERS = frozenset(CONTROLLER_ATTRIBUTES.values())
_WORKLOADS = _CONTROLLERS | {"service.name", "faas.name", "container.name", "k8s.node.name", "host.name"}
_PAUSE = "POD"  # the container that only holds a pod's network


def series_of(name: str, labels: Mapping[str, str]) -> Series | LeftOut:
    """The series of a metric name and its labels, without ``__name__``."""
    given = _described({label: value for label, value in labels.items() if value})  # "" is the same as no label
    family = _family(name)
    if name.endswith("_bucket") and "le" in given:
        return LeftOut("histogram_bucket")
    if family == _CONTAINERS and _is_sum_over_containers(name, given):
        return LeftOut("no_container")
    if family == _HOSTS:
        found = _of_host(given)
    elif family == _CONTAINERS and "pod" not in given:
        found = _of_plain_container(given)
    else:
        found = _of_kubernetes(family, given)
    return Series(name, unit_of(name, given), kind_of(name), tuple(sorted(found.items())))


def kind_of(name: str) -> Kind:
    """A counter by its name, else a gauge; a recording rule (its name has a colon) is a gauge."""
    if ":" in name or name in _NOT_COUNTERS:
        return Kind.GAUGE
    return Kind.COUNTER if name.endswith(_COUNTERS) or name.startswith(_COUNTER_FAMILIES) else Kind.GAUGE


def unit_of(name: str, labels: Mapping[str, str]) -> str:
    """The unit that the name ends with; kube-state-metrics has it in a label."""
    if name.endswith("_count"):
        return ""
    if _family(name) == _OBJECTS and "resource" in labels:
        return {"byte": "By", "core": "{cpu}"}.get(labels.get("unit", ""), "")
    return _UNITS.get(name.removesuffix("_total").removesuffix("_sum").rpartition("_")[2], "")


def _family(name: str) -> str:
    if ":" in name:  # a recording rule about anything
        return _OTHERS
    return next((family for family in (_OBJECTS, _CONTAINERS, _HOSTS) if name.startswith(family)), _OTHERS)


def _described(given: dict[str, str]) -> dict[str, str]:
    """Where Prometheus kept a label of the exporter as ``exported_x`` beside its own ``x``, the exporter's is meant."""
    for label in [label for label in given if label.startswith("exported_")]:
        meant = label.removeprefix("exported_")
        if meant in _ATTRIBUTES:
            given[meant] = given.pop(label)
    return given


def _is_sum_over_containers(name: str, given: Mapping[str, str]) -> bool:
    """Is it cAdvisor's total of a pod or of a part of the host? Network is counted by the pod and kept."""
    if name.startswith("container_network_") and "pod" in given:
        return False
    if "container" in given:
        return given["container"] == _PAUSE
    return "pod" in given or "name" not in given


def _of_kubernetes(family: str, given: Mapping[str, str]) -> dict[str, str]:
    """Pods, their controllers, nodes and other objects; and any service that was scraped for itself."""
    of_others = family != _OTHERS
    found = _named(given, family, left_out=_SCRAPED if of_others else frozenset())
    if found.get("k8s.container.name") == _PAUSE:
        del found["k8s.container.name"]
    if not of_others and "pod" in given and not {"container", "endpoint"} & given.keys():
        _tell_ports_apart(found)
    _add_controller(found, given)
    if not _WORKLOADS & found.keys():
        owner = (of_others and given.get("job")) or given.get("namespace")
        if owner:
            found["service.name"] = owner
    namespace = found.get("k8s.namespace.name")
    if namespace and found.get("service.name", namespace) != namespace:
        found.setdefault("service.namespace", namespace)
    return found


def _named(given: Mapping[str, str], family: str, left_out: frozenset[str]) -> dict[str, str]:
    """Attributes by name. Of two labels with one meaning the one that OpenTelemetry spelled has it, else the first;
    the other keeps its own name."""
    meanings = {**_ATTRIBUTES, **_ATTRIBUTES_OF.get(family, {})}
    found: dict[str, str] = {}
    for label in sorted(given, key=lambda label: (label not in _SPELLED, label)):
        if label not in left_out:
            name = _SPELLED.get(label) or meanings.get(label, label)
            found[label if name in found else name] = given[label]
    return found


def _tell_ports_apart(found: dict[str, str]) -> None:
    """Two ports of a pod are two targets; the pod alone would make one signal of them."""
    port = found.get("service.instance.id", "").rpartition(":")[2]
    if port.isdecimal():
        found.setdefault("server.port", port)


def _add_controller(found: dict[str, str], given: Mapping[str, str]) -> None:
    for kind, owner in _OWNER_LABELS:
        attribute = CONTROLLER_ATTRIBUTES.get(given.get(kind, ""))
        if attribute and owner in given:
            found.setdefault(attribute, given[owner])
    pod = found.get("k8s.pod.name")
    if pod and not _CONTROLLERS & found.keys():
        for attribute, value in controller_attributes(pod, found.get("k8s.node.name", "")):
            found.setdefault(attribute, value)


def _of_host(given: Mapping[str, str]) -> dict[str, str]:
    """The node exporter: its own pod, job and port are not what it measures."""
    found = _named(given, _HOSTS, left_out=_HOST_EXPORTER)
    host = _host(given.get("nodename") or given.get("instance", ""))
    if host:
        found["host.name"] = host
    elif "k8s.node.name" not in found:
        found["service.name"] = given.get("job", "node-exporter")
    return found


def _of_plain_container(given: Mapping[str, str]) -> dict[str, str]:
    """cAdvisor without Kubernetes: ``name`` is the container's."""
    found = _named(given, _CONTAINERS, left_out=_SCRAPED)
    found["container.name"] = given.get("name") or given["container"]
    if host := _host(given.get("instance", "")):
        found["host.name"] = host
    return found


def _host(instance: str) -> str:
    """``host:port`` without the port; an IPv6 address stands in brackets before it."""
    host, colon, port = instance.rpartition(":")
    return host.strip("[]") if colon and port.isdecimal() else instance
