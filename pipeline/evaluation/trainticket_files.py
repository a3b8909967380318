"""Files of the TrainTicket suite (Nezha's layout): metrics of pods, and logs and traces of the minutes of faults.

Guarantee: what is read is whole or refused, with an error that says what is wrong, where, and what would be right. Logs
and traces are read when they are asked for, one fault at a time; each span and each line is given once, by the first
file that holds it.

Layout, unpacked or as ``.tar.xz`` archives: folders of a day, each with ``metric/*.csv`` (a line a minute),
``log/<HH>_<MM>_log.csv`` and ``trace/<HH>_<MM>_trace.csv``. One has ``*-fault_list.json`` (when, which pod, what) and
three files of a minute a fault, from the minute of the injection on; the other has none and is free of faults.
"""

import csv
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.table import BadData, time_us, value

Array = npt.NDArray[Any]
MINUTE_US = 60_000_000
#: Minutes of a fault of which there are logs and traces.
MINUTES = 3
_WHAT = "a day with metric/, log/, trace/ and *-fault_list.json, and one free of faults (folders or .tar.xz)"
_NOT_MEASURED = ("time", "timestamp", "podname", "servicename")
#: What a log line says of its trace, which is no part of its text.
_IDS = re.compile(r"TraceID: ?\S* ?SpanID: ?\S* ?")
_POD = re.compile(r"(.+)-[0-9a-z]{6,10}-[0-9a-z]{5}")


class Span(NamedTuple):
    """``parent`` is "" at the root."""

    trace: str
    span: str
    parent: str
    workload: str
    operation: str
    start_us: int
    end_us: int


class Line(NamedTuple):
    """A log line, and the span in which it was written."""

    time_us: int
    workload: str
    trace: str
    span: str
    text: str


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Logs and traces of some minutes."""

    spans: list[Span]
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Fault:
    """``minute_us`` is the minute in which ``workload`` was given a fault of this kind."""

    minute_us: int
    workload: str
    kind: str


@dataclass(frozen=True, slots=True)
class Metrics:
    """Values of ``signals`` (workload, pod, metric) by minute, shape (minutes, signals), NaN where there is none."""

    first_us: int
    signals: tuple[tuple[str, str, str], ...]
    values: Array


class Days:
    """A folder of the layout; what was given once is not given again."""

    def __init__(self, faulty: Path, healthy: Path) -> None:
        self._faulty, self._healthy = faulty, healthy
        self._given: set[tuple[str, str]] = set()
        self._lines: set[Line] = set()

    def faults(self) -> list[Fault]:
        """In the order of time."""
        found = []
        for path in sorted(self._faulty.glob("*-fault_list.json")):
            try:
                hours = json.loads(path.read_text(encoding="utf-8"))
                for fault in (fault for hour in hours.values() for fault in hour):
                    at = time_us(fault["inject_time"]) // MINUTE_US * MINUTE_US
                    found.append(Fault(at, workload_of(fault["inject_pod"]), fault["inject_type"]))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadData(
                    f'{path} should be {{"hour": [{{"inject_time", "inject_pod", "inject_type"}}, …], …}}: {error!r}'
                ) from None
        return sorted(found, key=lambda fault: fault.minute_us)

    def metrics(self) -> Metrics:
        """The whole stretch."""
        columns: list[tuple[tuple[str, str, str], dict[int, float]]] = []
        for path in sorted((self._faulty / "metric").glob("*.csv")):
            columns += _metric_file(path)
        minutes = sorted({minute for _, column in columns for minute in column})
        if not minutes:
            raise BadData(f"{self._faulty / 'metric'} holds no CSV with a line a minute; name the folder with {_WHAT}")
        values = np.full((minutes[-1] - minutes[0] + 1, len(columns)), np.nan)
        for place, (_, column) in enumerate(columns):
            for minute, one in column.items():
                values[minute - minutes[0], place] = one
        return Metrics(minutes[0] * MINUTE_US, tuple(signal for signal, _ in columns), values)

    def healthy(self) -> Telemetry:
        """Of the minutes that are free of faults."""
        names = sorted(path.name[:5] for path in (self._healthy / "trace").glob("*_trace.csv"))
        return self._telemetry(self._healthy, names)

    def of(self, fault: Fault) -> Telemetry:
        """Of the files of a fault."""
        names = [_clock(fault.minute_us + place * MINUTE_US) for place in range(MINUTES)]
        return self._telemetry(self._faulty, names)

    def _telemetry(self, day: Path, names: list[str]) -> Telemetry:
        spans, lines = [], []
        for name in names:
            for span in _spans(day / "trace" / f"{name}_trace.csv"):
                if (span.trace, span.span) not in self._given:
                    self._given.add((span.trace, span.span))
                    spans.append(span)
            for line in _lines(day / "log" / f"{name}_log.csv"):
                if line not in self._lines:
                    self._lines.add(line)
                    lines.append(line)
        return Telemetry(spans, lines)


@contextmanager
def opened(directory: Path) -> Iterator[Days]:
    """The days of a folder; archives are unpacked to a temporary folder. Raises BadData."""
    if not directory.is_dir():
        raise BadData(f"{directory} is not a folder; name the folder that holds {_WHAT}")
    with TemporaryDirectory(prefix="trainticket-") as unpacked:
        days = _days(directory)
        for archive in sorted(directory.glob("*.tar.xz")):
            into = Path(unpacked) / archive.name
            try:
                with tarfile.open(archive) as packed:
                    packed.extractall(into, filter="data")
            except (tarfile.TarError, OSError, EOFError) as error:
                raise BadData(f"{archive} is not a whole .tar.xz archive: {error}") from None
            days += _days(into)
        faulty = [day for day in days if any(day.glob("*-fault_list.json"))]
        healthy = [day for day in days if day not in faulty]
        if len(faulty) != 1 or len(healthy) != 1:
            raise BadData(
                f"{directory} holds {len(faulty)} days with a fault list and {len(healthy)} without; "
                f"it should hold one of each: {_WHAT}"
            )
        yield Days(faulty[0], healthy[0])


def workload_of(pod: str) -> str:
    """The name of the Deployment of a pod."""
    found = _POD.fullmatch(pod)
    return found[1] if found else pod


def _days(directory: Path) -> list[Path]:
    return sorted({path.parent for path in directory.glob("**/trace") if path.is_dir()})


def _clock(at_us: int) -> str:
    minute = at_us // MINUTE_US % 1440
    return f"{minute // 60:02d}_{minute % 60:02d}"


def _rows(path: Path, wanted: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Lines of a CSV file with their numbers; none where there is no such file."""
    if not path.exists():
        return
    limit = csv.field_size_limit(sys.maxsize)  # which counts for the whole process
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in wanted if name not in (reader.fieldnames or ())]
            if missing:
                raise BadData(f"{path} has no column {', '.join(missing)}; its first line should name {wanted}")
            for row in reader:
                yield reader.line_num, row
    except csv.Error as error:
        raise BadData(f"{path} is not CSV: {error}") from None
    finally:
        csv.field_size_limit(limit)


