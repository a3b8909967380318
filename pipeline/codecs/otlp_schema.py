"""Parses OTLP metrics, protobuf or JSON, into the official messages with one difference: attributes stay bytes.

Guarantee: whatever the bytes are, the answer is a message with the fields of ``opentelemetry.proto.metrics.v1`` or
BadPoint. ``resource``, ``scope``, ``exemplars`` and every ``attributes`` field hold the serialised bytes of what OTLP
puts there (a message and a byte string look the same on the wire), so a series seen before is found by its bytes and
never unpacked. Reading them is for ``otlp_attributes``.
"""

import re
from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.metrics.v1 import metrics_pb2

from pipeline.codecs.series_table import BadPoint

_Field = descriptor_pb2.FieldDescriptorProto
_JSON_START = re.compile(rb"[ \t\r\n]*\{")


def read_metrics(value: bytes | None) -> Any:
    """A message's resource metrics (an ExportMetricsServiceRequest and MetricsData are the same on the wire).

    Raises BadPoint, reason ``empty`` or ``undecodable``.
    """
    if not value:
        raise BadPoint("empty", "the message has no value; send an OTLP ExportMetricsServiceRequest")
    found = _parse(value).resource_metrics
    if not found:
        raise BadPoint("empty", "the message holds no resource metrics; is this a topic of OTLP metrics?")
    return found


def read_metric(value: bytes) -> Any:
    """One ``Metric`` alone. Raises BadPoint, reason ``undecodable``."""
    try:
        return _Metric.FromString(value)
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadPoint("undecodable", f"not an OTLP metric: {_short(error)}") from None


def read_number_attributes(value: bytes) -> list[bytes]:
    """The serialised attributes of a ``NumberDataPoint`` whose bytes are known to be good."""
    found: list[bytes] = _NumberDataPoint.FromString(value).attributes[:]
    return found


def looks_like_json(value: bytes) -> bool:
    """Is the first byte after white space ``{``? Protobuf may look so too."""
    return _JSON_START.match(value) is not None


def _parse(value: bytes) -> Any:
    """JSON if the first byte after white space is ``{``, else protobuf.

    A line feed is also the tag of ``resource_metrics``, and ``{`` its length when that is 123: what only looks like
    JSON is protobuf. No message is both, since ``scope_metrics`` starts with a control character, which JSON forbids.
    """
    if looks_like_json(value):
        try:
            return _MetricsData.FromString(_json_to_protobuf(value))
        except (json_format.ParseError, UnicodeDecodeError) as error:
            if value.startswith(b"{"):
                raise BadPoint("undecodable", f"not OTLP metrics in JSON: {_short(error)}") from None
    try:
        return _MetricsData.FromString(value)
    except (DecodeError, UnicodeDecodeError) as error:  # the latter from protobuf without its C library
        raise BadPoint("undecodable", f"not OTLP metrics, neither protobuf nor JSON: {_short(error)}") from None


def _json_to_protobuf(value: bytes) -> bytes:
    # OTLP JSON writes trace ids in hex where protobuf's JSON has base64: they are read wrong, and never looked at.
    parsed = json_format.Parse(value, metrics_pb2.MetricsData(), ignore_unknown_fields=True)
    return parsed.SerializeToString()


def _short(error: Exception) -> str:
    return str(error)[:200]


def _shallow_classes() -> Callable[[str], Any]:
    """Classes by name from a copy of the official schema whose attributes, resources and exemplars are bytes."""
    schema = descriptor_pb2.FileDescriptorProto()
    metrics_pb2.DESCRIPTOR.CopyToProto(schema)
    own = f".{schema.package}."
    for message in schema.message_type:
        for field in message.field:
            foreign = not field.type_name.startswith(own) or field.type_name == f"{own}Exemplar"
            if field.type == _Field.TYPE_MESSAGE and foreign:
                field.type = _Field.TYPE_BYTES
                field.ClearField("type_name")
    schema.ClearField("dependency")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(schema)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{schema.package}.{name}"))


_class_of = _shallow_classes()
_MetricsData, _Metric, _NumberDataPoint = map(_class_of, ("MetricsData", "Metric", "NumberDataPoint"))
