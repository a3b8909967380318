"""All services of the shop in this process, on loopback, with what they send kept."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import ClientSession, web

from pipeline.demo.shop.duty import Duty
from pipeline.demo.shop.processes import open_door
from pipeline.demo.shop.service import application
from pipeline.demo.shop.serving import Caller, log
from pipeline.demo.shop.telemetry import Identity, Telemetry
from pipeline.demo.shop.town import FRONTEND, LOOPBACK, VERSIONS, Fault
from tests.demo.shop.sent import Kept


class Street:
    """``ask`` is a shopper's request; when ``flush`` returns, all telemetry is sent."""

    def __init__(self, client: ClientSession, port: int, telemetries: Mapping[str, Telemetry]) -> None:
        self._client = client
        self._address = f"http://{LOOPBACK}:{port}"
        self._telemetries = telemetries

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        async with self._client.request(method, self._address + path, json=body) as answer:
            return answer.status, await answer.json()

    async def flush(self) -> None:
        """All that was recorded so far is sent."""
        for telemetry in self._telemetries.values():
            await asyncio.to_thread(telemetry.shutdown)


@asynccontextmanager
async def street(data: Path, kept: Kept, faults: Mapping[str, Fault] | None = None) -> AsyncIterator[Street]:
    async with AsyncExitStack() as stack:
        doors = {name: open_door() for name in VERSIONS}
        ports = {name: door.getsockname()[1] for name, door in doors.items()}
        telemetries = {}
        for name, version in VERSIONS.items():
            telemetry = telemetries[name] = Telemetry(Identity(name, version, f"{name}-0", "demo"), kept.send)
            caller = Caller(telemetry, ports)
            stack.push_async_callback(caller.close)
            duty = Duty(name, caller, telemetry, data, random.Random(7), (faults or {}).get(name, Fault()))
            runner = web.AppRunner(application(duty), access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, doors[name]).start()
        client = await stack.enter_async_context(ClientSession())
        handler = telemetries[FRONTEND].handler  # in one process there is one log
        log.addHandler(handler)
        stack.callback(log.removeHandler, handler)
        yield Street(client, ports[FRONTEND], telemetries)
