"""Prometheus metrics about ourselves: the one place where their names are written.

Guarantee: every metric here is registered on the registry given, and nothing is registered elsewhere.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Telemetry:
    """The metrics of one worker process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self.messages = self._counter("calmstream_messages", "Messages read", ("role", "topic"))
        self.points = self._counter("calmstream_points", "Points decoded and accepted by ingest", ())
        self.taken = {
            what: self._counter(f"calmstream_{what}", f"{text} decoded and accepted by ingest", ())
            for what, text in (("lines", "Log lines"), ("spans", "Spans"), ("events", "Events and changes"))
        }
        self.drops = self._counter("calmstream_drops", "What was dropped, by role and reason", ("role", "reason"))
        self.notices = self._counter("calmstream_notices", "Handled but worth knowing, by reason", ("role", "reason"))
        self.windows = self._counter("calmstream_windows_closed", "Signal windows closed and scored", ())
        self.anomalies = self._counter("calmstream_anomalies", "Anomaly transitions", ("transition",))
        self.incidents = self._counter("calmstream_incidents", "Incident transitions", ("transition",))
        self.produced = self._counter("calmstream_produced", "Records written and acknowledged", ("topic",))
        self.lag = self._gauge("calmstream_lag_messages", "Messages not yet read", ("role", "topic", "partition"))
        self.watermark = self._gauge(
            "calmstream_watermark_timestamp_seconds", "Event time up to which windows are closed", ("role", "partition")
        )
        self.signals = self._gauge("calmstream_signals", "Signals known", ("partition",))
        self.open_incidents = self._gauge("calmstream_open_incidents", "Incidents open now", ("partition",))
        self.ready = self._gauge(
            "calmstream_ready", "1 when the role's partitions are assigned and restored", ("role",)
        )
        self.checkpoint_bytes = self._counter("calmstream_checkpoint_bytes", "Checkpoint bytes written", ("role",))
        self.checkpoint_seconds = self._histogram("calmstream_checkpoint_seconds", "Time of a checkpoint", ("role",))
        self.restore_seconds = self._histogram("calmstream_restore_seconds", "Time to restore a shard", ("role",))
        self.incident_latency = self._histogram(
            "calmstream_incident_latency_seconds", "From the end of the deciding window to the incident's record", ()
        )
        ProcessCollector(registry=self.registry)
        for transition in ("opened", "updated", "ended"):  # a counter that appears at 1 has no rate
            self.anomalies.labels(transition)
        for transition in ("opened", "updated", "resolved"):
            self.incidents.labels(transition)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=_SECONDS)
