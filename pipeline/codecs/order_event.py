"""Orders for incidents as bytes on ``calm.control``: the key is ``order/<incident>/<id>``.

A record without a value takes it away, which undoes nothing: it only is not told again.

Guarantee: what is read is what was written; anything else, whatever its bytes, raises BadOrder and nothing else.
"""

from pipeline.codecs import said_value
from pipeline.policies.control import ORDER, Said
from pipeline.policies.orders import Order
from pipeline.policies.said_forms import order_form, order_of


class BadOrder(ValueError):
    """A record that is no order of ours; the message says what is wrong with it."""


def key_of(order: Order) -> bytes:
    return _key(order).encode()


def encode(order: Order) -> bytes:
    """The value of a record of ``calm.control``."""
    return said_value.encode(order_form(order))


def decode(key: bytes | None, value: bytes | None, offset: int) -> Said:
    """A record of ``calm.control``. Raises BadOrder."""
    try:
        found, what = said_value.read(key, value, "order/<incident>/<id>", order_of)
        if what is not None:
            said_value.refuse_other_key(found, _key(what))
    except ValueError as error:
        raise BadOrder(f"not an order: {error}") from error
    return Said(offset, found, what)


def _key(order: Order) -> str:
    return f"{ORDER}{order.incident}/{order.id}"
