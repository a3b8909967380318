"""Jaeger's spans: written out bytes, what tags say, a slow twin, and hostile input."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs import jaeger_schema, span_attributes
from pipeline.codecs.jaeger_encode import span
from pipeline.codecs.jaeger_schema import CHILD_OF, FOLLOWS_FROM
from pipeline.codecs.jaeger_spans import JaegerSpans
from pipeline.codecs.otlp_span_encode import resource_spans, traces_request
from pipeline.codecs.otlp_span_encode import span as otlp_span
from pipeline.codecs.otlp_spans import OtlpSpans
from pipeline.codecs.series_table import Limits
from pipeline.records import Peer, SpanColumns, SpanKind
from tests.codecs.spans_sent import (
    ID,
    OTHER_TRACE,
    PARENT,
    TRACE,
    Row,
    T,
    assert_accounted_for,
    assert_same,
    damaged,
    reasons,
    rows,
    send,
)

CHECKOUT = ("checkout", {"hostname": "node-1"})


class Slow(JaegerSpans):
    """Everything through the classes."""

    def _decode_some(self, rows: Any, values: Sequence[bytes], first: int) -> None:
        for number, value in enumerate(values, first):
            self._add_slowly(rows, number, value)


def both() -> tuple[JaegerSpans, Slow]:
    return JaegerSpans(Limits()), Slow(Limits())


def one(name: str = "work", tags: Mapping[str, Any] | None = None, **more: Any) -> bytes:
    return span(name, TRACE, ID, T, T + 5, **{"process": CHECKOUT, "tags": tags, **more})


def decode(*values: bytes | None, limits: Limits | None = None) -> tuple[list[Row], SpanColumns]:
    codec = JaegerSpans(limits or Limits())
    columns = send(codec, *values)
    return rows(codec, columns), columns


def as_json(value: bytes) -> bytes:
    return json_format.MessageToJson(jaeger_schema.FullSpan.FromString(value)).encode()


def changed(value: bytes, **fields: Any) -> bytes:
    made = jaeger_schema.FullSpan.FromString(value)
    for name, field in fields.items():
        setattr(made, name, field)
    return made.SerializeToString()


#: One span, field by field, from the published model.proto.
GOLDEN = bytes.fromhex(
    "0a10" + TRACE.hex()
    + "1208" + ID.hex()
    + "1a04" + b"brew".hex()
    + "221e" + "0a10" + TRACE.hex() + "1208" + PARENT.hex() + "1800"  # reference: a child of PARENT
    + "2801"  # flags
    + "3206" + "0880e2cfaa06"  # start: 1,700,000,000 s
    + "3a03" + "10e80f"  # duration: 2,024 ns
    + "4215" + "0a09" + b"span.kind".hex() + "1a06" + b"server".hex() + "1000"  # as no writer orders it
    + "420b" + "0a05" + b"error".hex() + "1001" + "2001"
    + "4a0a" + "0a06" + "0880e2cfaa06" + "1200"  # a log
    + "5212" + "0a06" + b"coffee".hex() + "1208" + "0a02" + b"ip".hex() + "1a02" + b"::".hex()
    + "620a" + b"clock skew".hex()  # a warning
)  # fmt: skip


def test_a_span_written_out_byte_by_byte_becomes_a_row() -> None:
    found, columns = decode(GOLDEN)
    coffee = (("ip", "::"), ("service.name", "coffee"))
    server = SpanKind.SERVER
    assert found == [Row(0, coffee, server, "brew", "", Peer.NONE, TRACE, ID, PARENT, T, T + 2, True, ())]
    assert (columns.rejections, columns.dropped) == ([], {})


def test_a_process_is_a_resource_with_names_of_opentelemetry() -> None:
    process = ("checkout", {"hostname": "node-1", "client-uuid": "u1", "k8s.pod.name": "p", "n": 7, "up": True, "": ""})
    found, _ = decode(one(process=process))
    assert found[0].resource == (
        ("host.name", "node-1"),
        ("k8s.pod.name", "p"),
        ("n", "7"),
        ("service.instance.id", "u1"),
        ("service.name", "checkout"),
        ("up", "true"),
    )


@pytest.mark.parametrize(
    ("references", "parent", "links"),
    [
        ([(TRACE, PARENT, CHILD_OF)], PARENT, []),
        ([(TRACE, PARENT, FOLLOWS_FROM)], PARENT, []),
        ([(TRACE, ID, FOLLOWS_FROM), (TRACE, PARENT, CHILD_OF)], PARENT, [(TRACE, ID)]),
        ([(TRACE, PARENT, CHILD_OF), (TRACE, ID, CHILD_OF)], PARENT, [(TRACE, ID)]),
        ([(OTHER_TRACE, PARENT, CHILD_OF)], b"", [(OTHER_TRACE, PARENT)]),
        ([(OTHER_TRACE, ID, FOLLOWS_FROM), (TRACE, PARENT, CHILD_OF)], PARENT, [(OTHER_TRACE, ID)]),
        ([(TRACE, PARENT, 7)], b"", [(TRACE, PARENT)]),
        ([(TRACE, bytes(8), CHILD_OF)], b"", []),
        ([], b"", []),
    ],
)
def test_the_parent_is_the_first_child_of_in_the_trace_and_other_references_are_links(
    references: list[tuple[bytes, bytes, int]], parent: bytes, links: list[tuple[bytes, bytes]]
) -> None:
    value = one(links=references)
    for codec in both():
        columns = send(codec, one(), value)
        assert [(row.parent, row.links) for row in rows(codec, columns)] == [(b"", ()), (parent, tuple(links))]
        assert columns.dropped == ({"bad_link": 1} if len(references) > len(links) + bool(parent) else {})


@pytest.mark.parametrize("kind", SpanKind)
def test_the_kind_is_a_tag_in_small_or_capital_letters(kind: SpanKind) -> None:
    for name in (kind.name, kind.name.lower()):
        for codec in both():
            assert rows(codec, send(codec, one(tags={"span.kind": name})))[0].kind is kind


@pytest.mark.parametrize(
    ("tags", "failed"),
    [
        ({}, False),
        ({"error": True}, True),
        ({"error": False}, False),
        ({"error": "true"}, True),
        ({"error": "no"}, False),
        ({"otel.status_code": "ERROR"}, True),
        ({"otel.status_code": "OK", "http.status_code": 500}, False),
        ({"otel.status_code": "OK", "error": True}, True),
        ({"otel.status_code": 2}, False),
        ({"http.status_code": 500}, True),
        ({"http.status_code": "503"}, True),
        ({"http.status_code": "40x"}, False),
        ({"http.status_code": 404}, False),
        ({"http.status_code": 404, "span.kind": "client"}, True),
        ({"http.response.status_code": 200, "http.status_code": 500}, False),
        ({"error.type": "timeout"}, True),
        ({"error.type": ""}, False),
    ],
)
def test_error_status_and_http_status_say_whether_a_span_failed(tags: Mapping[str, Any], failed: bool) -> None:
    for codec in both():
        assert send(codec, one(tags=tags)).failed.tolist() == [failed]


# Slow twin

texts = st.text(max_size=8)
values = st.one_of(
    texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary(max_size=4)
)
words = st.sampled_from(["server", "CLIENT", "consumer", "OK", "error", "true", "404", "pay", "10.0.0.1"])
tags = st.dictionaries(st.sampled_from(span_attributes.ATTRIBUTES) | texts, words | values, max_size=6)
ids = st.binary(min_size=8, max_size=8)
traces = st.just(TRACE) | st.binary(min_size=16, max_size=16)
spans = st.builds(
    lambda name, trace, id_, start, length, process, parent, found, links: span(
        name, trace, id_, start, start + length, process=process, parent=parent, tags=found, links=links
    ),
    texts,
    traces,
    ids,
    st.integers(-5, 4 * 10**15),
    st.integers(-5, 2**40),
    st.tuples(texts, st.dictionaries(texts, values, max_size=2)),
    st.just(b"") | ids,
    tags,
    st.lists(st.tuples(traces, ids, st.integers(0, 2)), max_size=3),
)


@given(st.lists(spans, max_size=5))
@settings(deadline=None, max_examples=100)
def test_rows_are_those_of_the_slow_way_at_first_sight_and_from_memory(batch: list[bytes]) -> None:
    assert_same(both, GOLDEN, batch)


@given(st.lists(spans, max_size=3))
@settings(deadline=None, max_examples=40)
def test_json_gives_the_rows_of_protobuf(batch: list[bytes]) -> None:
    found, columns = decode(*batch)
    of_json, json_columns = decode(*(as_json(value) for value in batch))
    assert of_json == found
    assert json_columns.rejections == columns.rejections


@given(texts, st.dictionaries(st.sampled_from(span_attributes.ATTRIBUTES[:25]), words, max_size=5))
@settings(deadline=None, max_examples=60)
def test_tags_say_what_the_same_attributes_say_in_otlp(name: str, found: dict[str, str]) -> None:
    for kind in (SpanKind.SERVER, SpanKind.CLIENT):
        codec = OtlpSpans(Limits())
        made = otlp_span(name, TRACE, ID, T, T + 5, kind=kind, attributes=found)
        theirs = rows(codec, send(codec, traces_request(resource_spans({"service.name": "a"}, [made]))))
        ours, _ = decode(one(name, {**found, "span.kind": kind.name.lower()}, process=("a", {})))
        assert ours == theirs


def test_usual_spans_go_the_fast_way() -> None:
    class Fast(JaegerSpans):
        def _add_slowly(self, rows: Any, message: int, value: bytes) -> None:
            raise AssertionError(value)

    usual = [
        one(tags={name: value}, parent=PARENT) for name in span_attributes.ATTRIBUTES for value in ("x", 404, True)
    ]
    assert len(send(Fast(Limits()), *usual, *rich[1:]).message) == len(usual) + 3


# What cannot be used


@pytest.mark.parametrize("value", [None, b""])
def test_a_message_without_a_value_is_refused_as_empty(value: bytes | None) -> None:
    found, columns = decode(GOLDEN, value, GOLDEN)
    assert [row.message for row in found] == [0, 2]
    assert reasons(columns) == [(1, "empty", True)]


@pytest.mark.parametrize("value", [b"{", b"\xff\xff", b"[]", b'{"traceId": 5}', b'{"a":' * 100_000, GOLDEN[:-3]])
def test_an_undecodable_message_is_refused_and_its_neighbours_are_used(value: bytes) -> None:
    found, columns = decode(GOLDEN, value, GOLDEN)
    assert [row.message for row in found] == [0, 2]
    assert reasons(columns) == [(1, "undecodable", True)]
    assert len(columns.rejections[0].detail) < 300


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("bad_id", changed(one(), trace_id=b"")),
        ("bad_id", changed(one(), trace_id=bytes(16))),
        ("bad_id", changed(one(), span_id=b"1")),
        ("no_time", span("a", TRACE, ID, 0, 5, process=CHECKOUT)),
        ("no_time", span("a", TRACE, ID, -7, 5, process=CHECKOUT)),
        ("no_time", span("a", TRACE, ID, T * 100, T * 100, process=CHECKOUT)),
        ("no_time", span("a", TRACE, ID, T, T * 100, process=CHECKOUT)),
        ("ends_before_start", span("a", TRACE, ID, T, T - 1, process=CHECKOUT)),
        ("huge_attribute", one("x" * 2000)),
        ("huge_attribute", one(tags={"peer.service": "x" * 2000})),
        ("huge_attribute", one(process=("a", {"b": "x" * 2000}))),
        ("too_many_attributes", one(process=("a", {str(place): place for place in range(65)}))),
        ("bad_name", one("work!").replace(b"work!", b"\xff\xff\xff\xff\xff")),
        ("bad_attributes", one(process=("coffee", {})).replace(b"coffee", b"\xff\xff\xff\xff\xff\xff")),
        ("bad_attributes", one(tags={"peer.service": "tea"}).replace(b"tea", b"\xff\xff\xff")),
    ],
)
def test_a_span_that_cannot_be_used_is_refused_with_its_reason(reason: str, value: bytes) -> None:
    for codec in both():
        for _ in range(3):
            columns = send(codec, GOLDEN, value, GOLDEN)
            assert columns.message.tolist() == [0, 2]
            assert reasons(columns) == [(1, reason, True)]


def test_tags_and_logs_that_nobody_reads_spoil_nothing() -> None:
    value = one("good", tags={"sql": "bad!", "b": b"bad!"}, logs=[(T, {"event": "bad!"})])
    found, _ = decode(value.replace(b"bad!", b"\xff\xff\xff\xff"))
    assert [row.operation for row in found] == ["good"]


def test_a_full_table_starts_over_and_rows_name_the_right_shapes() -> None:
    codec = JaegerSpans(Limits(max_series=4))
    for turn in range(6):
        values = [one(f"{turn}/{place}", process=(str(turn + place), {})) for place in range(3)]
        found = rows(codec, send(codec, *values))
        assert [row.operation for row in found] == [f"{turn}/{place}" for place in range(3)]
        assert [row.resource for row in found] == [(("service.name", str(turn + place)),) for place in range(3)]
    assert codec.generation > 0


# Hostile bytes

rich = [
    GOLDEN,
    one("größe", {"span.kind": "client", "http.status_code": "404", "server.address": "pay", "n": 1.5}),
    one("a", {"db.system": "sqlite", "db.operation": "get", "otel.status_code": "ERROR", "b": b"\x00"}, parent=PARENT),
    one("b", {"error": True}, links=[(TRACE, ID, FOLLOWS_FROM), (b"", b"", CHILD_OF), (OTHER_TRACE, PARENT, CHILD_OF)]),
]
whole = st.sampled_from([*rich, as_json(rich[1])])
damages = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4)
beginnings = st.builds(lambda value, end: value[: end % (len(value) + 1)], whole, st.integers(0))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_decoded_or_refused(value: bytes) -> None:
    assert_accounted_for(JaegerSpans(Limits()), value)


@given(st.dictionaries(st.sampled_from(["traceId", "spanId", "tags", "startTime", "x"]), texts | st.lists(texts)))
@settings(deadline=None)
def test_any_json_object_is_decoded_or_refused(value: dict[str, Any]) -> None:
    assert_accounted_for(JaegerSpans(Limits()), json.dumps(value).encode())


@given(st.lists(beginnings | whole, min_size=1, max_size=4), damages)
@settings(deadline=None, max_examples=300)
def test_whatever_is_damaged_the_fast_way_and_the_slow_way_give_the_same(
    batch: list[bytes], damage: list[tuple[int, int]]
) -> None:
    made = [damaged(batch[0], damage), *batch[1:]]
    assert_accounted_for(JaegerSpans(Limits()), made[0])
    assert_same(both, rich[1], made)