def _metric_file(path: Path) -> list[tuple[tuple[str, str, str], dict[int, float]]]:
    pod = path.name.removesuffix(".csv").removesuffix("_metric")
    columns: dict[str, dict[int, float]] = {}
    for number, row in _rows(path, ("TimeStamp",)):
        try:
            minute = int(row["TimeStamp"]) // 60
            for name, cell in row.items():
                if name is not None and name.casefold() not in _NOT_MEASURED:
                    columns.setdefault(name, {})[minute] = value(cell or "")
        except (TypeError, ValueError):
            raise BadData(f"{path} line {number}: {row} should be seconds since 1970 and numbers") from None
    return [((workload_of(pod), pod, name), column) for name, column in columns.items()]


def _spans(path: Path) -> Iterator[Span]:
    wanted = ("TraceID", "SpanID", "ParentID", "PodName", "OperationName", "StartTimeUnixNano", "EndTimeUnixNano")
    for number, row in _rows(path, wanted):
        trace, span, parent, pod, operation, start, end = (row[name] or "" for name in wanted)
        try:
            times = int(start) // 1000, int(end) // 1000
        except ValueError:
            raise BadData(f"{path} line {number}: {start!r}, {end!r} should be nanoseconds since 1970") from None
        yield Span(trace, span, "" if parent == "root" else parent, workload_of(pod), operation, *times)


def _lines(path: Path) -> Iterator[Line]:
    wanted = ("TimeUnixNano", "PodName", "TraceID", "SpanID", "Log")
    for number, row in _rows(path, wanted):
        at, pod, trace, span, text = (row[name] or "" for name in wanted)
        try:
            at_us = int(at) // 1000
        except ValueError:
            raise BadData(f"{path} line {number}: {at!r} should be nanoseconds since 1970") from None
        yield Line(at_us, workload_of(pod), trace, span, _text(text))


def _text(written: str) -> str:
    """What was logged, without the container's envelope and the ids of the trace."""
    try:
        envelope = json.loads(written)
    except ValueError:
        envelope = None
    text = envelope.get("log") if isinstance(envelope, dict) else written
    return _IDS.sub("", text if isinstance(text, str) else written).strip()
