"""Watches over a worker: an event loop that no longer turns, and a broker that no longer answers, end the process.

Guarantee: neither can hang a worker for longer than the settings say. A process that was paused (SIGSTOP) is not taken
for a blocked one: the watching thread counts its own ticks, and it is paused too.
"""

import asyncio
import faulthandler
import logging
import os
import sys
import threading

from mode import Service

from pipeline.settings import Settings
from pipeline.streams import clients
from pipeline.streams.exits import Exit, WorkerExit

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.5


class LoopWatch:
    """A thread that ends the process when the event loop has not turned for ``limit_seconds``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_seconds: float) -> None:
        self._loop = loop
        self._limit_ticks = max(2, round(limit_seconds / _TICK_SECONDS))
        self._ticks_since_turn = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _turned(self) -> None:
        self._ticks_since_turn = 0

    def _watch(self) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            self._ticks_since_turn += 1
            if self._ticks_since_turn > self._limit_ticks:
                seconds = self._ticks_since_turn * _TICK_SECONDS
                print(f"calmstream: the event loop was blocked for {seconds:.0f} s; ending", file=sys.stderr)
                faulthandler.dump_traceback(file=sys.stderr)
                os._exit(Exit.LOOP_BLOCKED)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._turned)


class BrokerProbe(Service):
    """Asks the broker for its metadata every few seconds; crashes when it has not answered for too long."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self.failure: WorkerExit | None = None

    @Service.task
    async def _probe(self) -> None:
        limit = self._settings.broker.lost_after_seconds
        pause = min(5.0, limit / 4)
        loop = asyncio.get_running_loop()
        answered = last_try = loop.time()
        while not self.should_stop:
            await self.sleep(pause)
            now = loop.time()
            if now - last_try > 3 * pause + 10:  # this process was paused: silence says nothing
                answered = now
            last_try = now
            if await clients.answers(self._settings, pause):
                answered = loop.time()
            elif loop.time() - answered >= limit:
                text = f"the broker at {self._settings.broker.bootstrap} has not answered for {limit:.0f} s"
                self.failure = WorkerExit(Exit.BROKER_LOST, text)
                await self.crash(self.failure)
                return
