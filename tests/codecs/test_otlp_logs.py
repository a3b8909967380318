"""OTLP logs against a slow, obvious twin that walks the official protobuf classes, and against hostile input."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData

from pipeline.codecs.otlp_encode import key_values
from pipeline.codecs.otlp_logs import OtlpLogs
from pipeline.codecs.series_table import Limits
from pipeline.records import Event, LineColumns
from tests.codecs.otlp_sent import CHECKOUT, NANO, Sent, T

TRACE = bytes(range(1, 17))


def record(line: str | None = "started", **fields: Any) -> LogRecord:
    """A log record at T; attributes as a dict."""
    attributes = key_values(fields.pop("attributes", {}))
    made = LogRecord(**{"time_unix_nano": NANO, "severity_number": 9, **fields}, attributes=attributes)
    if line is not None:
        made.body.string_value = line
    return made


def request(*records: LogRecord, resource: Any = CHECKOUT) -> bytes:
    data = LogsData()
    logs = data.resource_logs.add()
    logs.resource.attributes.extend(key_values(resource))
    logs.scope_logs.add().log_records.extend(records)
    return data.SerializeToString()


def as_json(value: bytes) -> bytes:
    """As the collector writes it: ids in hex."""
    found = json.loads(json_format.MessageToJson(LogsData.FromString(value), use_integers_for_enums=True))
    official = LogsData.FromString(value)
    for logs, twin in zip(found.get("resourceLogs", []), official.resource_logs, strict=True):
        for scope, twin_scope in zip(logs.get("scopeLogs", []), twin.scope_logs, strict=True):
            for one, twin_record in zip(scope.get("logRecords", []), twin_scope.log_records, strict=True):
                one["traceId"] = twin_record.trace_id.hex()
    return json.dumps(found).encode()


def decode(*values: bytes | None, limits: Limits | None = None, timestamp: int = 7) -> tuple[LineColumns, OtlpLogs]:
    codec = OtlpLogs(limits or Limits())
    return codec.decode([Sent(value, timestamp=timestamp) for value in values]), codec


def both(value: bytes) -> list[LineColumns]:
    """What protobuf gives, and what the same as JSON gives."""
    return [decode(value)[0], decode(as_json(value))[0]]


# Plain use


def test_a_record_becomes_a_line_of_its_resource() -> None:
    value = request(record("one", trace_id=TRACE), record("zwei é", severity_number=17, time_unix_nano=NANO + 5999))
    for columns in both(value):
        assert columns.body == ["one", "zwei é"]
        assert columns.time_us.tolist() == [T, T + 5]
        assert columns.severity.tolist() == [9, 17]
        assert columns.trace_id == [TRACE, b""]
        assert columns.message.tolist() == columns.resource.tolist() == [0, 0]
        assert (columns.events, columns.rejections, columns.dropped) == ([], [], {})
    assert decode(value)[1].resources == [(("service.name", "checkout"),)]
    assert decode(as_json(value))[1].resources == [(("service.name", "checkout"),)]


def test_golden_bytes_from_the_published_schema() -> None:
    body = b"\x0a\x05hello"  # AnyValue.string_value
    made = (
        b"\x09" + NANO.to_bytes(8, "little") + b"\x10\x0d" + b"\x2a" + bytes([len(body)]) + body + b"\x4a\x10" + TRACE
    )
    scope = b"\x12" + bytes([len(made)]) + made
    pair = b"\x0a\x0cservice.name\x12\x06\x0a\x04cart"
    resource = b"\x0a" + bytes([len(pair)]) + pair
    logs = b"\x0a" + bytes([len(resource)]) + resource + b"\x12" + bytes([len(scope)]) + scope
    columns, codec = decode(b"\x0a" + bytes([len(logs)]) + logs)
    assert (columns.body, columns.severity.tolist(), columns.trace_id) == (["hello"], [13], [TRACE])
    assert codec.resources == [(("service.name", "cart"),)]


def test_golden_json_as_the_specification_shows_it() -> None:
    value = b"""{"resourceLogs": [{"resource": {"attributes": [
      {"key": "service.name", "value": {"stringValue": "my.service"}}]},
      "scopeLogs": [{"scope": {"name": "my.library", "version": "1.0.0"}, "logRecords": [{
        "timeUnixNano": "1544712660300000000", "observedTimeUnixNano": "1544712660300000000", "severityNumber": 10,
        "severityText": "Information", "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
        "body": {"stringValue": "Example log record"}, "attributes": [
          {"key": "string.attribute", "value": {"stringValue": "some string"}},
          {"key": "map.attribute", "value": {"kvlistValue": {"values": []}}}]}]}]}]}"""
    columns, codec = decode(value)
    assert columns.body == ["Example log record"]
    assert columns.time_us.tolist() == [1544712660300000]
    assert columns.severity.tolist() == [10]
    assert columns.trace_id == [bytes.fromhex("5b8efff798038103d269b633813fc60c")]
    assert codec.resources == [(("service.name", "my.service"),)]


def test_the_time_is_the_records_else_when_it_was_observed_else_the_messages() -> None:
    records = [
        record(time_unix_nano=0, observed_time_unix_nano=NANO + 1000),
        record(time_unix_nano=0),
        record(time_unix_nano=NANO, observed_time_unix_nano=1),
    ]
    for columns in both(request(*records)):
        assert columns.time_us.tolist() == [T + 1, 7000, T]


def test_severity_is_the_number_else_the_text_else_what_the_line_says() -> None:
    records = [
        record("ERROR x", severity_number=5),
        record("ERROR x", severity_number=0, severity_text="Warning"),
        record("ERROR x", severity_number=0),
        record("x", severity_number=0),
        record("x", severity_number=99, severity_text="FATAL"),
    ]
    for columns in both(request(*records)):
        assert columns.severity.tolist() == [5, 13, 17, 0, 21]


def test_a_body_of_any_type_has_a_text_and_a_map_that_of_its_message() -> None:
    bodies = [
        AnyValue(int_value=7),
        AnyValue(bool_value=True),
        AnyValue(double_value=0.5),
        AnyValue(bytes_value=b"\x00\xff"),
    ]
    listed = AnyValue()
    listed.array_value.values.extend([AnyValue(string_value="a"), AnyValue(int_value=1)])
    with_message, without = AnyValue(), AnyValue()
    with_message.kvlist_value.values.extend(key_values({"level": "info", "msg": "it works"}))
    without.kvlist_value.values.extend(key_values({"a": "b", "n": 1}))
    records = [record(None, body=body) for body in [*bodies, listed, with_message, without]]
    for columns in both(request(*records)):
        assert columns.body == ["7", "true", "0.5", "AP8=", '["a",1]', "it works", '{"a":"b","n":1}']


@pytest.mark.parametrize("length", [1, 126, 127, 128, 129, 16_255, 16_256, 16_383, 16_384])
def test_bodies_of_any_length_are_read(length: int) -> None:
    for columns in both(request(record("x" * length))):
        assert columns.body == ["x" * length]
        assert columns.dropped == {}


def test_a_long_line_is_cut_at_16_kib_and_counted() -> None:
    columns, _ = decode(request(record("é" * 8192), record("é" * 8193), record("x" + "é" * 8192)))
    assert columns.body == ["é" * 8192, "é" * 8192, "x" + "é" * 8191]
    assert columns.dropped == {"cut": 2}


def test_blank_lines_are_left_out_and_counted() -> None:
    for columns in both(request(record(""), record(" \n"), record(None), record("x"))):
        assert columns.body == ["x"]
        assert columns.time_us.tolist() == [T]
        assert columns.dropped == {"blank": 3}


def test_nulls_in_json_are_as_if_left_out() -> None:
    names = ("severityNumber", "severityText", "attributes", "traceId", "eventName", "observedTimeUnixNano")
    one = {name: None for name in names} | {"timeUnixNano": str(NANO), "body": {"stringValue": "x"}}
    scopes = [{"logRecords": [one, one | {"body": None}]}, {"logRecords": None}]
    columns, codec = decode(json.dumps({"resourceLogs": [{"resource": None, "scopeLogs": scopes}]}).encode())
    assert (columns.body, columns.rejections, columns.dropped) == (["x"], [], {"blank": 1})
    assert codec.resources == [()]


def test_an_exception_without_a_body_is_a_line() -> None:
    attributes = {"exception.type": "KeyError", "exception.message": "no cart"}
    records = [
        record(None, attributes=attributes),
        record(None, attributes=attributes, event_name="exception"),
        record(None, attributes=attributes, severity_number=0),
    ]
    for columns in both(request(*records)):
        assert columns.body == ["KeyError: no cart"] * 3
        assert columns.severity.tolist() == [9, 9, 17]
        assert columns.events == []


def test_a_body_that_is_no_utf_8_is_read_with_replacements() -> None:
    value = request(record("abcé")).replace("abcé".encode(), b"abc\xff\xfe")
    assert decode(value)[0].body == ["abc\ufffd\ufffd"]


def test_a_trace_id_of_another_length_is_none() -> None:
    columns, _ = decode(request(record(trace_id=b"x"), record(trace_id=bytes(16)), record(trace_id=TRACE)))
    assert columns.trace_id == [b"", b"", TRACE]


# Resources


def test_all_resources_are_forgotten_at_once_when_the_table_is_full() -> None:
    codec = OtlpLogs(Limits(max_series=2))
    generations = []
    for name in "abcab":
        columns = codec.decode([Sent(request(record(), record(), resource={"service.name": name}))])
        assert [codec.resources[number] for number in columns.resource.tolist()] == [(("service.name", name),)] * 2
        generations.append(codec.generation)
    assert generations == [0, 0, 1, 1, 2]


def test_a_resource_that_breaks_the_limits_spoils_its_lines_only() -> None:
    data = LogsData.FromString(request(record("bad"), resource={"a": "x" * 2000}))
    data.MergeFrom(LogsData.FromString(request(record("good"))))
    for columns in both(data.SerializeToString()):
        assert columns.body == ["good"]
        (rejection,) = columns.rejections
        assert (rejection.reason, rejection.whole) == ("huge_attribute", False)


# Events


def kubernetes_event(**attributes: Any) -> bytes:
    """As the collector's k8s_events receiver writes one."""
    resource = {
        "k8s.node.name": "node-1",
        "k8s.object.kind": "Pod",
        "k8s.object.name": "cart-5d4f8c7b9-x2x8z",
        "k8s.object.uid": "uid-of-pod",
        "k8s.object.fieldpath": "spec.containers{cart}",
        "k8s.object.resource_version": "7",
    }
    given = {
        "k8s.event.reason": "BackOff",
        "k8s.event.action": "",
        "k8s.event.start_time": "2026-01-31 12:00:00 +0000 UTC",
        "k8s.event.name": "cart-5d4f8c7b9-x2x8z.17",
        "k8s.event.uid": "uid-of-event",
        "k8s.namespace.name": "shop",
        "k8s.event.count": 3,
        **attributes,
    }
    return request(
        record("Back-off restarting failed container", severity_number=13, attributes=given), resource=resource
    )


