"""What else a shopper may like: three products, of which it asks the catalogue."""

from aiohttp import web

from pipeline.demo.shop.duty import Duty
from pipeline.demo.shop.serving import log
from pipeline.demo.shop.town import PRODUCTS


def routes(duty: Duty) -> list[web.RouteDef]:
    async def recommend(request: web.Request) -> web.Response:
        product = request.match_info["product"]
        await duty.work(0.02, "the model did not answer")
        chosen = duty.dice.sample(range(1, PRODUCTS + 1), 3)
        known = await duty.call("catalogue", "GET", "/products")
        log.info("recommended products %s to a shopper who looked at %s", chosen, product)
        return web.json_response([one for one in known if one["id"] in chosen])

    return [web.get("/recommendations/{product}", recommend)]
