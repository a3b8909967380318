"""Good messages of every format, made by the encoders that the tests have, for fuzzing to begin with."""

import json
from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from pipeline.codecs import jaeger_encode, otlp_span_encode
from pipeline.codecs.otlp_encode import key_values
from pipeline.codecs.registry import HAPPENING_CODECS, INPUT_CODECS, LINE_CODECS, SPAN_CODECS
from pipeline.records import SpanKind
from tests.codecs.golden import GOLDEN
from tests.codecs.otlp_sent import FORMS, of_metric, with_point

#: Every codec there is, by the name of its format.
CODECS: Mapping[str, Any] = {**INPUT_CODECS, **LINE_CODECS, **SPAN_CODECS, **HAPPENING_CODECS}

SECONDS = 1_767_225_600
NANO = SECONDS * 10**9
TRACE, ID, PARENT = bytes(range(16)), bytes(range(1, 9)), bytes(range(201, 209))
SHOP = {"service.name": "cart", "service.namespace": "shop", "k8s.pod.name": "cart-1", "n": 1, "b": True}
SPAN = {"http.request.method": "GET", "http.route": "/cart/{id}", "server.address": "db", "db.system.name": "mysql"}


def _metrics() -> list[bytes]:
    distributions: dict[str, dict[str, Any]] = {
        "gauge": {"as_double": 1.5},
        "sum": {"as_int": 7},
        "histogram": {"count": 3, "sum": 4.5, "explicit_bounds": [1.0, 2.0], "bucket_counts": [1, 1, 1]},
        "exponential_histogram": {"count": 3, "sum": 4.5, "scale": 2, "zero_count": 1},
        "summary": {"count": 3, "sum": 4.5},
    }
    found = [of_metric(with_point(form, attributes=key_values(SHOP), **distributions[form])) for form in FORMS]
    return [*found, _as_json(ExportMetricsServiceRequest, found[2]), GOLDEN["otlp_metrics"]]


def _as_json(kind: Any, value: bytes) -> bytes:
    from google.protobuf.json_format import MessageToJson

    return MessageToJson(kind.FromString(value)).encode()


def _logs() -> list[bytes]:
    request = ExportLogsServiceRequest()
    found = request.resource_logs.add()
    found.resource.attributes.extend(key_values(SHOP))
    scope = found.scope_logs.add()
    for number, text in enumerate(("took 17 ms", '{"level":"error","msg":"no"}', "naïve \U0001f600")):
        record = scope.log_records.add(time_unix_nano=NANO + number, severity_number=9 + number, trace_id=TRACE)
        record.body.string_value = text
        record.attributes.extend(key_values({"code.function.name": "f", "thread.id": 7}))
    event = scope.log_records.add(time_unix_nano=NANO, event_name="feature_flag.evaluation")
    event.attributes.extend(key_values({"feature_flag.key": "dark", "feature_flag.result.variant": "on"}))
    value = request.SerializeToString()
    return [value, _as_json(ExportLogsServiceRequest, value)]


def _spans() -> list[bytes]:
    start = SECONDS * 10**6
    span = otlp_span_encode.span(
        "query", TRACE, ID, start, start + 5, parent=PARENT, kind=SpanKind.CLIENT, attributes=SPAN, status=2,
        events=[(start, "exception", {"exception.type": "E"})], links=[(TRACE, PARENT)],
    )  # fmt: skip
    return [otlp_span_encode.traces_request(otlp_span_encode.resource_spans(SHOP, [span, span], "library"))]


def _jaeger() -> list[bytes]:
    start = SECONDS * 10**6
    process, tags = ("cart", {"host": "h", "n": 1}), SPAN | {"span.kind": "client", "error": True}
    logs = [(start, {"event": "error"})]
    links = [(TRACE, PARENT, 0)]
    return [
        jaeger_encode.span(
            "q", TRACE, ID, start, start + 5, process=process, parent=PARENT, tags=tags, links=links, logs=logs
        )
    ]


