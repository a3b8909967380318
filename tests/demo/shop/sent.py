"""What services of the shop send, kept in memory, and read with the official classes."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from pipeline.demo.shop.exporting import LOGS, SPANS


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict."""
    return {pair.key: _value(pair) for pair in attributes}


def _value(pair: KeyValue) -> Any:
    kind = pair.value.WhichOneof("value")
    return getattr(pair.value, kind) if kind else None


@dataclass(frozen=True)
class SentSpan:
    """A span and the service that sent it."""

    service: str
    span: Span

    @property
    def attributes(self) -> dict[str, Any]:
        return plain(self.span.attributes)


class Kept:
    """Takes the place of a broker for a service in this process; ``send`` is an exporter's."""

    def __init__(self) -> None:
        self.messages: dict[str, list[bytes]] = defaultdict(list)

    def send(self, topic: str, value: bytes) -> bool:
        self.messages[topic].append(value)
        return True

    def spans(self) -> Iterator[SentSpan]:
        for value in self.messages[SPANS]:
            for resource in TracesData.FromString(value).resource_spans:
                service = plain(resource.resource.attributes)["service.name"]
                for scope in resource.scope_spans:
                    yield from (SentSpan(service, span) for span in scope.spans)

    def logs(self) -> Iterator[tuple[str, LogRecord]]:
        for value in self.messages[LOGS]:
            for resource in LogsData.FromString(value).resource_logs:
                service = plain(resource.resource.attributes)["service.name"]
                for scope in resource.scope_logs:
                    yield from ((service, record) for record in scope.log_records)
