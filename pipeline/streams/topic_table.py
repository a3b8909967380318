"""The one table of topics: names, keys, values, cleanup, partitions and sizes; ``plan`` fills in the settings.

Guarantee: ``plan`` is a pure function of the settings, and what cannot work is refused with the key named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.settings import ConfigurationError, Settings
from pipeline.streams.clients import MAX_RECORD_BYTES

Cleanup = Literal["delete", "compact"]

_HOUR = 3600
_DAY = 24 * _HOUR
_MEBIBYTE = 2**20

#: Retention of an input must be this many times the greatest age of a checkpoint, or a restart may find its input gone.
RETENTION_PER_STATE_AGE = 10

#: What a batch has beside the key and value of its record: headers and frames.
_AROUND_A_RECORD_BYTES = 64 * 1024

#: With that, what a topic takes that was made with Kafka's own default.
_USUAL_RECORD_BYTES = _MEBIBYTE - _AROUND_A_RECORD_BYTES


@dataclass(frozen=True)
class Row:
    """One topic as the table has it.

    follows: the topic, or ``inputs``, whose partition count it has: a checkpoint stands in its source's partition.
    partitions: always so many, whatever the settings say.
    read_from_state: a role goes back to the offset in its checkpoint here, so the topic must keep what came since.
    """

    name: str
    key: str
    value: str
    cleanup: Cleanup = "delete"
    retention_seconds: int | None = None
    max_record_bytes: int = _USUAL_RECORD_BYTES
    follows: str | None = None
    partitions: int | None = None
    read_from_state: bool = False


def _input(value: str) -> Row:
    return Row("", "any", value, "delete", 7 * _DAY, 4 * _MEBIBYTE, read_from_state=True)


def _state(role: str, follows: str) -> Row:
    return Row(f"{role}.state", "shard, writer and part", "a piece of a checkpoint", "compact", follows=follows)


#: Inputs by format; their names stand in the settings.
INPUTS: Mapping[str, Row] = {
    "json_points": _input("JSON point, array of points, or NDJSON"),
    "otlp_metrics": _input("OTLP metrics, protobuf or JSON"),
    "prometheus_json": _input("Prometheus samples, JSON of prometheus-kafka-adapter"),
    "influx_line": _input("InfluxDB line protocol"),
    "telegraf_json": _input("Telegraf metrics, JSON"),
    "cloudwatch_json": _input("CloudWatch Metric Streams, JSON"),
    "cloudwatch_otlp": _input("CloudWatch Metric Streams, OpenTelemetry 1.0"),
    "otlp_logs": _input("OTLP logs, protobuf or JSON"),
    "fluent_bit": _input("log records of Fluent Bit, JSON"),
    "plain_text": _input("log lines, text"),
    "otlp_spans": _input("OTLP traces, protobuf or JSON"),
    "jaeger_spans": _input("spans of Jaeger, protobuf"),
    "events": _input("events: CloudEvents, JSON, Alertmanager or Kubernetes"),
    "changes": _input("changes: CDEvents, JSON, GitHub or Argo CD"),
}

#: What we write; ``topic_prefix`` comes before each name.
OUTPUTS: tuple[Row, ...] = (
    Row("signals", "workload", "columnar block of raw values", "delete", _DAY, MAX_RECORD_BYTES, read_from_state=True),
    Row("logs", "workload", "columnar block of log lines", "delete", 6 * _HOUR, MAX_RECORD_BYTES, read_from_state=True),
    Row("spans", "trace", "columnar block of spans", "delete", 6 * _HOUR, MAX_RECORD_BYTES, read_from_state=True),
    Row("topology", "edge or instance", "JSON: who calls whom, and who runs where", "compact"),
    Row("log-templates", "scope|workload|template", "JSON: a template of log lines, with examples", "compact"),
    Row("scores", "workload", "columnar block of scored windows", "delete", 6 * _HOUR, MAX_RECORD_BYTES, "signals"),
    Row("anomalies", "scope", "JSON", "delete", 7 * _DAY, read_from_state=True),
    Row("suppressions", "scope", "CloudEvent, binary mode, JSON: why no incident began", "delete", 7 * _DAY),
    Row("incidents", "incident id", "CloudEvent, binary mode, JSON: each transition", "delete", 90 * _DAY),
    Row("incidents.state", "incident id", "JSON: the incident as it is", "compact"),
    Row("control", "kind/name", "JSON: policies, silences, maintenance windows, orders", "compact", partitions=1),
    Row("dead-letter", "as it came", "the original bytes; headers say why", "delete", 30 * _DAY, MAX_RECORD_BYTES),
    _state("ingest", follows="inputs"),
    _state("join-logs", follows="logs"),
    _state("join-spans", follows="spans"),
    _state("score", follows="signals"),
    _state("correlate", follows="anomalies"),
    # what policies in the shadow would do: apart, so that nobody who reads incidents is woken by it
    Row("shadow.anomalies", "scope", "JSON", "delete", 7 * _DAY, follows="anomalies", read_from_state=True),
    Row("shadow.suppressions", "scope", "CloudEvent: why no incident began", "delete", 7 * _DAY),
    Row("shadow.incidents", "incident id", "CloudEvent, binary mode, JSON: each transition", "delete", 30 * _DAY),
    Row("shadow.incidents.state", "incident id", "JSON: the incident as it is", "compact"),
    _state("shadow-copy", follows="anomalies"),
    _state("shadow-score", follows="signals"),
    _state("shadow-correlate", follows="anomalies"),
    Row("deliver.state", "sink|incident", "JSON: what a sink was told", "compact", follows="incidents"),
)


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it must be on the broker.

    configs: by Kafka's own names. least_retention_ms: under this a worker refuses to start.
    output: we write it. ours: its name has our prefix, so we may change its settings.
    follows: full name of the topic, or ``inputs``, whose partition count this one has. grows: it may have more.
    """

    name: str
    key: str
    value: str
    cleanup: Cleanup
    partitions: int
    replication: int
    configs: Mapping[str, str]
    output: bool
    ours: bool
    follows: str | None
    grows: bool
    least_retention_ms: int | None