def test_a_kubernetes_event_is_an_event_of_its_object_and_no_line() -> None:
    for columns in both(kubernetes_event()):
        assert columns.body == []
        ((message, resource, event),) = columns.events
        assert (message, resource) == (0, 0)
        assert (event.id, event.type, event.severity, event.time_us) == ("uid-of-event/3", "k8s.BackOff", 13, T)
        assert event.text == "Back-off restarting failed container"
        assert dict(event.entity) == {
            "k8s.container.name": "cart",
            "k8s.namespace.name": "shop",
            "k8s.node.name": "node-1",
            "k8s.pod.name": "cart-5d4f8c7b9-x2x8z",
            "k8s.pod.uid": "uid-of-pod",
            "k8s.replicaset.name": "cart-5d4f8c7b9",
        }
        assert dict(event.attributes)["k8s.event.count"] == "3"
        assert columns.rejections == []


def test_a_kubernetes_event_is_told_from_lines_beside_it() -> None:
    data = LogsData.FromString(kubernetes_event())
    data.MergeFrom(LogsData.FromString(request(record("a line", attributes={"a": "b"}))))
    for columns in both(data.SerializeToString()):
        assert columns.body == ["a line"]
        assert [event.type for _, _, event in columns.events] == ["k8s.BackOff"]


