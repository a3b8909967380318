"""A worker that the network cuts off from its broker: nothing is closed, and packets vanish. Each as docs/operations.md
has it.

On one server, each worker at a wire of its own, all at the same time; one of them is not disturbed.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.streams.exits import Exit
from pipeline.streams.unfinished import MOST_LINES
from tests.chaos.fault_run import SESSION_SECONDS
from tests.chaos.stories import PARTITIONS
from tests.kafka.server import KafkaServer
from tests.kafka.wire import Wire
from tests.streams.cut_off_runs import CHECKPOINT, HASTE, Away, CutOff, Lost, Stopped, is_saving
from tests.streams.outcomes import ENDS_SECONDS, killed_at_the_end

STOPS_SECONDS = 20.0


@pytest.fixture(scope="module")
def told(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, CutOff]]:
    """All runs, held at the same time."""
    directory = tmp_path_factory.mktemp("cut-off")
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(watch=re.compile(CHECKPOINT))) for _ in range(4)]
        server = stack.enter_context(KafkaServer(kafka_home, also=[(wire.to_port, wire.port) for wire in wires]))
        runs = [
            CutOff(server, "undisturbed", directory),
            Lost(server, "lost", directory, wires[0], dict(HASTE)),
            Away(server, "away", directory, wires[1], for_seconds=SESSION_SECONDS + 3),
            Stopped(server, "stopped", directory, wires[2]),
            Stopped(server, "stopped-and-saved", directory, wires[3], mended=True),
        ]
        stack.enter_context(killed_at_the_end(*(run.worker for run in runs)))
        for run in runs:
            run.run.create()
        with ThreadPoolExecutor(len(runs)) as pool:
            for done in [pool.submit(run.tell) for run in runs]:
                done.result()
        yield {run.name: run for run in runs}


def test_a_worker_that_is_cut_off_for_good_ends_and_the_next_one_catches_up(told: dict[str, CutOff]) -> None:
    run = told["lost"]
    assert run.code == Exit.BROKER_LOST
    assert run.seconds < ENDS_SECONDS
    words = r"the broker has not acknowledged a record for lost\.\S+/\d within 6 s; look at the broker and the network"
    assert re.search(rf"{words}|the broker at \S+ has not answered for 8 s", run.worker.log())
    assert same_as_undisturbed(told, "lost")


def test_one_that_is_cut_off_for_less_goes_on_by_itself(told: dict[str, CutOff]) -> None:
    """For longer than the session of its groups, so that they have sent it away."""
    assert told["away"].worker.log().count("worker with the roles") == 1
    assert same_as_undisturbed(told, "away")


@pytest.mark.parametrize(("name", "code"), [("stopped", Exit.SHUTDOWN_TOO_LONG), ("stopped-and-saved", Exit.CLEAN)])
def test_one_that_is_told_to_stop_while_it_saves_ends_in_time_and_leaves_a_whole_state(
    told: dict[str, CutOff], name: str, code: Exit
) -> None:
    """The wire is cut when the first records of a checkpoint have gone through it and the last one has not. In one run
    it stays so until the worker has ended."""
    run = told[name]
    assert is_saving(run.seen)
    assert run.code == code
    assert run.seconds < STOPS_SECONDS
    assert len(run.offsets) == PARTITIONS
    assert same_as_undisturbed(told, name)


def test_what_a_shutdown_that_takes_too_long_waits_for_is_said(told: dict[str, CutOff]) -> None:
    log = told["stopped"].worker.log()
    assert "the shutdown took longer than 15 s; ending" in log
    lines = [
        line.partition("not done: ")[2] for line in log.splitlines() if "CRITICAL" in line and "not done: " in line
    ]
    assert 2 < len(lines) <= 3 + MOST_LINES
    (records,) = [line for line in lines if line.startswith("shard service score: ") and "records of" in line]
    assert re.search(r": \d+ records of .*stopped\.score\.state/\d.* not acknowledged$", records)
    (stop,) = [line for line in lines if line.startswith("stop of shard service score, at ")]
    assert re.search(r"pipeline/streams/outbox\.py:\d+ stop < pipeline/streams/shard\.py:\d+ on_stop", stop)
    assert "not all was saved in 9 s (" in log
    assert re.search(r"stopped\.signals/\d.* not saved; ", log)


def same_as_undisturbed(told: dict[str, CutOff], name: str) -> bool:
    expected = told["undisturbed"].result
    assert sum(revision == 1 for _, revision in expected.incidents) >= 4
    assert told[name].result.differences(expected) == []
    return True
