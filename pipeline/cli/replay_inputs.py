"""What ``calmstream replay`` and ``calmstream backtest`` are given: files or a stretch, and the settings to try."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipeline.cli.policy_files import read_policies
from pipeline.policies import Policy
from pipeline.policies.form import form_of
from pipeline.settings import Settings, load


class Format(StrEnum):
    """How files are written."""

    CSV = "csv"
    NDJSON = "ndjson"
    OTLP_JSON = "otlp-json"


Files = Annotated[list[Path] | None, typer.Argument(help="Files to read, all of one format.")]
FileFormat = Annotated[Format | None, typer.Option("--format", help="How the files are written.")]
TimeColumn = Annotated[str, typer.Option(help="CSV: the column of times.")]
ValueColumns = Annotated[
    list[str], typer.Option(help="CSV: a column of values; each becomes a signal. May be given several times.")
]
Entity = Annotated[
    str | None, typer.Option(help="CSV: what the values belong to (default: each file's name without its ending).")
]
WindowSeconds = Annotated[float | None, typer.Option(help="Length of the windows, instead of time.window_seconds.")]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a CSV file has its times and values, and what they belong to."""

    time_column: str
    value_columns: Sequence[str]
    entity: str | None


def open_files(paths: Sequence[Path], file_format: Format, layout: Layout) -> tuple[Sequence[Any], dict[str, str]]:
    """The files, and the names of the entities in them. Raises ReplayError."""
    from pipeline.replay import files

    if file_format is Format.CSV:
        tables = files.open_csv(paths, layout.time_column, layout.value_columns, layout.entity)
        return tables, files.entity_names(tables)
    kind: Literal["ndjson", "otlp-json"] = "ndjson" if file_format is Format.NDJSON else "otlp-json"
    return files.open_json(paths, kind), {}


def check_files(
    files: Sequence[Path], file_format: Format | None, entity: str | None, since: str | None, until: str | None
) -> None:
    """Raises BadParameter where what is said of files does not go together."""
    if files and file_format is None:
        raise typer.BadParameter(f"say how the files are written: --format {'|'.join(Format)}")
    if files and (since or until):
        raise typer.BadParameter("--from and --to choose a stretch of a topic; a file is replayed as a whole")
    if entity is not None and file_format is not Format.CSV:
        raise typer.BadParameter("--entity is for CSV files; other formats say themselves what a value belongs to")
    if entity is not None and not entity.strip():
        raise typer.BadParameter("--entity is empty; give it a name")


def settings_with(
    config: Path | None,
    bootstrap: str | None,
    window_seconds: float | None,
    policies: Sequence[Path] = (),
    in_force: Sequence[Policy] = (),
) -> Settings:
    """The configuration with the policies of files, which go before those that are in force, and these before those of
    the configuration with the same name. Raises ConfigurationError."""
    overrides: dict[str, Any] = {}
    if bootstrap:
        overrides["broker"] = {"bootstrap": bootstrap}
    if window_seconds is not None:
        overrides["time"] = {"window_seconds": window_seconds}
    settings = load(config, overrides)
    if not policies and not in_force:
        return settings
    chosen = {policy.name: policy for policy in (*settings.policies, *in_force, *read_policies(policies))}
    return load(config, overrides | {"policies": [form_of(policy) for policy in chosen.values()]})


def milliseconds(text: str | None) -> int | None:
    """A time as people write it in milliseconds since 1970. Raises BadParameter."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time; write 2026-01-31T14:00:00Z") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
