"""Orders: what was in the cart, paid, and kept in a SQLite database."""

from aiohttp import web

from pipeline.demo.shop.duty import Duty
from pipeline.demo.shop.serving import log

_DELIVERY_CENTS = 490


def routes(duty: Duty) -> list[web.RouteDef]:
    database = duty.database()
    database.prepare("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, shopper TEXT, total_cents INTEGER)")
    placed = duty.telemetry.meter.create_counter("shop.orders.placed", "{order}")

    async def place(request: web.Request) -> web.Response:
        shopper = str((await request.json())["shopper"])
        items = await duty.call("cart", "DELETE", "/carts/{shopper}", shopper=shopper)
        total = _DELIVERY_CENTS + sum(item["price_cents"] for item in items)
        await duty.work(0.008, "the order could not be made")
        paid = await duty.call("payment", "POST", "/payments", {"shopper": shopper, "cents": total})
        database.run("INSERT INTO orders (shopper, total_cents) VALUES (?, ?)", shopper, total)
        placed.add(1)
        log.info("order of shopper %s over %d cents placed, payment %s", shopper, total, paid["id"])
        return web.json_response({"shopper": shopper, "total_cents": total, "payment": paid["id"]}, status=201)

    return [web.post("/orders", place)]
