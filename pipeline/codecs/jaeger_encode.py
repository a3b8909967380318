"""Builds Jaeger's spans from plain Python values, as Jaeger v1 writes them to Kafka.

Guarantee: the bytes are a valid ``jaeger.api_v2.Span``; times are microseconds since the epoch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.codecs import jaeger_schema as schema

Scalar = str | bool | int | float | bytes


def span(
    name: str,
    trace: bytes,
    id_: bytes,
    start_us: int,
    end_us: int,
    *,
    process: tuple[str, Mapping[str, Scalar]],
    parent: bytes = b"",
    tags: Mapping[str, Scalar] | None = None,
    links: Sequence[tuple[bytes, bytes, int]] = (),
    logs: Sequence[tuple[int, Mapping[str, Scalar]]] = (),
) -> bytes:
    """The value of a message on ``jaeger-spans``.

    ``process`` is the service and its tags; a link is the trace, span and type of a reference beside that to the
    parent; a log is its time and fields.
    """
    made = schema.FullSpan(trace_id=trace, span_id=id_, operation_name=name)
    _set_time(made.start_time, start_us)
    _set_time(made.duration, abs(end_us - start_us))
    if end_us < start_us:  # both parts of a duration have its sign
        made.duration.seconds, made.duration.nanos = -made.duration.seconds, -made.duration.nanos
    if parent:
        made.references.add(trace_id=trace, span_id=parent, ref_type=schema.CHILD_OF)
    for of, at, kind in links:
        made.references.add(trace_id=of, span_id=at, ref_type=kind)
    made.process.service_name = process[0]
    _add_tags(made.process.tags, process[1])
    _add_tags(made.tags, tags or {})
    for time_us, fields in logs:
        log = made.logs.add()
        _set_time(log.timestamp, time_us)
        _add_tags(log.fields, fields)
    value: bytes = made.SerializeToString()
    return value


def _set_time(time: Any, microseconds: int) -> None:
    time.seconds, rest = divmod(microseconds, 1_000_000)
    time.nanos = rest * 1000


def _add_tags(tags: Any, values: Mapping[str, Scalar]) -> None:
    for key, value in values.items():
        match value:
            case str():
                tags.add(key=key, v_type=schema.STRING, v_str=value)
            case bool():
                tags.add(key=key, v_type=schema.BOOL, v_bool=value)
            case int():
                tags.add(key=key, v_type=schema.INT64, v_int64=value)
            case float():
                tags.add(key=key, v_type=schema.FLOAT64, v_float64=value)
            case _:
                tags.add(key=key, v_type=schema.BINARY, v_binary=value)
