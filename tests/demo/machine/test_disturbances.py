"""The disturbing processes: quiet until told, quiet again after, and never left behind."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import psutil
import pytest

from pipeline.demo.failure import DemoFailed
from pipeline.demo.machine.disturbances import BURNER, WRITER, Disturbance, Kind


@pytest.fixture(params=[BURNER, WRITER], ids=["burner", "writer"])
async def disturbance(request: pytest.FixtureRequest) -> AsyncIterator[Disturbance]:
    made = Disturbance(request.param)
    await made.launch()
    yield made
    await made.end()


def work_of(kind: Kind, pid: int) -> Callable[[], float]:
    """How much the process has done: seconds of CPU time, or MiB written to disk."""
    process = psutil.Process(pid)
    if kind is BURNER:
        return lambda: process.cpu_times().user
    return lambda: process.io_counters().write_bytes / 2**20


async def test_it_works_between_start_and_stop_and_only_then(disturbance: Disturbance) -> None:
    done = work_of(disturbance.kind, disturbance.pid)
    await disturbance.start()
    before = done()
    while done() < before + (0.2 if disturbance.kind is BURNER else 2):
        pass
    await disturbance.stop()
    after = done()
    await disturbance.start()  # another round trip: in between it did nothing
    await disturbance.stop()
    assert done() - after < (0.2 if disturbance.kind is BURNER else 2)


async def test_a_process_that_ended_is_said_by_name(disturbance: Disturbance) -> None:
    process = psutil.Process(disturbance.pid)
    process.kill()
    process.wait(10)
    with pytest.raises(DemoFailed, match=f"{disturbance.kind.name} was to say 'started'"):
        await disturbance.start()


@pytest.mark.parametrize("role", ["burner", "writer"])
def test_it_ends_when_its_input_closes_even_at_work(role: str) -> None:
    command = [sys.executable, "-m", "pipeline.demo.machine.disturber", role]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.stdin.write("start\n")
        child.stdin.flush()
        assert child.stdout.readline() == "started\n"
        child.stdin.close()
        assert child.wait(timeout=10) == 0


async def test_the_file_of_the_writer_has_no_name() -> None:
    writer = Disturbance(WRITER)
    await writer.launch()
    try:
        await writer.start()
        folder = f"/proc/{writer.pid}/fd"
        files = [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
        regular = [name for name in files if name.startswith("/") and not name.startswith("/dev/")]
        assert regular
        assert all(name.endswith("(deleted)") for name in regular)
    finally:
        await writer.end()
