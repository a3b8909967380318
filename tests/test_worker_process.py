"""What runs workers for tests says what happened to them."""

from pathlib import Path

import pytest

from pipeline.streams.exits import Exit
from tests.worker_process import WorkerFailed, WorkerProcess


def test_a_worker_that_ends_before_it_is_ready_is_reported_with_its_code_and_its_log(tmp_path: Path) -> None:
    worker = WorkerProcess({"CALMSTREAM_BROKERS": "localhost:9092"}, directory=tmp_path)
    with pytest.raises(WorkerFailed, match=r"ended with code 2 before it was ready(.|\n)*CALMSTREAM_BROKERS"), worker:
        pass
    assert worker.pid is None


@pytest.mark.parametrize("command", [True, False])
def test_the_code_with_which_a_worker_ends_is_returned(tmp_path: Path, command: bool) -> None:
    worker = WorkerProcess({}, directory=tmp_path, arguments=("worker", "--roles", "cook"), command=command).start()
    assert worker.wait_end() == Exit.CONFIGURATION
    assert "cook" in worker.log() or "roles" in worker.log()


def test_a_worker_that_was_not_started_cannot_be_paused(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed, match="does not run"):
        WorkerProcess({}, directory=tmp_path).pause()
