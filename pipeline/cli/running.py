"""Runs what a verb has to wait for, and turns an expected end into one line and an exit code."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import typer

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


def refrain(question: str, *, dry_run: bool, yes: bool) -> int | None:
    """The exit code where what was shown is not to be done; None where it is."""
    if dry_run:
        print("Nothing was done.")
        return 0
    if not yes and not typer.confirm(question, default=False):
        say("Nothing was done.")
        return 1
    return None
