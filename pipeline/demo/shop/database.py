"""A SQLite database of a service, with a span and a duration for each statement."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry.trace import SpanKind

from pipeline.demo.shop.serving import measured
from pipeline.demo.shop.telemetry import Telemetry


class Database:
    """One file, used from the loop of the service: statements take microseconds and nobody else writes to it."""

    def __init__(self, path: Path, telemetry: Telemetry) -> None:
        self._name = path.stem
        self._telemetry = telemetry
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = MEMORY")
        self._file.execute("PRAGMA synchronous = OFF")  # it lives as long as the demo does

    def prepare(self, statement: str, rows: Sequence[Sequence[Any]] = ()) -> None:
        """Run a statement at the start, unmeasured; once for each of the rows where there are some."""
        if rows:
            self._file.executemany(statement, rows)
        else:
            self._file.execute(statement)

    def run(self, statement: str, *values: Any) -> list[Any]:
        """Run ``SELECT …`` or ``INSERT INTO table …``; its rows."""
        words = statement.split()
        operation = words[0]
        table = words[words.index("FROM" if operation == "SELECT" else "INTO") + 1]
        told = {
            "db.system.name": "sqlite",
            "db.namespace": self._name,
            "db.operation.name": operation,
            "db.collection.name": table,
        }
        telemetry, of_span = self._telemetry, {"db.query.text": statement}
        with measured(telemetry.tracer, telemetry.queried, f"{operation} {table}", SpanKind.CLIENT, told, of_span):
            try:
                return self._file.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                told["error.type"] = type(error).__name__
                raise

    def close(self) -> None:
        self._file.close()
