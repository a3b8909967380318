"""Shoppers: requests to the frontend, as chance has it and as often whether it answers quickly or not.

Guarantee: with one seed, the same visits in the same order; arrivals are a Poisson process, an open loop. At most
``MOST_WAITING`` requests wait for an answer; what would come beyond that is counted as turned away.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from pipeline.demo.shop.town import LOOPBACK, PRODUCTS

MOST_WAITING = 200
_ANSWER_SECONDS = 10.0
_SHOPPERS = 50

#: What a visit is, and its share: one product looked at, one put into the cart, one cart paid for, the first page.
_VISITS = {"product": 0.25, "add": 0.2, "check out": 0.35, "home": 0.2}


@dataclass(slots=True)
class Seen:
    """Requests so far, those that failed (no answer, or a status of 500 and above), and seconds to each answer."""

    requests: int = 0
    failed: int = 0
    turned_away: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to the frontend."""

    method: str
    path: str
    body: dict[str, int] | None = None


def next_visit(dice: random.Random) -> Visit:
    """What the next shopper does."""
    kind = dice.choices(list(_VISITS), list(_VISITS.values()))[0]
    shopper, product = 1 + dice.randrange(_SHOPPERS), 1 + dice.randrange(PRODUCTS)
    if kind == "home":
        return Visit("GET", "/")
    if kind == "product":
        return Visit("GET", f"/products/{product}")
    if kind == "add":
        return Visit("POST", f"/carts/{shopper}/items", {"product": product})
    return Visit("POST", f"/carts/{shopper}/checkout")


class Shoppers:
    """``per_second`` visits on average, to the frontend on a port of loopback."""

    def __init__(self, port: int, per_second: float, seed: int = 0) -> None:
        self._address = f"http://{LOOPBACK}:{port}"
        self._per_second = per_second
        self._dice = random.Random(seed)
        self.seen = Seen()

    async def run(self) -> None:
        """Until cancelled."""
        connector, timeout = TCPConnector(force_close=True, limit=MOST_WAITING), ClientTimeout(total=_ANSWER_SECONDS)
        async with (
            ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
            asyncio.TaskGroup() as waiting,
        ):
            due, open_ = time.monotonic(), set[asyncio.Task[None]]()
            while True:
                due += self._dice.expovariate(self._per_second)
                await asyncio.sleep(due - time.monotonic())
                visit = next_visit(self._dice)  # drawn in any case, so that the order does not depend on the answers
                if len(open_) >= MOST_WAITING:
                    self.seen.turned_away += 1
                    continue
                task = waiting.create_task(self._visit(session, visit))
                open_.add(task)
                task.add_done_callback(open_.discard)

    async def _visit(self, session: ClientSession, visit: Visit) -> None:
        began = time.monotonic()
        self.seen.requests += 1
        try:
            async with session.request(visit.method, self._address + visit.path, json=visit.body) as answer:
                await answer.read()
            failed = answer.status >= 500
        except (ClientError, TimeoutError, OSError):
            failed = True
        self.seen.failed += failed
        self.seen.seconds.append(time.monotonic() - began)
