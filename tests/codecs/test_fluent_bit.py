"""Fluent Bit's records: every shape of line, what the kubernetes filter adds, and hostile input."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs.fluent_bit import FluentBit
from pipeline.codecs.series_table import Limits
from pipeline.records import LineColumns, Rejection
from tests.codecs.otlp_sent import Sent

TS = 1_700_000_000
KUBERNETES = {
    "pod_name": "cart-5d4f8c7b9-x2x8z",
    "namespace_name": "shop",
    "pod_id": "b1c2",
    "labels": {"app": "cart", "pod-template-hash": "5d4f8c7b9", "app.kubernetes.io/version": "1.2.3"},
    "annotations": {"resource.opentelemetry.io/service.namespace": "store"},
    "host": "node-1",
    "container_name": "cart",
    "docker_id": "abc",
    "container_hash": "registry.example:5000/team/cart@sha256:0b31",
    "container_image": "registry.example:5000/team/cart:1.2.3",
}


def decode(*values: Any, codec: FluentBit | None = None) -> tuple[LineColumns, list[dict[str, str]]]:
    """Columns, and the resource of each line."""
    codec = codec or FluentBit(Limits())
    sent = [
        Sent(value if isinstance(value, bytes) or value is None else json.dumps(value).encode()) for value in values
    ]
    columns = codec.decode(sent)
    return columns, [dict(codec.resources[number]) for number in columns.resource.tolist()]


def line(**members: Any) -> tuple[str, int]:
    """Body and severity of a record."""
    columns, _ = decode({"@timestamp": TS, **members})
    assert columns.rejections == []
    return columns.body[0], int(columns.severity[0])


def resource(**members: Any) -> dict[str, str]:
    _, (found,) = decode({"@timestamp": TS, "log": "x", **members})
    return found


def refused(value: Any) -> Rejection:
    columns, _ = decode(value)
    assert columns.body == []
    (rejection,) = columns.rejections
    assert rejection.whole
    return rejection


def test_a_record_of_the_kubernetes_filter_becomes_a_line_of_its_pod() -> None:
    columns, (found,) = decode(
        {"@timestamp": TS + 0.25, "log": "started\n", "stream": "stdout", "time": "?", "kubernetes": KUBERNETES}
    )
    assert columns.body == ["started"]
    assert columns.time_us.tolist() == [TS * 1_000_000 + 250_000]
    assert columns.severity.tolist() == [0]
    assert (columns.rejections, columns.dropped, columns.trace_id) == ([], {}, [b""])
    assert found == {
        "container.id": "abc",
        "container.image.name": "registry.example:5000/team/cart",
        "container.image.tags": "1.2.3",
        "k8s.container.name": "cart",
        "k8s.namespace.name": "shop",
        "k8s.node.name": "node-1",
        "k8s.pod.name": "cart-5d4f8c7b9-x2x8z",
        "k8s.pod.uid": "b1c2",
        "k8s.replicaset.name": "cart-5d4f8c7b9",
        "service.name": "cart",
        "service.namespace": "store",
        "service.version": "1.2.3",
    }


@pytest.mark.parametrize(
    ("stamp", "time_us"),
    [
        (TS, TS * 10**6),
        (TS + 0.5, TS * 10**6 + 500_000),
        ("2026-01-31T12:00:00Z", 1769860800 * 10**6),
        ("2026-01-31T12:00:00.123456789Z", 1769860800 * 10**6 + 123_456),
    ],
)
def test_the_time_is_a_number_or_iso_8601(stamp: Any, time_us: int) -> None:
    assert decode({"@timestamp": stamp, "log": "x"})[0].time_us.tolist() == [time_us]
    assert decode({"date": stamp, "log": "x"})[0].time_us.tolist() == [time_us]


def test_without_a_time_it_is_that_of_the_message() -> None:
    columns = FluentBit(Limits()).decode([Sent(b'{"log": "x"}', timestamp=1_700_000_000_123)])
    assert columns.time_us.tolist() == [1_700_000_000_123_000]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"log": "ERROR x"}, ("ERROR x", 17)),
        ({"message": "x", "level": "warn"}, ("x", 13)),
        ({"msg": "x", "severity": "DEBUG"}, ("x", 5)),
        ({"msg": "x", "level": 50}, ("x", 17)),
        ({"log": "ERROR x", "level": "info"}, ("ERROR x", 9)),
        ({"log": "ERROR x", "level": "purple"}, ("ERROR x", 17)),
        ({"log": "ERROR x", "level": {"a": 1}}, ("ERROR x", 17)),
        ({"MESSAGE": "x", "PRIORITY": "3"}, ("x", 17)),
        ({"log": '{"level":"error","msg":"it broke","ts":1}\n'}, ("it broke", 17)),
        ({"log": '{"level":"error","a":1}'}, ('{"level":"error","a":1}', 17)),
        ({"log": "{not json}"}, ("{not json}", 0)),
        ({"log": "", "message": "x"}, ("x", 0)),
        ({"log": {"a": 1}}, ('{"a":1}', 0)),
        ({"log": 7}, ("7", 0)),
        ({"method": "GET", "code": 200, "stream": "stdout"}, ('{"method":"GET","code":200}', 0)),
    ],
)
def test_line_and_severity_are_found_where_programs_write_them(members: Any, expected: tuple[str, int]) -> None:
    assert line(**members) == expected


@pytest.mark.parametrize(
    ("pod", "labels", "name", "value"),
    [
        ("db-0", {"statefulset.kubernetes.io/pod-name": "db-0"}, "k8s.statefulset.name", "db"),
        ("agent-x2x8z", {"pod-template-generation": "3"}, "k8s.daemonset.name", "agent"),
        ("tick-28123456-x2x8z", {"job-name": "tick-28123456"}, "k8s.job.name", "tick-28123456"),
        ("odd.name-abc-1", {"pod-template-hash": "abc"}, "k8s.replicaset.name", "odd.name-abc"),
        ("cart-5d4f8c7b9-x2x8z", {}, "k8s.replicaset.name", "cart-5d4f8c7b9"),
        ("bare", {}, "service.name", "bare"),
    ],
)
def test_the_controller_is_told_by_labels_else_by_the_pods_name(
    pod: str, labels: dict[str, str], name: str, value: str
) -> None:
    assert resource(kubernetes={"pod_name": pod, "labels": labels})[name] == value


def test_outside_kubernetes_host_service_and_container_are_used() -> None:
    assert resource(hostname="web-1", service="cart") == {"host.name": "web-1", "service.name": "cart"}
    assert resource(host={"name": "web-1"}, service={"name": "cart"}) == {"host.name": "web-1", "service.name": "cart"}
    assert resource(_HOSTNAME="h", _SYSTEMD_UNIT="cart.service") == {"host.name": "h", "service.name": "cart.service"}
    assert resource(container_id="abc", container_name="/cart") == {"container.id": "abc", "container.name": "cart"}
    assert resource(host=7, service=[]) == {}


def test_labels_and_annotations_of_any_kind_do_no_harm() -> None:
    hostile = {"pod_name": 7, "labels": [1], "annotations": {"resource.opentelemetry.io/a": {"b": 1}, "x": "y" * 5000}}
    assert resource(kubernetes=hostile) == {"a": '{"b":1}'}
    assert resource(kubernetes=7) == resource(kubernetes=None) == {}


def test_pods_are_read_once() -> None:
    codec = FluentBit(Limits())
    value = {"@timestamp": TS, "log": "x", "kubernetes": KUBERNETES}
    other = value | {"kubernetes": KUBERNETES | {"pod_name": "cart-5d4f8c7b9-aaaaa"}}
    columns, _ = decode(value, other, value, codec=codec)
    assert columns.resource.tolist() == [0, 1, 0]
    assert decode(other, codec=codec)[0].resource.tolist() == [1]


def test_a_message_may_hold_an_array_or_ndjson() -> None:
    records = [{"@timestamp": TS + number, "log": f"line {number}"} for number in range(3)]
    lines = b"\n".join(json.dumps(one).encode() for one in records)
    columns, _ = decode(records, lines, records[0])
    assert columns.body == [f"line {number}" for number in (0, 1, 2, 0, 1, 2, 0)]
    assert columns.message.tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_a_trace_id_is_read() -> None:
    columns, _ = decode(
        *(
            {"@timestamp": TS, "log": "x", "trace_id": trace}
            for trace in ("0af7651916cd43dd8448eb211c80319c", "x" * 32, 7)
        )
    )
    assert columns.trace_id == [bytes.fromhex("0af7651916cd43dd8448eb211c80319c"), b"", b""]


def test_a_long_line_is_cut_and_a_blank_one_left_out() -> None:
    columns, _ = decode({"@timestamp": TS, "log": "x" * 20_000}, {"@timestamp": TS, "log": "\n"})
    assert columns.body == ["x" * 16_384]
    assert columns.dropped == {"cut": 1, "blank": 1}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"x", "undecodable"),
        (7, "undecodable"),
        (b'{"log": "\xff"}', "undecodable"),
        (b'{"log":' * 100_000, "undecodable"),
        ({"@timestamp": "soon", "log": "x"}, "bad_time"),
        ({"@timestamp": TS * 1000, "log": "x"}, "bad_time"),
        ({"@timestamp": True, "log": "x"}, "bad_time"),
    ],
)
def test_what_is_no_record_is_refused(value: Any, reason: str) -> None:
    assert refused(value).reason == reason


GOOD = json.dumps({"@timestamp": TS, "log": "é", "level": 3, "trace_id": "a" * 32, "kubernetes": KUBERNETES}).encode()


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4), st.integers(0, 3000))
def test_whatever_bytes_are_changed_lines_are_sound(changes: list[tuple[int, int]], end: int) -> None:
    damaged = bytearray(GOOD)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    columns, resources = decode(bytes(damaged[: max(end, 1)]), GOOD)
    assert columns.body[-1] == "é"
    assert len(columns.body) == len(resources) == columns.time_us.size == columns.severity.size
    for body in columns.body:
        assert body.strip()
        body.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = ["@timestamp", "log", "message", "level", "severity", "kubernetes", "host", "service", "PRIORITY", "trace_id"]


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_members_of_any_kind_have_an_answer(record: dict[str, Any]) -> None:
    columns, _ = decode(record)
    assert len(columns.body) + len(columns.rejections) + sum(columns.dropped.values()) >= 1
