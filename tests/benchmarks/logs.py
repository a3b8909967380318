"""How well and how fast lines of real systems become templates, beside plain Drain and the naive twin.

Guarantee: each system is a workload of a miner with shipped parameters; lines come in the order of the file, each gets
its template when it comes. *Joined*: templates that alias records made one count as one afterwards; *online*: they do
not. Grouping accuracy is the share of lines whose template has exactly the lines of their labelled event.

The data lie in ``CALMSTREAM_DATA`` (folder ``logs/``, one folder a system), as for real normal stretches.
"""

import csv
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean, median

import numpy as np

from pipeline.signals.masking import mask_lines
from pipeline.signals.templates import Mining, TemplateMiner
from tests.benchmarks.normal_stretches import data
from tests.benchmarks.peers.plain_drain import PlainDrain
from tests.benchmarks.run import Run
from tests.signals import naive_templates

LINES, MASKED = "logs.lines_per_second", "logs.masked_lines_per_second"
_ACCURACY = "logs.grouping_accuracy"
_LABELS = ("*_structured_corrected.csv", "*_structured.csv")  # corrected by hand, where there is such a file
_CYCLED, _OF_SLOW_PEERS, _BATCH = 100_000, 10_000, 1_000


@dataclass(frozen=True, slots=True)
class System:
    """Bodies of lines and the labelled event of each."""

    name: str
    bodies: list[str]
    events: list[str]


@dataclass(frozen=True, slots=True)
class Accuracy:
    joined: float
    online: float
    plain_drain: float
    templates: int
    aliases: int


def folder() -> Path:
    return data() / "logs"


def _label_files() -> dict[str, Path]:
    found = {}
    for system in sorted(folder().iterdir()) if folder().is_dir() else []:
        files = [file for pattern in _LABELS for file in sorted(system.glob(pattern))]
        if files:
            found[system.name] = files[0]
    return found


FIGURES = (LINES, MASKED, f"{_ACCURACY}.mean", *(f"{_ACCURACY}.{name}" for name in _label_files()))


def systems() -> list[System]:
    """Every system of the folder; none where there is no folder."""
    found = []
    for name, file in _label_files().items():
        with file.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        found.append(System(name, [row["Content"] for row in rows], [row["EventId"] for row in rows]))
    return found


def figures(run: Run, wanted: set[str]) -> None:
    if not wanted.intersection(FIGURES):
        return
    if not (found := systems()):
        run.say(f"no {folder()}, so no logs are mined; CALMSTREAM_DATA names the folder with logs/")
        return
    if any(name.startswith(_ACCURACY) for name in wanted):
        _accuracies(run, wanted, found)
    if wanted.intersection((LINES, MASKED)):
        _speeds(run, wanted, found)


def _accuracies(run: Run, wanted: set[str], found: Sequence[System]) -> None:
    each = {system.name: accuracy(system) for system in found}
    mean = Accuracy(
        fmean(one.joined for one in each.values()),
        fmean(one.online for one in each.values()),
        fmean(one.plain_drain for one in each.values()),
        sum(one.templates for one in each.values()),
        sum(one.aliases for one in each.values()),
    )
    for name, one in {**each, "mean": mean}.items():
        if f"{_ACCURACY}.{name}" in wanted:
            more = {"online": one.online, "templates": one.templates, "aliases": one.aliases}
            run.emit(f"{_ACCURACY}.{name}", one.joined, "share", {"plain_drain": one.plain_drain}, **more)


def accuracy(system: System) -> Accuracy:
    miner, plain = TemplateMiner(), PlainDrain()
    numbers = miner.add_many(system.bodies, np.zeros(len(system.bodies), np.int64)).tolist()
    news = miner.drain()
    joined = np.arange(len(news.born))
    for alias in news.aliases:
        joined[joined == alias.old_number] = alias.number
    return Accuracy(
        grouping_accuracy(joined[numbers].tolist(), system.events),
        grouping_accuracy(numbers, system.events),
        grouping_accuracy([plain.add(body) for body in system.bodies], system.events),
        len(miner),
        len(news.aliases),
    )


def grouping_accuracy(groups: Sequence[Hashable], events: Sequence[Hashable]) -> float:
    """The share of lines whose group has exactly the lines of their event."""
    of_groups, of_events = _members(groups), _members(events)
    right = {lines for lines in of_groups if lines in of_events}
    return sum(map(len, right)) / len(groups)


def _members(labels: Sequence[Hashable]) -> set[tuple[int, ...]]:
    found = defaultdict(list)
    for line, label in enumerate(labels):
        found[label].append(line)
    return set(map(tuple, found.values()))


def _speeds(run: Run, wanted: set[str], found: Sequence[System]) -> None:
    """Lines of all systems in turn, each system a workload."""
    bodies = [body for system in found for body in system.bodies]
    workloads = np.repeat(np.arange(len(found)), [len(system.bodies) for system in found])
    many = list(islice(cycle(bodies), _CYCLED))
    of_many = np.resize(workloads, _CYCLED)
    few, of_few = many[:_OF_SLOW_PEERS], of_many[:_OF_SLOW_PEERS].tolist()
    mask_lines(["compile 1"])

    def rate(work: Callable[[], object], lines: int) -> tuple[float, float]:
        """Lines a second of CPU, and of the clock."""
        cpu, wall = [], []
        for _ in range(run.repeats):
            cpu_from, wall_from = time.thread_time(), time.perf_counter()
            work()
            cpu.append(time.thread_time() - cpu_from)
            wall.append(time.perf_counter() - wall_from)
        return lines / median(cpu), lines / median(wall)

    if MASKED in wanted:
        of_cpu, of_wall = rate(lambda: mask_lines(many), _CYCLED)
        naive, _ = rate(lambda: [naive_templates.masked(body) for body in few], len(few))
        size = sum(map(len, bodies)) / len(bodies)
        run.emit(MASKED, of_cpu, "lines/s", {"naive": naive}, wall=of_wall, characters_per_line=size)
    if LINES in wanted:
        of_cpu, of_wall = rate(lambda: _mine(TemplateMiner(), many, of_many), _CYCLED)
        uncached, _ = rate(lambda: _mine(TemplateMiner(Mining(most_cache_bytes=0)), many, of_many), _CYCLED)
        plain, _ = rate(lambda: _each(PlainDrain().add, few), len(few))
        naive, _ = rate(lambda: _each(naive_templates.NaiveMiner().add, of_few, few), len(few))
        run.emit(LINES, of_cpu, "lines/s", {"plain_drain": plain, "naive": naive}, wall=of_wall, without_cache=uncached)


def _mine(miner: TemplateMiner, bodies: Sequence[str], workloads: np.ndarray) -> None:
    for begin in range(0, len(bodies), _BATCH):
        miner.add_many(bodies[begin : begin + _BATCH], workloads[begin : begin + _BATCH])
        miner.drain()


def _each(add: Callable[..., object], *columns: Sequence[object]) -> None:
    for row in zip(*columns, strict=True):
        add(*row)
