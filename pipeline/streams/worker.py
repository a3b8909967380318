"""Runs the Faust app until a signal or a failure, and turns whatever ended it into an exit code.

Guarantee: after SIGTERM or SIGINT the process ends within ``worker.shutdown_seconds`` plus a second, with state saved
where the broker lets it.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any

import faust
from aiokafka.errors import KafkaError
from mode import Service

from pipeline.settings import Settings
from pipeline.streams import access, agents_group, clients, refusals, topics, unfinished
from pipeline.streams.deliver import DeliverService
from pipeline.streams.endpoints.pages import Endpoints
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.logs import last_words
from pipeline.streams.shard import ShardService
from pipeline.streams.watchdog import BrokerProbe, LoopWatch

log = logging.getLogger(__name__)

#: For a start that is given up to end.
_GIVE_UP_SECONDS = 2.0
#: Bound on a shutdown without a broker: what there is to save cannot be saved.
_WITHOUT_BROKER_SECONDS = 10.0
_LAST_WORDS_SECONDS = 0.5


async def run(
    app: faust.App,
    shards: Sequence[ShardService],
    probe: BrokerProbe,
    endpoints: Endpoints,
    settings: Settings,
    deliveries: Sequence[DeliverService] = (),
) -> Exit:
    """Start the app, wait, stop it; returns the exit code."""
    loop = asyncio.get_running_loop()
    watch = LoopWatch(loop, settings.worker.loop_blocked_seconds)
    watch.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gc.freeze()  # what is loaded by now stays; millions of short-lived records are no reason to look at it again
    gc.set_threshold(100_000, 20, 50)
    refusals.tell_once()
    try:
        if await _unless(stop, _start(app, shards, endpoints, settings)):
            await _until_over([app, endpoints, probe, *shards, *deliveries], stop)
        code = _verdict(app, (*shards, *deliveries), probe, endpoints, settings)
    except WorkerExit as error:
        log.error("%s", error)
        code = error.code
    except (KafkaError, OSError) as error:
        refused = refusals.of_operation(error, settings)
        log.error("%s", refused or f"the broker at {settings.broker.bootstrap} cannot be reached: {error}")
        code = refused.code if refused else Exit.BROKER_LOST
    log.info("stopping; the exit code will be %d", code, extra={"code": int(code)})
    _bound_shutdown(settings.worker.shutdown_seconds, code, lambda: _unfinished(app, loop, shards))
    # At once: each may need the time that a save takes.
    await asyncio.gather(*(_stopping(shard) for shard in (*shards, *deliveries)))
    await _stopping(app)
    await _stopping(endpoints)  # where the app did not come so far as to own them
    watch.stop()
    return code


async def _start(app: faust.App, shards: Sequence[ShardService], endpoints: Endpoints, settings: Settings) -> None:
    await endpoints.start()
    text = "worker with the roles %s, broker %s, endpoints at %s"
    log.info(text, ", ".join(settings.worker.roles), settings.broker.bootstrap, endpoints.where)
    await _check_topics(settings)
    idempotent = await clients.idempotence(settings)
    for shard in shards:
        shard.idempotent = idempotent
    if app.boot_strategy.enable_kafka:
        await agents_group.check(settings, app.conf.id)
    await app.start()


def _stopping(service: Service) -> asyncio.Task[None]:
    return asyncio.create_task(_stop(service), name=unfinished.stopping(service.shortlabel))


async def _stop(service: Service) -> None:
    try:
        await service.stop()
    except Exception as error:  # the others are to stop all the same, and why the worker ends is known
        log.warning("%s did not stop in an orderly way: %r", service.label, error)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do it, but give it up at a stop signal; was it done? Raises what it raises."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait([working], timeout=_GIVE_UP_SECONDS)
        return False
    working.result()
    return True


async def _check_topics(settings: Settings) -> None:
    problems = await topics.check(settings, access.topics_of(settings, settings.worker.roles))
    if problems:
        for problem in problems:
            log.error("%s", problem, extra={"topic": problem.topic})
        raise WorkerExit(Exit.TOPICS, f"{len(problems)} topics are missing or wrong")


async def _until_over(services: Sequence[Service], stop: asyncio.Event) -> None:
    """Wait for a stop signal or for anything to crash."""
    waits = [asyncio.ensure_future(stop.wait())]
    waits += [asyncio.ensure_future(service._crashed.wait()) for service in services]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _verdict(
    app: faust.App,
    shards: Sequence[ShardService | DeliverService],
    probe: BrokerProbe,
    endpoints: Endpoints,
    settings: Settings,
) -> Exit:
    failures = [endpoints.failure, probe.failure, *(shard.failure for shard in shards), app.crash_reason]
    found = next((failure for failure in failures if failure is not None), None)
    if found is None:
        return Exit.CLEAN
    found = refusals.of_operation(found, settings) or found
    if isinstance(found, WorkerExit):
        log.error("%s", found)
        return found.code
    if isinstance(found, KafkaError | OSError):
        return Exit.BROKER_LOST
    log.error("the worker ends by an error that nobody expected", exc_info=found)
    return Exit.FAILED


def _bound_shutdown(seconds: float, code: Exit, waits_for: Callable[[], Iterable[str]]) -> None:
    """End the process when the shutdown takes too long, and say what it waits for."""

    def tell() -> None:
        with contextlib.suppress(OSError):  # whoever keeps the log may have no space left
            last_words(f"calmstream: the shutdown took longer than {seconds:.0f} s; ending")
            for line in waits_for():
                last_words(f"calmstream: not done: {line}")

    def end() -> None:
        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        teller.join(_LAST_WORDS_SECONDS)  # or may read nothing
        os._exit(code if code != Exit.CLEAN else Exit.SHUTDOWN_TOO_LONG)

    seconds = min(seconds, _WITHOUT_BROKER_SECONDS) if code == Exit.BROKER_LOST else seconds
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _unfinished(app: faust.App, loop: asyncio.AbstractEventLoop, shards: Sequence[ShardService]) -> Iterator[str]:
    yield from (f"{shard.label}: {words}" for shard in shards if (words := shard.unfinished()))
    yield from unfinished.told(filter(None, [loop, agents_group.loop_of(app)]))
