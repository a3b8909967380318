"""A broker, a worker and the incidents that come out, started and stopped as one.

Guarantee: ``until`` raises as soon as anything underneath has ended, so that nobody waits for what cannot come.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pipeline.demo.incidents import Incidents
from pipeline.demo.stack import Stack
from pipeline.demo.transitions import Transition

_LOOK_SECONDS = 0.5

Told = Callable[[Transition], None]


class Watch:
    """``told`` is called for each transition received."""

    def __init__(self, stack: Stack, told: Told) -> None:
        self.stack = stack
        self._told = told
        self._incidents: Incidents | None = None
        self._checks: list[Callable[[], None]] = [stack.check]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def transitions(self) -> Sequence[Transition]:
        return self._incidents.transitions if self._incidents else ()

    def begin(self, *feeding: Coroutine[Any, Any, None], check: Callable[[], None] | None = None) -> None:
        """Receive incidents from now on, while these run, which feed what is watched.

        ``check`` raises where something else underneath has ended.
        """
        self._checks = [self.stack.check, *([check] if check else [])]
        self._incidents = Incidents(self.stack.settings, self._told)
        self._tasks = [asyncio.create_task(each) for each in (self._incidents.run(), *feeding)]

    async def until(self, reached: Callable[[], bool], before: float) -> bool:
        """Wait for something to become true, until the time ``before``; returns whether it is."""
        assert self._incidents is not None, "the watch did not begin"
        while not reached():
            for check in self._checks:
                check()
            for task in self._tasks:
                if task.done():
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
            await self.stack.stop()
