"""OTLP traces: written out bytes, what conventions make of attributes, a slow twin, and hostile input."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from pipeline.codecs import span_attributes
from pipeline.codecs.otlp_encode import key_values
from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.codecs.otlp_spans import OtlpSpans
from pipeline.codecs.series_table import Limits
from pipeline.codecs.span_scan import SIEVE, number_of
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

CHECKOUT = {"service.name": "checkout"}
SERVER, CLIENT, INTERNAL = SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL


class Slow(OtlpSpans):
    """Everything through the official classes."""

    def _decode_some(self, rows: Any, values: Sequence[bytes], first: int) -> None:
        for number, value in enumerate(values, first):
            self._add_slowly(rows, number, value)


def both() -> tuple[OtlpSpans, Slow]:
    return OtlpSpans(Limits()), Slow(Limits())


def of_span(made: Span, attributes: Mapping[str, Any] = CHECKOUT) -> bytes:
    return traces_request(resource_spans(attributes, [made]))


def one(name: str = "work", **more: Any) -> Span:
    return span(name, TRACE, ID, T, T + 5, **more)


def decode(*values: bytes | None, limits: Limits | None = None) -> tuple[list[Row], SpanColumns]:
    codec = OtlpSpans(limits or Limits())
    columns = send(codec, *values)
    return rows(codec, columns), columns


def as_json(value: bytes) -> bytes:
    """As the collector writes it: ids in hex, where protobuf's own JSON has base64."""
    message = json_format.MessageToDict(TracesData.FromString(value))
    for resource in message.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for made in scope.get("spans", ()):
                for holder in (made, *made.get("links", ())):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if key in holder:
                            holder[key] = AnyValue(bytes_value=_unbase64(holder[key])).bytes_value.hex()
    return json.dumps(message).encode()


def _unbase64(text: str) -> bytes:
    return json_format.Parse(json.dumps({"bytesValue": text}), AnyValue()).bytes_value


# Plain use

#: One span, field by field, from the published trace.proto.
GOLDEN = bytes.fromhex(
    "0a7e"  # resource_spans: 126 bytes
    + "0a1a" + "0a18" + "0a0c" + b"service.name".hex() + "1208" + "0a06" + b"coffee".hex()  # resource
    + "1260"  # scope_spans: 96 bytes
    + "125e"  # span: 94 bytes
    + "0a10" + TRACE.hex()
    + "1208" + ID.hex()
    + "2208" + PARENT.hex()
    + "2a07" + b"brewing".hex()
    + "3002"  # kind: server
    + "39" + (T * 1000).to_bytes(8, "little").hex()
    + "41" + (T * 1000 + 1999).to_bytes(8, "little").hex()
    + "4a15" + "0a0a" + b"http.route".hex() + "1207" + "0a05" + b"/brew".hex()
    + "7a02" + "1802"  # status: error
)  # fmt: skip


def test_a_span_written_out_byte_by_byte_becomes_a_row() -> None:
    found, columns = decode(GOLDEN)
    coffee = (("service.name", "coffee"),)
    assert found == [Row(0, coffee, SERVER, "brewing", "", Peer.NONE, TRACE, ID, PARENT, T, T + 1, True, ())]
    assert (columns.rejections, columns.dropped) == ([], {})
    assert (columns.trace.dtype, columns.span.dtype, columns.links.shape) == (np.uint64, np.uint64, (0, 4))


def test_no_messages_give_no_rows() -> None:
    found, columns = decode()
    assert found == []
    assert columns.trace.shape == (0, 2)


def test_links_name_the_spans_a_batch_comes_from_and_those_without_ids_are_counted() -> None:
    links = [(OTHER_TRACE, PARENT), (TRACE, ID)]
    found, columns = decode(
        traces_request(resource_spans({}, [one(), one(links=[*links, (b"", ID), (TRACE, bytes(8))]), one(links=links)]))
    )
    assert [row.links for row in found] == [(), tuple(links), tuple(links)]
    assert columns.dropped == {"bad_link": 2}


def test_links_stay_with_their_spans_where_others_are_refused() -> None:
    bad, good = one(links=[(TRACE, ID)]), one(links=[(OTHER_TRACE, PARENT)])
    bad.span_id = b""
    found, columns = decode(traces_request(resource_spans({}, [bad, one(), bad, good])), b"\xff", of_span(good))
    assert [row.links for row in found] == [(), ((OTHER_TRACE, PARENT),), ((OTHER_TRACE, PARENT),)]
    assert reasons(columns) == [(0, "bad_id", False), (1, "undecodable", True)]


