"""Rebalances of a consumer group, told to a service, and errors of Kafka as reasons to end.

Guarantee: what goes wrong in a rebalance ends the service; aiokafka would log it and go on without its partitions.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Protocol

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.flow.chain import UnreadableState
from pipeline.settings import ConfigurationError, Settings
from pipeline.streams import refusals
from pipeline.streams.exits import Exit, WorkerExit

#: Bound on what a service does in a rebalance.
_TIMEOUT_SECONDS = 60.0


class Labelled(Protocol):
    """A service that can say which one it is."""

    settings: Settings

    @property
    def label(self) -> str: ...


class Rebalanced(Labelled, Protocol):
    """A service whose partitions come and go."""

    async def revoked(self, partitions: Collection[TopicPartition]) -> None: ...

    async def assigned(self, partitions: Collection[TopicPartition]) -> None: ...

    async def fail(self, error: BaseException) -> None: ...


class Listener(ConsumerRebalanceListener):
    """aiokafka logs and swallows what its listeners raise, so errors end the service here."""

    def __init__(self, service: Rebalanced) -> None:
        self._service = service

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._guarded(self._service.revoked, revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._guarded(self._service.assigned, assigned)

    async def _guarded(
        self, action: Callable[[Collection[TopicPartition]], Any], partitions: Collection[TopicPartition]
    ) -> None:
        try:
            await asyncio.wait_for(action(partitions), _TIMEOUT_SECONDS)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self._service.fail(explained(error, self._service))


def explained(error: Exception, service: Labelled) -> Exception:
    """The error with the exit code that it means."""
    if isinstance(error, WorkerExit):
        return error
    if isinstance(error, UnreadableState):
        return WorkerExit(Exit.STATE_UNREADABLE, str(error))
    if isinstance(error, ConfigurationError):  # a file of credentials that can no longer be read
        return WorkerExit(Exit.CONFIGURATION, str(error))
    if refused := refusals.of_operation(error, service.settings):
        return refused
    if isinstance(error, KafkaError | TimeoutError | OSError):
        return WorkerExit(Exit.BROKER_LOST, f"{service.label}: the broker failed us: {error!r}")
    return error
