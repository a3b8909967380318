"""Reading labelled data: the layouts of NAB, the Server Machine Dataset, the Microsoft cloud monitoring set, and plain
CSV files with labels.

Guarantee: every file of a folder is read or the whole is refused, with an error that says what is wrong, where, and
what would be right.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation import nab
from pipeline.evaluation.labelled import Array, Fleet, runs, usual_interval_us
from pipeline.evaluation.table import BadData, columns, label, time_us, value

#: Labelled runs with this many unlabelled windows or fewer between them are one event: an anomaly ends after three
#: calm windows, so nobody could tell such runs apart.
JOIN_ROWS = 2
_MINUTE_US = 60_000_000
#: Machines of the Server Machine Dataset carry no times: the first row is called Monday 2024-01-01 00:00 UTC.
_SMD_BEGIN_US = 1_704_067_200_000_000
_TIME_RIGHT = "write 2014-02-14 14:30:00, an RFC 3339 time, 2/14/2014 14:30 or seconds since 1970"


def read(suite: str, paths: Sequence[Path]) -> Iterator[Fleet]:
    """The files of a suite one after the other, in the order of their names. Raises BadData."""
    found = [(path, source) for path in paths for source in _sources(suite, path)]
    for _, source in found:
        yield source()


def count(suite: str, paths: Sequence[Path]) -> int:
    """How many files there are. Raises BadData."""
    return sum(len(_sources(suite, path)) for path in paths)


def _sources(suite: str, path: Path) -> list[Callable[[], Fleet]]:
    if not path.exists():
        raise BadData(f"there is no file or folder {path}")
    return _LAYOUTS[suite](path)


def _files(folder: Path, pattern: str, what: str) -> list[Path]:
    if not folder.is_dir():
        raise BadData(f"{folder} is not a folder; name the folder that holds {what}")
    found = sorted(folder.glob(pattern))
    if not found:
        raise BadData(f"{folder} holds no {pattern}; name the folder that holds {what}")
    return found


# -- NAB ---------------------------------------------------------------------------------------------------------------


def _nab(folder: Path) -> list[Callable[[], Fleet]]:
    what = "windows.json and data/<category>/<file>.csv"
    windows = _windows(folder, what)
    found = _files(folder / "data", "*/*.csv", what)
    return [lambda path=path: _nab_file(path, windows, folder / "windows.json") for path in found]  # type: ignore[misc]


def _windows(folder: Path, what: str) -> dict[str, Any]:
    path = folder / "windows.json"
    try:
        windows = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise BadData(f"there is no {path}; name the folder that holds {what}") from None
    except ValueError as error:
        raise BadData(f"{path} is not JSON: {error}") from None
    if not isinstance(windows, dict):
        raise BadData(f'{path} should be {{"category/file.csv": [[start, end], …], …}}')
    return windows


def _nab_file(path: Path, windows: dict[str, Any], source: Path) -> Fleet:
    name = f"{path.parent.name}/{path.name}"
    if name not in windows:
        raise BadData(f'{source} does not say where {name} is anomalous; write "{name}": [] if it nowhere is')
    numbers, cells = columns(path, ("timestamp", "value"))
    times = _column(path, numbers, cells, 0, time_us, "time", _TIME_RIGHT, np.int64)
    values = _column(path, numbers, cells, 1, value, "value", "write a number", np.float64)
    events = tuple(_window_rows(times, window, name, source) for window in windows[name])
    labels = np.zeros(times.size, np.bool_)
    for first, last in events:
        labels[first : last + 1] = True
    return _fleet(path, name, times, values, labels, events, nab.probation(times.size))


def _window_rows(times: Array, window: Any, name: str, source: Path) -> tuple[int, int]:
    """First and last row of a labelled window."""
    try:
        start, end = (time_us(text) for text in window)
    except (TypeError, ValueError):
        raise BadData(f"{source}, {name}: {window!r} is not a window; write [start, end] as two times") from None
    inside = np.flatnonzero((times >= start) & (times <= end))
    if not inside.size:
        raise BadData(f"{source}, {name}: no row of the file is within {window!r}")
    return int(inside[0]), int(inside[-1])


# -- CSV with labels ---------------------------------------------------------------------------------------------------


def _mscloud(folder: Path) -> list[Callable[[], Fleet]]:
    found = _files(folder, "*/*.csv", "folders of CSV files with TimeStamp, Value and Label")
    return [
        lambda path=path: _labelled_file(path, f"{path.parent.name}/{path.name}")  # type: ignore[misc]
        for path in found
    ]


def _labelled_csv(path: Path) -> list[Callable[[], Fleet]]:
    found = [path] if path.is_file() else _files(path, "**/*.csv", "CSV files with timestamp, value and label")
    names = [one.name if one == path else one.relative_to(path).as_posix() for one in found]
    return [
        lambda one=one, name=name: _labelled_file(one, name)  # type: ignore[misc]
        for one, name in zip(found, names, strict=True)
    ]


def _labelled_file(path: Path, name: str) -> Fleet:
    numbers, cells = columns(path, ("timestamp", "value", "label"))
    times = _column(path, numbers, cells, 0, time_us, "time", _TIME_RIGHT, np.int64)
    values = _column(path, numbers, cells, 1, value, "value", "write a number", np.float64)
    labels = _column(path, numbers, cells, 2, label, "label", "write 0 or 1", np.bool_)
    order = np.argsort(times, kind="stable")
    times, values, labels = times[order], values[order], labels[order]
    return _fleet(path, name, times, values, labels, runs(labels, JOIN_ROWS), 0)


def _column(
    path: Path,
    numbers: list[int],
    cells: list[list[str]],
    place: int,
    convert: Callable[[str], Any],
    what: str,
    right: str,
    dtype: Any,
) -> Array:
    found = []
    for number, row in zip(numbers, cells, strict=True):
        try:
            found.append(convert(row[place]))
        except (ValueError, OverflowError):
            raise BadData(f"{path} line {number}: {what} {row[place]!r} cannot be read; {right}") from None
    return np.array(found, dtype)


def _fleet(
    path: Path,
    name: str,
    times: Array,
    values: Array,
    labels: Array,
    events: tuple[tuple[int, int], ...],
    scored_from: int,
) -> Fleet:
    window_us = usual_interval_us(times)
    if not window_us:
        raise BadData(f"{path} has {times.size} rows with {np.unique(times).size} different times; two are needed")
    return Fleet(name, ("value",), times, values[:, None], labels, events, window_us, scored_from)


# -- Server Machine Dataset --------------------------------------------------------------------------------------------


def _smd(folder: Path) -> list[Callable[[], Fleet]]:
    found = _files(folder, "*.npz", "one npz a machine, with the arrays train, test and label")
    return [lambda path=path: _machine(path) for path in found]  # type: ignore[misc]


def _machine(path: Path) -> Fleet:
    train, test, marks = _arrays(path)
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1] or marks.shape != test.shape[:1]:
        raise BadData(
            f"{path}: train is {train.shape}, test is {test.shape}, label is {marks.shape}; "
            "they should be (rows, metrics), (rows, metrics) and one label a row of test"
        )
    values = np.concatenate([train, test]).astype(np.float64)
    labels = np.concatenate([np.zeros(len(train), np.bool_), marks != 0])
    times = _SMD_BEGIN_US + _MINUTE_US * np.arange(len(values))
    names = tuple(f"metric_{place:02d}" for place in range(values.shape[1]))
    return Fleet(path.stem, names, times, values, labels, runs(labels, JOIN_ROWS), _MINUTE_US, len(train))


def _arrays(path: Path) -> list[Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = {"train", "test", "label"} - set(archive.files)
            if missing:
                held = ", ".join(archive.files)
                raise BadData(f"{path} has no array {', '.join(sorted(missing))}; it holds {held}")
            return [archive[name] for name in ("train", "test", "label")]
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        if isinstance(error, BadData):
            raise
        raise BadData(f"{path} is not an npz of numbers: {error}") from None


_LAYOUTS: dict[str, Callable[[Path], list[Callable[[], Fleet]]]] = {
    "nab": _nab,
    "smd": _smd,
    "mscloud": _mscloud,
    "labelled-csv": _labelled_csv,
}
SUITES = tuple(_LAYOUTS)
