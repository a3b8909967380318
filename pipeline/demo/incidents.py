"""Incident transitions from Kafka, as they come."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from pipeline.codecs import incident_event
from pipeline.demo.transitions import Transition
from pipeline.records import US
from pipeline.settings import Settings
from pipeline.streams.clients import reader, stop_reader


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
            await stop_reader(consumer)

    async def news(self, within_seconds: float) -> None:
        """Wait for the next transition, at most so long."""
        self._news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), within_seconds)

    def _take(self, transition: Transition) -> None:
        self.transitions.append(transition)
        self._told(transition)
        self._news.set()
