"""``calmstream demo``: watch a small shop or this machine, and find the trouble that the demo makes there."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer

from pipeline.cli.terminal import say

_INTERRUPTED = 128 + signal.SIGINT
_EXTRA = ("psutil", "opentelemetry")


class Demo(StrEnum):
    """What is watched."""

    SHOP = "shop"
    MACHINE = "machine"


def demo(
    what: Annotated[Demo, typer.Argument(help="What is watched.")] = Demo.SHOP,
    keep: Annotated[bool, typer.Option("--keep", help="Stay and watch on, until Ctrl-C.")] = False,
    memory_limit: Annotated[
        int, typer.Option(min=1, help="With --keep: MiB that the broker may use before it starts anew.")
    ] = 512,
    no_disturbance: Annotated[bool, typer.Option("--no-disturbance", hidden=True)] = False,
    warm_up_seconds: Annotated[float | None, typer.Option(hidden=True, min=1)] = None,
) -> None:
    """Watch a shop of six services, deploy a bad version of one, and see whether one incident names it and the change.

    With `machine`: watch this machine, disturb it twice, and see whether each disturbance becomes one incident.

    Needs no Kafka: a broker in memory, a worker and the services run as child processes on loopback, and end with it.
    Takes two to three minutes.

    Exit codes: 0 every check passed, 1 a check failed or the demo could not run, 130 interrupted
    (with --keep, Ctrl-C is the regular end and the code is that of the checks).
    """
    from pipeline.demo.failure import DemoFailed
    from pipeline.streams.broker_process import BrokerError
    from pipeline.streams.clients import KafkaError
    from pipeline.streams.exits import WorkerExit
    from pipeline.streams.topics import TopicError

    logging.disable()  # what matters is raised; what the clients say beside it would break the picture
    story = _story(what, not no_disturbance, keep, warm_up_seconds, memory_limit * 2**20)
    try:
        raise SystemExit(asyncio.run(_until_told(story)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nInterrupted; everything is stopped.", file=sys.stderr)
        raise SystemExit(_INTERRUPTED) from None
    except (DemoFailed, BrokerError, TopicError, WorkerExit, KafkaError, OSError) as error:
        _fail(str(error))


def _story(
    what: Demo, disturb: bool, keep: bool, warm_up_seconds: float | None, memory_limit_bytes: int
) -> Coroutine[Any, Any, int]:
    try:
        from pipeline.demo.machine import story as of_machine
        from pipeline.demo.screen import Screen
        from pipeline.demo.shop import story as of_shop
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        _fail(f"the demo needs {missing.name}, which comes with an extra: pip install calmstream[demo]")
    if what is Demo.MACHINE:
        return of_machine.tell(of_machine.Options(disturb, keep, warm_up_seconds, memory_limit_bytes), Screen())
    return of_shop.tell(of_shop.Options(disturb, keep, warm_up_seconds, memory_limit_bytes), Screen())


async def _until_told(story: Coroutine[Any, Any, int]) -> int:
    """SIGTERM ends it as Ctrl-C does."""
    task = asyncio.ensure_future(story)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _fail(message: str) -> NoReturn:
    say(*f"calmstream demo: {message}".split("\n"))
    raise SystemExit(1)
