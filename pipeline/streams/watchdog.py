"""Watches over a worker: an event loop that no longer turns, a broker that no longer answers, and topics that are no
longer what they were, end the process.

Guarantee: neither can hang a worker for longer than the settings say. A process that was paused (SIGSTOP) is not taken
for a blocked one: the watching thread counts its own ticks, and it is paused too.
"""

import asyncio
import contextlib
import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Mapping

from mode import Service

from pipeline.settings import Settings
from pipeline.streams import access, clients, refusals, topics
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.logs import last_words

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
                with contextlib.suppress(OSError):  # whoever keeps the log may have no space left
                    last_words(f"calmstream: the event loop was blocked for {seconds:.0f} s; ending")
                faulthandler.dump_traceback(file=sys.stderr)
                os._exit(Exit.LOOP_BLOCKED)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._turned)


class BrokerProbe(Service):
    """Asks the broker every few seconds for the topics of this worker; crashes when it has not answered for too long,
    and when a topic is gone or has another number of partitions, which Kafka's clients pass over."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._topics = access.topics_of(settings, settings.worker.roles)
        self._wrong: list[topics.Problem] = []
        self.failure: WorkerExit | None = None

    @Service.task
    async def _probe(self) -> None:
        limit = self._settings.broker.lost_after_seconds
        pause = min(5.0, limit / 4)
        loop = asyncio.get_running_loop()
        answered = last_try = loop.time()
        # As the clients of this worker were made: what they are refused with is not to be mended by a newer password.
        how = clients.connection(self._settings)
        while not self.should_stop:
            await self.sleep(min(pause, max(answered + limit - loop.time(), 0.0)))
            now = loop.time()
            if now - last_try > 3 * pause + 10:  # this process was paused: silence says nothing
                answered = now
            last_try = now
            found = await clients.partition_counts(self._settings, self._topics, pause, how)
            if found is not None:
                answered = loop.time()
                self.failure = self._changed(found)
            elif loop.time() - answered >= limit:
                text = f"the broker at {self._settings.broker.bootstrap} has not answered for {limit:.0f} s"
                self.failure = await refusals.of_connections(self._settings, how) or WorkerExit(Exit.BROKER_LOST, text)
            if self.failure is not None:
                await self.crash(self.failure)
                return

    def _changed(self, found: Mapping[str, int | None]) -> WorkerExit | None:
        """What is wrong with the topics twice in a row: a broker that has just come back may not know all yet."""
        before, self._wrong = self._wrong, self._problems(found)
        lasting = [str(problem) for problem in self._wrong if problem in before]
        if not lasting:
            return None
        return WorkerExit(Exit.TOPICS, f"topics were changed while this worker ran: {'; '.join(lasting)}")

    def _problems(self, found: Mapping[str, int | None]) -> list[topics.Problem]:
        specs = [spec for spec in topics.plan(self._settings) if spec.name in found]
        states = {
            name: None
            if partitions is None
            else topics.TopicState(partitions, 0, led=True, configs={}, set_on_topic={})
            for name, partitions in found.items()
        }
        return topics.problems(specs, states)