def test_spans_of_one_shape_share_a_number_and_resources_too() -> None:
    codec = OtlpSpans(Limits())
    a, b = one("a", attributes={"http.route": "/", "user": 1}), one("a", attributes={"user": 2, "http.route": "/"})
    value = traces_request(resource_spans(CHECKOUT, [a, b, one("b")]), resource_spans(CHECKOUT, [a]))
    for _ in range(3):
        assert send(codec, value, value).shape.tolist() == [0, 0, 1, 0] * 2
    assert len(codec.resources) == 1


# What attributes say


@pytest.mark.parametrize(
    ("kind", "attributes", "operation"),
    [
        (SERVER, {"http.request.method": "GET", "http.route": "/cart/{id}"}, "GET /cart/{id}"),
        (SERVER, {"http.method": "PUT", "http.route": "/cart"}, "PUT /cart"),
        (SERVER, {"http.method": "PUT", "http.request.method": "GET", "http.route": "/cart"}, "GET /cart"),
        (SERVER, {"http.request.method": "GET"}, "name"),
        (CLIENT, {"http.request.method": "GET", "http.route": "/cart"}, "name"),
        (SERVER, {"rpc.system": "grpc", "rpc.service": "shop.Cart", "rpc.method": "Add"}, "shop.Cart/Add"),
        (CLIENT, {"rpc.system.name": "grpc", "rpc.method": "shop.Cart/Add"}, "shop.Cart/Add"),
        (CLIENT, {"rpc.service": "shop.Cart"}, "name"),
        (CLIENT, {"db.operation.name": "SELECT", "db.collection.name": "orders"}, "SELECT orders"),
        (CLIENT, {"db.operation": "find", "db.mongodb.collection": "orders"}, "find orders"),
        (CLIENT, {"db.operation": "SELECT", "db.sql.table": "orders"}, "SELECT orders"),
        (INTERNAL, {"db.operation.name": "SELECT"}, "SELECT"),
        (CLIENT, {"db.collection.name": "orders"}, "name"),
        (
            SpanKind.PRODUCER,
            {"messaging.operation.name": "send", "messaging.destination.name": "orders"},
            "send orders",
        ),
        (SpanKind.CONSUMER, {"messaging.operation": "process", "messaging.destination": "orders"}, "process orders"),
        (
            SpanKind.PRODUCER,
            {
                "messaging.operation.type": "send",
                "messaging.destination.name": "reply-17",
                "messaging.destination.template": "reply-{id}",
            },
            "send reply-{id}",
        ),
        (SpanKind.PRODUCER, {"messaging.operation.name": "send"}, "name"),
        (SERVER, {"http.request.method": "", "http.route": "/cart"}, "name"),
        (INTERNAL, {}, "name"),
    ],
)
def test_the_operation_is_what_was_done_with_few_distinct_values(
    kind: SpanKind, attributes: Mapping[str, Any], operation: str
) -> None:
    found, _ = decode(of_span(one("name", kind=kind, attributes=attributes)))
    assert found[0].operation == operation


@pytest.mark.parametrize(
    ("kind", "attributes", "peer", "peer_kind"),
    [
        (CLIENT, {"service.peer.name": "payment", "server.address": "10.0.0.1"}, "payment", Peer.SERVICE),
        (CLIENT, {"peer.service": "payment"}, "payment", Peer.SERVICE),
        (CLIENT, {"peer.service": "old", "service.peer.name": "new"}, "new", Peer.SERVICE),
        (CLIENT, {"db.system.name": "postgresql", "db.namespace": "shop"}, "postgresql/shop", Peer.DATABASE),
        (CLIENT, {"db.system": "redis", "server.address": "cache"}, "redis", Peer.DATABASE),
        (INTERNAL, {"db.system": "sqlite", "db.name": "main.db"}, "sqlite/main.db", Peer.DATABASE),
        (CLIENT, {"db.system": "mysql", "peer.service": "orders-db"}, "orders-db", Peer.DATABASE),
        (
            SpanKind.PRODUCER,
            {"messaging.system": "kafka", "messaging.destination.name": "orders"},
            "kafka/orders",
            Peer.QUEUE,
        ),
        (SpanKind.CONSUMER, {"messaging.system": "kafka", "messaging.destination": "o"}, "kafka/o", Peer.QUEUE),
        (CLIENT, {"server.address": "payment.shop.svc"}, "payment.shop.svc", Peer.SERVICE),
        (CLIENT, {"net.peer.name": "payment-2"}, "payment-2", Peer.SERVICE),
        (CLIENT, {"server.address": "10.0.0.1"}, "", Peer.NONE),
        (CLIENT, {"server.address": "fe80::1"}, "", Peer.NONE),
        (CLIENT, {"server.address": "localhost"}, "", Peer.NONE),
        (CLIENT, {"server.address": 7}, "", Peer.NONE),
        (SpanKind.PRODUCER, {"server.address": "payment"}, "", Peer.NONE),
        (SERVER, {"server.address": "payment", "peer.service": "caller"}, "", Peer.NONE),
        (CLIENT, {"service.peer.name": ""}, "", Peer.NONE),
        (CLIENT, {}, "", Peer.NONE),
    ],
)
def test_the_peer_is_what_is_called_by_name(
    kind: SpanKind, attributes: Mapping[str, Any], peer: str, peer_kind: Peer
) -> None:
    found, _ = decode(of_span(one(kind=kind, attributes=attributes)))
    assert (found[0].peer, found[0].peer_kind) == (peer, peer_kind)


