"""One service of the shop as a process: ``python -m pipeline.demo.shop.service '{"name": "cart", …}'``.

Guarantee: it says ``ready`` when everything but its door is open, and opens the door (a listening socket that it was
given) when told ``serve``. It ends on SIGTERM or when its standard input closes, which happens when the demo ends, in
whatever way; ``stopped`` says that what it was doing is answered and its telemetry sent.
"""

import asyncio
import json
import logging
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from aiohttp import web

from pipeline.demo.shop import cart, catalogue, frontend, orders, payment, recommendation
from pipeline.demo.shop.duty import Duty
from pipeline.demo.shop.exporting import producing, sender
from pipeline.demo.shop.serving import Caller, log, measuring
from pipeline.demo.shop.telemetry import Identity, Telemetry
from pipeline.demo.shop.town import ENVIRONMENT, Fault

READY, SERVE, SERVING, STOPPED = "ready", "serve", "serving", "stopped"
_FINISH_SECONDS = 2.0  # for requests that are being answered when it ends

ROUTES: Mapping[str, Callable[[Duty], list[web.RouteDef]]] = {
    "frontend": frontend.routes,
    "recommendation": recommendation.routes,
    "cart": cart.routes,
    "catalogue": catalogue.routes,
    "orders": orders.routes,
    "payment": payment.routes,
}


@dataclass(frozen=True)
class Order:
    """What a process is to be: ``door`` is the number of the socket that it inherits, ``ports`` are all services'."""

    name: str
    version: str
    door: int
    ports: Mapping[str, int]
    bootstrap: str
    data: str
    seed: int = 0
    fault: Fault = field(default_factory=Fault)

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def load(text: str) -> "Order":
        given = json.loads(text)
        return Order(**{**given, "fault": Fault(**given["fault"])})


async def run(order: Order) -> None:
    """Until told to end."""
    end = asyncio.Event()
    told = await _standard_input()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    async with producing(order.bootstrap) as producer:
        identity = Identity(order.name, order.version, f"{order.name}-0", ENVIRONMENT)
        telemetry = Telemetry(identity, sender(producer, asyncio.get_running_loop()))
        log.addHandler(telemetry.handler)
        caller = Caller(telemetry, order.ports)
        duty = Duty(order.name, caller, telemetry, Path(order.data), random.Random(order.seed), order.fault)
        runner = web.AppRunner(application(duty), access_log=None, shutdown_timeout=_FINISH_SECONDS)
        await runner.setup()
        print(READY, flush=True)
        try:
            await _serve(runner, socket.socket(fileno=order.door), told, end)
        finally:
            await runner.cleanup()
            await caller.close()
            await asyncio.to_thread(telemetry.shutdown)
            print(STOPPED, flush=True)


def application(duty: Duty) -> web.Application:
    """The service as aiohttp runs it."""
    made = web.Application(middlewares=[measuring(duty.telemetry)])
    made.add_routes(ROUTES[duty.name](duty))
    return made


async def _serve(runner: web.AppRunner, door: socket.socket, told: asyncio.StreamReader, end: asyncio.Event) -> None:
    if (await told.readline()).decode().strip() != SERVE:
        return
    await web.SockSite(runner, door).start()
    print(SERVING, flush=True)
    closed = asyncio.create_task(_closed(told, end))
    await end.wait()
    closed.cancel()


async def _closed(told: asyncio.StreamReader, end: asyncio.Event) -> None:
    await told.read()
    end.set()


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def main() -> None:
    """The one argument is an ``Order`` as JSON."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    log.propagate = False
    asyncio.run(run(Order.load(sys.argv[1])))


if __name__ == "__main__":
    main()
