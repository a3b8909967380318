"""Jaeger's spans as its collector writes them to Kafka: the classes of ``jaeger.api_v2.Span``, protobuf or JSON.

Guarantee: whatever the bytes are, the answer is a span or BadPoint. The schema is written down here after Jaeger's
published ``model.proto``. In what is read from protobuf, tags, logs, process and every text stay bytes: damage in
them spoils nothing else.
"""

from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    json_format,
    message_factory,
    timestamp_pb2,
)
from google.protobuf.message import DecodeError

from pipeline.codecs.series_table import BadPoint

#: Types of a KeyValue's value: ``v_type``.
STRING, BOOL, INT64, FLOAT64, BINARY = range(5)
#: Types of a reference.
CHILD_OF, FOLLOWS_FROM = range(2)

_Field = descriptor_pb2.FieldDescriptorProto
_TIME, _DURATION = "google.protobuf.Timestamp", "google.protobuf.Duration"
_TYPES = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "double": _Field.TYPE_DOUBLE,
}
_ENUMS = {"ValueType": ("STRING", "BOOL", "INT64", "FLOAT64", "BINARY"), "SpanRefType": ("CHILD_OF", "FOLLOWS_FROM")}
#: Message → name, number and type of its fields; ``*`` before the type: repeated.
_MESSAGES = {
    "KeyValue": (
        ("key", 1, "string"),
        ("v_type", 2, "ValueType"),
        ("v_str", 3, "string"),
        ("v_bool", 4, "bool"),
        ("v_int64", 5, "int64"),
        ("v_float64", 6, "double"),
        ("v_binary", 7, "bytes"),
    ),
    "Log": (("timestamp", 1, _TIME), ("fields", 2, "*KeyValue")),
    "SpanRef": (("trace_id", 1, "bytes"), ("span_id", 2, "bytes"), ("ref_type", 3, "SpanRefType")),
    "Process": (("service_name", 1, "string"), ("tags", 2, "*KeyValue")),
    "Span": (
        ("trace_id", 1, "bytes"),
        ("span_id", 2, "bytes"),
        ("operation_name", 3, "string"),
        ("references", 4, "*SpanRef"),
        ("flags", 5, "uint32"),
        ("start_time", 6, _TIME),
        ("duration", 7, _DURATION),
        ("tags", 8, "*KeyValue"),
        ("logs", 9, "*Log"),
        ("process", 10, "Process"),
        ("process_id", 11, "string"),
        ("warnings", 12, "*string"),
    ),
}
_UNREAD = ("KeyValue", "Log", "Process", "string")


def read_span(value: bytes) -> Any:
    """A span, from protobuf or, if it begins with ``{``, JSON. Raises BadPoint, reason ``empty`` or ``undecodable``."""
    if not value:
        raise BadPoint("empty", "the message has no value; send a Jaeger span (jaeger.api_v2.Span)")
    try:
        if value.startswith(b"{"):
            value = json_format.Parse(value, FullSpan(), ignore_unknown_fields=True).SerializeToString()
        return _Span.FromString(value)
    except (json_format.ParseError, DecodeError, UnicodeDecodeError) as error:
        raise BadPoint("undecodable", f"not a Jaeger span, neither protobuf nor JSON: {str(error)[:200]}") from None


def read_tag(raw: bytes) -> Any:
    """A KeyValue whose texts are bytes. Raises BadPoint, reason ``bad_attributes``."""
    return _read(_KeyValue, raw)


def read_process(raw: bytes) -> Any:
    """A Process whose name is bytes, with its tags as ``read_tag`` takes them. Raises as that does."""
    return _read(_Process, raw)


def _read(made: Any, raw: bytes) -> Any:
    try:
        return made.FromString(raw)
    except DecodeError as error:
        raise BadPoint("bad_attributes", f"the tags of a span are not Jaeger's: {error}") from None


def _classes(*, shallow: bool) -> Any:
    """A function from a message's name to its class. Shallow: what is unread at first is bytes."""
    pool = descriptor_pool.DescriptorPool()
    schema = descriptor_pb2.FileDescriptorProto(name="model.proto", package="jaeger.api_v2", syntax="proto3")
    for module in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        schema.dependency.append(module.DESCRIPTOR.name)
    for name, values in _ENUMS.items():
        enum = schema.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in _MESSAGES.items():
        message = schema.message_type.add(name=name)
        for field, number, kind in fields:
            _add_field(message, field, number, kind, shallow)
    pool.Add(schema)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"jaeger.api_v2.{name}"))


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str, shallow: bool) -> None:
    label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
    kind = kind.removeprefix("*")
    field = message.field.add(name=name, number=number, label=label)
    if shallow and kind in _UNREAD:
        field.type = _Field.TYPE_BYTES
    elif kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type = _Field.TYPE_ENUM if kind in _ENUMS else _Field.TYPE_MESSAGE
        field.type_name = f".{kind}" if "." in kind else f".jaeger.api_v2.{kind}"


_full, _shallow = _classes(shallow=False), _classes(shallow=True)
#: The whole schema, for writing; a Span holds everything that the others are.
FullSpan = _full("Span")
_Span, _KeyValue, _Process = _shallow("Span"), _shallow("KeyValue"), _shallow("Process")
