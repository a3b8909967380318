"""Builds OTLP traces from plain Python values, as an OpenTelemetry SDK would send them.

Guarantee: the bytes are a valid ExportTraceServiceRequest; times are microseconds since the epoch.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from pipeline.codecs.otlp_encode import Attributes, key_values
from pipeline.records import SpanKind


def traces_request(*resources: ResourceSpans) -> bytes:
    """The value of a message on ``otlp_spans``."""
    return TracesData(resource_spans=resources).SerializeToString()


def resource_spans(attributes: Attributes, spans: Iterable[Span], scope: str = "") -> ResourceSpans:
    """The spans of one resource (a process, a pod, a host) from one instrumentation scope."""
    resource = Resource(attributes=key_values(attributes))
    found = ScopeSpans(scope=InstrumentationScope(name=scope) if scope else None, spans=spans)
    return ResourceSpans(resource=resource, scope_spans=[found])


def span(
    name: str,
    trace: bytes,
    id_: bytes,
    start_us: int,
    end_us: int,
    *,
    parent: bytes = b"",
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    status: int = 0,
    events: Sequence[tuple[int, str, Attributes]] = (),
    links: Sequence[tuple[bytes, bytes]] = (),
) -> Span:
    """One span. ``status`` is 0 (unset), 1 (ok) or 2 (error); an event is its time, name and attributes, a link the
    trace and the span that it names."""
    made = Span(
        trace_id=trace,
        span_id=id_,
        parent_span_id=parent,
        name=name,
        kind=cast(Any, int(kind)),  # an enum's number
        start_time_unix_nano=start_us * 1000,
        end_time_unix_nano=end_us * 1000,
        attributes=key_values(attributes or {}),
        events=[
            Span.Event(time_unix_nano=time_us * 1000, name=text, attributes=key_values(more))
            for time_us, text, more in events
        ],
        links=[Span.Link(trace_id=of, span_id=at) for of, at in links],
    )
    if status:
        made.status.CopyFrom(Status(code=cast(Any, status)))
    return made
