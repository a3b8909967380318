"""This machine under watch: broker, worker, readings in and incidents out, started and stopped as one.

Guarantee: ``until`` raises as soon as anything underneath has ended, so that nobody waits for what cannot come.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.demo.host import CpuUse, Host
from pipeline.demo.judge import Transition
from pipeline.demo.stack import Stack
from pipeline.demo.traffic import Incidents, Readings

_BUSIEST = 5
_LOOK_SECONDS = 0.5

Told = Callable[[Transition], None]


class Watch:
    """``told`` is called for each transition received. Logs stand in ``folder``."""

    def __init__(self, folder: Path, told: Told) -> None:
        self.stack = Stack(folder)
        self._told = told
        self._cpu_use = CpuUse()
        self._host: Host | None = None
        self._readings: Readings | None = None
        self._incidents: Incidents | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def host(self) -> Host:
        assert self._host is not None, "the watch was not started"
        return self._host

    @property
    def points(self) -> int:
        """Points that the broker has."""
        return self._readings.points if self._readings else 0

    @property
    def transitions(self) -> Sequence[Transition]:
        return self._incidents.transitions if self._incidents else ()

    def start(self, own: Mapping[int, str], others: int = _BUSIEST) -> None:
        """Watch the machine, the processes ``own``, the broker, the worker, and the busiest of the others."""
        settings = self.stack.settings
        ours = {**own, self.stack.broker_pid: "embedded-broker", self.stack.worker_pid: "calmstream-worker"}
        self._host = Host(ours, self._cpu_use.busiest(others, apart_from=[*ours, os.getpid()]))
        self._incidents = Incidents(settings, self._told)
        self._readings = Readings(self._host, settings)
        self._tasks = [
            asyncio.create_task(self._incidents.run()),
            asyncio.create_task(self._readings.run(self.stack.check)),
        ]

    async def until(self, reached: Callable[[], bool], before: float) -> bool:
        """Wait for something to become true, until the time ``before``; returns whether it is."""
        assert self._incidents is not None
        while not reached():
            for task in self._tasks:
                if task.done():
                    self.stack.check()  # the cause, where it is one of these
                    task.result()
            if (left := before - time.time()) <= 0:
                return False
            await self._incidents.news(min(left, _LOOK_SECONDS))
        return True

    async def stop(self) -> None:
        """Stop everything. What went wrong before was said where it was waited for."""
        try:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            self._tasks = []
            self._cpu_use = CpuUse()
            await self.stack.stop()
