"""Labelled data made here: fleets as values, and folders of every layout."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.labelled import Fleet, runs
from pipeline.evaluation.scored import Scored, Span
from pipeline.scoring import episodes

BEGIN = datetime(2024, 3, 4, tzinfo=UTC)
MINUTE_US = 60_000_000


def fleet(values: Any, labelled: Sequence[tuple[int, int]] = (), scored_from: int = 0, name: str = "made.csv") -> Fleet:
    """One row a minute; ``values`` (rows,) or (rows, signals)."""
    array = np.asarray(values, np.float64).reshape(len(values), -1)
    labels = np.zeros(len(array), np.bool_)
    for first, last in labelled:
        labels[first : last + 1] = True
    times = round(BEGIN.timestamp()) * 1_000_000 + MINUTE_US * np.arange(len(array))
    signals = tuple(f"s{place}" for place in range(array.shape[1]))
    return Fleet(name, signals, times, array, labels, runs(labels), MINUTE_US, scored_from)


def noise(rows: int, high: Sequence[tuple[int, int]] = (), seed: int = 3) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Noise around 10, and far above it in some rows."""
    values = np.random.default_rng(seed).normal(10, 1, rows)
    for first, last in high:
        values[first : last + 1] += 80
    return values


def scored(of: Fleet, spans: Sequence[Span] = (), surprise: Any = None) -> Scored:
    """What a scorer might have said."""
    shape = of.values.shape
    yes = np.ones(shape, np.bool_)
    numbers = np.zeros(shape) if surprise is None else np.asarray(surprise, np.float64).reshape(shape)
    return Scored(
        fleet=of,
        end_us=of.time_us + of.window_us,
        given=yes,
        deviates=yes,
        expected=of.values,
        lower=of.values - 1,
        upper=of.values + 1,
        surprise=numbers,
        anomalous=~yes,
        entity=None,
        spans=tuple(spans),
        rules=episodes.Rules(4.0, 2, 3, 3),
    )


# -- folders -----------------------------------------------------------------------------------------------------------


def clock(row: int, minutes: int = 5) -> str:
    return (BEGIN + timedelta(minutes=minutes * row)).strftime("%Y-%m-%d %H:%M:%S")


def nab_folder(folder: Path, files: dict[str, tuple[Any, Sequence[tuple[int, int]]]]) -> Path:
    """``category/file.csv`` → values, and the rows of its windows."""
    windows = {}
    for name, (values, labelled) in files.items():
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{clock(row)},{value!r}" for row, value in enumerate(np.asarray(values).tolist())]
        path.write_text("\n".join(["timestamp,value", *rows]) + "\n")
        windows[name] = [[f"{clock(first)}.000000", f"{clock(last)}.000000"] for first, last in labelled]
    (folder / "windows.json").write_text(json.dumps(windows))
    return folder


def labelled_file(path: Path, values: Any, labelled: Sequence[tuple[int, int]] = ()) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["TimeStamp,Value,Label"]
    for row, value in enumerate(np.asarray(values).tolist()):
        marked = any(first <= row <= last for first, last in labelled)
        lines.append(f"{clock(row)},{value!r},{marked:d}")
    path.write_text("\n".join(lines) + "\n")
    return path


def machine_file(path: Path, train: Any, test: Any, label: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, train=np.asarray(train, np.float32), test=np.asarray(test, np.float32), label=np.asarray(label))
    return path
