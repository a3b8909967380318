"""What a Telegraf measurement and field are: kind and unit from their names, OpenTelemetry attributes from tags.

Guarantee: a pure function of names and tags. Neither of Telegraf's formats says what is a counter, so everything is a
gauge except what is listed here: fields of Telegraf's own input plugins that only ever grow, and names that say so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.codecs.kubernetes_names import CONTROLLER_ATTRIBUTES, controller_attributes
from pipeline.codecs.prometheus_names import unit_of as prometheus_unit
from pipeline.codecs.series_table import BadPoint
from pipeline.records import Kind, Series
from pipeline.records.signal import Attributes

_COUNTER_LISTS = {
    "diskio": """reads writes read_bytes write_bytes read_time write_time io_time weighted_io_time merged_reads
        merged_writes""",
    "docker_container_blkio": """io_service_bytes_recursive_read io_service_bytes_recursive_write
        io_serviced_recursive_read io_serviced_recursive_write""",
    "docker_container_cpu": """usage_total usage_in_kernelmode usage_in_usermode usage_system throttling_periods
        throttling_throttled_periods throttling_throttled_time""",
    "docker_container_net": "rx_bytes rx_packets rx_errors rx_dropped tx_bytes tx_packets tx_errors tx_dropped",
    "kernel": "context_switches interrupts processes_forked disk_pages_in disk_pages_out",
    "kernel_vmstat": "pgfault pgmajfault pgpgin pgpgout pswpin pswpout oom_kill",
    "kubernetes_pod_network": "rx_bytes rx_errors tx_bytes tx_errors",
    "net": "bytes_recv bytes_sent packets_recv packets_sent err_in err_out drop_in drop_out",
    "nginx": "accepts handled requests",
    "redis": """total_commands_processed total_connections_received total_net_input_bytes total_net_output_bytes
        keyspace_hits keyspace_misses expired_keys evicted_keys rejected_connections""",
    "swap": "in out",
}
#: Fields that only grow, by measurement.
_COUNTERS: Mapping[str, frozenset[str]] = {name: frozenset(text.split()) for name, text in _COUNTER_LISTS.items()}
_MEMORY = "total available used free active inactive buffered cached shared slab"
#: Names that say that a field only grows; ``counter`` is the field of a counter in the prometheus input's first form.
_COUNTER_NAMES = ("_total",)
_CPU_SECONDS = "time_"

_UNITS: Mapping[str, Mapping[str, str]] = {
    "disk": {"total": "By", "used": "By", "free": "By"},
    "diskio": {"read_time": "ms", "write_time": "ms", "io_time": "ms", "weighted_io_time": "ms"},
    "docker_container_mem": {"usage": "By", "limit": "By", "max_usage": "By"},
    "mem": dict.fromkeys(_MEMORY.split(), "By"),
    "ping": {"average_response_ms": "ms", "percent_packet_loss": "%"},
    "swap": {"total": "By", "used": "By", "free": "By", "in": "By", "out": "By"},
    "system": {"uptime": "s"},
}
_UNIT_ENDINGS = {
    "_percent": "%",
    "_bytes": "By",
    "_seconds": "s",
    "_secs": "s",
    "_ms": "ms",
    "_us": "us",
    "_ns": "ns",
}

#: Tags of Telegraf's agent and of its Docker and Kubernetes inputs.
_ATTRIBUTES = {
    "host": "host.name",
    "container_name": "container.name",
    "container_image": "container.image.name",
    "container_id": "container.id",
    "engine_host": "container.host",
    "env": "deployment.environment.name",
    "environment": "deployment.environment.name",
    "service": "service.name",
    "pod_name": "k8s.pod.name",
    "node_name": "k8s.node.name",
    "deployment_name": "k8s.deployment.name",
    "statefulset_name": "k8s.statefulset.name",
    "daemonset_name": "k8s.daemonset.name",
}
#: Inputs whose tags ``namespace`` and ``container_name`` are Kubernetes'.
_KUBERNETES = "kubernetes_"


@dataclass(slots=True)
class Measurement:
    """A measurement with its tags. ``numbers`` are the series of its fields, found so far."""

    name: str
    attributes: Attributes
    numbers: dict[str, int] = field(default_factory=dict)


def measurement_of(name: str, tags: Mapping[str, str]) -> Measurement:
    """Raises BadPoint when it has no name."""
    if not name:
        raise BadPoint("bad_name", "the measurement has no name; Telegraf gives each one")
    return Measurement(name, tuple(sorted(_attributes(name, tags).items())))


def series_of(measurement: Measurement, field_name: str) -> Series:
    """One series for each field: ``cpu.usage_idle``."""
    if not field_name:
        raise BadPoint("bad_name", f"a field of {measurement.name[:64]!r} has no name")
    kind, unit = kind_of(measurement.name, field_name), unit_of(measurement.name, field_name)
    return Series(f"{measurement.name}.{field_name}", unit, kind, measurement.attributes)


def kind_of(measurement: str, field_name: str) -> Kind:
    """A counter where it is known to be one, else a gauge."""
    known = field_name in _COUNTERS.get(measurement, ())
    if measurement == "cpu" and field_name.startswith(_CPU_SECONDS):
        known = True
    return Kind.COUNTER if known or field_name == "counter" or field_name.endswith(_COUNTER_NAMES) else Kind.GAUGE


def unit_of(measurement: str, field_name: str) -> str:
    """OpenTelemetry's unit (UCUM), empty where nothing says it."""
    if measurement == "cpu":
        return "%" if field_name.startswith("usage_") else "s" if field_name.startswith(_CPU_SECONDS) else ""
    if measurement == "prometheus":
        return prometheus_unit(field_name, {})
    known = _UNITS.get(measurement, {}).get(field_name)
    if known is not None:
        return known
    if field_name.startswith(("bytes_", "rx_bytes", "tx_bytes")):
        return "By"
    return next((unit for ending, unit in _UNIT_ENDINGS.items() if field_name.endswith(ending)), "")


def _attributes(measurement: str, tags: Mapping[str, str]) -> dict[str, str]:
    meanings = dict(_ATTRIBUTES)
    of_kubernetes = measurement.startswith(_KUBERNETES) or "pod_name" in tags
    if of_kubernetes:
        meanings |= {"namespace": "k8s.namespace.name", "container_name": "k8s.container.name"}
    found: dict[str, str] = {}
    for tag in sorted(tags, key=lambda tag: ("." not in tag, tag)):  # OpenTelemetry's own names first
        name = meanings.get(tag, tag)
        if tags[tag]:
            found[tag if name in found else name] = tags[tag]
    pod = found.get("k8s.pod.name")
    if pod and not set(CONTROLLER_ATTRIBUTES.values()) & found.keys():
        for name, value in controller_attributes(pod, found.get("k8s.node.name", "")):
            found.setdefault(name, value)
    return found