@pytest.mark.parametrize(
    ("kind", "status", "attributes", "failed"),
    [
        (INTERNAL, 0, {}, False),
        (INTERNAL, 1, {}, False),
        (INTERNAL, 2, {}, True),
        (INTERNAL, 9, {"error.type": "x"}, True),
        (INTERNAL, 0, {"error.type": "timeout"}, True),
        (INTERNAL, 0, {"error.type": ""}, False),
        (CLIENT, 1, {"error.type": "timeout", "http.response.status_code": 500}, False),
        (SERVER, 0, {"http.response.status_code": 499}, False),
        (SERVER, 0, {"http.response.status_code": 500}, True),
        (SERVER, 0, {"http.status_code": 503}, True),
        (SERVER, 0, {"http.response.status_code": 200, "http.status_code": 503}, False),
        (CLIENT, 0, {"http.response.status_code": 399}, False),
        (CLIENT, 0, {"http.response.status_code": 404}, True),
        (CLIENT, 0, {"http.status_code": "404"}, True),
        (CLIENT, 0, {"http.status_code": 404.0}, True),
        (CLIENT, 0, {"http.status_code": -1}, False),
        (CLIENT, 0, {"http.status_code": "later"}, False),
        (CLIENT, 0, {"http.status_code": 10**12}, False),
        (CLIENT, 0, {"http.status_code": float("nan")}, False),
    ],
)
def test_status_error_type_and_http_status_say_whether_a_span_failed(
    kind: SpanKind, status: int, attributes: Mapping[str, Any], failed: bool
) -> None:
    value = of_span(one(kind=kind, status=status, attributes=attributes))
    for codec in both():
        assert send(codec, value).failed.tolist() == [failed]


def test_every_attribute_that_matters_is_told_from_all_others() -> None:
    for number, name in enumerate(span_attributes.ATTRIBUTES):
        for text in (name, f"{name}x", name[:-1], name.upper(), name[0]):
            data = np.frombuffer(text.encode(), np.uint8)
            assert number_of(SIEVE, data, 0, data.size) == (number if text == name else -1), text


# Slow twin

