"""What goes to and comes from Kafka during the demo: readings of this machine in, incident transitions out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pipeline.codecs import incident_event
from pipeline.demo.host import Host
from pipeline.demo.judge import Transition
from pipeline.records import US
from pipeline.settings import Settings
from pipeline.streams.clients import reader, start_writer

_INTERVAL_SECONDS = 1.0


class Readings:
    """Reads the machine every second and sends what it read. ``points`` counts those that the broker has."""

    def __init__(self, host: Host, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self.points = 0

    async def run(self, check: Callable[[], None]) -> None:
        """Until cancelled; ``check`` is called each time and raises when there is no point in going on."""
        (topic,) = (source.topic for source in self._settings.inputs)
        producer = await start_writer(self._settings, idempotent=False)  # the embedded broker has none
        try:
            due = time.monotonic()
            while True:
                check()
                reading = self._host.read()
                await producer.send_and_wait(topic, reading.request)
                self.points += reading.points
                due = max(due + _INTERVAL_SECONDS, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
        finally:
            await _stop(producer.stop)


class Incidents:
    """Every transition on the incidents topic, in the order received; ``told`` is called for each."""

    def __init__(self, settings: Settings, told: Callable[[Transition], None]) -> None:
        self._settings = settings
        self._told = told
        self._news = asyncio.Event()
        self.transitions: list[Transition] = []

    async def run(self) -> None:
        """Until cancelled."""
        consumer = reader(self._settings, self._settings.topic("incidents"))
        try:
            await consumer.start()
            async for record in consumer:
                decided = int(dict(record.headers)["calm_decided_us"]) / US
                self._take(Transition(time.time(), decided, incident_event.decode(record)))
        finally:
            await _stop(consumer.stop)

    async def news(self, within_seconds: float) -> None:
        """Wait for the next transition, at most so long."""
        self._news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), within_seconds)

    def _take(self, transition: Transition) -> None:
        self.transitions.append(transition)
        self._told(transition)
        self._news.set()


async def _stop(stop: Callable[[], Awaitable[None]]) -> None:
    """Stop a client, also one whose broker is gone."""
    with suppress(TimeoutError):
        async with asyncio.timeout(2.0):
            await stop()
