"""SIGTERM before there is anything to stop: while a worker reads its configuration, and while its broker is silent."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.streams.broker_process import LOOPBACK, free_port
from pipeline.streams.exits import Exit
from tests.chaos.crew import STOP_SECONDS
from tests.chaos.fault_run import FaultRun
from tests.worker_process import WorkerProcess


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Takes connections and never answers, as a broker does whose machine is paused."""
    with socket.create_server((LOOPBACK, free_port())) as listening:
        listening.settimeout(60)
        yield listening


def test_sigterm_ends_a_worker_that_waits_for_the_first_answer_of_its_broker(
    silent: socket.socket, tmp_path: Path
) -> None:
    run = FaultRun(f"{LOOPBACK}:{silent.getsockname()[1]}", "silent.", tmp_path)
    worker = WorkerProcess(run.settings(), directory=tmp_path).start()
    try:
        connection, _ = silent.accept()
        with connection:
            started = time.monotonic()
            assert worker.stop(within_seconds=2 * STOP_SECONDS) == Exit.CLEAN
            assert time.monotonic() - started < STOP_SECONDS
    finally:
        worker.kill()
    assert "Traceback" not in worker.log()


def test_sigterm_during_a_start_is_not_lost_where_python_passes_no_exception_on() -> None:
    """It comes at any line, also in one of a ``__del__``."""
    script = """
import os, signal
from pipeline.cli.worker import _stopped_before_it_began
signal.signal(signal.SIGTERM, _stopped_before_it_began)
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass
Last()
print("went on")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
