"""``calmstream demo``: watch this machine and find the trouble that the demo makes on it."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, NoReturn

import typer

_INTERRUPTED = 128 + signal.SIGINT


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay and watch on, until Ctrl-C.")] = False,
    memory_limit: Annotated[
        int, typer.Option(min=1, help="With --keep: MiB that the broker may use before it starts anew.")
    ] = 512,
    no_disturbance: Annotated[bool, typer.Option("--no-disturbance", hidden=True)] = False,
    warm_up_seconds: Annotated[float | None, typer.Option(hidden=True, min=1)] = None,
) -> None:
    """Watch this machine through Kafka, disturb it twice, and see whether each disturbance becomes one incident.

    Needs no Kafka: a broker in memory and a worker run as child processes, and end with it. Takes two to three minutes.

    Exit codes: 0 every check passed, 1 a check failed or the demo could not run, 130 interrupted
    (with --keep, Ctrl-C is the regular end and the code is that of the checks).
    """
    try:
        from pipeline.demo.story import Options, tell
    except ModuleNotFoundError as missing:
        if missing.name != "psutil":
            raise
        _fail("the demo reads this machine with psutil: pip install calmstream[demo]")
    from pipeline.demo.failure import DemoFailed
    from pipeline.demo.screen import Screen
    from pipeline.streams.broker_process import BrokerError
    from pipeline.streams.clients import KafkaError
    from pipeline.streams.exits import WorkerExit
    from pipeline.streams.topics import TopicError

    logging.disable()  # what matters is raised; what the clients say beside it would break the picture
    options = Options(not no_disturbance, keep, warm_up_seconds, memory_limit * 2**20)
    try:
        raise SystemExit(asyncio.run(_until_told(tell(options, Screen()))))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nInterrupted; everything is stopped.", file=sys.stderr)
        raise SystemExit(_INTERRUPTED) from None
    except (DemoFailed, BrokerError, TopicError, WorkerExit, KafkaError, OSError) as error:
        _fail(str(error))


async def _until_told(story: Coroutine[Any, Any, int]) -> int:
    """SIGTERM ends it as Ctrl-C does."""
    task = asyncio.ensure_future(story)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _fail(message: str) -> NoReturn:
    print(f"calmstream demo: {message}", file=sys.stderr)
    raise SystemExit(1)