def _json(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


_CLOUD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": "2026-01-01T00:00:00Z"}
_POINTS = [{"ts": SECONDS + n, "name": "m", "value": n, "kind": "counter", "attributes": SHOP} for n in range(3)]
_KUBERNETES = {
    "kind": "Event", "apiVersion": "v1", "metadata": {"name": "cart.1", "namespace": "shop", "uid": "u"},
    "involvedObject": {"kind": "Pod", "name": "cart-7d4b9c5f6-x2x9z", "namespace": "shop"}, "reason": "BackOff",
    "message": "Back-off restarting", "type": "Warning", "lastTimestamp": "2026-01-01T00:00:00Z", "count": 3,
}  # fmt: skip
_ALERTS = {
    "version": "4", "groupKey": "{}:{alertname=\"High\"}", "status": "firing", "receiver": "r", "groupLabels": {},
    "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": [
        {"status": "firing", "labels": {"alertname": "High", "service": "cart", "severity": "critical"},
         "annotations": {"summary": "s"}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
         "generatorURL": "http://p", "fingerprint": "f"}],
}  # fmt: skip
_CDEVENT = {
    "context": {"version": "0.4.1", "id": "1", "source": "/ci", "type": "dev.cdevents.service.deployed.0.2.0",
                "timestamp": "2026-01-01T00:00:00Z", "chainId": "c"},
    "subject": {"id": "cart", "source": "/ci", "type": "service",
                "content": {"environment": {"id": "prod"}, "artifactId": "pkg:oci/cart@sha256%3Aab?tag=1.2"}},
}  # fmt: skip
_GITHUB = {
    "action": "created", "repository": {"full_name": "shop/cart", "name": "cart"},
    "deployment": {"id": 1, "sha": "a" * 40, "ref": "v1.2", "task": "deploy", "environment": "prod", "payload": {}},
    "deployment_status": {"id": 2, "state": "success", "created_at": "2026-01-01T00:00:00Z", "environment": "prod"},
}  # fmt: skip
_ARGO = {
    "app": {"metadata": {"name": "cart", "namespace": "argocd"}, "spec": {"destination": {"namespace": "shop"}},
            "status": {"operationState": {"phase": "Succeeded", "startedAt": "2026-01-01T00:00:00Z",
                                          "finishedAt": "2026-01-01T00:01:00Z", "syncResult": {"revision": "abc"}},
                       "sync": {"status": "Synced", "revision": "abc"}, "health": {"status": "Healthy"}}},
}  # fmt: skip
_FLUENT = {
    "@timestamp": SECONDS, "log": "2026-01-01 00:00:00,1 ERROR pool exhausted", "stream": "stderr", "kubernetes": {
        "pod_name": "cart-7d4b9c5f6-x2x9z", "namespace_name": "shop", "labels": {"app": "cart"}, "host": "node-1"},
}  # fmt: skip

SEEDS: Mapping[str, list[bytes]] = {
    **{name: [value] for name, value in GOLDEN.items()},
    "json_points": [GOLDEN["json_points"], *_json(_POINTS, *_POINTS), b"\n".join(_json(*_POINTS))],
    "otlp_metrics": _metrics(),
    "otlp_logs": _logs(),
    "fluent_bit": _json(_FLUENT, [_FLUENT, {"date": SECONDS + 0.5, "message": '{"level":"warn","msg":"x"}'}]),
    "plain_text": [
        b"2026-01-01T00:00:00Z ERROR cart: no\n    at f(g:1)\nnext",
        b"<34>Jan 31 12:00:00 web-1 nginx: x\n",
    ],
    "otlp_spans": _spans(),
    "jaeger_spans": _jaeger(),
    "events": _json(
        {"ts": SECONDS, "type": "restart", "entity": SHOP, "severity": "WARN", "text": "t", "attributes": {"a": 1}},
        {**_CLOUD, "data": {"severity": 17, "text": "x", "service.name": "cart"}},
        {**_CLOUD, "data_base64": "eyJhIjogMX0=", "datacontenttype": "application/json"},
        _KUBERNETES, {"type": "ADDED", "object": _KUBERNETES}, {"kind": "EventList", "items": [_KUBERNETES]}, _ALERTS,
    ),
    "changes": _json(
        {"ts": SECONDS, "kind": "deployment", "entity": SHOP, "version": "1.2", "phase": "finished"},
        {"ts": SECONDS, "kind": "flag", "entity": SHOP, "attributes": {"feature_flag.key": "k"}},
        _CDEVENT, {**_CLOUD, "data": _CDEVENT}, _GITHUB, _ARGO,
    ),
}  # fmt: skip

#: Headers of CloudEvents in Kafka's binary mode.
HEADERS: list[tuple[str, bytes | None]] = [(f"ce_{name}", value.encode()) for name, value in _CLOUD.items()]
HEADERS.append(("content-type", b"application/json"))
