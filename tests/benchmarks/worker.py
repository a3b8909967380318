"""A ``calmstream worker`` as a child process, with shipped settings except where it must differ to be run here.

Guarantee: a worker that ends by itself, or does not reach what is waited for in time, raises ``RunFailed`` with the
end of its log; no worker outlives its ``with`` block.
"""

import asyncio
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline.settings import Settings
from pipeline.streams import topics
from pipeline.streams.broker_process import LOOPBACK, free_port
from tests.benchmarks.run import Run, RunFailed

_COMMAND = Path(sys.executable).parent / "calmstream"
_POLL_SECONDS = 0.25
_STOP_SECONDS = 60.0


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all samples of that name that carry these labels; 0 where there are none."""
        wanted = labels.items()
        return sum(s.value for s in self._samples if s.name == name and wanted <= s.labels.items())


class Worker:
    """A worker of one run, with topics of its own (``prefix``) and one input topic of JSON points.

    ``roles``: all unless told. ``settings`` are sections of the configuration that differ from the shipped ones.
    """

    def __init__(
        self, run: Run, prefix: str, input_topic: str, *, roles: tuple[str, ...] = (), **settings: Any
    ) -> None:
        self._run = run
        self.prefix = prefix
        self._port = free_port()
        self._config = run.folder / f"{prefix}yaml"
        self._log = run.folder / f"{prefix}log"
        self._settings: dict[str, Any] = {
            "topic_prefix": prefix,
            "broker": {"bootstrap": run.bootstrap},
            "http": {"host": LOOPBACK, "port": self._port},
            "inputs": [
                {"topic": input_topic, "format": "json_points"},
                {"topic": "otlp_metrics", "format": "otlp_metrics"},
            ],
            **settings,
        }
        self._options = ["--roles", ",".join(roles)] if roles else []
        self._config.write_text(yaml.safe_dump(self._settings))
        self._process: subprocess.Popen[bytes] | None = None
        self.spawned_at = 0.0
        self.ready_seconds = 0.0

    def create_topics(self) -> None:
        """Create what ``calmstream topics create`` would create for this worker's configuration."""
        asyncio.run(topics.create(Settings(**self._settings)))

    def __enter__(self) -> Self:
        """Start, and return when the worker says that it is ready."""
        with self._log.open("ab") as log:
            self.spawned_at = time.time()
            self._process = subprocess.Popen(
                [_COMMAND, "worker", "--config", self._config, *self._options],
                env=_environment(),
                cwd=self._run.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self.wait_until(self._is_ready, "ready", within_seconds=60, poll_seconds=0.02)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.ready_seconds = time.time() - self.spawned_at
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        process = self._running()
        process.terminate()
        try:
            code = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code and kind is None:
            raise RunFailed(f"the worker ended with code {code}; {self._log_end()}")

    def metrics(self) -> Metrics:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self._port}/metrics", timeout=30) as answer:
            return Metrics(answer.read().decode())

    def peak_memory_bytes(self) -> int | None:
        """The most that was resident so far; None where the system does not say (not Linux)."""
        status = Path(f"/proc/{self._running().pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)

    def wait_until(
        self, reached: Callable[[], bool], what: str, *, within_seconds: float, poll_seconds: float = _POLL_SECONDS
    ) -> None:
        process = self._running()
        deadline = time.monotonic() + within_seconds
        while not _is_true(reached):
            if time.monotonic() > deadline:
                raise RunFailed(f"the worker was not {what} within {within_seconds:g} s; {self._log_end()}")
            try:
                code = process.wait(poll_seconds)
            except subprocess.TimeoutExpired:
                continue
            raise RunFailed(f"the worker ended with code {code} before it was {what}; {self._log_end()}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self._port}/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RunFailed("the worker was not started")
        return self._process

    def _log_end(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-30:] if self._log.exists() else []
        return "\n".join(["the end of its log:", *lines])


def _is_true(reached: Callable[[], bool]) -> bool:
    """A worker whose event loop is busy for longer than a scrape may take has not reached anything yet."""
    try:
        return reached()
    except (TimeoutError, urllib.error.URLError, ConnectionError):
        return False


def _environment() -> dict[str, str]:
    """Ours without our own settings, so that the worker's are the shipped ones and those of its file."""
    return {key: value for key, value in os.environ.items() if not key.startswith("CALMSTREAM_")}
