"""Runs the Faust app until a signal or a failure, and turns whatever ended it into an exit code.

Guarantee: after SIGTERM or SIGINT the process ends within ``worker.shutdown_seconds`` plus a second, with state saved
where the broker lets it.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

import faust
from aiokafka.errors import KafkaError
from mode import Service

from pipeline.settings import Settings
from pipeline.streams import clients, topics
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.shard import ShardService
from pipeline.streams.watchdog import BrokerProbe, LoopWatch

log = logging.getLogger(__name__)


async def run(app: faust.App, shards: Sequence[ShardService], probe: BrokerProbe, settings: Settings) -> Exit:
    """Start the app, wait, stop it; returns the exit code."""
    loop = asyncio.get_running_loop()
    watch = LoopWatch(loop, settings.worker.loop_blocked_seconds)
    watch.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gc.freeze()  # what is loaded by now stays; millions of short-lived records are no reason to look at it again
    gc.set_threshold(100_000, 20, 50)
    try:
        await _check_topics(settings)
        idempotent = await clients.idempotence(settings)
        for shard in shards:
            shard.idempotent = idempotent
        await app.start()
        await _until_over(app, shards, probe, stop)
        code = _verdict(app, shards, probe)
    except WorkerExit as error:
        log.error("%s", error)
        code = error.code
    except (KafkaError, OSError) as error:
        log.error("the broker at %s cannot be reached: %s", settings.broker.bootstrap, error)
        code = Exit.BROKER_LOST
    _bound_shutdown(settings.worker.shutdown_seconds, code)
    await app.stop()
    watch.stop()
    return code


async def _check_topics(settings: Settings) -> None:
    problems = await topics.check(settings)
    if problems:
        lines = "\n  ".join(str(problem) for problem in problems)
        raise WorkerExit(Exit.TOPICS, f"topics are missing or wrong:\n  {lines}")


async def _until_over(app: faust.App, shards: Sequence[ShardService], probe: BrokerProbe, stop: asyncio.Event) -> None:
    """Wait for a stop signal or for anything to crash."""
    services: list[Service] = [app, probe, *shards]
    waits = [asyncio.ensure_future(stop.wait())]
    waits += [asyncio.ensure_future(service._crashed.wait()) for service in services]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _verdict(app: faust.App, shards: Sequence[ShardService], probe: BrokerProbe) -> Exit:
    failures = [probe.failure, *(shard.failure for shard in shards), app.crash_reason]
    found = next((failure for failure in failures if failure is not None), None)
    if found is None:
        return Exit.CLEAN
    if isinstance(found, WorkerExit):
        log.error("%s", found)
        return found.code
    if isinstance(found, KafkaError | OSError):
        return Exit.BROKER_LOST
    return Exit.FAILED


def _bound_shutdown(seconds: float, code: Exit) -> None:
    """End the process when the shutdown takes too long."""

    def end() -> None:
        print(f"calmstream: the shutdown took longer than {seconds:.0f} s; ending", file=sys.stderr, flush=True)
        os._exit(code if code != Exit.CLEAN else Exit.SHUTDOWN_TOO_LONG)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
