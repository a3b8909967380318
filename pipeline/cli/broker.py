"""``calmstream broker``: a small broker in memory, for a first run without Kafka."""

import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import settings_of
from pipeline.cli.terminal import say


def broker(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it listens, on 127.0.0.1 only.")] = 9092,
    topics: Annotated[bool, typer.Option("--topics", help="Create Calmstream's topics too.")] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file with the configuration, for --topics.")] = None,
) -> None:
    """Run the embedded broker on this machine until Ctrl-C.

    It speaks Kafka's protocol, keeps everything in memory and forgets it at the end: for trying out and for tests.
    It comes with `pip install calmstream[demo]`.
    """
    from pipeline.streams.broker_process import BrokerError
    from pipeline.streams.embedded import EmbeddedBroker

    settings = settings_of(config, f"127.0.0.1:{port}")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with EmbeddedBroker(port=port) as running:
            code = _create_topics(settings) if topics else 0
            if code == 0:
                _introduce(running.bootstrap, with_topics=topics)
                code = _serve(running, stop)
    except BrokerError as error:
        say(*f"calmstream: {error}".split("\n"))
        code = 1
    raise typer.Exit(code)


def _create_topics(settings: Any) -> int:
    from pipeline.cli.running import run
    from pipeline.cli.topics import create_topics

    return run(create_topics(settings))


def _introduce(bootstrap: str, *, with_topics: bool) -> None:
    print(f"Broker ready: {bootstrap}")
    print("It keeps everything in memory: when it stops, all messages and all that was learnt are gone.")
    if not with_topics:
        print(f"Create the topics:  calmstream topics create --bootstrap {bootstrap}")
    print(f"Start a worker:     CALMSTREAM_BROKER__IDEMPOTENCE=if-available calmstream worker --bootstrap {bootstrap}")
    print("Stop with Ctrl-C.", flush=True)


def _serve(running: Any, stop: threading.Event) -> int:
    """Wait for the signal; returns 4 when the broker ended by itself."""
    while not stop.wait(0.5):
        if running.pid is None:
            say("calmstream: the broker ended by itself")
            return 4
    return 0
