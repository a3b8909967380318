"""The demos as a person runs them, in a process of their own."""

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

START_SECONDS = 60.0
KEPT = ("--no-disturbance", "--warm-up-seconds", "5", "--keep", "--memory-limit", "1")
#: Broker, worker, and two disturbing processes or six services.
LEAST_CHILDREN = {"machine": 4, "shop": 8}
BOTH = pytest.mark.parametrize("what", ["shop", "machine"])


class Running:
    """A demo that was started, and what it has printed so far."""

    def __init__(self, folder: Path, *options: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CALMSTREAM_")}
        environment["TMPDIR"] = str(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "demo", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        self.output = ""

    def until(self, text: str, within_seconds: float, after: str = "") -> None:
        """Wait until it has printed this, after that."""
        self._read(lambda: text in self.output.partition(after)[2] if after else text in self.output, within_seconds)

    def ends(self, within_seconds: float) -> int:
        """Wait for its end; returns the exit code."""
        self._read(lambda: False, within_seconds)
        return self.process.wait(within_seconds)

    def _read(self, reached: Callable[[], bool], within_seconds: float) -> None:
        """Read until reached, or to the end."""
        pipe, deadline = self.process.stdout, time.monotonic() + within_seconds
        assert pipe is not None
        with selectors.DefaultSelector() as ready:
            ready.register(pipe, selectors.EVENT_READ)
            while not reached():
                assert ready.select(max(deadline - time.monotonic(), 0.01)), f"too slow; printed so far:\n{self.output}"
                if not (piece := os.read(pipe.fileno(), 65536)):
                    return
                self.output += piece.decode()


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Running]:
    running = Running(folder, *options)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def test_a_machine_without_a_disturbance_fails_and_keep_starts_anew_at_the_memory_limit(tmp_path: Path) -> None:
    with demo(tmp_path, "machine", *KEPT) as running:
        running.until("Ctrl-C ends it", within_seconds=150)
        assert "A check failed" in running.output
        assert running.output.count("  FAIL  demo-burner") == 4
        assert running.output.count("  FAIL  demo-writer") == 4
        assert "PASS" not in running.output
        running.until("Broker and worker start anew", within_seconds=30)
        running.until("watched every second", within_seconds=START_SECONDS, after="start anew")
        running.process.send_signal(signal.SIGINT)
        assert running.ends(within_seconds=15) == 1, running.output
        assert list(tmp_path.iterdir()) == []


def test_a_shop_without_a_deployment_fails_and_keep_starts_anew_at_the_memory_limit(tmp_path: Path) -> None:
    with demo(tmp_path, "shop", *KEPT) as running:
        running.until("Ctrl-C ends it", within_seconds=150)
        assert "A check failed" in running.output
        assert running.output.count("  FAIL  payment 1.5.0") == 5
        assert running.output.count("  PASS  payment 1.5.0  no incident before it") == 1
        running.until("Broker, worker and shop start anew", within_seconds=30)
        running.until("visits a second", within_seconds=START_SECONDS, after="start anew")
        running.process.send_signal(signal.SIGINT)
        assert running.ends(within_seconds=20) == 1, running.output
        assert list(tmp_path.iterdir()) == []


@BOTH
def test_an_interrupt_ends_it_in_seconds_and_with_it_all_its_processes(tmp_path: Path, what: str) -> None:
    with demo(tmp_path, what) as running:
        running.until("embedded broker on", within_seconds=START_SECONDS)
        children = psutil.Process(running.process.pid).children(recursive=True)
        running.process.send_signal(signal.SIGINT)
        assert running.ends(within_seconds=15) == 130, running.output
        assert "Interrupted; everything is stopped." in running.output
        assert psutil.wait_procs(children, timeout=5)[1] == []


@BOTH
def test_its_processes_end_also_when_it_is_killed(tmp_path: Path, what: str) -> None:
    with demo(tmp_path, what) as running:
        running.until("Learning what is normal", within_seconds=START_SECONDS)
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert len(children) >= LEAST_CHILDREN[what]
        running.process.kill()
        assert psutil.wait_procs(children, timeout=10)[1] == []


def test_a_broker_that_ends_is_said(tmp_path: Path) -> None:
    with demo(tmp_path, "machine") as running:
        running.until("Learning what is normal", within_seconds=START_SECONDS)
        found = re.search(r"embedded-broker\s+(\d+)", running.output)
        assert found, running.output
        psutil.Process(int(found[1])).kill()
        assert running.ends(within_seconds=20) == 1
        assert "calmstream demo: the embedded broker ended" in running.output, running.output


def test_a_service_that_ends_is_said(tmp_path: Path) -> None:
    with demo(tmp_path, "shop") as running:
        running.until("Learning what is normal", within_seconds=START_SECONDS)
        found = re.search(r"catalogue\s+1\.7\.1\s+\((\d+)\)", running.output)
        assert found, running.output
        psutil.Process(int(found[1])).kill()
        assert running.ends(within_seconds=20) == 1
        assert "calmstream demo: the service catalogue ended with code -9" in running.output, running.output
