"""Runs what a verb has to wait for, and turns an expected end into one line and an exit code."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from pipeline.cli.terminal import say


def run(work: Coroutine[Any, Any, int]) -> int:
    """The exit code of the work; of the reason where it could not be done; 130 after Ctrl-C."""
    from pipeline.flow.chain import UnreadableState
    from pipeline.streams.exits import Exit, WorkerExit

    # The client logs every failed attempt to connect; what matters of it is in the one line below.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
    try:
        return asyncio.run(work)
    except WorkerExit as reason:
        say(*f"calmstream: {reason}".split("\n"))
        return int(reason.code)
    except UnreadableState as reason:
        say(f"calmstream: {reason}")
        return int(Exit.STATE_UNREADABLE)
    except KeyboardInterrupt:
        return 130
