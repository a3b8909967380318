"""Shoppers: the same ones for a seed, as often as wanted, and never more than the frontend is to bear."""

import asyncio
import random
from collections import Counter
from contextlib import suppress

from aiohttp import web

from pipeline.demo.shop.processes import open_door
from pipeline.demo.shop.shoppers import MOST_WAITING, Shoppers, next_visit


def test_a_seed_gives_the_same_visits() -> None:
    first, second = random.Random(3), random.Random(3)
    assert [next_visit(first) for _ in range(100)] == [next_visit(second) for _ in range(100)]


def test_a_third_of_the_visits_pay() -> None:
    dice = random.Random(3)
    kinds = Counter(next_visit(dice).path.rpartition("/")[2] for _ in range(10_000))
    assert 0.33 < kinds["checkout"] / 10_000 < 0.37


async def test_who_is_not_answered_waits_and_beyond_a_limit_is_turned_away() -> None:
    with open_door() as door:  # connections are made, and nobody ever answers
        shoppers = Shoppers(door.getsockname()[1], per_second=20_000)
        task = asyncio.create_task(shoppers.run())
        async with asyncio.timeout(30):
            while not shoppers.seen.turned_away:
                await asyncio.wait([task], timeout=0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert MOST_WAITING <= shoppers.seen.requests <= MOST_WAITING + shoppers.seen.failed


async def test_an_answer_of_500_and_above_has_failed() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=404 if request.method == "GET" else 503)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    door = open_door()
    await web.SockSite(runner, door).start()
    shoppers = Shoppers(door.getsockname()[1], per_second=500)
    task = asyncio.create_task(shoppers.run())
    async with asyncio.timeout(30):
        while len(shoppers.seen.seconds) < 50:
            await asyncio.wait([task], timeout=0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await runner.cleanup()
    assert 0 < shoppers.seen.failed < len(shoppers.seen.seconds)
