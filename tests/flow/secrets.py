"""Messages of every input format with a secret in every place where text can stand, good ones and ones that are not."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message as Proto
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from pipeline.codecs import jaeger_encode, otlp_span_encode
from pipeline.records import SpanKind
from tests.fuzz.feeding import Sent
from tests.fuzz.seeds import CODECS, HEADERS, ID, NANO, PARENT, SECONDS, SEEDS, TRACE

SECRET = "hunter2zq"
#: The name of an attribute, as every format can have it.
NAME = "acme_token"
_REQUESTS = {
    "otlp_metrics": ExportMetricsServiceRequest,
    "otlp_logs": ExportLogsServiceRequest,
    "otlp_spans": ExportTraceServiceRequest,
    "cloudwatch_otlp": ExportMetricsServiceRequest,
}
_DEEPEST = 12


def with_secrets(name: str) -> list[Sent]:
    """Messages of a format with the secret somewhere in them, around them, or both."""
    found = [Sent(value) for seed in SEEDS[name] for value in _injected(name, seed)]
    found += [Sent(raw) for raw in _RAW.get(name, ())]
    around = [(SECRET, SECRET.encode()), ("b", f"\n{SECRET}".encode())]
    found += [Sent(seed, around, key=SECRET.encode()) for seed in SEEDS[name]]
    headers = [(header, f"{(value or b'').decode()}{SECRET}".encode()) for header, value in HEADERS]
    found.append(Sent(f'"{SECRET}"'.encode(), headers))
    found.append(Sent(json.dumps({SECRET: SECRET, "a": {"b": [SECRET]}}).encode(), headers, key=None))
    who = [("service.name", SECRET.encode()), ("host.name", SECRET.encode())]
    found.append(Sent(SECRET.encode(), who, key=SECRET.encode()))
    foreign = [Sent(value) for other in SEEDS if other != name for value in list(_injected(other, SEEDS[other][0]))[:2]]
    return found + foreign


def damaged_with_secrets(name: str) -> list[Sent]:
    """Some of the same, cut off and with bytes in them that no text has."""
    found = []
    for sent in with_secrets(name)[::3]:
        value = sent.value or b""
        end = value.rfind(SECRET.encode()) + len(SECRET)
        found += [Sent(each, sent.headers) for each in (value[:-1], value[:end], b"\xff" + value)]
    return found


def with_attribute(name: str) -> list[Sent]:
    """Messages with an attribute NAME whose value is the secret, wherever an attribute can stand."""
    found = [Sent(raw) for raw in _ATTRIBUTES.get(name, ())]
    for seed in SEEDS[name]:
        if name in _REQUESTS and seed[:1] != b"{":
            for request in (_read(name, seed), *_filled(name, "ok")):
                for each in _key_value_lists(request):
                    each.add(key=NAME).value.string_value = SECRET
                found += [Sent(value) for value in _written(name, request)]
        elif (documents := _documents(seed)) is not None:
            found.append(Sent(b"\n".join(json.dumps(_with_member(one)).encode() for one in documents)))
    return found


# -- JSON --------------------------------------------------------------------------------------------------------------


def _documents(seed: bytes) -> list[Any] | None:
    try:
        return [json.loads(line) for line in seed.splitlines()]
    except ValueError:
        return None


def _injected(name: str, seed: bytes) -> Iterator[bytes]:
    if name in _REQUESTS and seed[:1] != b"{":
        yield from _in_protobuf(name, seed)
    elif (documents := _documents(seed)) is not None:
        for at, document in enumerate(documents):
            for path in _paths(document):
                for change in (lambda text: f"{text} {SECRET}", lambda text: f"{text}{SECRET}", lambda _: SECRET):
                    changed = [*documents[:at], _changed(document, path, change), *documents[at + 1 :]]
                    yield b"\n".join(json.dumps(one).encode() for one in changed)
    else:
        for text in (b"cart", b"cpu", b"web-1", b"nginx", b"next", b"no"):
            yield seed.replace(text, SECRET.encode())


def _paths(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there are texts and names of members (these end with None)."""
    if isinstance(found, dict):
        for name, inner in found.items():
            yield (*path, name, None)
            yield from _paths(inner, (*path, name))
    elif isinstance(found, list):
        for at, inner in enumerate(found):
            yield from _paths(inner, (*path, at))
    elif isinstance(found, str):
        yield path


