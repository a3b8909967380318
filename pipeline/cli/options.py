"""Options that several verbs share, and the settings that they make."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.settings import Settings, load

Config = Annotated[Path | None, typer.Option(help="YAML file with the configuration.")]
Bootstrap = Annotated[str | None, typer.Option(help="Address of the Kafka broker, host:port.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def settings_of(config: Path | None, bootstrap: str | None) -> Settings:
    """The configuration, with the flags above file and environment. Raises ConfigurationError."""
    overrides: dict[str, Any] = {"broker": {"bootstrap": bootstrap}} if bootstrap else {}
    return load(config, overrides)


def seconds_of(text: str) -> float:
    """``90s``, ``15m``, ``1h`` or ``2d`` → seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a length of time; write 30s, 15m, 1h or 2d")
    return float(found[1]) * _UNITS[found[2]]
