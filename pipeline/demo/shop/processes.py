"""The shop as it runs: a process for each service, and the replacing of one by another version of itself.

Guarantee: no process outlives this one, however it ends. The listening sockets are held here and inherited, so during a
replacement connections wait a moment and none is refused.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from pipeline.demo.failure import DemoFailed
from pipeline.demo.leash import leashed
from pipeline.demo.shop.service import READY, SERVE, SERVING, STOPPED, Order
from pipeline.demo.shop.town import LOOPBACK, VERSIONS, Deployment, Fault

_ANSWER_SECONDS = 30.0
_STOP_SECONDS = 6.0
_BACKLOG = 128


class Shop:
    """All services of ``town``. Databases and logs stand in ``directory``, telemetry goes to ``bootstrap``."""

    def __init__(self, directory: Path, bootstrap: str, seed: int = 0) -> None:
        self._directory = directory
        self._bootstrap = bootstrap
        self._seed = seed
        self._closing = ExitStack()
        self._doors = {name: self._closing.enter_context(open_door()) for name in VERSIONS}
        self._running: dict[str, _Process] = {}

    @property
    def ports(self) -> dict[str, int]:
        return {name: door.getsockname()[1] for name, door in self._doors.items()}

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    async def start(self) -> None:
        """Start every service; returns when all of them serve. Raises DemoFailed."""
        begun = {name: await self._begin(name, version, Fault()) for name, version in VERSIONS.items()}
        self._running = begun
        for process in begun.values():
            await process.answer(READY)
        for process in begun.values():
            await process.serve()

    async def deploy(self, deployment: Deployment) -> float:
        """Replace a service: the new process is made ready, the old one finishes, the new one serves.

        Returns when the old one was told to end, in seconds since the epoch.
        """
        new = await self._begin(deployment.service, deployment.version, deployment.fault)
        try:
            await new.answer(READY)
        except DemoFailed:
            await new.stop()
            raise
        old, self._running[deployment.service] = self._running[deployment.service], new
        at = time.time()
        await old.retire()
        await new.serve()
        await old.stop()
        return at

    def check(self) -> None:
        """Raises DemoFailed when a service has ended."""
        for process in self._running.values():
            process.check()

    async def stop(self) -> None:
        """End all of them, in order where they do it in time."""
        try:
            await asyncio.gather(*(process.stop() for process in self._running.values()))
        finally:
            self._running = {}
            self._closing.close()

    async def _begin(self, name: str, version: str, fault: Fault) -> "_Process":
        door = self._doors[name].fileno()
        order = Order(name, version, door, self.ports, self._bootstrap, str(self._directory), self._seed, fault)
        process = _Process(order, self._directory / f"{name}.log")
        await process.launch()
        return process


class _Process:
    def __init__(self, order: Order, log: Path) -> None:
        self._order = order
        self._log = log
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._started().pid

    async def launch(self) -> None:
        order = self._order
        command = (sys.executable, "-m", "pipeline.demo.shop.service", order.dump())
        # What the SDK would read: it must not change because somebody exports, for instance, a sampler.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        with self._log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *leashed(*command),
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._log.parent,
                pass_fds=(order.door,),
                start_new_session=True,  # Ctrl-C is for us: we stop it before the broker
            )

    async def serve(self) -> None:
        """Open the door."""
        pipe = self._started().stdin
        assert pipe is not None
        try:
            pipe.write(f"{SERVE}\n".encode())
            await pipe.drain()
        except ConnectionError:
            pass  # it ended: the missing answer says so
        await self.answer(SERVING)

    async def answer(self, wanted: str) -> None:
        """Wait until it says so. Raises DemoFailed."""
        pipe = self._started().stdout
        assert pipe is not None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                line = (await pipe.readline()).decode().strip()
        except TimeoutError:
            line = f"nothing within {_ANSWER_SECONDS:g} s"
        if line != wanted:
            raise DemoFailed(
                f"the service {self._order.name} {self._order.version} was to say {wanted!r}, not {line!r}; "
                + self._log_end()
            )

    def check(self) -> None:
        if (code := self._started().returncode) is not None:
            raise DemoFailed(f"the service {self._order.name} ended with code {code}; {self._log_end()}")

    async def retire(self) -> None:
        """Finish what is being answered; its last telemetry is sent when this returns."""
        self._started().terminate()
        await self.answer(STOPPED)

    async def stop(self) -> None:
        if (child := self._child) is None:
            return
        if child.returncode is None:
            child.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await child.wait()
            except TimeoutError:
                child.kill()
        await child.wait()

    def _started(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise DemoFailed(f"the service {self._order.name} was not started")
        return self._child

    def _log_end(self, lines: int = 15) -> str:
        text = self._log.read_text(errors="replace").splitlines()[-lines:] if self._log.exists() else []
        return "\n".join(["the end of its log:", *text])


def open_door() -> socket.socket:
    """A listening socket on a free port of loopback, for a child to inherit."""
    door = socket.create_server((LOOPBACK, 0), backlog=_BACKLOG)
    door.set_inheritable(True)
    return door
