"""``calmstream worker``: run the roles of a worker until it is stopped."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from pipeline.settings import ConfigurationError, load
from pipeline.streams import logs


def worker(
    config: Annotated[Path | None, typer.Option(help="YAML file with the configuration.")] = None,
    roles: Annotated[
        str | None,
        typer.Option(help="Roles to run, with commas: ingest,join,score,correlate,deliver (the default), shadow."),
    ] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Address of the Kafka broker, host:port.")] = None,
) -> None:
    """Read telemetry from Kafka and publish anomalies and incidents, until stopped.

    Exit codes: 0 stopped, 2 bad configuration, 3 topics missing or wrong, 4 broker lost, 5 event loop blocked,
    6 state unreadable, 7 shutdown took too long, 8 refused by Kafka (credentials, certificate,
    rights), 1 anything else.
    """
    signal.signal(signal.SIGTERM, _stopped_before_it_began)
    overrides: dict[str, Any] = {}
    if roles:
        overrides["worker"] = {"roles": [role.strip() for role in roles.split(",")]}
    if bootstrap:
        overrides["broker"] = {"bootstrap": bootstrap}
    settings = load(config, overrides)
    logs.set_up(settings.worker.log_level, settings.worker.log_format)
    from pipeline.flow.warm_up import warm_up

    warm_up(settings.worker.roles)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            code = runner.run(_run(settings))
        except ConfigurationError:  # a file that cannot be read or used; the command line says it in one line
            raise
        except Exception:
            logging.getLogger(__name__).exception("the worker ends by an error that nobody expected")
            code = 1
    _let_go_of_words()
    raise SystemExit(code)


def _let_go_of_words() -> None:
    """What the log could not take, because a disk is full, is lost: Python would end with a code of its own for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _stopped_before_it_began(*_: object) -> None:
    """SIGTERM until the event loop takes it: nothing is held yet, so there is nothing to save. It comes at any line of
    what is being imported and compiled; an exception would be lost where nobody passes it on, as in a ``__del__``."""
    os._exit(0)


async def _run(settings: Any) -> int:
    from pipeline import app
    from pipeline.streams.worker import run

    worker = app.create(settings)
    return int(await run(worker.app, worker.shards, worker.probe, worker.endpoints, settings, worker.deliveries))
