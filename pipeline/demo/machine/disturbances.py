"""The two disturbances: child processes that are there from the start, quiet, and do their work when told.

They are there from the start because a signal needs a history of being quiet before its rise means anything.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass

from pipeline.demo.failure import DemoFailed

_ANSWER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a disturbance is: its name, what it does, and the metric and attributes of its signal."""

    name: str
    does: str
    metric: str
    attributes: tuple[tuple[str, str], ...] = ()


BURNER = Kind("demo-burner", "burns one core", "process.cpu.time")
WRITER = Kind("demo-writer", "writes 8 MiB to disk every second", "process.disk.io", (("disk.io.direction", "write"),))


class Disturbance:
    """A child process that disturbs between ``start`` and ``stop``. See ``disturber`` for its bounds."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    async def launch(self) -> None:
        """Start the process; it does nothing yet. Raises DemoFailed where it cannot do its work on this machine."""
        role = self.kind.name.removeprefix("demo-")
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pipeline.demo.machine.disturber", role),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tempfile.gettempdir(),
            start_new_session=True,  # Ctrl-C is for us: we end it
        )
        await self._answer("ready")

    async def start(self) -> None:
        await self._tell("start", "started")

    async def stop(self) -> None:
        await self._tell("stop", "stopped")

    async def end(self) -> None:
        """End the process, whatever it does."""
        if self._process and self._process.returncode is None:
            self._process.kill()
        if self._process:
            await self._process.wait()

    async def _tell(self, order: str, answer: str) -> None:
        pipe = self._running().stdin
        assert pipe is not None
        try:
            pipe.write(f"{order}\n".encode())
            await pipe.drain()
        except ConnectionError:
            pass  # it ended: the missing answer says so
        await self._answer(answer)

    async def _answer(self, wanted: str) -> None:
        process = self._running()
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                line = (await process.stdout.readline()).decode().strip()
                if line == wanted:
                    return
                why = line or (await process.stderr.read()).decode().strip().rpartition("\n")[2]
        except TimeoutError:
            why = f"no answer within {_ANSWER_SECONDS:g} s"
        raise DemoFailed(f"the process {self.kind.name} was to say {wanted!r}: {why}")

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise DemoFailed(f"the process {self.kind.name} was not launched")
        return self._process
