"""Opening files for a replay, and what their scores need to know of them.

Guarantee: a file that is missing, of the wrong layout or not to be told from another one is refused here, before
anything is read or written.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

from pipeline.records import Kind, Series, iso
from pipeline.replay.csv_file import CsvFile, Layout
from pipeline.replay.json_files import NdjsonFile, OtlpJsonFile
from pipeline.replay.message import Replayed, ReplayError
from pipeline.replay.refusals import Refusals
from pipeline.replay.score_files import TimeText
from pipeline.replay.times import TimeForm
from pipeline.signals.identity import signal_of


class InputFile(Protocol):
    """A file opened for replay. ``form`` is that of its times, if it has one, known once a message was read."""

    format_name: str
    path: Path
    size: int
    refusals: Refusals
    form: TimeForm | None

    def done(self) -> int:
        """Bytes read so far."""
        ...

    def messages(self) -> Iterator[Replayed]:
        """The file's messages, once. Raises ReplayError when nothing in it can be used."""
        ...


def open_csv(
    paths: Sequence[Path], time_column: str, value_columns: Sequence[str], entity: str | None = None
) -> list[CsvFile]:
    """CSV files; each is an entity named like the file, or all together are ``entity``. Raises ReplayError."""
    if entity is None:
        _refuse_same_stems(paths)
    columns = tuple(dict.fromkeys(value_columns))
    return [CsvFile(_readable(path), Layout(entity or path.stem, time_column, columns)) for path in paths]


def open_json(paths: Sequence[Path], format_name: Literal["ndjson", "otlp-json"]) -> list[InputFile]:
    """Files of NDJSON or OTLP JSON. Raises ReplayError."""
    made = NdjsonFile if format_name == "ndjson" else OtlpJsonFile
    return [made(_readable(path)) for path in paths]


def entity_names(files: Sequence[CsvFile]) -> dict[str, str]:
    """Workload → the entity as the user named it."""
    return {_workload(file.layout.entity): file.layout.entity for file in files}


def time_text(files: Sequence[InputFile]) -> TimeText:
    """Writes times in the form that all files have; RFC 3339 when they have none in common."""

    @cache
    def form() -> TimeForm | None:
        forms = {file.form for file in files}
        return forms.pop() if len(forms) == 1 else None

    def write(time_us: int) -> str:
        common = form()
        return common.write(time_us) if common is not None else iso(time_us)

    return write


def _readable(path: Path) -> Path:
    if path.is_dir():
        raise ReplayError(f"{path} is a directory; name its files")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error.strerror}") from None
    return path


def _refuse_same_stems(paths: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise ReplayError(
                f"{other} and {path} would both be the entity {path.stem!r}; give --entity if they belong together, "
                "or replay them apart"
            )


def _workload(entity: str) -> str:
    series = Series("", "", Kind.GAUGE, (("service.name", entity),))
    return signal_of(series, ()).workload
