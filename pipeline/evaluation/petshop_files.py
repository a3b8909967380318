"""Files of the PetShop suite: measurements of workloads in healthy days and in faults, and who calls whom.

Guarantee: a folder is read whole or refused, with an error that says what is wrong, where, and what would be right.

Layout of a scenario: ``graph.csv`` (rows call columns; a cell that is not 0 is a call), ``noissue/metrics.csv``, and
``<part>/issue_<n>/`` with ``metrics.csv`` and ``target.json``. A ``metrics.csv`` has three lines that name its columns
(workload, metric, statistic), one that names the first column, and then one line a window, beginning with its time.
"""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.labelled import usual_interval_us
from pipeline.evaluation.table import BadData, time_us, value

Array = npt.NDArray[Any]
_HEADER = ("microservice", "metric", "statistic")
_WHAT = "graph.csv, noissue/metrics.csv and <part>/issue_<n>/{metrics.csv,target.json}"


@dataclass(frozen=True, slots=True)
class Node:
    """A workload. Shapes (rows,): requests of each window, mean latency in seconds (NaN without requests), and how many
    requests failed."""

    requests: Array
    latency: Array
    errors: Array


@dataclass(frozen=True, slots=True)
class Frame:
    """Windows that begin at ``time_us`` (rows,), in the order of time."""

    time_us: Array
    window_us: int
    nodes: dict[str, Node]

    @property
    def rows(self) -> int:
        return int(self.time_us.size)

    def served(self, name: str) -> Array:
        """(rows,) of bool: did the workload have requests?"""
        node = self.nodes.get(name)
        return np.zeros(self.rows, np.bool_) if node is None else node.requests > 0


@dataclass(frozen=True, slots=True)
class Case:
    """A fault: of which kind the symptom at ``target`` is, from when on, and which workload is the root cause."""

    name: str
    frame: Frame
    kind: str
    target: str
    root: str
    fault_us: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """``calls`` are (client, server)."""

    name: str
    calls: tuple[tuple[str, str], ...]
    healthy: Frame
    cases: tuple[Case, ...]


def read(directory: Path) -> list[Scenario]:
    """The scenarios of a folder, or the one that it is, by name. Raises BadData."""
    if not directory.is_dir():
        raise BadData(f"{directory} is not a folder; name one that holds {_WHAT}, or folders that do")
    one = (directory / "graph.csv").is_file()
    found = [directory] if one else sorted(path.parent for path in directory.glob("*/graph.csv"))
    if not found:
        raise BadData(f"{directory} holds no scenario; one has {_WHAT}")
    return [_scenario(path) for path in found]


def _scenario(folder: Path) -> Scenario:
    paths = sorted(folder.glob("*/issue_*/target.json"), key=lambda path: _numbered(path.parent, folder))
    cases = tuple(_case(path, folder) for path in paths)
    if not cases:
        raise BadData(f"{folder} holds no */issue_*/target.json; a scenario has {_WHAT}")
    return Scenario(folder.name, _calls(folder / "graph.csv"), _frame(folder / "noissue" / "metrics.csv"), cases)


def _numbered(folder: Path, top: Path) -> tuple[str, int, str]:
    number = re.search(r"\d+", folder.name)
    return folder.relative_to(top).parts[0], int(number[0]) if number else 0, folder.name


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [row for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise BadData(f"there is no {path}; a scenario has {_WHAT}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path} is not CSV in UTF-8: {error}") from None


def _calls(path: Path) -> tuple[tuple[str, str], ...]:
    lines = _lines(path)
    servers = lines[0][1:] if lines else []
    found = []
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(servers) + 1:
            raise BadData(f"{path} line {number} has {len(row)} cells; its first line has {len(servers) + 1}")
        cells = _numbers(path, number, row[1:])
        found += [(row[0], server) for server, cell in zip(servers, cells, strict=True) if cell]
    return tuple(found)


def _numbers(path: Path, number: int, cells: list[str]) -> list[float]:
    try:
        return [value(cell) for cell in cells]
    except ValueError as error:
        raise BadData(f"{path} line {number}: {error}; write numbers, or nothing where there is none") from None


def _frame(path: Path) -> Frame:
    lines = _lines(path)
    if len(lines) < 5 or tuple(line[0] for line in lines[:3]) != _HEADER:
        raise BadData(f"{path} should begin with the lines {', '.join(_HEADER)} and unix_timestamp, and hold windows")
    columns = list(zip(*(line[1:] for line in lines[:3]), strict=False))
    times, values = [], []
    for number, row in enumerate(lines[4:], 5):
        if len(row) != len(columns) + 1:
            raise BadData(f"{path} line {number} has {len(row)} cells; its first line has {len(columns) + 1}")
        try:
            times.append(time_us(row[0]))
        except (ValueError, OverflowError):
            raise BadData(f"{path} line {number}: time {row[0]!r} cannot be read; write seconds since 1970") from None
        values.append(_numbers(path, number, row[1:]))
    time, place = np.unique(np.array(times, np.int64), return_index=True)
    window_us = usual_interval_us(time)
    if not window_us:
        raise BadData(f"{path} has {time.size} windows; two are needed to tell how long one is")
    table = dict(zip(columns, np.array(values)[place].T, strict=True))
    nodes = {name: _node(table, name) for name in sorted({name for name, metric, _ in columns if metric == "requests"})}
    return Frame(time, window_us, nodes)


def _node(table: dict[tuple[str, str, str], Array], name: str) -> Node:
    requests = np.nan_to_num(table[name, "requests", "Sum"])
    none = np.full(requests.size, np.nan)
    latency = table.get((name, "latency", "Average"), none)
    available = table.get((name, "availability", "Average"), none)
    share = 1.0 - np.where(np.isfinite(available), available, 100.0) / 100.0
    return Node(requests, np.where(requests > 0, latency, np.nan), np.round(np.clip(share, 0.0, 1.0) * requests))


def _case(path: Path, top: Path) -> Case:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        target, root = told["target"], str(told["root_cause"]["node"])
        kind, node, fault_us = str(target["metric"]), str(target["node"]), time_us(str(target["timestamp"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        right = '{"target": {"node", "metric", "timestamp"}, "root_cause": {"node"}}'
        raise BadData(f"{path} does not tell the fault ({error!r}); it should hold {right}") from None
    name = path.parent.relative_to(top).as_posix()
    return Case(name, _frame(path.parent / "metrics.csv"), kind, node, root, fault_us)
