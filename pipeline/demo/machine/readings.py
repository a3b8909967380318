"""Readings of this machine, on their way to Kafka."""

import asyncio
import time
from collections.abc import Callable

from pipeline.demo.machine.host import Host
from pipeline.demo.writing import writer
from pipeline.settings import Settings

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
        async with writer(self._settings) as producer:
            due = time.monotonic()
            while True:
                check()
                reading = self._host.read()
                await producer.send_and_wait(topic, reading.request)
                self.points += reading.points
                due = max(due + _INTERVAL_SECONDS, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
