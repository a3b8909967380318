"""All verbs in one place."""

import traceback

import typer

from pipeline.cli import (
    backtest,
    broker,
    dead_letter,
    demo,
    evaluate,
    incidents,
    inputs,
    maintenance,
    policy,
    replay,
    signal,
    signals,
    silence,
    sinks,
    state,
    topics,
    why,
    worker,
)
from pipeline.cli.terminal import say
from pipeline.settings import ConfigurationError
from pipeline.streams import logs

app = typer.Typer(
    name="calmstream",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
)

_RUN, _LOOK = "Run", "Look"


@app.callback()
def calmstream() -> None:
    """Telemetry from Kafka in, few and explained incidents out.

    To try it without Kafka, in three terminals:

    1. `calmstream broker --topics`
    2. `CALMSTREAM_BROKER__IDEMPOTENCE=if-available calmstream worker`
    3. `calmstream incidents --follow`

    With Kafka: `calmstream topics create --bootstrap host:port`, then `calmstream worker --bootstrap host:port`.

    Every setting can be given in a YAML file (`--config FILE` or `CALMSTREAM_CONFIG`) and in the environment (for
    instance `CALMSTREAM_BROKER__BOOTSTRAP=host:port`); flags are stronger than both.

    Exit codes: 0 done, 1 failed or found something, 2 wrong arguments or configuration, 3 topics missing or wrong,
    4 broker not reached or lost, 6 state unreadable, 8 refused by Kafka (credentials, certificate, rights).
    """


app.command("worker", rich_help_panel=_RUN)(worker.worker)
app.command("demo", rich_help_panel=_RUN)(demo.demo)
app.command("broker", rich_help_panel=_RUN)(broker.broker)
app.command("replay", rich_help_panel=_RUN)(replay.replay)
app.command("backtest", rich_help_panel=_RUN)(backtest.backtest)
app.command("evaluate", rich_help_panel=_RUN)(evaluate.evaluate)
app.add_typer(topics.app, name="topics", rich_help_panel=_RUN)
app.add_typer(policy.app, name="policy", rich_help_panel=_RUN)
app.add_typer(silence.app, name="silence", rich_help_panel=_RUN)
app.add_typer(maintenance.app, name="maintenance", rich_help_panel=_RUN)
app.add_typer(sinks.app, name="sinks", rich_help_panel=_RUN)
app.add_typer(state.app, name="state", rich_help_panel=_RUN)
app.add_typer(incidents.app, name="incidents", rich_help_panel=_LOOK)
app.command("signals", rich_help_panel=_LOOK)(signals.signals)
app.add_typer(signal.app, name="signal", rich_help_panel=_LOOK)
app.command("why", rich_help_panel=_LOOK)(why.why)
app.add_typer(inputs.app, name="inputs", rich_help_panel=_LOOK)
app.add_typer(dead_letter.app, name="dead-letter", rich_help_panel=_LOOK)


def main() -> None:
    """Run the command line; a wrong configuration ends with code 2 and a readable message."""
    logs.set_up("WARNING")
    try:
        app()
    except ConfigurationError as error:
        say(*f"calmstream: {error}".split("\n"))
        raise SystemExit(2) from None
    except Exception:
        say("calmstream: an error that nobody expected", *traceback.format_exc().splitlines())
        raise SystemExit(1) from None
