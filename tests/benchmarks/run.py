"""What all benchmarks of one run share: the broker, sizes, a folder for logs, and where figures and progress go.

Guarantee: stdout gets one JSON line per figure and nothing else; progress goes to stderr; a broker is started only
where a figure needs one.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kafka import fetch
from tests.kafka.server import KafkaServer

#: So that a record's timestamp is when the broker appended it, on every topic and whoever writes.
_PROPERTIES: dict[str, str | int] = {"log.message.timestamp.type": "LogAppendTime", "log.segment.bytes": 256 << 20}
_JAVA_OPTIONS = ("-Xms1g", "-Xmx1g")
#: Length of the preloaded stretch where the points are too few for 10,000 signals to have enough history.
_SECONDS = 500


class RunFailed(RuntimeError):
    """A run did not do what it must, so its figures mean nothing; the message says what was missing."""


def scaled(signals: int) -> int:
    """So many signals, times ``CALMSTREAM_BENCH_SCALE`` (default 1), for the figures of the detector."""
    return max(60, round(signals * float(os.environ.get("CALMSTREAM_BENCH_SCALE", "1"))))


def windows(usual: int) -> int:
    """``CALMSTREAM_BENCH_WINDOWS``, or so many windows as is usual for the figure."""
    return int(os.environ.get("CALMSTREAM_BENCH_WINDOWS", usual))


@dataclass
class Run:
    """One call of the benchmarks; ``bootstrap`` is empty where no figure needs a broker."""

    bootstrap: str
    folder: Path
    points: int
    repeats: int

    @property
    def signals(self) -> int:
        return min(10_000, self.points // _SECONDS)

    def emit(
        self, name: str, value: float, unit: str, peers: dict[str, float | None] | None = None, **more: object
    ) -> None:
        """Print one figure. ``more`` are keys that explain it."""
        print(json.dumps({"name": name, "value": value, "unit": unit, "peers": peers or {}, **more}), flush=True)

    def say(self, text: str) -> None:
        print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@contextmanager
def started(repeats: int, *, with_kafka: bool) -> Iterator[Run]:
    """A run, with an Apache Kafka of its own where told. ``CALMSTREAM_BENCH_POINTS`` scales what goes end to end."""
    points = int(os.environ.get("CALMSTREAM_BENCH_POINTS", "5_000_000"))
    with TemporaryDirectory(prefix="calmstream-bench-", ignore_cleanup_errors=True) as scratch:
        if not with_kafka:
            yield Run("", Path(scratch), points, repeats)
            return
        server = KafkaServer(
            fetch.home(), properties=_PROPERTIES, java_options=_JAVA_OPTIONS, directory=Path(scratch, "kafka")
        )
        with server:
            yield Run(server.bootstrap, Path(scratch), points, repeats)