def test_a_line_beside_an_event_needs_no_attributes_that_can_be_read() -> None:
    data = LogsData.FromString(kubernetes_event())
    many = {f"a{number}": "x" for number in range(100)}
    data.MergeFrom(LogsData.FromString(request(record("a line", attributes=many))))
    data.MergeFrom(LogsData.FromString(request(record("an event", attributes=many, event_name="x"))))
    for columns in both(data.SerializeToString()):
        assert columns.body == ["a line"]
        assert [one.reason for one in columns.rejections] == ["too_many_attributes"]


def test_an_object_that_the_collector_watched_is_an_event() -> None:
    watched = {
        "type": "ADDED",
        "object": {
            "kind": "Event",
            "involvedObject": {"kind": "Node", "name": "node-1"},
            "reason": "NodeNotReady",
            "message": "Node node-1 status is now: NodeNotReady",
            "type": "Warning",
            "lastTimestamp": "2026-01-31T12:00:00Z",
            "metadata": {"uid": "u", "name": "node-1.17"},
        },
    }
    made = record(
        None,
        body=json_format.ParseDict(any_value(watched), AnyValue()),
        severity_number=0,
        attributes={"k8s.resource.name": "events", "event.domain": "k8s", "event.name": "node-1.17"},
    )
    for columns in both(request(made, resource={"k8s.cluster.name": "east"})):
        ((_, _, event),) = columns.events
        assert (event.id, event.type, event.severity) == ("u/1", "k8s.NodeNotReady", 13)
        assert event.text == "Node node-1 status is now: NodeNotReady"
        assert dict(event.entity) == {
            "k8s.cluster.name": "east",
            "k8s.node.name": "node-1",
        }
    watched["type"] = "DELETED"
    made.body.CopyFrom(json_format.ParseDict(any_value(watched), AnyValue()))
    for columns in both(request(made)):
        assert (columns.events, columns.body, columns.dropped) == ([], [], {"event_deleted": 1})


