"""Who is in a consumer group now.

Guarantee: nothing is changed on the broker. A group that nobody has joined yet has no members.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pipeline.settings import Settings
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.reading import reachable
from pipeline.streams.topics import admin_client

_PAUSE_SECONDS = 0.2


def group_of(settings: Settings, role: str) -> str:
    """The consumer group of a role."""
    return f"{settings.topic_prefix}{role}"


async def members(settings: Settings, groups: Iterable[str]) -> list[str]:
    """The members of these groups, in words. Raises KafkaError."""
    found = []
    async with admin_client(settings) as admin:
        for group in groups:
            described = await _described(admin, group, settings.broker.request_timeout_seconds)
            for member in described["members"]:
                found.append(f"{group}: {member['client_id']} at {member['client_host'].lstrip('/')}")
    return found


async def _described(admin: AIOKafkaAdminClient, group: str, seconds: float) -> dict[str, Any]:
    """One group at a time: aiokafka 0.14 cannot read an answer about several."""
    until = time.monotonic() + seconds
    while True:
        try:
            (response,) = await admin.describe_consumer_groups([group])
            described: dict[str, Any] = response.to_object()["groups"][0]
            return described
        except KafkaError as error:  # a broker on which no group ever was says at first that it cannot tell
            if not error.retriable or time.monotonic() >= until:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)


async def refuse_members(settings: Settings, names: Iterable[str]) -> None:
    """Raises WorkerExit, which names them, where anybody is in one of these groups."""
    with reachable(settings):
        found = await members(settings, sorted(names))
    if found:
        text = "\n  ".join(found)
        raise WorkerExit(
            Exit.FAILED,
            "workers are running; stop them first (one that was killed leaves its group after "
            f"broker.session_timeout_seconds, {settings.broker.session_timeout_seconds:g} s):\n  {text}",
        )
