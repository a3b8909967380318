"""What the services do, as those of ``pipeline.demo.shop`` do: the same routes, calls, statements, lines and failures.

A request takes a slot, its work waits for the processor of its pod, its calls wait for others, give up after some
seconds, and fail with those that they call.
"""

import random
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.benchmarks.shop_faults import spans
from tests.benchmarks.shop_faults.clock import Answer, Steps
from tests.benchmarks.shop_faults.meters import Told
from tests.benchmarks.shop_faults.pods import Process
from tests.benchmarks.shop_faults.town import CALL_SECONDS, DATABASES

if TYPE_CHECKING:
    from tests.benchmarks.shop_faults.shop import Shop

_SPREAD = 0.25
#: Of the pieces of work: as many take several times as long, or fail, when nothing is wrong.
_SLOW, _FAILING = 0.004, 0.0008
_NETWORK = 0.0006
REFUSED, TIMED_OUT = "ClientConnectorError", "TimeoutError"
Taken = Generator[float | Answer, Any, Any]


class Failed(Exception):
    """As in the demo: the status that the caller gets, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Request:
    """One request of one service: what its handler works with."""

    __slots__ = ("began", "dice", "process", "shop", "span", "trace", "values")

    def __init__(self, shop: "Shop", process: Process, trace: bytes, values: dict[str, int]) -> None:
        self.shop, self.process, self.trace, self.values = shop, process, trace, values
        self.dice: random.Random = shop.dice
        self.span = shop.dice.randbytes(8)
        self.began = shop.clock.now

    def work(self, seconds: float, failure: str) -> Taken:
        """The demo's ``Duty.work``: half of it is the processor's, half of it waiting."""
        dice, process = self.dice, self.process
        seconds *= process.pod.service.work
        slow = dice.uniform(3.0, 8.0) if dice.random() < _SLOW else 1.0
        burst = process.burst(0.5 * seconds * dice.lognormvariate(0.0, _SPREAD))
        wait = 0.5 * seconds * slow * dice.lognormvariate(0.0, _SPREAD)
        failing, why = dice.random() < _FAILING, failure
        for trouble in process.pod.troubles:
            if trouble.is_of(process.pod.place, process.version) and dice.random() < trouble.share:
                if trouble.delay:
                    wait += trouble.delay * dice.lognormvariate(0.0, 0.4)
                if trouble.line:
                    self.log(13, trouble.line)
                if dice.random() < trouble.fails:
                    failing, why = True, trouble.why or failure
        yield burst + wait
        if failing:
            raise Failed(500, why)

    def log(self, severity: int, text: str) -> None:
        word = {9: "INFO", 13: "WARN", 17: "ERROR"}[severity]
        self.process.lines.append(spans.line(self.shop.clock.now, severity, word, text, self.trace, self.span))

    def query(self, database: str, operation: str, table: str, statement: str) -> Taken:
        """A statement on the service's database."""
        shop, process, began = self.shop, self.process, self.shop.clock.now
        down = shop.down.get(database)
        told: Told = (
            ("db.system.name", "postgresql"),
            ("db.namespace", DATABASES[database]),
            ("db.operation.name", operation),
            ("db.collection.name", table),
        )
        if down is None:
            yield 0.003 * self.dice.lognormvariate(0.0, 0.5)
        else:
            yield (CALL_SECONDS if down == "silent" else 0.004) * self.dice.lognormvariate(0.0, 0.05)
            told = (*told, ("error.type", "OperationalError"))
        if process.alive:
            process.meters.record("db.client.operation.duration", shop.clock.now - began, told)
            of_span: Told = (("db.query.text", statement), ("server.address", database))
            self._tell(f"{operation} {table}", began, told, of_span, failed=down is not None)
        if down is not None:
            raise Failed(500, f"the database {database} does not answer")

    def call(self, peer: str, method: str, route: str, **values: int) -> Taken:
        """The demo's ``Caller.call``; a GET that was refused is tried once more."""
        shop, process, began = self.shop, self.process, self.shop.clock.now
        own = self.dice.randbytes(8)
        status: int | str = REFUSED
        for _ in range(2 if method == "GET" else 1):
            yield _NETWORK * self.dice.lognormvariate(0.0, 0.5)
            answer = shop.ask(peer, method, route, self.trace, own, values)
            shop.clock.at(began + CALL_SECONDS, answer.give, (TIMED_OUT, None))
            status, _found = yield answer
            if status != REFUSED:
                break
        yield _NETWORK * self.dice.lognormvariate(0.0, 0.5)
        told: list[tuple[str, str | int]] = [
            ("http.request.method", method),
            ("server.address", peer),
            ("server.port", 80),
        ]
        failed = isinstance(status, str) or status >= 400
        if isinstance(status, int):
            told.append(("http.response.status_code", status))
        if failed:
            told.append(("error.type", str(status)))
        if process.alive:
            process.meters.record("http.client.request.duration", shop.clock.now - began, tuple(told))
            path = route.format(**values) if values else route
            of_span: Told = (("url.full", f"http://{peer}{path}"), ("url.template", route))
            self._tell(f"{method} {route}", began, tuple(told), of_span, failed=failed, own=own)
        if isinstance(status, str):
            raise Failed(504 if status == TIMED_OUT else 502, f"{peer} did not answer: {status}")
        if failed:
            raise Failed(502, f"{peer} answered {status}")

    def _tell(self, name: str, began: float, told: Told, of_span: Told, *, failed: bool, own: bytes = b"") -> None:
        """A span of what it asked of others."""
        now = self.shop.clock.now
        own = own or self.dice.randbytes(8)
        made = spans.span(self.trace, own, self.span, name, spans.CLIENT, began, now, told, of_span, failed)
        self.process.spans.append(made)


