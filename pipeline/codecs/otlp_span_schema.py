"""Parses OTLP traces, protobuf or JSON, into the official messages with one difference: what nobody reads stays bytes.

Guarantee: whatever the bytes are, the answer is a message with the fields of ``opentelemetry.proto.trace.v1`` or
BadPoint. Resources, scopes, events, attributes and every text hold the serialised bytes of what OTLP puts there (a
message, a text and a byte string look the same on the wire): damage in them spoils nothing else. Ids in JSON, which
are hex by the OTLP specification, are bytes as in protobuf.
"""

import base64
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from pipeline.codecs.otlp_schema import looks_like_json
from pipeline.codecs.series_table import BadPoint

_Field = descriptor_pb2.FieldDescriptorProto


def read_traces(value: bytes | None) -> Any:
    """A message's resource spans (an ExportTraceServiceRequest and TracesData are the same on the wire).

    Raises BadPoint, reason ``empty`` or ``undecodable``.
    """
    if not value:
        raise BadPoint("empty", "the message has no value; send an OTLP ExportTraceServiceRequest")
    found = _parse(value).resource_spans
    if not found:
        raise BadPoint("empty", "the message holds no resource spans; is this a topic of OTLP traces?")
    return found


def read_key_value(raw: bytes) -> Any:
    """A ``KeyValue`` with key and value as bytes. Raises BadPoint, reason ``bad_attributes``."""
    try:
        return _KeyValue.FromString(raw)
    except DecodeError as error:
        raise BadPoint("bad_attributes", f"the attributes of a span are not OTLP: {error}") from None


def read_value(raw: bytes) -> common_pb2.AnyValue:
    """A serialised ``AnyValue``. Raises BadPoint, reason ``bad_attributes``."""
    try:
        return common_pb2.AnyValue.FromString(raw)
    except (DecodeError, UnicodeDecodeError) as error:  # the latter from protobuf without its C library
        raise BadPoint("bad_attributes", f"an attribute of a span is not OTLP (texts are UTF-8): {error}") from None


def _parse(value: bytes) -> Any:
    """As for metrics (otlp_schema): what only looks like JSON is protobuf."""
    if looks_like_json(value):
        try:
            return _TracesData.FromString(_json_to_protobuf(value))
        except (json_format.ParseError, UnicodeDecodeError) as error:
            if value.startswith(b"{"):
                raise BadPoint("undecodable", f"not OTLP traces in JSON: {str(error)[:200]}") from None
    try:
        return _TracesData.FromString(value)
    except DecodeError as error:
        raise BadPoint("undecodable", f"not OTLP traces, neither protobuf nor JSON: {str(error)[:200]}") from None


def _json_to_protobuf(value: bytes) -> bytes:
    parsed = json_format.Parse(value, trace_pb2.TracesData(), ignore_unknown_fields=True)
    for resource_spans in parsed.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.trace_id, span.span_id = _from_hex(span.trace_id), _from_hex(span.span_id)
                span.parent_span_id = _from_hex(span.parent_span_id)
                for link in span.links:
                    link.trace_id, link.span_id = _from_hex(link.trace_id), _from_hex(link.span_id)
    return parsed.SerializeToString()


def _from_hex(value: bytes) -> bytes:
    """An id in hex, which protobuf's JSON has taken for base64: what it was is seen by encoding it again. An id that is
    no hex stays as it is."""
    try:
        return bytes.fromhex(base64.b64encode(value).decode())
    except ValueError:
        return value


def _shallow_classes() -> tuple[Any, Any]:
    """``TracesData`` and ``KeyValue`` from copies of the official schemas in which what is not read is bytes."""
    pool = descriptor_pool.DescriptorPool()
    found = []
    for module, name in ((trace_pb2, "TracesData"), (common_pb2, "KeyValue")):
        schema = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(schema)
        own = f".{schema.package}."
        for message in schema.message_type:
            for field in (*message.field, *(inner for nested in message.nested_type for inner in nested.field)):
                kept = field.type_name.startswith(own) and field.name not in ("events", "value")
                if field.type == _Field.TYPE_STRING or (field.type == _Field.TYPE_MESSAGE and not kept):
                    field.type = _Field.TYPE_BYTES
                    field.ClearField("type_name")
        schema.ClearField("dependency")
        pool.Add(schema)
        found.append(message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{schema.package}.{name}")))
    return found[0], found[1]


_TracesData, _KeyValue = _shallow_classes()