def plan(settings: Settings) -> list[TopicSpec]:
    """Every topic that these settings need, inputs first.

    Raises ConfigurationError where ``topics.partitions_by_topic`` names a topic that is not there, or one whose count
    follows another's, and where an input is a topic that we write.
    """
    inputs = {source.topic: INPUTS[source.format] for source in settings.inputs}
    outputs = {settings.topic(row.name): row for row in OUTPUTS}
    _refuse_impossible(settings, inputs, outputs)
    rows = {**inputs, **outputs}
    return [_spec(settings, name, row, output=name in outputs) for name, row in rows.items()]


def _refuse_impossible(settings: Settings, inputs: Mapping[str, Row], outputs: Mapping[str, Row]) -> None:
    for topic in inputs.keys() & outputs.keys():
        raise ConfigurationError(f"inputs: {topic} is a topic that we write ourselves; name another topic")
    for topic in settings.topics.partitions_by_topic:
        if topic not in inputs and topic not in outputs:
            free = [name for name, row in outputs.items() if not row.follows and not row.partitions]
            known = ", ".join([*inputs, *free])
            raise ConfigurationError(f"topics.partitions_by_topic: no topic is named {topic}; there are {known}")
        if topic in outputs and outputs[topic].partitions:
            raise ConfigurationError(
                f"topics.partitions_by_topic: {topic} always has {outputs[topic].partitions} partition; leave it out"
            )
        if topic in outputs and outputs[topic].follows:
            source = _followed(settings, outputs[topic])
            raise ConfigurationError(
                f"topics.partitions_by_topic: {topic} always has as many partitions as {source}; leave it out"
            )


def _followed(settings: Settings, row: Row) -> str | None:
    return settings.topic(row.follows) if row.follows not in (None, "inputs") else row.follows


def _partitions(settings: Settings, name: str, row: Row) -> int:
    if row.partitions:
        return row.partitions
    source = _followed(settings, row) or name
    if source == "inputs":  # a checkpoint of partition p of any of them stands in partition p
        return max(settings.partitions(each.topic) for each in settings.inputs)
    return settings.partitions(source)


def _spec(settings: Settings, name: str, row: Row, *, output: bool) -> TopicSpec:
    safe_ms = int(RETENTION_PER_STATE_AGE * settings.state.max_state_age_seconds * 1000)
    least_ms = safe_ms if row.read_from_state else None
    return TopicSpec(
        name=name,
        key=row.key,
        value=row.value,
        cleanup=row.cleanup,
        partitions=_partitions(settings, name, row),
        replication=settings.topics.replication_factor,
        configs=_configs(row, least_ms, settings.topics.replication_factor),
        output=output,
        ours=name.startswith(settings.topic_prefix),
        follows=_followed(settings, row),
        grows=row.follows == "inputs",
        least_retention_ms=least_ms,
    )


def _configs(row: Row, least_retention_ms: int | None, replication: int) -> dict[str, str]:
    configs = {
        "cleanup.policy": row.cleanup,
        "max.message.bytes": str(row.max_record_bytes + _AROUND_A_RECORD_BYTES),
    }
    if row.retention_seconds is not None:
        configs["retention.ms"] = str(max(row.retention_seconds * 1000, least_retention_ms or 0))
    if row.cleanup == "compact":
        # A restore reads the topic to its end, and the newest segment is never compacted: keep it small.
        configs |= {"segment.bytes": str(64 * _MEBIBYTE), "min.cleanable.dirty.ratio": "0.1"}
    if replication >= 3:
        configs["min.insync.replicas"] = "2"  # what is acknowledged survives the loss of any one broker
    return configs