def serve(request: Request, method: str, route: str, parent: bytes, answer: Answer) -> Steps:
    """Answer a request, and tell of it."""
    process, clock = request.process, request.shop.clock
    process.answering[answer] = None
    slot = process.enter()
    try:
        if slot is None:
            raise Failed(503, "too many requests are waiting")
        if not slot.known:
            yield slot
        yield from HANDLERS[method, route](request)
        status = 201 if method == "POST" and route.endswith(("/orders", "/checkout")) else 200
    except Failed as failed:
        status = failed.status
        path = route.format(**request.values) if request.values else route
        request.log(17, f"{method} {path} failed with {status}: {failed}")
    if not process.alive:
        return
    if slot is not None:
        process.leave()
    told: list[tuple[str, str | int]] = [("http.request.method", method), ("url.scheme", "http")]
    told += [("http.route", route), ("http.response.status_code", status)]
    if status >= 500:
        told.append(("error.type", str(status)))
    process.meters.record("http.server.request.duration", clock.now - request.began, tuple(told))
    path = route.format(**request.values) if request.values else route
    of_span: Told = (("url.path", path), ("server.address", process.pod.service.name))
    process.spans.append(
        spans.span(
            request.trace,
            request.span,
            parent,
            f"{method} {route}",
            spans.SERVER,
            request.began,
            clock.now,
            tuple(told),
            of_span,
            status >= 500,
        )
    )
    process.pod.sent_bytes += 1800.0
    process.answering.pop(answer, None)
    answer.give((status, None))


# -- the services ------------------------------------------------------------------------------------------------------


def _home(r: Request) -> Taken:
    both = [
        r.shop.side_by_side(r.call("catalogue", "GET", "/products")),
        r.shop.side_by_side(r.call("recommendation", "GET", "/recommendations/{product}", product=1)),
    ]
    for one in both:
        if (failed := (yield one)) is not None:
            raise failed
    yield from r.work(0.008, "the page could not be made")


def _product_page(r: Request) -> Taken:
    yield from r.call("catalogue", "GET", "/products/{product}", product=r.values["product"])
    yield from r.work(0.006, "the page could not be made")


def _add_to_cart(r: Request) -> Taken:
    yield from r.call("cart", "POST", "/carts/{shopper}/items", shopper=r.values["shopper"])
    yield from r.work(0.005, "the page could not be made")


def _check_out(r: Request) -> Taken:
    yield from r.call("orders", "POST", "/orders")
    yield from r.work(0.005, "the page could not be made")


def _products(r: Request) -> Taken:
    yield from r.work(0.006, "the shelf could not be read")
    yield from r.query("catalogue-db", "SELECT", "products", "SELECT id, name, price_cents FROM products")


def _product(r: Request) -> Taken:
    yield from r.work(0.004, "the shelf could not be read")
    statement = "SELECT id, name, price_cents FROM products WHERE id = ?"
    yield from r.query("catalogue-db", "SELECT", "products", statement)


def _recommend(r: Request) -> Taken:
    yield from r.work(0.02, "the model did not answer")
    yield from r.call("catalogue", "GET", "/products")
    chosen = [1 + r.dice.randrange(24) for _ in range(3)]
    r.log(9, f"recommended products {chosen} to a shopper who looked at {r.values['product']}")


def _add(r: Request) -> Taken:
    yield from r.call("catalogue", "GET", "/products/{product}", product=1 + r.dice.randrange(24))
    yield from r.work(0.006, "the cart is locked")
    r.log(9, f"cart of shopper {r.values['shopper']} has {1 + r.dice.randrange(5)} items")


def _take(r: Request) -> Taken:
    yield from r.work(0.005, "the cart is locked")


def _place(r: Request) -> Taken:
    shopper, total = 1 + r.dice.randrange(50), 490 + r.dice.randrange(9000)
    yield from r.call("cart", "DELETE", "/carts/{shopper}", shopper=shopper)
    yield from r.work(0.008, "the order could not be made")
    yield from r.call("payment", "POST", "/payments")
    statement = "INSERT INTO orders (shopper, total_cents) VALUES (?, ?)"
    yield from r.query("orders-db", "INSERT", "orders", statement)
    r.process.meters.count("shop.orders.placed")
    r.log(9, f"order of shopper {shopper} over {total} cents placed, payment {r.dice.getrandbits(48):012x}")


def _pay(r: Request) -> Taken:
    yield from r.work(0.025, "the bank refused the connection: too many open sessions")
    id_, total = r.dice.getrandbits(48), 490 + r.dice.randrange(9000)
    r.log(9, f"payment {id_:012x} over {total} cents accepted by the bank")


HANDLERS: dict[tuple[str, str], Callable[[Request], Taken]] = {
    ("GET", "/"): _home,
    ("POST", "/carts/{shopper}/checkout"): _check_out,
    ("GET", "/recommendations/{product}"): _recommend,
    ("DELETE", "/carts/{shopper}"): _take,
    ("POST", "/orders"): _place,
    ("POST", "/payments"): _pay,
}


def _one_of_two(at_the_door: Callable[[Request], Taken], inside: Callable[[Request], Taken], r: Request) -> Taken:
    """Frontend and the service behind it have the same route."""
    return (at_the_door if r.process.pod.service.name == "frontend" else inside)(r)


HANDLERS["GET", "/products"] = _products
HANDLERS["GET", "/products/{product}"] = partial(_one_of_two, _product_page, _product)
HANDLERS["POST", "/carts/{shopper}/items"] = partial(_one_of_two, _add_to_cart, _add)
