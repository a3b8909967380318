"""The thread in which the chains of a role work, so that the event loop stays free, and the limit on their work.

Guarantee: work that stands still is given up after ``STILL_SECONDS``, work that goes on after ``limit_seconds`` of CPU
time. Neither a paused process nor a machine that has no CPU to spare is taken for a chain that is stuck.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pipeline.streams.clients import MAX_POLL_SECONDS
from pipeline.streams.exits import Exit, WorkerExit

_T = TypeVar("_T")

#: A chain waits for nothing: one that has used no CPU for longer is stuck.
STILL_SECONDS = 30.0
#: CPU time for one batch: so much, and more for each signal that is known or row that waits. The first sight of a
#: signal, the dearest thing that a chain does, takes a fifth of that.
_LEAST_SECONDS = 40.0
_SECONDS_PER_ROW = 0.0004
_TICK_SECONDS = 0.5
#: CPU time that counts as having worked, in a tick.
_WORKED_SECONDS = 0.001


def limit_seconds(rows: float) -> float:
    """CPU time in which a chain with so many signals and rows that wait must be done with a batch; never more than
    after which Kafka takes us to have gone."""
    return min(_LEAST_SECONDS + _SECONDS_PER_ROW * rows, MAX_POLL_SECONDS)


class ChainThread:
    """One thread, for the chains of ``label``."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=label)
        self._clock: int | None = None

    async def run(self, call: Callable[..., _T], *arguments: Any, rows: float = 0.0) -> _T:
        """The result of a call. Whoever cancels this waits for its end, for the chain is nobody else's until then.

        Raises WorkerExit when it does not end.
        """
        working = asyncio.get_running_loop().run_in_executor(self._executor, self._begin, call, *arguments)
        watch, cancelled = _Watch(self), False
        while not working.done():
            try:
                await asyncio.wait([working], timeout=_TICK_SECONDS)
            except asyncio.CancelledError:
                cancelled = True
                continue
            if not working.done() and (why := watch.stuck(rows)):
                raise WorkerExit(Exit.LOOP_BLOCKED, f"{self._label} was busy with one batch {why}")
        if cancelled:
            raise asyncio.CancelledError
        return working.result()

    def stop(self) -> None:
        self._executor.shutdown(wait=False)

    def _begin(self, call: Callable[..., _T], *arguments: Any) -> _T:
        if self._clock is None and hasattr(time, "pthread_getcpuclockid"):
            self._clock = time.pthread_getcpuclockid(threading.get_ident())
        return call(*arguments)

    def cpu_seconds(self) -> float | None:
        """CPU time of the thread so far; None where the system does not tell."""
        return None if self._clock is None else time.clock_gettime(self._clock)


class _Watch:
    """Counts its own ticks: while the process is paused, there are none."""

    def __init__(self, thread: ChainThread) -> None:
        self._thread = thread
        self._before = thread.cpu_seconds()
        self._worked = self._still = self._waited = 0.0

    def stuck(self, rows: float) -> str:
        """Ask once a tick; says why the work is taken to be stuck, or nothing."""
        now, before = self._thread.cpu_seconds(), self._before
        self._before = now
        self._waited += _TICK_SECONDS
        worked = _TICK_SECONDS if now is None else now - (before or 0.0)
        self._worked += worked
        self._still = 0.0 if worked > _WORKED_SECONDS else self._still + _TICK_SECONDS
        limit = limit_seconds(rows)
        if self._still >= STILL_SECONDS:
            return f"and has stood still for {self._still:.0f} s"
        if self._worked >= limit or self._waited >= MAX_POLL_SECONDS:
            return f"for {self._waited:.0f} s ({self._worked:.0f} s of CPU time; the limit is {limit:.0f} s)"
        return ""
