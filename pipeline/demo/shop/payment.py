"""Payments: asks a bank, which is a piece of work of its own."""

from aiohttp import web

from pipeline.demo.shop.duty import Duty
from pipeline.demo.shop.serving import log


def routes(duty: Duty) -> list[web.RouteDef]:
    async def pay(request: web.Request) -> web.Response:
        wanted = await request.json()
        await duty.work(0.025, "the bank refused the connection: too many open sessions")
        id_ = f"{duty.dice.getrandbits(48):012x}"
        log.info("payment %s over %d cents accepted by the bank", id_, wanted["cents"])
        return web.json_response({"id": id_})

    return [web.post("/payments", pay)]
