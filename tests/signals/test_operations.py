"""Names of operations: ids go, routes stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.signals.operations import without_ids

UUID = "3f1c2a9e-0b1d-4c5e-9f00-aa11bb22cc33"


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("GET /orders/17", "GET /orders/<*>"),
        ("GET /orders/17/items/4", "GET /orders/<*>/items/<*>"),
        (f"GET /carts/{UUID}?full=1", "GET /carts/<*>?full=<*>"),
        ("DELETE /files/9f86d081884c7d65", "DELETE /files/<*>"),
        ("job 481516234200", "job <*>"),
        ("order-8731 handled", "order-<*> handled"),
        ("report20260131.csv", "report<*>.csv"),
    ],
)
def test_ids_and_numbers_are_taken_out(name: str, operation: str) -> None:
    assert without_ids(name) == operation


@pytest.mark.parametrize(
    "name",
    [
        "GET /",
        "GET /api/v1/seatservice/seats/left_tickets",
        "/api/v1/configservice/configs/{configName}",
        "GET /cart",
        "SELECT ts.route_stations",
        "oauth2 token over http2",
        "oteldemo.CartService/GetCart",
        "publish orders.created",
        "FilteringWebHandler.handle",
        "cafebabe decade facade",
        "",
    ],
)
def test_a_name_without_ids_stays_as_it_is(name: str) -> None:
    assert without_ids(name) == name


@given(st.text())
def test_taking_ids_out_once_is_enough(name: str) -> None:
    assert without_ids(without_ids(name)) == without_ids(name)
