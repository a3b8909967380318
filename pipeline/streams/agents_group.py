"""Sees to it that Faust's own consumer is heard when Kafka refuses it something.

Faust takes the errors of its consumer's group from nobody: it would wait for ever, before its agents begin or while
they seem to work. Guarantee: a group that we may not be in ends the worker, at its start and at any time later.
"""

import asyncio
from typing import Any

import faust
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from aiokafka.protocol.group import HeartbeatRequest
from mode import Service

from pipeline.settings import Settings
from pipeline.streams import clients
from pipeline.streams.rebalances import explained

_PAUSE_SECONDS = 0.2
_LOOK_SECONDS = 1.0


async def check(settings: Settings, group: str) -> None:
    """Raises GroupAuthorizationFailedError where Kafka does not let us into the group."""
    client = AIOKafkaClient(**clients.connection(settings))
    try:
        async with clients.connecting(settings):
            await client.bootstrap()
        # The heartbeat of a member that there is not: Kafka says first whether we may send one.
        answer = await client.send(await _coordinator(settings, client, group), HeartbeatRequest(group, -1, ""))
        if answer.error_code == GroupAuthorizationFailedError.errno:
            raise GroupAuthorizationFailedError
    except GroupAuthorizationFailedError:
        raise GroupAuthorizationFailedError(group) from None
    except KafkaError:
        return  # whatever it is, it says nothing about the group, and those who are in it meet it too
    finally:
        await client.close()


async def _coordinator(settings: Settings, client: AIOKafkaClient, group: str) -> int:
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.broker.request_timeout_seconds
    while True:
        try:
            node: int = await client.coordinator_lookup(CoordinationType.GROUP, group)
            return node
        except KafkaError as error:
            if not error.retriable or loop.time() > until:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)  # a broker makes the place of its groups when it is first asked for one


class AgentsWatch(Service):
    """Looks at the group of Faust's consumer, and crashes when it has failed."""

    def __init__(self, app: faust.App, settings: Settings) -> None:
        super().__init__()
        self._app = app
        self.settings = settings

    @property
    def label(self) -> str:
        return "ordinary agents"

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            await self.sleep(_LOOK_SECONDS)
            if error := _failure(self._app):
                await self.crash(explained(error, self))
                return


def _failure(app: faust.App) -> Exception | None:
    """What the consumer's group would tell whoever asked it for records."""
    thread = getattr(app.consumer, "_thread", None)
    coordinator: Any = getattr(getattr(thread, "_consumer", None), "_coordinator", None)
    pending: Exception | None = getattr(coordinator, "_pending_exception", None)
    return pending


def loop_of(app: faust.App) -> asyncio.AbstractEventLoop | None:
    """That of the thread in which Faust's consumer runs, if it does."""
    thread = getattr(app._consumer, "_thread", None)
    loop: asyncio.AbstractEventLoop | None = getattr(thread, "thread_loop", None)
    return loop
