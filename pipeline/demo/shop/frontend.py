"""Where shoppers come in: pages made of what the other services answer."""

import asyncio

from aiohttp import web

from pipeline.demo.shop.duty import Duty


def routes(duty: Duty) -> list[web.RouteDef]:
    async def home(_request: web.Request) -> web.Response:
        products, recommended = await asyncio.gather(
            duty.call("catalogue", "GET", "/products"),
            duty.call("recommendation", "GET", "/recommendations/{product}", product=1),
        )
        await duty.work(0.008, "the page could not be made")
        return web.json_response({"products": products, "recommended": recommended})

    async def product(request: web.Request) -> web.Response:
        number = int(request.match_info["product"])
        shown = await duty.call("catalogue", "GET", "/products/{product}", product=number)
        await duty.work(0.006, "the page could not be made")
        return web.json_response(shown)

    async def add(request: web.Request) -> web.Response:
        shopper = request.match_info["shopper"]
        cart = await duty.call("cart", "POST", "/carts/{shopper}/items", await request.json(), shopper=shopper)
        await duty.work(0.005, "the page could not be made")
        return web.json_response(cart)

    async def check_out(request: web.Request) -> web.Response:
        order = await duty.call("orders", "POST", "/orders", {"shopper": request.match_info["shopper"]})
        await duty.work(0.005, "the page could not be made")
        return web.json_response(order, status=201)

    return [
        web.get("/", home),
        web.get("/products/{product}", product),
        web.post("/carts/{shopper}/items", add),
        web.post("/carts/{shopper}/checkout", check_out),
    ]
