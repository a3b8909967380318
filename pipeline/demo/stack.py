"""What runs underneath the demo: the embedded broker, its topics, and a ``calmstream worker`` as a child process.

Guarantee: neither outlives this process, however it ends. Settings are those of the demo's file; the environment's are
passed over, so that a demo never reaches a broker that somebody works with.
"""

import asyncio
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from pipeline.demo.failure import DemoFailed
from pipeline.demo.leash import leashed
from pipeline.settings import NOT_SETTINGS, Settings, load
from pipeline.streams import topics
from pipeline.streams.broker_process import LOOPBACK, free_port
from pipeline.streams.embedded import EmbeddedBroker

READY_SECONDS = 45.0
_STOP_SECONDS = 4.0


def forget_environment() -> list[str]:
    """Remove Calmstream's settings from the environment of this process; returns their names."""
    found = [name for name in os.environ if name.upper().startswith("CALMSTREAM_") and name.upper() not in NOT_SETTINGS]
    found += [name for name in os.environ if name.upper() == "CALMSTREAM_CONFIG"]
    for name in found:
        del os.environ[name]
    return found


class Stack:
    """A broker and a worker with the settings of the file ``config``; logs stand in ``directory``."""

    def __init__(self, directory: Path, config: Path) -> None:
        self._directory = directory
        self._config = config
        self.broker = EmbeddedBroker(directory=directory)
        self.http_port = free_port()
        here = {"broker": {"bootstrap": self.broker.bootstrap}, "http": {"port": self.http_port}}
        self.settings: Settings = load(config, here)
        self._worker: asyncio.subprocess.Process | None = None

    @property
    def worker_pid(self) -> int:
        if self._worker is None:
            raise DemoFailed("the worker was not started")
        return self._worker.pid

    @property
    def broker_pid(self) -> int:
        if (pid := self.broker.pid) is None:
            raise DemoFailed(f"the embedded broker ended; {self._log_end('embedded-broker')}")
        return pid

    async def start_broker(self) -> None:
        """Start it and create the topics."""
        await asyncio.to_thread(self.broker.start)
        await topics.create(self.settings)

    async def start_worker(self) -> None:
        """Start it and wait until it is ready."""
        arguments = ("worker", "--config", str(self._config), "--bootstrap", self.broker.bootstrap)
        command = (sys.executable, "-m", "pipeline.cli", *arguments)
        with (self._directory / "worker.log").open("ab") as log:
            self._worker = await asyncio.create_subprocess_exec(
                *leashed(*command),
                env={**os.environ, "CALMSTREAM_HTTP__PORT": str(self.http_port), "TMPDIR": str(self._directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                start_new_session=True,  # Ctrl-C is for us: we stop it before the broker
            )
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await self._get("/ready"):
                    self.check()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise DemoFailed(f"the worker was not ready after {READY_SECONDS:g} s; {self._log_end('worker')}") from None

    def check(self) -> None:
        """Raises DemoFailed when the broker or the worker has ended."""
        _ = self.broker_pid
        if self._worker is not None and self._worker.returncode is not None:
            raise DemoFailed(f"the worker ended with code {self._worker.returncode}; {self._log_end('worker')}")

    async def metrics(self) -> dict[str, float]:
        """The worker's ``/metrics``: each sample under its name, summed over its labels but those of a transition."""
        found: dict[str, float] = {}
        for line in (await self._get("/metrics") or "").splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                if "transition=" not in name:
                    name = name.partition("{")[0]
                found[name] = found.get(name, 0.0) + float(value)
        return found

    async def stop_worker(self) -> None:
        """In order; by force where that takes long."""
        if self._worker is None:
            return
        if self._worker.returncode is None:
            self._worker.terminate()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._worker.wait()
            except TimeoutError:
                self._worker.kill()
        await self._worker.wait()
        self._worker = None

    async def stop(self) -> None:
        """Stop both."""
        try:
            await self.stop_worker()
        finally:
            await asyncio.to_thread(self.broker.stop, within_seconds=_STOP_SECONDS)

    async def _get(self, path: str) -> str | None:
        return await asyncio.to_thread(self._get_now, path)

    def _get_now(self, path: str) -> str | None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the environment names
        try:
            with direct.open(f"http://{LOOPBACK}:{self.http_port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None  # not there yet, or not ready

    def _log_end(self, name: str, lines: int = 15) -> str:
        path = self._directory / f"{name}.log"
        text = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []
        return "\n".join(["the end of its log:", *text])