texts = st.text(max_size=8)
values = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
attributes = st.dictionaries(st.sampled_from(span_attributes.ATTRIBUTES) | texts, values, max_size=6)
ids = st.binary(min_size=8, max_size=8)
times = st.integers(1, 2**62 // 1000)
spans = st.builds(
    lambda name, trace, id_, start, length, parent, kind, found, status, links: span(
        name, trace, id_, start, start + length, parent=parent, kind=kind, attributes=found, status=status, links=links
    ),
    texts,
    st.binary(min_size=16, max_size=16),
    ids,
    times,
    st.integers(0, 2**40),
    st.just(b"") | ids,
    st.sampled_from(SpanKind),
    attributes,
    st.integers(0, 2),
    st.lists(st.tuples(st.binary(min_size=16, max_size=16), ids), max_size=2),
)
requests = st.lists(
    st.builds(resource_spans, st.dictionaries(texts, texts, max_size=2), st.lists(spans, max_size=4)), max_size=2
).map(lambda found: traces_request(*found))


@given(st.lists(requests, max_size=3))
@settings(deadline=None, max_examples=60)
def test_rows_are_those_of_the_slow_way_at_first_sight_and_from_memory(batch: list[bytes]) -> None:
    assert_same(both, GOLDEN, batch)


@given(st.lists(requests, max_size=2))
@settings(deadline=None, max_examples=40)
def test_decoding_keeps_ids_times_and_links_of_every_good_span(batch: list[bytes]) -> None:
    sent = []
    for number, value in enumerate(batch):
        for resource in TracesData.FromString(value).resource_spans:
            for made in resource.scope_spans[0].spans:
                if any(made.trace_id) and any(made.span_id):
                    sent.append((number, made.trace_id, made.span_id, made.start_time_unix_nano // 1000))
    found, _ = decode(*batch)
    assert [(row.message, row.trace, row.span, row.start_us) for row in found] == sent


@given(st.lists(requests, max_size=2))
@settings(deadline=None, max_examples=40)
def test_json_gives_the_rows_of_protobuf(batch: list[bytes]) -> None:
    found, columns = decode(*batch)
    of_json, json_columns = decode(*(as_json(value) for value in batch))
    assert of_json == found
    assert json_columns.rejections == columns.rejections or any(value == b"" for value in batch)


def test_json_has_hex_ids_times_as_text_and_enums_by_name_or_number() -> None:
    for kind, status in ((2, 2), ("SPAN_KIND_SERVER", "STATUS_CODE_ERROR")):
        made = {
            "traceId": TRACE.hex().upper(),
            "spanId": ID.hex(),
            "name": "work",
            "kind": kind,
            "startTimeUnixNano": str(T * 1000),
            "endTimeUnixNano": T * 1000 + 1000,
            "status": {"code": status},
            "inventedLater": [1],
        }
        text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [made]}]}]}, indent=1)
        found, columns = decode(f" \n{text}".encode())
        assert columns.rejections == []
        assert found == [Row(0, (), SERVER, "work", "", Peer.NONE, TRACE, ID, b"", T, T + 1, True, ())]


def test_an_id_in_json_that_is_no_hex_is_refused() -> None:
    made = {"traceId": "z" * 32, "spanId": "?", "startTimeUnixNano": 1, "endTimeUnixNano": 1}
    _, columns = decode(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [made]}]}]}).encode())
    assert reasons(columns) == [(0, "bad_id", True)]


def test_a_protobuf_message_that_starts_like_json_is_still_protobuf() -> None:
    sizes = (of_span(one(), {"filler": "x" * length}) for length in range(200))
    value = next(value for value in sizes if value.startswith(b"\n{"))
    found, columns = decode(value)
    assert (len(found), columns.rejections) == (1, [])


def test_the_encoder_writes_an_export_trace_service_request() -> None:
    made = ExportTraceServiceRequest.FromString(of_span(one(events=[(T, "retry", {"n": 1})]))).resource_spans[0]
    assert made.scope_spans[0].spans[0].events[0].time_unix_nano == T * 1000


def test_usual_messages_go_the_fast_way() -> None:
    class Fast(OtlpSpans):
        def _add_slowly(self, rows: Any, message: int, value: bytes) -> None:
            raise AssertionError(value)

    names = [name for name in span_attributes.ATTRIBUTES if not name.endswith("status_code")]
    usual = [one(attributes={name: value}) for name in names for value in ("x", 404, 0.5, True)]
    columns = send(Fast(Limits()), GOLDEN, rich, traces_request(resource_spans(CHECKOUT, usual)))
    assert len(columns.message) == 1 + 8 + len(usual)


# What cannot be used


@pytest.mark.parametrize("value", [None, b"", b"{}", b'{"resourceMetrics": []}', b"\x7a\x01x"])
def test_a_message_without_spans_is_refused_as_empty(value: bytes | None) -> None:
    found, columns = decode(GOLDEN, value)
    assert len(found) == 1
    assert reasons(columns) == [(1, "empty", True)]


def test_a_resource_without_spans_is_nothing_to_refuse() -> None:
    assert decode(traces_request(resource_spans(CHECKOUT, [])))[1].rejections == []


_spoilt = traces_request(resource_spans({"a": "bad!"}, [])).replace(b"bad!", b"\xff\xff\xff\xff")
#: Resources that are damaged, of which there are no spans.
idle = [_spoilt, b"\x0a\x04\x0a\x02\x0a\x05", b"\x0a\x06\x0a\x02\x0a\x05\x12\x00"]


