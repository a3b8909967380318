"""A short story with all kinds of input and few signals; in its middle, while there is trouble, the state is saved.

Never change what is in it: saved states of versions that are released follow from it.
"""

import json
import random
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from pipeline.codecs.otlp_span_encode import resource_spans, span, traces_request
from pipeline.records import US, SpanKind, iso
from pipeline.settings import Settings, load
from tests.memory_run import MemoryRun

START = 1_700_000_000
SECONDS, SAVED_AT = 300, 203
#: The cart's load is too high then; what is open when the state is saved ends long before the story does.
TROUBLE = range(190, 220)
INPUTS = {
    "points": "json_points",
    "lines": "fluent_bit",
    "spans-in": "otlp_spans",
    "events": "events",
    "changes": "changes",
}


class Sent(NamedTuple):
    second: int
    topic: str
    value: bytes


def tell(run: MemoryRun, first: int, last: int) -> None:
    """The seconds from ``first`` to before ``last``. Nobody waits for changes, which are rare."""
    for second, told in groupby((sent for sent in messages() if first <= sent.second < last), lambda sent: sent.second):
        for sent in told:
            run.send(sent.topic, 0, sent.value, (START + second + 1) * 1000)
        run.idle("changes")


def settings() -> Settings:
    """One partition of each topic, windows of five seconds."""
    return load(
        overrides={
            "topic_prefix": "calm.",
            "topics": {"partitions": 1},
            "inputs": [{"topic": topic, "format": format_} for topic, format_ in INPUTS.items()],
            "time": {"window_seconds": 5, "allowed_lateness_seconds": 3, "idle_sparse_seconds": 3},
            "policies": [{"name": "load", "match": ["name=load"], "detection": {"hard_upper": 70}}],
        }
    )


def messages() -> Iterator[Sent]:
    """Everything, in the order in which it is sent."""
    dice = random.Random(11)
    for second in range(SECONDS):
        yield Sent(second, "points", _points(second, dice))
        yield Sent(second, "lines", _line(second))
        yield Sent(second, "spans-in", _trace(second, dice))
        yield Sent(second, "events", _event(second))
        if second in (60, 185):
            yield Sent(second, "changes", _change(second))


def _resource(service: str) -> dict[str, str]:
    return {"service.name": service, "service.instance.id": f"{service}-1", "deployment.environment.name": "prod"}


def _points(second: int, dice: random.Random) -> bytes:
    at, high = START + second + 0.5, second in TROUBLE
    cart = {"attributes": _resource("cart"), "ts": at}
    return json.dumps(
        [
            {"name": "load", "value": 90 if high else 40 + dice.random(), **cart},
            {"name": "requests", "kind": "counter", "value": 10 * second + dice.randrange(5), **cart},
            {"name": "bytes", "kind": "delta", "value": 100 + dice.randrange(20), "unit": "By", **cart},
            {"name": "queue", "value": dice.gauss(7, 1), **cart},
        ]
    ).encode()


def _line(second: int) -> bytes:
    text = f"payment {second} refused" if second % 7 == 3 else f"order {1000 + second} placed"
    kubernetes = {"pod_name": "cart-5d4f8c7b9-x2x8z", "namespace_name": "shop", "labels": {"app": "cart"}}
    return json.dumps({"@timestamp": START + second + 0.3, "log": text, "kubernetes": kubernetes}).encode()


def _trace(second: int, dice: random.Random) -> bytes:
    begin, status = (START + second) * US + 100_000, 2 if second % 9 == 4 else 0
    trace_id, page, query = (second + 1).to_bytes(16), (1).to_bytes(8), (2).to_bytes(8)
    took = 50_000 + dice.randrange(10_000)
    get = {"http.request.method": "GET", "http.route": "/cart"}
    stored = {"db.system.name": "sqlite", "db.namespace": "carts", "db.operation.name": "SELECT"}
    spans = [
        span("GET /cart", trace_id, page, begin, begin + took, kind=SpanKind.SERVER, attributes=get, status=status),
        span("SELECT", trace_id, query, begin + 5_000, begin + took // 2, parent=page, kind=SpanKind.CLIENT,
             attributes=stored),
    ]  # fmt: skip
    return traces_request(resource_spans(_resource("cart"), spans))


def _event(second: int) -> bytes:
    told = {"ts": START + second + 0.2, "type": "reload", "entity": _resource("cart"), "text": f"reload {second}"}
    return json.dumps(told).encode()


def _change(second: int) -> bytes:
    told = {"time": iso((START + second) * US), "ts": START + second, "kind": "config", "entity": _resource("cart")}
    return json.dumps({key: told[key] for key in ("ts", "kind", "entity")}).encode()
