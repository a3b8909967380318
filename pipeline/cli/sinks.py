"""``calmstream sinks``: where incidents are delivered, and a test of one sink."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.running import run
from pipeline.cli.terminal import say
from pipeline.settings import ConfigurationError, Settings, SinkSettings, load

app = typer.Typer(no_args_is_help=True, help="Where incidents are delivered; docs/sinks.md.")

_Config = Annotated[Path | None, typer.Option(help="YAML file with the configuration.")]


@app.command("list")
def list_sinks(config: _Config = None) -> None:
    """The sinks of the configuration, one a line. Their templates and files of secrets are checked too."""
    from pipeline.streams.destinations import destination

    for sink in load(config).sinks:
        destination(sink)
        conditions = " and ".join([f"severity at least {sink.severity}", *map(str, sink.matchers)])
        say(f"{sink.name}  {sink.type}  {sink.url or sink.topic or sink.channel or '-'}  {conditions}")


@app.command("test")
def try_out(
    name: Annotated[str, typer.Argument(help="The name of a sink.")],
    config: _Config = None,
) -> None:
    """Send a marked test incident to a sink, and its end. Exit code 1 where the sink does not take it."""
    settings = load(config)
    found = next((sink for sink in settings.sinks if sink.name == name), None)
    if found is None:
        known = ", ".join(sink.name for sink in settings.sinks) or "none"
        raise ConfigurationError(f"no sink is named {name}; there are: {known}")
    raise SystemExit(run(_test(settings, found)))


async def _test(settings: Settings, sink: SinkSettings) -> int:
    from pipeline.sinks.protocol import Delivered, Kept, TryAgain
    from pipeline.streams import clients
    from pipeline.streams.destinations import Sender, destination

    to = destination(sink)
    producer = await clients.start_writer(settings, idempotent=False) if sink.topic else None
    kept: Kept = {}
    try:
        async with Sender(sink, producer) as sender:
            for incident in _incidents(time.time()):
                while (message := to.tell(incident, kept, time.time())) is not None:
                    answer = await sender.send(message)
                    outcome = answer if isinstance(answer, TryAgain) else to.judge(answer, incident, kept)
                    if not isinstance(outcome, Delivered):
                        say(f"{sink.name} did not take it: {outcome}")
                        return 1
                    kept = outcome.kept
                say(f"{sink.name}: {incident['transition']} was taken")
    finally:
        if producer is not None:
            await producer.stop()
    return 0


def _incidents(now: float) -> list[dict[str, Any]]:
    """A beginning and an end, marked as a test."""
    from pipeline.sinks.protocol import moment

    begun: dict[str, Any] = {
        "id": f"calmstream-test-{int(now)}",
        "dedup_key": f"calmstream-test-{int(now)}",
        "revision": 1,
        "transition": "opened",
        "state": "open",
        "severity": "warning",
        "severity_reasons": ["this is a test"],
        "scope": "calmstream-test",
        "title": "TEST of Calmstream: no incident",
        "onset_time": moment(now),
        "detected_time": moment(now),
        "updated_time": moment(now),
        "resolved_time": None,
        "members": [],
        "member_count": 0,
    }
    ended = {"revision": 2, "transition": "resolved", "state": "resolved", "resolved_time": moment(now + 1)}
    return [begun, begun | ended | {"updated_time": moment(now + 1)}]