@pytest.mark.parametrize("value", idle)
def test_a_damaged_resource_is_refused_each_time_also_where_it_has_no_spans(value: bytes) -> None:
    codec = OtlpSpans(Limits())
    for _ in range(2):
        columns = send(codec, value, traces_request(resource_spans(CHECKOUT, [])), GOLDEN, value, value + GOLDEN)
        assert columns.message.tolist() == [2, 4]
        assert reasons(columns) == [
            (0, "bad_attributes", True),
            (3, "bad_attributes", True),
            (4, "bad_attributes", False),
        ]


@pytest.mark.parametrize(
    "value",
    [
        b"{",
        b" \n{no",
        b"\xff\xff",
        b"[]",
        b'{"resourceSpans": "\xff"}',
        b'{"resourceSpans": 5}',
        b'{"a":' * 100_000,
        b'{"resourceSpans":' + b"[" * 100_000,
        b"\x0a\xff\xff\xff\xff\x07",
        GOLDEN[:-3],
    ],
)
def test_an_undecodable_message_is_refused_whole_and_its_neighbours_are_used(value: bytes) -> None:
    found, columns = decode(GOLDEN, value, GOLDEN)
    assert [row.message for row in found] == [0, 2]
    assert reasons(columns) == [(1, "undecodable", True)]
    assert len(columns.rejections[0].detail) < 300


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("bad_id", {"trace_id": b""}),
        ("bad_id", {"trace_id": bytes(16)}),
        ("bad_id", {"trace_id": bytes(range(15))}),
        ("bad_id", {"span_id": b""}),
        ("bad_id", {"span_id": bytes(8)}),
        ("bad_id", {"span_id": bytes(range(9))}),
        ("bad_id", {"parent_span_id": b"1"}),
        ("no_time", {"start_time_unix_nano": 0}),
        ("no_time", {"end_time_unix_nano": 0}),
        ("ends_before_start", {"end_time_unix_nano": T * 1000 - 1}),
        ("huge_attribute", {"name": "x" * 2000}),
        ("huge_attribute", {"attributes": key_values({"peer.service": "x" * 2000})}),
    ],
)
def test_a_span_that_cannot_be_used_is_refused_once_and_the_others_are_used(
    reason: str, change: Mapping[str, Any]
) -> None:
    bad = one()
    for field, value in change.items():
        if field == "attributes":
            bad.attributes.extend(value)
        else:
            setattr(bad, field, value)
    for codec in both():
        columns = send(
            codec, of_span(bad), traces_request(resource_spans(CHECKOUT, [one("good"), bad, bad, one("good")]))
        )
        assert [row.operation for row in rows(codec, columns)] == ["good", "good"]
        assert reasons(columns) == [(0, reason, True), (1, reason, False)]


def test_a_parent_of_zeros_is_no_parent() -> None:
    assert [row.parent for row in decode(of_span(one(parent=bytes(8))))[0]] == [b""]


def test_what_nobody_reads_spoils_nothing() -> None:
    made = one("good", attributes={"sql": "bad!"}, events=[(T, "bad!", {})])
    made.status.message = made.trace_state = "bad!"
    found, columns = decode(of_span(made).replace(b"bad!", b"\xff\xff\xff\xff"))
    assert ([row.operation for row in found], columns.rejections) == (["good"], [])


@pytest.mark.parametrize(("reason", "text"), [("bad_name", "work"), ("bad_attributes", "payment!")])
def test_text_that_is_not_utf_8_refuses_only_the_span_that_has_it(reason: str, text: str) -> None:
    made = one("work", kind=CLIENT, attributes={"peer.service": "payment!"})
    spoilt = of_span(made).replace(text.encode(), b"\xff" * len(text))
    _, columns = decode(of_span(one("good")), spoilt)
    assert reasons(columns) == [(1, reason, True)]


@pytest.mark.parametrize(
    ("reason", "bad"),
    [("huge_attribute", {"a": "x" * 100}), ("too_many_attributes", {str(place): 1 for place in range(9)})],
)
def test_a_resource_beyond_the_limits_refuses_its_spans(reason: str, bad: dict[str, Any]) -> None:
    codec = OtlpSpans(Limits(max_attributes=8, max_attribute_bytes=64))
    for _ in range(3):
        columns = send(codec, traces_request(resource_spans(bad, [one(), one()]), resource_spans({}, [one()])))
        assert columns.message.size == 1
        assert reasons(columns) == [(0, reason, False)]


def test_a_span_may_have_more_attributes_than_a_resource() -> None:
    many = {f"a{place}": place for place in range(200)}
    found, _ = decode(of_span(one(attributes=many | {"http.response.status_code": 500})))
    assert found[0].failed


