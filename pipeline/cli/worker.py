"""``calmstream worker``: run the roles of a worker until it is stopped."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from pipeline.settings import load


def worker(
    config: Annotated[Path | None, typer.Option(help="YAML file with the configuration.")] = None,
    roles: Annotated[
        str | None, typer.Option(help="Roles to run, with commas: ingest,join,score,correlate (default all).")
    ] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Address of the Kafka broker, host:port.")] = None,
) -> None:
    """Read telemetry from Kafka and publish anomalies and incidents, until stopped.

    Exit codes: 0 stopped, 2 bad configuration, 3 topics missing or wrong, 4 broker lost, 5 event loop blocked,
    6 state unreadable, 7 shutdown took too long, 1 anything else.
    """
    overrides: dict[str, Any] = {}
    if roles:
        overrides["worker"] = {"roles": [role.strip() for role in roles.split(",")]}
    if bootstrap:
        overrides["broker"] = {"bootstrap": bootstrap}
    settings = load(config, overrides)
    logging.basicConfig(level=settings.worker.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("aiokafka", "faust", "mode"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(settings.worker.log_level)))
    from pipeline.flow.warm_up import warm_up

    warm_up(settings.worker.roles)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        raise SystemExit(runner.run(_run(settings)))


async def _run(settings: Any) -> int:
    from pipeline import app
    from pipeline.streams.worker import run

    worker = app.create(settings)
    return int(await run(worker.app, worker.shards, worker.probe, settings))
