"""Carts of shoppers, in memory; prices are the catalogue's."""

from collections import OrderedDict

from aiohttp import web

from pipeline.demo.shop.duty import Duty
from pipeline.demo.shop.serving import log

_MOST_CARTS = 1000  # the oldest is given up


def routes(duty: Duty) -> list[web.RouteDef]:
    carts: OrderedDict[str, list[dict[str, object]]] = OrderedDict()

    async def add(request: web.Request) -> web.Response:
        shopper, wanted = request.match_info["shopper"], await request.json()
        product = await duty.call("catalogue", "GET", "/products/{product}", product=wanted["product"])
        await duty.work(0.006, "the cart is locked")
        items = carts.setdefault(shopper, [])
        items.append(product)
        if len(carts) > _MOST_CARTS:
            carts.popitem(last=False)
        log.info("cart of shopper %s has %d items", shopper, len(items))
        return web.json_response(items)

    async def take(request: web.Request) -> web.Response:
        await duty.work(0.005, "the cart is locked")
        return web.json_response(carts.pop(request.match_info["shopper"], []))

    return [web.post("/carts/{shopper}/items", add), web.delete("/carts/{shopper}", take)]
