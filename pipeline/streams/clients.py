"""Every Kafka client of ours, made from the one validated configuration.

Guarantee: each has the transport security and the credentials of ``settings.broker`` (``security``).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from pipeline.settings import Settings
from pipeline.streams import batches, refusals, security
from pipeline.streams.exits import Exit, WorkerExit

log = logging.getLogger(__name__)

#: Largest record we write: a block of one message's points with their descriptions.
MAX_RECORD_BYTES = 16 * 2**20
#: What one look at one partition brings at most (a larger record still comes): bounds the time of a turn.
_FETCH_BYTES = 2 * 2**20
_STOP_SECONDS = 3.0
#: A member of a group that asks for nothing for longer leaves it.
MAX_POLL_SECONDS = 300.0


def connection(settings: Settings) -> dict[str, Any]:
    """What every client needs to reach the broker. Raises ConfigurationError where a file cannot be read or used."""
    return {
        "bootstrap_servers": settings.broker.bootstrap,
        "request_timeout_ms": int(settings.broker.request_timeout_seconds * 1000),
        **security.options(settings.broker),
    }


@asynccontextmanager
async def connecting(settings: Settings) -> AsyncIterator[None]:
    """Start a client in this block: WorkerExit says who refuses whom, where that is why it cannot connect."""
    try:
        yield
    except KafkaConnectionError:
        if refused := await refusals.of_connections(settings, connection(settings)):
            raise refused from None
        raise


def reader(settings: Settings, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """A consumer that never commits by itself and starts at the beginning unless told otherwise."""
    defaults: dict[str, Any] = {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": _FETCH_BYTES,
        "fetch_max_bytes": 4 * _FETCH_BYTES,
        "fetch_max_wait_ms": 100,
    }
    batches.install()
    return AIOKafkaConsumer(*topics, **(connection(settings) | defaults | options))


def group_reader(settings: Settings, group: str, **options: Any) -> AIOKafkaConsumer:
    """A member of a consumer group."""
    session_ms = int(settings.broker.session_timeout_seconds * 1000)
    group_options = {
        "group_id": group,
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": max(session_ms // 5, 500),
        "max_poll_interval_ms": int(MAX_POLL_SECONDS * 1000),
        "rebalance_timeout_ms": max(session_ms, 10_000),
    }
    return reader(settings, **(group_options | options))


async def stop_reader(consumer: AIOKafkaConsumer, seconds: float = _STOP_SECONDS) -> None:
    """Stop a consumer, whatever aiokafka 0.14 does: while a broker is gone, the cancellation of its own fetch escapes
    from ``stop``; right after a change of assignment the cancellation is lost and ``stop`` waits for ever."""
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stopping], timeout=seconds)
    stopping.cancel()
    await asyncio.wait([stopping], timeout=seconds)
    if stopping.done() and not stopping.cancelled() and (error := stopping.exception()):
        log.debug("a consumer did not stop in an orderly way: %r", error)


async def idempotence(settings: Settings) -> bool:
    """Does the broker hand out producer ids, as idempotent producing needs?

    Raises WorkerExit when it does not though ``broker.idempotence`` is ``required``; where it is only wished for, the
    log says so. Raises KafkaError when the broker cannot be reached.
    """
    if await _hands_out_producer_ids(settings):
        return True
    if settings.broker.idempotence == "required":
        raise WorkerExit(
            Exit.CONFIGURATION,
            f"the broker at {settings.broker.bootstrap} refuses idempotent producing, which broker.idempotence "
            "requires; use Apache Kafka, or set broker.idempotence to if-available where repeats after a lost "
            "connection are acceptable",
        )
    log.warning("The broker refuses idempotent producing: a lost connection may repeat records.")
    return False


async def _hands_out_producer_ids(settings: Settings) -> bool:
    client = AIOKafkaClient(**connection(settings))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.broker.request_timeout_seconds
    try:
        async with connecting(settings):
            await client.bootstrap()
        while True:
            request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
            response = await client.send(client.get_random_node(), request)
            if response.error_code == 0:
                return True
            error = for_code(response.error_code)
            if refused := refusals.of_operation(error(), settings):
                raise refused
            if not error.retriable or loop.time() > deadline:
                return False
            await asyncio.sleep(0.2)  # a broker that has just started
    finally:
        await client.close()


async def start_writer(settings: Settings, *, idempotent: bool) -> AIOKafkaProducer:
    """A started producer that waits for all in-sync replicas.

    Raises KafkaError when the broker cannot be reached, WorkerExit when it refuses us.
    """
    producer = AIOKafkaProducer(
        **connection(settings),
        acks="all",
        linger_ms=5,
        max_batch_size=2**20,
        max_request_size=MAX_RECORD_BYTES,
        enable_idempotence=idempotent,
    )
    async with connecting(settings):
        await producer.start()
    return producer


async def partition_counts(
    settings: Settings, topics: Collection[str], seconds: float, how: dict[str, Any] | None = None
) -> dict[str, int | None] | None:
    """How many partitions each topic has, None where it is missing; one that we may not look at, or that is just being
    made, is left out. None when the broker does not answer in time. ``how``: from ``connection``, made earlier."""
    client = AIOKafkaClient(**(how if how is not None else connection(settings)))
    try:
        async with asyncio.timeout(seconds):
            await client.bootstrap()
            request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
            answer = await client.send(client.get_random_node(), request)
    except (TimeoutError, KafkaError, OSError):
        return None
    finally:
        await client.close()
    missing = UnknownTopicOrPartitionError.errno
    found = {
        name: None if code else len(partitions) for code, name, *_, partitions in answer.topics if code in (0, missing)
    }
    return found if answer.brokers else {}


async def answers(settings: Settings, seconds: float, how: dict[str, Any] | None = None) -> bool:
    """Does the broker answer a metadata request within so many seconds? ``how``: from ``connection``, made earlier."""
    client = AIOKafkaClient(**(how if how is not None else connection(settings)))
    try:
        async with asyncio.timeout(seconds):
            await client.bootstrap()
            return True
    except (TimeoutError, KafkaError, OSError):
        return False
    finally:
        await client.close()
