"""Reading labelled streams of alerts: folders of ``<scenario>.csv`` or ``.csv.xz``.

Guarantee: every alert of a file, in the order of time, or an error that says what is wrong, where, and what would be
right.
"""

import csv
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pipeline.evaluation.table import BadData

_COLUMNS = ("time", "name", "host", "ip", "time_label", "event_label")
#: Labels of alerts that are no attack: by the time at which they came, and by what set them off.
NO_ATTACK = frozenset({"-", "", "false_positive"})


@dataclass(frozen=True, slots=True, order=True)
class Alert:
    """``step`` is the step of an attack that set it off, ``phase`` that in whose time it came; empty for none."""

    second: int
    name: str
    host: str
    ip: str
    step: str
    phase: str


def scenarios(folder: Path) -> list[Path]:
    """The files of a folder, by name. Raises BadData."""
    what = "name the folder that holds <scenario>.csv.xz (time,name,ip,host,short,time_label,event_label)"
    if not folder.is_dir():
        raise BadData(f"{folder} is not a folder; {what}")
    found = sorted([*folder.glob("*.csv"), *folder.glob("*.csv.xz")])
    if not found:
        raise BadData(f"{folder} holds no *.csv or *.csv.xz; {what}")
    return found


def name_of(path: Path) -> str:
    return path.name.removesuffix(".xz").removesuffix(".csv")


def read(path: Path) -> list[Alert]:
    """The alerts of a file. Raises BadData."""
    try:
        with _opened(path) as file:
            found = sorted(_alerts(path, file))
    except (OSError, EOFError, lzma.LZMAError, csv.Error, UnicodeDecodeError) as error:
        raise BadData(f"{path} cannot be read: {error}") from None
    if not found:
        raise BadData(f"{path} holds no alert; write a line of {','.join(_COLUMNS)} for each")
    return found


def _opened(path: Path) -> TextIO:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _alerts(path: Path, file: TextIO) -> Iterator[Alert]:
    rows = csv.DictReader(file)
    if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise BadData(f"{path} has no column {missing[0]}; its first line must name {','.join(_COLUMNS)}")
    for row in rows:
        try:
            second = int(float(row["time"]))
        except (TypeError, ValueError, OverflowError):
            raise BadData(f"{path} line {rows.line_num}: time is {row['time']!r}; write seconds since 1970") from None
        if not row["name"] or not row["host"]:
            raise BadData(f"{path} line {rows.line_num}: an alert has a name and a host")
        step, phase = (_label(row[name]) for name in ("event_label", "time_label"))
        yield Alert(second, row["name"], row["host"], row["ip"] or "", step, phase)


def _label(text: str | None) -> str:
    return "" if text is None or text in NO_ATTACK else text
