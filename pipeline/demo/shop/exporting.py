"""From the OpenTelemetry SDK to Kafka: metrics, logs and spans as the collector's exporter would write them.

Guarantee: the value of a message is the Export…ServiceRequest of the official encoding. A batch that the broker does
not take in time is given up and counted, as exporters do; nothing waits for it longer.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

METRICS, LOGS, SPANS = "otlp_metrics", "otlp_logs", "otlp_spans"

_SEND_SECONDS = 5.0
_STOP_SECONDS = 2.0

#: Sends a message to a topic; returns whether the broker has it.
Send = Callable[[str, bytes], bool]

log = logging.getLogger(__name__)


@asynccontextmanager
async def producing(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer of a service, as anybody would have it: nothing of Calmstream is needed to send to it."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        yield producer
    finally:
        with suppress(TimeoutError):  # the broker may be gone
            async with asyncio.timeout(_STOP_SECONDS):
                await producer.stop()


def sender(producer: AIOKafkaProducer, loop: asyncio.AbstractEventLoop) -> Send:
    """Sends through a producer that lives on a loop, for the SDK's threads: it waits, so never call it on the loop."""

    def send(topic: str, value: bytes) -> bool:
        sent = asyncio.run_coroutine_threadsafe(producer.send_and_wait(topic, value), loop)
        try:
            sent.result(_SEND_SECONDS)
        except Exception as error:  # whatever it is, telemetry must not end what it tells about
            sent.cancel()
            log.warning("%d bytes for %s were not sent: %r", len(value), topic, error)
            return False
        return True

    return send


class KafkaSpans(SpanExporter):
    """Spans to ``otlp_spans``."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        sent = self._send(SPANS, encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE


class KafkaLogs(LogRecordExporter):
    """Log records to ``otlp_logs``."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        sent = self._send(LOGS, encode_logs(batch).SerializeToString())
        return LogRecordExportResult.SUCCESS if sent else LogRecordExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return True  # nothing is kept here

    def shutdown(self) -> None:
        pass  # the producer is closed by whoever opened it


class KafkaMetrics(MetricExporter):
    """Metrics to ``otlp_metrics``, cumulative, as the SDK's exporters have them."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_options: Any) -> MetricExportResult:
        sent = self._send(METRICS, encode_metrics(metrics_data).SerializeToString())
        return MetricExportResult.SUCCESS if sent else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True  # nothing is kept here

    def shutdown(self, timeout_millis: float = 30_000, **_options: Any) -> None:
        pass  # the producer is closed by whoever opened it
