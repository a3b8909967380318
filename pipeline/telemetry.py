"""Prometheus metrics about ourselves: the one place where their names are written.

Guarantee: every metric here is registered on the registry given, and nothing is registered elsewhere. Names follow
Prometheus' conventions (base units, ``_total``), and no label takes a value that telemetry brings along: roles, topics,
partitions, reasons and transitions are as many as the configuration and the code have. They are counted per batch,
never per point, line or span. ``docs/metrics.md`` is made of this registry.
"""

from importlib.metadata import PackageNotFoundError, version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

#: Of incidents; see docs/incidents.md.
_TRANSITIONS = (
    "opened", "updated", "acknowledged", "suppressed", "resolved", "reopened", "merged", "split", "withdrawn",
)  # fmt: skip

#: Why a request to the worker's own endpoints is refused.
HTTP_REASONS = (
    "connections",
    "foreign_host",
    "headers",
    "malformed",
    "no_credentials",
    "request",
    "time",
    "tls",
    "wrong_credentials",
)

# When a counter began is asked of nobody here, and it would double the samples.
disable_created_metrics()


class Telemetry:
    """The metrics of one worker process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self.messages = self._counter(
            "calmstream_messages", "Counts the messages that a role has read from a topic.", "role topic"
        )
        self.points = self._counter("calmstream_points", "Counts the points of metrics that ingest accepted.")
        self.taken = {
            "lines": self._counter("calmstream_lines", "Counts the log lines that ingest accepted."),
            "spans": self._counter("calmstream_spans", "Counts the spans that ingest accepted."),
            "events": self._counter("calmstream_events", "Counts the events and changes that ingest accepted."),
        }
        self.drops = self._counter(
            "calmstream_drops", "Counts what was not used, by the role that refused it and the reason.", "role reason"
        )
        self.dead_letters = self._counter(
            "calmstream_dead_letters",
            "Counts the messages that a role put into the dead-letter topic, by the topic that they came from.",
            "role topic",
        )
        self.notices = self._counter(
            "calmstream_notices", "Counts what was handled but is worth knowing, by role and reason.", "role reason"
        )
        self.windows = self._counter(
            "calmstream_windows_closed", "Counts the windows of signals that were closed and scored."
        )
        self.corrections = self._counter(
            "calmstream_corrections", "Counts the points that came late and corrected a window of an anomaly."
        )
        self.anomalies = self._counter(
            "calmstream_anomalies",
            "Counts how often an anomaly opened, was updated, ended and was withdrawn.",
            "transition",
        )
        self.incidents = self._counter(
            "calmstream_incidents", "Counts how often an incident opened, was updated and resolved.", "transition"
        )
        self.shadow_incidents = self._counter(
            "calmstream_shadow_incidents",
            "Counts the same of incidents of the role shadow, which nobody else is told.",
            "transition",
        )
        self.produced = self._counter(
            "calmstream_produced",
            "Counts the records that the broker has acknowledged, by the topic that they were written to.",
            "topic",
        )
        self.lag = self._gauge(
            "calmstream_lag_messages", "Says how many messages of a partition wait to be read.", "role topic partition"
        )
        self.lag_seconds = self._gauge(
            "calmstream_lag_seconds",
            "Says how old the message is that was read last while others wait behind it, by its Kafka time; it is 0 "
            "when all is read.",
            "role topic partition",
        )
        self.watermark = self._gauge(
            "calmstream_watermark_timestamp_seconds",
            "Says up to which event time windows are closed; the partition is written topic/number.",
            "role partition",
        )
        self.signals = self._gauge(
            "calmstream_signals", "Says how many signals are known; the partition is written topic/number.", "partition"
        )
        self.open_incidents = self._gauge(
            "calmstream_open_incidents",
            "Says how many incidents are open; the partition is written topic/number.",
            "partition",
        )
        self.ready = self._gauge(
            "calmstream_ready", "Is 1 while a role has its partitions and has restored their state, else 0.", "role"
        )
        self.checkpoint_bytes = self._counter(
            "calmstream_checkpoint_bytes", "Counts the bytes of checkpoints that were written.", "role"
        )
        self.checkpoint_seconds = self._histogram(
            "calmstream_checkpoint_seconds",
            "Measures how long it takes to save what has changed of a role's state.",
            "role",
        )
        self.checkpoint_time = self._gauge(
            "calmstream_checkpoint_timestamp_seconds",
            "Says when all state of a role was last known to be saved; there is no sample while it has no partitions.",
            "role",
        )
        self.restore_seconds = self._histogram(
            "calmstream_restore_seconds",
            "Measures how long it takes to restore the partitions of an assignment.",
            "role",
        )
        self.incident_latency = self._histogram(
            "calmstream_incident_latency_seconds",
            "Measures the time from the end of the deciding window to the incident's record, by the clock; it includes "
            "time.allowed_lateness_seconds.",
        )
        self.deliveries = self._counter(
            "calmstream_deliveries", "Counts the messages to a sink, by what became of them.", "sink outcome"
        )
        self.delivery_latency = self._histogram(
            "calmstream_delivery_latency_seconds",
            "Measures the time from an incident's record to the acknowledgement of a sink.",
            "sink",
        )
        self.deliveries_waiting = self._gauge(
            "calmstream_deliveries_waiting",
            "Says how many transitions of incidents a sink is still to be told.",
            "sink",
        )
        self.delivery_age = self._gauge(
            "calmstream_oldest_waiting_seconds",
            "Says how old the oldest transition is that a sink is still to be told; 0 when none is.",
            "sink",
        )
        self.http_refused = self._counter(
            "calmstream_http_refused",
            "Counts the requests to the worker's own endpoints that were refused, by reason.",
            "reason",
        )
        Info(
            "calmstream_build", "Says which version this worker is; the value is always 1.", registry=self.registry
        ).info({"version": _version()})
        ProcessCollector(registry=self.registry)
        for transition in ("opened", "updated", "ended", "withdrawn"):  # a counter that appears at 1 has no rate
            self.anomalies.labels(transition)
        for transition in _TRANSITIONS:
            self.incidents.labels(transition)
            self.shadow_incidents.labels(transition)
        for reason in HTTP_REASONS:
            self.http_refused.labels(reason)

    def reads(self, role: str, topics: tuple[str, ...]) -> None:
        """A role says what it reads: its counters stand at 0 from the start, for one that appears at 1 has no rate."""
        self.ready.labels(role).set(0)
        self.drops.labels(role, "log_truncated")
        for topic in topics:
            self.messages.labels(role, topic)
            self.dead_letters.labels(role, topic)

    def _counter(self, name: str, text: str, labels: str = "") -> Counter:
        return Counter(name, text, labels.split(), registry=self.registry)

    def _gauge(self, name: str, text: str, labels: str = "") -> Gauge:
        return Gauge(name, text, labels.split(), registry=self.registry)

    def _histogram(self, name: str, text: str, labels: str = "") -> Histogram:
        return Histogram(name, text, labels.split(), registry=self.registry, buckets=_SECONDS)


def _version() -> str:
    try:
        return version("calmstream")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"