def test_a_long_value_and_a_long_name_of_an_attribute_are_read() -> None:
    route = "/" + "long/" * 100
    found, _ = decode(
        of_span(
            one(kind=SERVER, attributes={"x" * 300: 1, "http.method": "GET", "http.route": route, "y": "z" * 20_000})
        )
    )
    assert found[0].operation == f"GET {route}"


@pytest.mark.parametrize("unusual", ["value first", "two values", "third field"])
def test_attributes_in_an_unusual_form_are_read_the_slow_way(unusual: str) -> None:
    key, old, new = b"\x0a\x0cpeer.service", b"\x12\x05\x0a\x03old", b"\x12\x05\x0a\x03new"
    raw = {"value first": new + key, "two values": key + old + new, "third field": key + new + b"\x78\x01"}[unusual]
    made = one(kind=CLIENT)
    made.attributes.append(KeyValue(key="?" * (len(raw) - 2)))
    value = of_span(made)
    place = value.index(b"?" * (len(raw) - 2)) - 2
    found, _ = decode(value[:place] + raw + value[place + len(raw) :])
    assert found[0].peer == "new"


def test_a_full_table_starts_over_and_rows_name_the_right_shapes() -> None:
    codec = OtlpSpans(Limits(max_series=4))
    for turn in range(6):
        values = [of_span(one(f"{turn}/{place}"), {"pod": str(turn + place)}) for place in range(3)]
        for _ in range(2):
            found = rows(codec, send(codec, *values))
            assert [row.operation for row in found] == [f"{turn}/{place}" for place in range(3)]
            assert [dict(row.resource)["pod"] for row in found] == [str(turn + place) for place in range(3)]
    assert codec.generation > 0
    assert max(len(codec.shapes), len(codec.resources)) <= 6


def test_names_that_never_come_again_stay_within_the_limit() -> None:
    codec = OtlpSpans(Limits(max_series=100))
    for turn in range(30):
        made = [one(f"{turn}-{place}") for place in range(20)]
        send(codec, traces_request(resource_spans(CHECKOUT, made)))
        assert len(codec.shapes) < 120
    assert codec.generation > 1


# Hostile bytes

rich = traces_request(
    *(
        resource_spans(
            {"service.name": name, "größe": 1},
            [
                one("größe", kind=CLIENT, attributes={"http.status_code": "404", "server.address": "pay"}),
                one(
                    "a", kind=SERVER, attributes={"http.method": "GET", "http.route": "/", "error.type": "x"}, status=1
                ),
                one("b", attributes={"db.system": "sqlite", "db.operation": "get", "n": 1.5}, parent=PARENT, status=2),
                one("c", links=[(TRACE, ID), (b"", b"")], events=[(T, "e", {"a": "b"})]),
            ],
            "scope",
        )
        for name in "ab"
    )
)
whole = st.sampled_from([GOLDEN, rich, as_json(rich)])
damages = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4)
beginnings = st.builds(lambda value, end: value[: end % (len(value) + 1)], whole, st.integers(0))


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\n" + bytes([len(tail)]) + tail))
@settings(deadline=None)
def test_any_bytes_are_decoded_or_refused(value: bytes) -> None:
    assert_accounted_for(OtlpSpans(Limits()), value)


@given(whole, damages)
@settings(deadline=None)
def test_damaged_messages_are_decoded_or_refused(value: bytes, damage: list[tuple[int, int]]) -> None:
    assert_accounted_for(OtlpSpans(Limits()), damaged(value, damage))


@given(st.lists(beginnings | whole | st.sampled_from(idle), min_size=1, max_size=3), damages)
@example([idle[0] + rich + idle[2], *idle], [])
@settings(deadline=None, max_examples=200)
def test_whatever_is_damaged_the_fast_way_and_the_slow_way_give_the_same(
    batch: list[bytes], damage: list[tuple[int, int]]
) -> None:
    assert_same(both, rich, [damaged(batch[0], damage), *batch[1:]])


KEYS = [
    *("resourceSpans", "scopeSpans", "spans", "traceId", "spanId", "name", "kind", "status", "code", "links"),
    *("attributes", "key", "value", "stringValue", "resource", "startTimeUnixNano", "endTimeUnixNano"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["resourceSpans", "x"]), json_values, max_size=2))
@settings(deadline=None)
def test_any_json_object_is_decoded_or_refused(value: dict[str, Any]) -> None:
    assert_accounted_for(OtlpSpans(Limits()), json.dumps(value).encode())
