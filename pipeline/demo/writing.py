"""A producer of the demos' own, for as long as it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from pipeline.settings import Settings
from pipeline.streams.clients import start_writer

_STOP_SECONDS = 2.0


@asynccontextmanager
async def writer(settings: Settings) -> AsyncIterator[Any]:
    """A started aiokafka producer; stopped in any case, also when its broker is gone."""
    producer = await start_writer(settings, idempotent=False)  # the embedded broker has none
    try:
        yield producer
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await producer.stop()