def _changed(document: Any, path: tuple[Any, ...], change: Any) -> Any:
    whole = copy.deepcopy(document)
    names = path[:-2] if path[-1] is None else path[:-1]
    inner = whole
    for name in names:
        inner = inner[name]
    if path[-1] is None:
        inner[change(path[-2])] = inner.pop(path[-2])
    else:
        inner[path[-1]] = change(inner[path[-1]])
    return whole


def _with_member(found: Any) -> Any:
    """JSON with one more member in each object."""
    if isinstance(found, list):
        return [_with_member(one) for one in found]
    if isinstance(found, dict):
        return {name: _with_member(one) for name, one in found.items()} | {NAME: SECRET}
    return found


# -- protobuf ----------------------------------------------------------------------------------------------------------


def _in_protobuf(name: str, seed: bytes) -> Iterator[bytes]:
    """A seed with the secret in each text, one at a time; and everything that a message can have, filled."""
    for wanted in range(sum(1 for _ in _texts(_read(name, seed)))):
        request = _read(name, seed)
        holder, field, at = list(_texts(request))[wanted]
        if at is None:
            setattr(holder, field, f"{getattr(holder, field)}{SECRET}")
        else:
            getattr(holder, field)[at] += SECRET
        yield from _written(name, request)
    for request in _filled(name, f"at {SECRET}"):
        yield from _written(name, request)


def _read(name: str, seed: bytes) -> Any:
    if name == "cloudwatch_otlp":
        size = seed[0] & 0x7F | seed[1] << 7  # the first of several requests, of 128 to 16383 bytes
        seed = seed[2 : 2 + size]
    return _REQUESTS[name].FromString(seed)


def _written(name: str, request: Proto) -> Iterator[bytes]:
    value = request.SerializeToString()
    if name == "cloudwatch_otlp":
        yield bytes([len(value) & 0x7F | 0x80, len(value) >> 7]) + value
    else:
        yield value
        yield MessageToJson(request).encode()


def _filled(name: str, text: str) -> Iterator[Any]:
    """Requests with every field, each alternative in its turn."""
    for choice in range(8):
        request = _REQUESTS[name]()
        _fill(request, choice, text)
        yield request


def _texts(message: Proto) -> Iterator[tuple[Any, str, int | None]]:
    for field, value in message.ListFields():
        many = value if field.is_repeated else [value]
        for at, each in enumerate(many):
            if field.type == field.TYPE_MESSAGE:
                yield from _texts(each)
            elif field.type == field.TYPE_STRING:
                yield message, field.name, at if field.is_repeated else None


def _key_value_lists(message: Proto) -> Iterator[Any]:
    for field in message.DESCRIPTOR.fields:
        if field.type != field.TYPE_MESSAGE:
            continue
        value = getattr(message, field.name)
        if field.is_repeated:
            for each in value:
                yield from _key_value_lists(each)
            if field.message_type is KeyValue.DESCRIPTOR:
                yield value
        elif message.HasField(field.name):
            yield from _key_value_lists(value)


def _fill(message: Any, choice: int, text: str, depth: int = 0) -> None:
    """Every field; of those that exclude each other the one that ``choice`` says."""
    for field in message.DESCRIPTOR.fields:
        group = field.containing_oneof
        if group is not None and group.fields[choice % len(group.fields)] is not field:
            continue
        if field.type == field.TYPE_MESSAGE:
            if depth < _DEEPEST:
                inner = getattr(message, field.name)
                inner = inner.add() if field.is_repeated else inner
                inner.SetInParent()
                _fill(inner, choice if depth < 8 else 0, text, depth + 1)
            continue
        value = _filling(field, text)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def _filling(field: Any, text: str) -> Any:
    if field.type == field.TYPE_STRING:
        return text
    if field.type == field.TYPE_BYTES:
        ids = {"trace_id": TRACE, "span_id": ID, "parent_span_id": PARENT}
        return ids.get(field.name, text.encode())
    if field.cpp_type == field.CPPTYPE_BOOL:
        return True
    if "time" in field.name:
        return NANO + (5 if field.name.startswith("end") else 0)
    return 2 if field.cpp_type == field.CPPTYPE_ENUM else 1


# -- others ------------------------------------------------------------------------------------------------------------


