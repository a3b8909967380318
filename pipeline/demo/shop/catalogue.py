"""Products and prices, in a SQLite database."""

from aiohttp import web

from pipeline.demo.shop.duty import Duty
from pipeline.demo.shop.serving import Failed
from pipeline.demo.shop.town import PRODUCTS

_ADJECTIVES = ("plain", "warm", "quiet", "heavy", "little", "folding")
_NOUNS = ("lamp", "chair", "kettle", "blanket")


def routes(duty: Duty) -> list[web.RouteDef]:
    database = duty.database()
    database.prepare("CREATE TABLE IF NOT EXISTS products (id INTEGER PRIMARY KEY, name TEXT, price_cents INTEGER)")
    names = [f"{adjective} {noun}" for adjective in _ADJECTIVES for noun in _NOUNS]
    goods = [(number, names[number - 1], 900 + 137 * number) for number in range(1, PRODUCTS + 1)]
    database.prepare("INSERT OR REPLACE INTO products VALUES (?, ?, ?)", goods)

    async def every(_request: web.Request) -> web.Response:
        await duty.work(0.006, "the shelf could not be read")
        return web.json_response([_product(row) for row in database.run("SELECT id, name, price_cents FROM products")])

    async def one(request: web.Request) -> web.Response:
        number = int(request.match_info["product"])
        await duty.work(0.004, "the shelf could not be read")
        rows = database.run("SELECT id, name, price_cents FROM products WHERE id = ?", number)
        if not rows:
            raise Failed(404, f"there is no product {number}")
        return web.json_response(_product(rows[0]))

    return [web.get("/products", every), web.get("/products/{product}", one)]


def _product(row: tuple[int, str, int]) -> dict[str, object]:
    return {"id": row[0], "name": row[1], "price_cents": row[2]}
