"""All verbs in one place."""

import sys

import typer

from pipeline.cli import worker
from pipeline.settings import ConfigurationError

app = typer.Typer(
    name="calmstream",
    help="Telemetry from Kafka in, few and explained incidents out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def calmstream() -> None:
    """Telemetry from Kafka in, few and explained incidents out."""


app.command("worker")(worker.worker)


def main() -> None:
    """Run the command line; a wrong configuration ends with code 2 and a readable message."""
    try:
        app()
    except ConfigurationError as error:
        print(f"calmstream: {error}", file=sys.stderr)
        raise SystemExit(2) from None