def _jaeger(text: str, tag: str) -> bytes:
    start = SECONDS * 10**6
    return jaeger_encode.span(
        f"GET {text}", TRACE, ID, start, start + 5, process=(f"cart{text}", {"host": text, tag: text}), parent=PARENT,
        tags={"http.method": f"GET{text}", "http.route": f"/cart/{text}", tag: text, "span.kind": "server"},
        links=[(TRACE, PARENT, 0)], logs=[(start, {"event": "error", "stack": text, tag: text})],
    )  # fmt: skip


def _route() -> bytes:
    start, process = SECONDS * 10**6, ("cart", {NAME: SECRET})
    tags = {"http.method": "GET", "http.route": f"/{SECRET}", NAME: SECRET, "span.kind": "server"}
    return jaeger_encode.span("GET", TRACE, ID, start, start + 5, process=process, tags=tags)


def _client(text: str) -> bytes:
    start = SECONDS * 10**6
    tags = {"db.system": f"mysql{text}", "db.name": text, "peer.service": f"db-{text}", "span.kind": "client"}
    return jaeger_encode.span(text, TRACE, ID, start, start + 5, process=("cart", {}), tags=tags)


_S = SECRET.encode()
_TIME = b"1767225600000000000"
_RAW = {
    "jaeger_spans": [_jaeger(SECRET, "a"), _jaeger(SECRET, SECRET), _client(SECRET)],
    "influx_line": [
        b"cpu%s,host=web-1,a=%s usage=1,n%s=2i,text=\"%s\" %s" % (_S, _S, _S, _S, _TIME),
        b"cpu,%s=x usage=1 %s\ncpu,host=%s usage=%s %s" % (_S, _TIME, _S, _S, _TIME),
    ],
    "plain_text": [
        b"2026-01-01T00:00:00Z ERROR cart: failed for %s\n    at f(%s:1)\nnext %s" % (_S, _S, _S),
        b"<34>Jan 31 12:00:00 %s %s: password %s\n" % (_S, _S, _S),
        b'{"msg": "x %s", "level": "%s"}\n{"a": "%s"}' % (_S, _S, _S),
        b"x" * 16_380 + b" " + _S + b" " + b"y" * 100,  # the secret stands where the line is cut
    ],
    "fluent_bit": [json.dumps({"date": SECONDS, "log": "x" * 16_380 + " " + SECRET}).encode()],
    "events": [
        json.dumps({"ts": SECONDS, "type": "t", "entity": {}, "text": "x" * 16_380 + SECRET}).encode(),
        json.dumps({"ts": SECONDS, "type": "x" * 900 + SECRET, "entity": {}, "id": "y" * 900 + SECRET}).encode(),
    ],
    "changes": [
        json.dumps(
            {"ts": SECONDS, "kind": "flag", "entity": {"service.name": "cart"}, "title": f"t {SECRET}", "url": SECRET,
             "author": SECRET, "before": SECRET, "version": SECRET, "chain": SECRET, "id": SECRET, "source": SECRET,
             "attributes": {"feature_flag.key": SECRET, "feature_flag.result.variant": SECRET}}
        ).encode(),
    ],
}  # fmt: skip
_ATTRIBUTES = {
    "cloudwatch_json": [
        b'{"metric_stream_name":"all","account_id":"1","region":"eu","namespace":"AWS/Lambda","metric_name":"Errors",'
        b'"dimensions":{"FunctionName":"pay","%s":"%s"},"timestamp":1767225600000,'
        b'"value":{"max":1.0,"min":0.0,"sum":3.0,"count":120.0},"unit":"Count"}' % (NAME.encode(), _S)
    ],
    "fluent_bit": [b'{"date": 1767225600, "%s": "%s", "a": {"%s": "%s"}}' % (NAME.encode(), _S, NAME.encode(), _S)],
    "jaeger_spans": [_route()],
    "otlp_spans": [
        otlp_span_encode.traces_request(
            otlp_span_encode.resource_spans(
                {"service.name": SECRET, NAME: SECRET},
                [
                    otlp_span_encode.span(
                        "GET",
                        TRACE,
                        ID,
                        SECONDS * 10**6,
                        SECONDS * 10**6 + 5,
                        kind=SpanKind.SERVER,
                        attributes={"http.method": "GET", "http.route": f"/{SECRET}", NAME: SECRET},
                    )
                ],
            )
        )
    ],
    "influx_line": [b"cpu,host=web-1,%s=%s usage=1 %s" % (NAME.encode(), _S, _TIME)],
    "plain_text": [b'{"a": 1, "%s": "%s"}' % (NAME.encode(), _S)],
}


def formats() -> list[str]:
    return list(CODECS)