def any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        pairs = [{"key": name, "value": any_value(one)} for name, one in value.items()]
        return {"kvlistValue": {"values": pairs}}
    return {"stringValue": value}


def flag(variant: str, user: str, after_ns: int = 0) -> LogRecord:
    attributes = {
        "feature_flag.key": "new-cart",
        "feature_flag.result.variant": variant,
        "feature_flag.context.id": user,
        "feature_flag.provider.name": "flagd",
        "feature_flag.set.id": "shop",
        "a": user,
    }
    name = "feature_flag.evaluation"
    return record(None, attributes=attributes, event_name=name, time_unix_nano=NANO + after_ns)


def test_evaluations_of_a_flag_become_one_event_for_each_variant_in_a_message() -> None:
    records = [flag("on", "u1", 3000), flag("off", "u2"), flag("on", "u3"), flag("on", "u4"), record("a line")]
    for columns in both(request(*records)):
        assert columns.body == ["a line"]
        assert columns.rejections == []
        assert columns.dropped == {}
        found = [(event.type, event.time_us, dict(event.attributes)) for _, _, event in columns.events]
        same = {
            "feature_flag.key": "new-cart",
            "feature_flag.provider.name": "flagd",
            "feature_flag.set.id": "shop",
        }
        assert found == [
            ("feature_flag.evaluation", T, same | {"feature_flag.result.variant": "on", "count": "3"}),
            ("feature_flag.evaluation", T, same | {"feature_flag.result.variant": "off", "count": "1"}),
        ]
        assert {event.entity for _, _, event in columns.events} == {(("service.name", "checkout"),)}


def test_older_names_of_a_flags_attributes_are_read() -> None:
    attributes = {"feature_flag.key": "k", "feature_flag.variant": "v", "feature_flag.provider_name": "p"}
    for columns in both(request(record(None, attributes={**attributes, "event.name": "feature_flag"}))):
        ((_, _, event),) = columns.events
        assert dict(event.attributes) == {
            "count": "1",
            "feature_flag.key": "k",
            "feature_flag.result.variant": "v",
            "feature_flag.provider.name": "p",
        }


def test_any_other_event_has_its_name_as_its_type() -> None:
    made = record("crashed", event_name="device.app.crash", attributes={"a": "b", "host.name": "h"}, severity_number=21)
    for columns in both(request(made)):
        ((_, _, event),) = columns.events
        assert event == Event(
            id=event.id,
            time_us=T,
            type="device.app.crash",
            entity=(("host.name", "h"), ("service.name", "checkout")),
            severity=21,
            text="crashed",
            attributes=(("a", "b"),),
        )


def test_the_same_event_has_the_same_id_and_another_one_another() -> None:
    ids = set()
    for value in (kubernetes_event(), kubernetes_event(**{"k8s.event.count": 4}), request(flag("on", "u"))):
        first, again = (decode(value)[0].events[0][2].id for _ in range(2))
        assert first == again
        ids.add(first)
    assert len(ids) == 3


def test_an_event_without_end_is_refused_alone() -> None:
    for columns in both(request(record("x", event_name="n" * 2000), record("y"))):
        assert columns.body == ["y"]
        assert [(one.reason, one.whole) for one in columns.rejections] == [("huge_attribute", False)]


