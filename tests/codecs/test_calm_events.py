"""Events on calm.events: every form as its sender publishes it, and hostile input."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs.events import Events
from pipeline.codecs.series_table import Limits
from pipeline.records import DecodedEvents, Event, iso
from tests.codecs.otlp_sent import Sent

MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z
T = MS * 1000
Headers = tuple[tuple[str, bytes], ...]


def decode(value: Any, headers: Headers = ()) -> DecodedEvents:
    """What a message holds, and one after it that is always good."""
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    good = Sent(json.dumps(OWN).encode(), timestamp=MS)
    found = Events(Limits()).decode([Sent(raw, headers=headers, timestamp=MS), good])
    assert found.events[-1][0] == 1
    found.events.pop()
    return found


def one(value: Any, headers: Headers = ()) -> Event:
    found = decode(value, headers)
    assert (found.rejections, found.dropped) == ([], {})
    ((message, event),) = found.events
    assert message == 0
    return event


def refused(value: Any, headers: Headers = ()) -> str:
    """The reason, with the detail, of a message of which nothing was used."""
    found = decode(value, headers)
    assert found.events == []
    (rejection,) = found.rejections
    assert (rejection.message, rejection.whole) == (0, True)
    return f"{rejection.reason}: {rejection.detail}"


# Our own form

OWN: dict[str, Any] = {
    "ts": MS / 1000,
    "type": "backup.failed",
    "id": "b-17",
    "entity": {"service.name": "db", "deployment.environment.name": "prod"},
    "severity": "ERROR",
    "text": "disk full",
    "attributes": {"attempt": 3, "manual": False},
}


def test_our_own_form_is_read() -> None:
    assert one(OWN) == Event(
        id="b-17",
        time_us=T,
        type="backup.failed",
        entity=(("deployment.environment.name", "prod"), ("service.name", "db")),
        severity=17,
        text="disk full",
        attributes=(("attempt", "3"), ("manual", "false")),
    )


def test_the_least_is_a_time_and_a_type() -> None:
    event = one({"ts": "2026-01-31T12:00:00Z", "type": "x"})
    assert (event.time_us, event.type, event.entity, event.severity, event.text) == (T, "x", (), 0, "")
    assert len(event.id) == 24


def test_without_an_entity_it_is_read_from_the_attributes() -> None:
    event = one({"ts": 1, "type": "x", "attributes": {"service.name": "db", "k8s.event.count": 1, "a": "b"}})
    assert event.entity == (("service.name", "db"),)
    assert event.attributes == (("a", "b"), ("k8s.event.count", "1"))


def test_an_array_and_ndjson_hold_several() -> None:
    several = [OWN | {"id": str(number)} for number in range(3)]
    for value in (several, b"\n".join(json.dumps(event).encode() for event in several)):
        assert [event.id for _, event in decode(value).events] == ["0", "1", "2"]


def test_without_an_id_the_content_makes_it() -> None:
    plain = {name: value for name, value in OWN.items() if name != "id"}
    changes: list[dict[str, Any]] = [{}, {"ts": 5}, {"type": "y"}, {"text": "z"}, {"entity": {}}, {"attributes": {}}]
    ids = [one(plain | change).id for change in changes]
    assert len(set(ids)) == len(ids)
    assert one(plain).id == ids[0]


def test_one_bad_event_of_several_is_refused_alone() -> None:
    found = decode([OWN, OWN | {"ts": "soon"}, OWN | {"type": 7}])
    assert len(found.events) == 1
    assert [(one.reason, one.whole) for one in found.rejections] == [("bad_event", False), ("bad_time", False)]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "empty: the message has no value"),
        (b" ", "empty: "),
        (b"x", "undecodable: not a JSON object"),
        (3, "undecodable: the message must be a JSON object"),
        ([3], "undecodable: the message must be a JSON object"),
        (b"[" * 100_000, "undecodable: "),
        ({}, "bad_event: not an event: Object missing required field `ts`"),
        ({"ts": 1}, "bad_event: not an event: Object missing required field `type`"),
        (OWN | {"type": ""}, "bad_event: type is empty"),
        (OWN | {"ts": MS}, "bad_time: ts is "),
        (OWN | {"ts": -1}, "bad_time: "),
        (OWN | {"ts": "1969-12-31T23:59:59Z"}, "bad_time: "),
        (OWN | {"ts": "2026-01-31"}, "bad_time: "),
        (OWN | {"ts": True}, "bad_event: "),
        (OWN | {"severity": 25}, "bad_event: severity is 25"),
        (OWN | {"severity": "purple"}, "bad_event: severity is 'purple'"),
        (OWN | {"entity": {"a": []}}, "bad_attributes: 'a' must be"),
        (OWN | {"entity": []}, "bad_event: "),
        (OWN | {"attributes": {"a": {"b": 1}}}, "bad_attributes: 'a' must be"),
        (OWN | {"attributes": {str(i): 1 for i in range(65)}}, "too_many_attributes: 65 attributes"),
        (OWN | {"attributes": {"a": "x" * 1025}}, "huge_attribute: "),
        (OWN | {"type": "x" * 1025}, "huge_attribute: "),
    ],
)
def test_what_is_no_event_is_refused_and_said_why(value: Any, said: str) -> None:
    assert refused(value).startswith(said)


def test_a_long_text_is_cut() -> None:
    assert one(OWN | {"text": "é" * 20_000}).text == "é" * 8192


# CloudEvents, after the examples of their specification

CLOUD_EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "type": "com.example.someevent",
    "source": "/mycontext/4",
    "subject": "cart",
    "id": "B234-1234-1234",
    "time": "2026-01-31T12:00:00Z",
    "comexampleextension1": "value",
    "datacontenttype": "application/json",
    "data": {"service.name": "cart", "message": "it broke", "severity": "warn", "n": 7, "deep": {"a": [1]}},
}
AS_EVENT = Event(
    id="/mycontext/4/B234-1234-1234",
    time_us=T,
    type="com.example.someevent",
    entity=(("service.name", "cart"),),
    severity=13,
    text="it broke",
    attributes=(
        ("cloudevents.event_id", "B234-1234-1234"),
        ("cloudevents.event_source", "/mycontext/4"),
        ("cloudevents.event_subject", "cart"),
        ("deep", '{"a":[1]}'),
        ("n", "7"),
    ),
)


def binary(event: dict[str, Any]) -> tuple[bytes, Headers]:
    """In the binary mode of the Kafka binding."""
    names = ("specversion", "type", "source", "subject", "id", "time")
    headers = tuple((f"ce_{name}", event[name].encode()) for name in names if name in event)
    return json.dumps(event["data"]).encode(), (*headers, ("content-type", b"application/json; charset=utf-8"))


def test_a_structured_cloud_event_is_read() -> None:
    assert one(CLOUD_EVENT, (("content-type", b"application/cloudevents+json; charset=UTF-8"),)) == AS_EVENT
    assert one(CLOUD_EVENT) == AS_EVENT


def test_a_binary_cloud_event_is_read() -> None:
    assert one(*binary(CLOUD_EVENT)) == AS_EVENT


def test_a_batch_of_cloud_events_is_read() -> None:
    found = decode([CLOUD_EVENT, CLOUD_EVENT | {"id": "2"}], (("content-type", b"application/cloudevents-batch+json"),))
    assert [event.id for _, event in found.events] == [AS_EVENT.id, "/mycontext/4/2"]


def test_data_in_base64_is_read() -> None:
    given = {name: value for name, value in CLOUD_EVENT.items() if name != "data"}
    assert one(given | {"data_base64": base64.b64encode(json.dumps(CLOUD_EVENT["data"]).encode()).decode()}) == AS_EVENT
    assert refused(given | {"data_base64": "?"}).startswith("undecodable")


def test_data_as_text_is_the_text() -> None:
    assert one(CLOUD_EVENT | {"datacontenttype": "text/plain", "data": "it broke"}).text == "it broke"
    _, headers = binary(CLOUD_EVENT)
    assert one(b"it broke", (*headers[:-1], ("content-type", b"text/plain"))).text == "it broke"


def test_data_in_our_own_form_is_that_form() -> None:
    data = {"entity": {"service.name": "db"}, "severity": 17, "text": "full", "attributes": {"a": 1}}
    event = one(CLOUD_EVENT | {"data": data})
    assert (event.entity, event.severity, event.text) == ((("service.name", "db"),), 17, "full")
    assert ("a", "1") in event.attributes


def test_a_cloud_event_without_a_time_happened_when_it_was_sent() -> None:
    assert one({name: value for name, value in CLOUD_EVENT.items() if name not in ("time", "data")}).time_us == T


def test_a_cloud_event_without_an_id_is_refused() -> None:
    assert refused({name: value for name, value in CLOUD_EVENT.items() if name != "id"}).startswith(
        "bad_event: a CloudEvent"
    )
    assert refused(b"\xff", binary(CLOUD_EVENT)[1]).startswith("undecodable: the data of a CloudEvent")


# Alertmanager's webhook, after its documentation

WEBHOOK: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="HighLatency"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "calmstream",
    "groupLabels": {"alertname": "HighLatency"},
    "commonLabels": {"alertname": "HighLatency", "severity": "critical"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager.example:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "HighLatency",
                "severity": "critical",
                "namespace": "shop",
                "pod": "cart-5d4f8c7b9-x2x8z",
                "container": "cart",
                "job": "cart",
                "team": "checkout",
            },
            "annotations": {"summary": "p99 above 2 s", "runbook_url": "https://runbooks.example/latency"},
            "startsAt": "2026-01-31T12:00:00.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example/graph?g0.expr=x",
            "fingerprint": "c4ca4238a0b92382",
        },
        {
            "status": "resolved",
            "labels": {"alertname": "KubeDeploymentReplicasMismatch", "job": "kube-state-metrics", "namespace": "shop",
                       "deployment": "cart", "pod": "kube-state-metrics-0"},
            "annotations": {"description": "was short of replicas"},
            "startsAt": "2026-01-31T11:00:00Z",
            "endsAt": "2026-01-31T11:30:00Z",
            "generatorURL": "",
            "fingerprint": "c81e728d9d4c2f63",
        },
    ],
}  # fmt: skip


def test_each_alert_is_an_event() -> None:
    found = decode(WEBHOOK)
    firing, resolved = (event for _, event in found.events)
    assert firing.type == "alert.HighLatency"
    assert firing.id == "c4ca4238a0b92382/2026-01-31T12:00:00.123456789Z/firing"
    assert (firing.time_us, firing.severity, firing.text) == (T + 123_456, 21, "p99 above 2 s")
    entity = dict(firing.entity)
    assert entity["k8s.pod.name"] == "cart-5d4f8c7b9-x2x8z"
    assert entity["k8s.namespace.name"] == "shop"
    assert entity["service.name"] == "cart"
    told = dict(firing.attributes)
    assert told["alert.status"] == "firing"
    assert told["team"] == "checkout"
    assert told["alert.runbook_url"] == "https://runbooks.example/latency"
    assert resolved.type == "alert.KubeDeploymentReplicasMismatch"
    assert (iso(resolved.time_us), resolved.severity) == ("2026-01-31T11:30:00.000000Z", 0)
    assert dict(resolved.attributes)["alert.status"] == "resolved"
    assert dict(resolved.entity)["k8s.deployment.name"] == "cart"
    assert "kube-state-metrics" not in dict(resolved.entity).values()


def test_an_alert_that_is_told_again_has_the_same_id_until_it_is_resolved() -> None:
    again = WEBHOOK | {"groupKey": "other"}
    assert [event.id for _, event in decode(again).events] == [event.id for _, event in decode(WEBHOOK).events]
    resolved = WEBHOOK | {"alerts": [WEBHOOK["alerts"][0] | {"status": "resolved", "endsAt": "2026-01-31T12:30:00Z"}]}
    assert one(resolved).id == "c4ca4238a0b92382/2026-01-31T12:00:00.123456789Z/resolved"


def test_one_bad_alert_does_not_spoil_the_others() -> None:
    alerts = [{"labels": {}}, WEBHOOK["alerts"][0], WEBHOOK["alerts"][0] | {"startsAt": "soon"}]
    found = decode(WEBHOOK | {"alerts": alerts})
    assert [event.type for _, event in found.events] == ["alert.HighLatency"]
    assert sorted(one.reason for one in found.rejections) == ["bad_event", "bad_time"]


def test_alerts_in_a_cloud_event_are_alerts() -> None:
    assert decode(CLOUD_EVENT | {"data": WEBHOOK}).events[0][1].type == "alert.HighLatency"


# Kubernetes Events, after the API's reference

CORE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {
        "name": "cart-5d4f8c7b9-x2x8z.17",
        "namespace": "shop",
        "uid": "uid-of-event",
        "creationTimestamp": "2026-01-31T11:00:00Z",
    },
    "involvedObject": {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "cart-5d4f8c7b9-x2x8z",
        "namespace": "shop",
        "uid": "uid-of-pod",
        "fieldPath": "spec.containers{cart}",
    },
    "reason": "BackOff",
    "message": "Back-off restarting failed container",
    "source": {"component": "kubelet", "host": "node-1"},
    "firstTimestamp": "2026-01-31T11:00:00Z",
    "lastTimestamp": "2026-01-31T12:00:00Z",
    "count": 7,
    "type": "Warning",
    "eventTime": None,
}
NEW: dict[str, Any] = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "cart.17", "namespace": "shop", "uid": "uid-2"},
    "regarding": {"kind": "Deployment", "name": "cart", "namespace": "shop"},
    "reason": "ScalingReplicaSet",
    "note": "Scaled up replica set cart-5d4f8c7b9 to 3",
    "type": "Normal",
    "action": "Scale",
    "eventTime": "2026-01-31T11:00:00.000001Z",
    "series": {"count": 3, "lastObservedTime": "2026-01-31T12:00:00.000000Z"},
    "reportingController": "deployment-controller",
}


def test_an_event_of_the_core_api_is_of_its_object() -> None:
    event = one(CORE)
    assert (event.id, event.type, event.time_us, event.severity) == ("uid-of-event/7", "k8s.BackOff", T, 13)
    assert event.text == "Back-off restarting failed container"
    assert dict(event.entity) == {
        "k8s.container.name": "cart",
        "k8s.namespace.name": "shop",
        "k8s.node.name": "node-1",
        "k8s.pod.name": "cart-5d4f8c7b9-x2x8z",
        "k8s.pod.uid": "uid-of-pod",
        "k8s.replicaset.name": "cart-5d4f8c7b9",
    }
    assert dict(event.attributes) == {
        "k8s.event.count": "7",
        "k8s.event.name": "cart-5d4f8c7b9-x2x8z.17",
        "k8s.event.reason": "BackOff",
        "k8s.event.source": "kubelet",
        "k8s.event.uid": "uid-of-event",
        "k8s.object.kind": "Pod",
        "k8s.object.name": "cart-5d4f8c7b9-x2x8z",
    }


def test_an_event_of_the_newer_api_is_of_its_object() -> None:
    event = one(NEW)
    assert (event.id, event.type, event.time_us, event.severity) == ("uid-2/3", "k8s.ScalingReplicaSet", T, 9)
    assert dict(event.entity) == {"k8s.deployment.name": "cart", "k8s.namespace.name": "shop"}
    assert event.text == "Scaled up replica set cart-5d4f8c7b9 to 3"


def test_what_an_exporter_leaves_out_or_adds_is_no_matter() -> None:
    exported = {name: value for name, value in CORE.items() if name not in ("kind", "apiVersion")}
    exported |= {"clusterName": "east"}
    assert dict(one(exported).entity)["k8s.cluster.name"] == "east"


def test_lists_and_watches_are_opened_and_deleted_events_counted() -> None:
    found = decode({"kind": "EventList", "apiVersion": "v1", "items": [CORE, NEW]})
    assert [event.type for _, event in found.events] == ["k8s.BackOff", "k8s.ScalingReplicaSet"]
    assert one({"type": "MODIFIED", "object": CORE}).type == "k8s.BackOff"
    found = decode({"type": "DELETED", "object": CORE})
    assert (found.events, found.rejections, found.dropped) == ([], [], {"event_deleted": 1})


@pytest.mark.parametrize(
    ("kind", "name", "attribute"),
    [
        ("Node", "node-1", "k8s.node.name"),
        ("StatefulSet", "db", "k8s.statefulset.name"),
        ("HorizontalPodAutoscaler", "cart", "k8s.hpa.name"),
        ("PersistentVolumeClaim", "data", "k8s.persistentvolumeclaim.name"),
    ],
)
def test_the_object_is_named_by_its_kind(kind: str, name: str, attribute: str) -> None:
    assert dict(one(CORE | {"involvedObject": {"kind": kind, "name": name}, "source": {}}).entity)[attribute] == name


def test_an_event_without_a_reason_is_refused_and_one_without_a_time_happened_when_it_was_sent() -> None:
    assert refused(CORE | {"reason": ""}).startswith("bad_event")
    assert refused(CORE | {"lastTimestamp": "soon"}).startswith("bad_time: lastTimestamp is 'soon'")
    timeless = {name: value for name, value in CORE.items() if "Time" not in name}
    assert one(timeless | {"metadata": {}}).time_us == T


# Hostile input


def test_ids_and_types_without_end_are_refused() -> None:
    for value in (
        CLOUD_EVENT | {"id": "x" * 2000},
        CLOUD_EVENT | {"type": "x" * 2000},
        CORE | {"reason": "x" * 2000},
        CORE | {"metadata": {"uid": "x" * 2000}},
        WEBHOOK | {"alerts": [WEBHOOK["alerts"][0] | {"fingerprint": "x" * 2000}]},
    ):
        assert refused(value).startswith("huge_attribute: ")


FORMS = [OWN, CLOUD_EVENT, WEBHOOK, CORE, NEW, {"kind": "List", "items": [CORE]}, {"type": "ADDED", "object": NEW}]


@settings(max_examples=300)
@given(
    st.sampled_from([json.dumps(form).encode() for form in FORMS]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
def test_whatever_bytes_are_changed_events_are_sound(value: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(value)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    found = decode(bytes(damaged))
    assert found.events or found.rejections or found.dropped
    for _, event in found.events:
        assert event.id
        assert event.type
        assert 0 <= event.time_us < 10**17
        assert list(event.entity) == sorted(event.entity)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.sampled_from(FORMS), st.data())
def test_members_of_any_kind_have_an_answer(form: dict[str, Any], data: st.DataObject) -> None:
    changed = json.loads(json.dumps(form))
    place: Any = changed
    while True:
        names: Any = sorted(place) if isinstance(place, dict) else range(len(place))
        if not names:
            break
        name = data.draw(st.sampled_from(list(names)))
        if not isinstance(place[name], dict | list) or data.draw(st.booleans()):
            place[name] = data.draw(JSON)
            break
        place = place[name]
    decode(changed)
