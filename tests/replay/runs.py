"""A replay in the test's own process, its results as text, and data to give it."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.flow.config import FlowConfig
from pipeline.policies import DetectorPolicy
from pipeline.records import US
from pipeline.replay.driver import Sinks, Totals
from pipeline.replay.event_files import AnomaliesFile, IncidentsFile
from pipeline.replay.files import InputFile, entity_names, open_csv, open_json, time_text
from pipeline.replay.run import BATCH_MESSAGES, replay_files
from pipeline.replay.score_files import EntityScoresFile, ScoresFile

#: 2025-06-01T00:00:00Z
START = 1_748_736_000
#: However detection is tuned, a value is trouble above 40, and nothing else is.
POLICY = DetectorPolicy(hard_upper=40.0, min_absolute=1e9)
CONFIG = FlowConfig(sources=(), signal_partitions=4, anomaly_partitions=4, policy=POLICY)


@dataclass(frozen=True)
class Results:
    """What was written."""

    scores: str
    entity_scores: str
    incidents: str
    anomalies: str
    totals: Totals

    def texts(self) -> tuple[str, str, str, str]:
        return self.scores, self.entity_scores, self.incidents, self.anomalies

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.scores)))

    def entity_rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.entity_scores)))

    def transitions(self) -> list[tuple[str, str]]:
        """(incident id, transition), in order."""
        bodies = [json.loads(line) for line in self.incidents.splitlines()]
        return [(body["id"], body["transition"]) for body in bodies]


def run(files: Sequence[InputFile], names: dict[str, str], config: FlowConfig, batch: int) -> Results:
    out = [io.StringIO() for _ in range(4)]
    times = time_text(files)
    scores = (
        ScoresFile(out[0], times, names, config.window_us),
        EntityScoresFile(out[1], times, names, config.window_us),
    )
    totals = replay_files(config, files, Sinks(scores, (IncidentsFile(out[2]), AnomaliesFile(out[3]))), batch=batch)
    return Results(*(text.getvalue() for text in out), totals)


def replay_csv(
    *paths: Path,
    columns: Sequence[str] = ("value",),
    entity: str | None = None,
    config: FlowConfig = CONFIG,
    batch: int = BATCH_MESSAGES,
) -> Results:
    files = open_csv(paths, "timestamp", columns, entity)
    return run(files, entity_names(files), config, batch)


def replay_json(path: Path, kind: Any, config: FlowConfig = CONFIG, batch: int = BATCH_MESSAGES) -> Results:
    return run(open_json([path], kind), {}, config, batch)


def written(path: Path, lines: Sequence[str], header: str = "timestamp,value") -> Path:
    """A CSV file."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def values(count: int, high: range = range(0), phase: float = 0.0) -> Iterator[float]:
    """A calm signal around 10, and 60 where it is high."""
    for i in range(count):
        yield 10 + math.sin(i * 1.7 + phase) + (50 if i in high else 0)


def seconds_apart(step: float, points: Iterator[float]) -> list[str]:
    """CSV rows with times in seconds since 1970."""
    return [f"{START + i * step:.10g},{value!r}" for i, value in enumerate(points)]


def window(seconds: float) -> int:
    return round(seconds * US)
