"""The services of the shop, all in this process: what they answer, and what their telemetry says of it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from pipeline.codecs.otlp_spans import OtlpSpans
from pipeline.codecs.series_table import Limits
from pipeline.demo.shop.exporting import METRICS, SPANS
from pipeline.demo.shop.serving import log
from pipeline.demo.shop.town import VERSIONS, Fault
from tests.codecs.otlp_sent import Sent, decode
from tests.demo.shop.sent import Kept, SentSpan
from tests.demo.shop.street import street

SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT


@pytest.fixture(autouse=True)
def _informed() -> Iterator[None]:
    before = log.level
    log.setLevel(logging.INFO)
    yield
    log.setLevel(before)


def named(spans: list[SentSpan], service: str, kind: int) -> dict[str, SentSpan]:
    return {sent.span.name: sent for sent in spans if (sent.service, sent.span.kind) == (service, kind)}


async def test_a_shopper_sees_products_fills_a_cart_and_pays(tmp_path: Path) -> None:
    async with street(tmp_path, Kept()) as shop:
        status, home = await shop.ask("GET", "/")
        assert status == 200
        assert isinstance(home, dict)
        assert len(home["products"]) == 24
        assert len(home["recommended"]) == 3
        status, product = await shop.ask("GET", "/products/7")
        assert (status, product) == (200, home["products"][6])
        status, cart = await shop.ask("POST", "/carts/5/items", {"product": 7})
        assert (status, cart) == (200, [product])
        status, order = await shop.ask("POST", "/carts/5/checkout")
        assert status == 201
        assert isinstance(order, dict)
        assert order["total_cents"] == 490 + home["products"][6]["price_cents"]
        status, again = await shop.ask("POST", "/carts/5/checkout")
        assert isinstance(again, dict)
        assert again["total_cents"] == 490  # the cart is empty by now


async def test_a_checkout_is_one_trace_from_the_frontend_to_the_database(tmp_path: Path) -> None:
    kept = Kept()
    async with street(tmp_path, kept) as shop:
        await shop.ask("POST", "/carts/5/checkout")
        await shop.flush()
    spans = list(kept.spans())
    assert len({sent.span.trace_id for sent in spans}) == 1
    parents = {sent.span.span_id: sent for sent in spans}

    def way(sent: SentSpan) -> list[str]:
        above = parents.get(sent.span.parent_span_id)
        return [*(way(above) if above else []), f"{sent.service} {sent.span.name}"]

    paid = named(spans, "payment", SERVER)["POST /payments"]
    assert way(paid) == [
        "frontend POST /carts/{shopper}/checkout",
        "frontend POST /orders",
        "orders POST /orders",
        "orders POST /payments",
        "payment POST /payments",
    ]
    stored = named(spans, "orders", CLIENT)["INSERT orders"]
    assert way(stored)[-2:] == ["orders POST /orders", "orders INSERT orders"]
    assert stored.attributes["db.system.name"] == "sqlite"
    called = named(spans, "orders", CLIENT)["POST /payments"].attributes
    assert called["server.address"] == "payment"
    assert called["http.response.status_code"] == 200


async def test_a_failure_is_told_by_every_span_above_it_and_by_the_log(tmp_path: Path) -> None:
    kept = Kept()
    async with street(tmp_path, kept, {"payment": Fault(error_share=1.0)}) as shop:
        status, answer = await shop.ask("POST", "/carts/5/checkout")
        await shop.flush()
    assert (status, answer) == (502, {"error": "orders answered 502"})
    spans = list(kept.spans())
    failed = {(sent.service, sent.span.kind) for sent in spans if sent.span.status.code == Status.STATUS_CODE_ERROR}
    assert failed == {
        ("frontend", SERVER),
        ("frontend", CLIENT),
        ("orders", SERVER),
        ("orders", CLIENT),
        ("payment", SERVER),
    }
    paid = named(spans, "payment", SERVER)["POST /payments"]
    assert paid.attributes["http.response.status_code"] == 500
    assert paid.attributes["error.type"] == "500"
    (said,) = [record for _, record in kept.logs() if "the bank refused" in record.body.string_value]
    assert (said.trace_id, said.span_id) == (paid.span.trace_id, paid.span.span_id)
    assert said.severity_text == "ERROR"


async def test_what_does_not_exist_is_no_failure_of_the_service(tmp_path: Path) -> None:
    kept = Kept()
    async with street(tmp_path, kept) as shop:
        assert (await shop.ask("GET", "/products/99"))[0] == 502  # the frontend relies on the catalogue
        assert (await shop.ask("GET", "/nowhere"))[0] == 404
        await shop.flush()
    missing = named(list(kept.spans()), "catalogue", SERVER)["GET /products/{product}"]
    assert missing.attributes["http.response.status_code"] == 404
    assert missing.span.status.code == Status.STATUS_CODE_UNSET


async def test_our_codecs_read_metrics_and_spans_without_a_loss(tmp_path: Path) -> None:
    kept = Kept()
    async with street(tmp_path, kept) as shop:
        await shop.ask("GET", "/")
        await shop.ask("POST", "/carts/5/checkout")
        await shop.flush()
    columns, series = decode(*kept.messages[METRICS])
    assert (columns.rejections, columns.dropped) == ([], {})
    resources = {(dict(one.attributes)["service.name"], dict(one.attributes)["service.version"]) for one in series}
    assert resources == set(VERSIONS.items())
    assert {one.name for one in series} == {
        "http.server.request.duration",
        "http.client.request.duration",
        "db.client.operation.duration",
        "shop.orders.placed",
    }
    spans = OtlpSpans(Limits()).decode([Sent(value) for value in kept.messages[SPANS]])
    assert spans.rejections == []
    assert len(spans.shape) == len(list(kept.spans()))
