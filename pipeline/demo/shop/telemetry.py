"""The OpenTelemetry SDK of one service: a tracer, its instruments and a handler for its logs.

Guarantee: names, units, buckets and resource attributes are those of the semantic conventions; ``shutdown`` has sent,
or given up, all that was recorded before it.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from pipeline.demo.shop.exporting import KafkaLogs, KafkaMetrics, KafkaSpans, Send

_METRICS_EVERY_MS = 1000
_BATCHES_EVERY_MS = 400
_SCOPE = "calmstream.demo.shop"
# Advised by the conventions for http.*.request.duration and db.client.operation.duration, in seconds.
_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_DATABASE_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is. ``instance`` is its place in the service, which stays when another version takes it."""

    service: str
    version: str
    instance: str
    environment: str

    def attributes(self) -> Mapping[str, str]:
        return {
            "service.name": self.service,
            "service.version": self.version,
            "service.instance.id": self.instance,
            "deployment.environment.name": self.environment,
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.language": "python",
        }


class Telemetry:
    """Made once per process; everything goes out through ``send``, from threads of the SDK."""

    def __init__(self, identity: Identity, send: Send) -> None:
        resource = Resource(dict(identity.attributes()))
        self._traces = TracerProvider(resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False)
        self._traces.add_span_processor(
            BatchSpanProcessor(KafkaSpans(send), schedule_delay_millis=_BATCHES_EVERY_MS, max_export_batch_size=512)
        )
        self._logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._logs.add_log_record_processor(
            BatchLogRecordProcessor(KafkaLogs(send), schedule_delay_millis=_BATCHES_EVERY_MS, max_export_batch_size=512)
        )
        reader = PeriodicExportingMetricReader(KafkaMetrics(send), export_interval_millis=_METRICS_EVERY_MS)
        self._metrics = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        meter = self._metrics.get_meter(_SCOPE)
        self.tracer = self._traces.get_tracer(_SCOPE)
        self.meter = meter
        self.handler: logging.Handler = _Handler(self._logs)
        self.served = meter.create_histogram(
            "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=_HTTP_BUCKETS
        )
        self.called = meter.create_histogram(
            "http.client.request.duration", "s", explicit_bucket_boundaries_advisory=_HTTP_BUCKETS
        )
        self.queried = meter.create_histogram(
            "db.client.operation.duration", "s", explicit_bucket_boundaries_advisory=_DATABASE_BUCKETS
        )

    def shutdown(self) -> None:
        """Send what is left; waits, so not on the loop that sends."""
        self._traces.shutdown()
        self._logs.shutdown()
        self._metrics.shutdown()


_SEVERITIES = {
    logging.DEBUG: SeverityNumber.DEBUG,
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
    logging.CRITICAL: SeverityNumber.FATAL,
}


class _Handler(logging.Handler):
    """Records of Python's logging as OpenTelemetry's, in the span that is current."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        made = LogRecord(
            timestamp=int(record.created * 1e9),
            observed_timestamp=time.time_ns(),
            context=get_current(),
            severity_text="WARN" if record.levelno == logging.WARNING else record.levelname,
            severity_number=_SEVERITIES.get(record.levelno, SeverityNumber.UNSPECIFIED),
            body=record.getMessage(),
        )
        self._provider.get_logger(record.name).emit(made)