# What cannot be used


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{}", "empty"),
        (b'{"resourceSpans": []}', "empty"),
        (b"{", "undecodable"),
        (b"\xff\xff", "undecodable"),
        (b"hello", "undecodable"),
        (b'{"resourceLogs": 7}', "undecodable"),
        (b'{"\xff": 1, "resourceLogs": [{}]}', "undecodable"),
        (b'{"resourceLogs": [{"scopeLogs": [{"\xed\xa0\x80": 1, "logRecords": []}]}]}', "undecodable"),
        (b'{"resourceLogs": [{"resource": {"\xc0\x80": 1}, "scopeLogs": []}]}', "undecodable"),
    ],
)
def test_a_message_that_is_none_is_refused_whole(value: bytes | None, reason: str) -> None:
    columns, _ = decode(value, request(record("x")))
    (rejection,) = columns.rejections
    assert (rejection.message, rejection.reason, rejection.whole) == (0, reason, True)
    assert columns.body == ["x"]


def test_one_bad_record_does_not_spoil_the_others() -> None:
    deep: Any = {"stringValue": "x"}
    for _ in range(20):
        deep = {"arrayValue": {"values": [deep]}}
    bad = record(None, body=json_format.ParseDict(deep, AnyValue()))
    for columns in both(request(record("a"), bad, record("b"))):
        assert columns.body == ["a", "b"]
        (rejection,) = columns.rejections
        assert (rejection.reason, rejection.whole) == ("deep_attribute", False)


@pytest.mark.parametrize("time", ['"x"', "-1", '"99999999999999999999999"', str(2**63)])
def test_a_bad_time_in_json_spoils_its_record_only(time: str) -> None:
    records = f'{{"timeUnixNano": {time}, "body": {{"stringValue": "a"}}}}, {{"body": {{"stringValue": "b"}}}}'
    columns, _ = decode(f'{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{records}]}}]}}]}}'.encode())
    assert columns.body == ["b"]
    assert [rejection.reason for rejection in columns.rejections] == ["bad_time"]


# Against the twin, and hostile input

TEXTS = st.text(max_size=200)
RECORDS = st.builds(
    record,
    TEXTS,
    time_unix_nano=st.integers(1, 2**63 - 1),
    severity_number=st.integers(1, 24),
    trace_id=st.sampled_from([b"", TRACE]),
    attributes=st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=5), max_size=3),
)


def twin(value: bytes) -> list[tuple[Any, ...]]:
    return [
        (one.time_unix_nano // 1000, one.severity_number, one.body.string_value, one.trace_id)
        for logs in LogsData.FromString(value).resource_logs
        for scope in logs.scope_logs
        for one in scope.log_records
        if one.body.string_value.strip()
    ]


@given(st.lists(RECORDS, max_size=5))
def test_lines_are_those_of_the_official_classes(records: Sequence[LogRecord]) -> None:
    value = request(*records)
    for columns in both(value):
        rows = zip(columns.time_us.tolist(), columns.severity.tolist(), columns.body, columns.trace_id, strict=True)
        assert [row for row in rows] == twin(value)


GOOD = [
    request(record("started", trace_id=TRACE), flag("on", "u"), record(None, severity_number=0)),
    kubernetes_event(),
]


@settings(max_examples=300)
@given(
    st.sampled_from(GOOD + [as_json(value) for value in GOOD]),
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
def test_whatever_bytes_are_changed_lines_are_sound(value: bytes, end: int, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(value)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    if end % 3 == 0:
        del damaged[end % len(damaged) :]
    columns, codec = decode(bytes(damaged), request(record("x")))
    assert columns.body[-1] == "x"
    rows = len(columns.body)
    assert columns.message.shape == columns.resource.shape == columns.time_us.shape == columns.severity.shape == (rows,)
    assert len(columns.trace_id) == rows
    assert all(len(trace) in (0, 16) for trace in columns.trace_id)
    assert all(0 <= number < len(codec.resources) for number in columns.resource.tolist())
    assert all(line.strip() and len(line.encode()) <= 16 * 1024 for line in columns.body)


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(value: bytes) -> None:
    columns, _ = decode(value)
    assert not columns.body or all(columns.body)


def test_a_deep_json_message_is_refused() -> None:
    for value in (b'{"resourceLogs":' + b"[" * 100_000, b'{"x":' + b'{"x":' * 100_000):
        assert [one.reason for one in decode(value)[0].rejections] == ["undecodable"]


def test_a_key_value_twice_counts_once() -> None:
    made = record("x")
    made.attributes.extend([KeyValue(key="a"), KeyValue(key="a")])
    assert decode(request(made))[0].body == ["x"]
