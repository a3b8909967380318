"""What becomes of workers when their broker stands still, is gone, has damaged data or no space left, on one server.

The tests stand in the order in which the server can bear them.
"""

import asyncio
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from pipeline.streams.broker_process import LOOPBACK, free_port
from pipeline.streams.exits import Exit
from tests.kafka.server import KafkaServer
from tests.streams.made_batches import Raw, batch_of, send_batch
from tests.streams.one_signal import OneSignal
from tests.streams.outcomes import ENDS_SECONDS, HASTE, admin, killed_at_the_end
from tests.streams.test_worker_failures import NotABroker, delete_records

#: Bound on the end after SIGTERM, whatever goes on (docs/operations.md): worker.shutdown_seconds is 15 by default.
STOPS_SECONDS = 20.0
BAD = ((b"caf\xe9", b"2"),)


@pytest.fixture(scope="module")
def server(kafka_home: Path) -> Iterator[KafkaServer]:
    with KafkaServer(kafka_home) as server:
        yield server


@pytest.fixture
def run(server: KafkaServer, topic_prefix: str, tmp_path: Path) -> OneSignal:
    return OneSignal(server, topic_prefix, tmp_path, dict(HASTE)).create()


def test_a_refused_record_at_the_end_of_its_partition_is_refused_once(run: OneSignal) -> None:
    worker = run.worker()
    with killed_at_the_end(worker):
        worker.start().wait_ready()
        run.send_points(2)
        asyncio.run(send_batch(run.broker.bootstrap, f"{run.prefix}points", batch_of([Raw(b"poison", None, BAD)])))
        name = 'calmstream_drops_total{reason="bad_header",role="ingest"}'
        worker.wait_until(lambda: worker.metrics().get(name) == 1, "done with the record")
        for _ in range(2):
            assert worker.stop() == 0
            worker.start().wait_ready()
        run.send_points(2)
        run.wait_counted(worker)
        assert len(run.read("dead-letter")) == 1
        assert worker.stop() == 0


def test_what_is_deleted_under_a_running_worker_is_counted_and_said(run: OneSignal) -> None:
    run.changes["BROKER__SESSION_TIMEOUT_SECONDS"] = "30"
    worker = run.worker()
    with killed_at_the_end(worker):
        worker.start().wait_ready()
        run.send_points(5)
        run.wait_counted(worker)
        worker.pause()
        run.send_points(1)  # it answers the look that the worker took before
        run.send_points(9)
        asyncio.run(delete_records(run, "points", before=12))
        worker.resume()
        name = 'calmstream_drops_total{reason="log_truncated",role="ingest"}'
        worker.wait_until(lambda: bool(worker.metrics()[name]), "aware of what it lost")
        lost = worker.metrics()[name]
        assert 0 < lost <= 7, "what was fetched before the pause is not lost"
        run.wait_counted(worker, run.sent - 1 - int(lost))
        assert (
            f"{lost:.0f} messages of {run.prefix}points/0 from offset {12 - lost:.0f} on were deleted" in worker.log()
        )
        assert worker.stop() == 0


def test_a_batch_that_is_damaged_on_the_brokers_disk_is_a_dead_letter(run: OneSignal, server: KafkaServer) -> None:
    run.send_points(1)
    run.send("points", (None, b"MARKED" * 20))
    run.send_points(4)
    server.stop()
    (log,) = server.directory.glob(f"data/{run.prefix}points-0/*.log")
    stored = log.read_bytes()
    assert stored.count(b"MARKED") == 20
    log.write_bytes(stored.replace(b"MARKED", b"MARRED", 1))
    server.start()
    worker = run.worker()
    with killed_at_the_end(worker):
        worker.start()
        run.wait_counted(worker)
        assert worker.stop() == 0
    (letter,) = run.read("dead-letter")
    headers = dict(letter.headers)
    assert headers["calm_reason"] == b"unreadable_batch"
    assert b"its checksum is wrong" in headers["calm_detail"]
    assert b"MARRED" in letter.value


def test_a_message_far_larger_than_a_fetch_is_read(run: OneSignal) -> None:
    async def widen() -> None:
        async with admin(run) as client:
            wanted = {"max.message.bytes": str(2**25)}
            await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"{run.prefix}points", wanted)])

    asyncio.run(widen())
    worker = run.worker()
    with killed_at_the_end(worker):
        worker.start().wait_ready()
        run.send_points(2)
        large = batch_of([Raw(run._point(run.sent) + b" " * 2**24)], start_ms=int(run.start * 1000))
        asyncio.run(send_batch(run.broker.bootstrap, f"{run.prefix}points", large))
        run.sent += 1
        run.send_points(2)
        run.wait_counted(worker)
        assert worker.stop() == 0


def test_a_worker_stops_in_time_whatever_goes_on(server: KafkaServer, tmp_path: Path) -> None:
    """Before there is a broker, while it starts, while another one joins, while the broker stands still or is gone."""
    frozen, gone, joined = (
        OneSignal(server, f"stop-{name}.", tmp_path, {"WORKER__SHUTDOWN_SECONDS": "15"}).create()
        for name in ("frozen", "gone", "joined")
    )
    with socket.create_server((LOOPBACK, free_port())) as listening:
        silent = OneSignal(NotABroker(listening.getsockname()[1]), "stop-silent.", tmp_path)  # type: ignore[arg-type]
        workers = {run.prefix: run.worker() for run in (frozen, gone, joined, silent)}
        other = joined.worker(name="other")
        early = gone.worker(name="early")
        with killed_at_the_end(*workers.values(), other, early):
            for worker in workers.values():
                worker.start()
            before = workers[silent.prefix]
            before.wait_until(lambda: "worker with the roles" in before.log(), "on its way")
            assert before.stop(within_seconds=STOPS_SECONDS) == Exit.CLEAN
            for one in (frozen, gone, joined):
                workers[one.prefix].wait_ready()
            early.start()
            early.wait_until(lambda: "worker with the roles" in early.log(), "on its way")
            assert early.stop(within_seconds=STOPS_SECONDS) == Exit.CLEAN
            other.start()
            other.wait_until(lambda: "shard service" in other.log(), "on its way into the groups")
            assert workers[joined.prefix].stop(within_seconds=STOPS_SECONDS) == Exit.CLEAN
            joined.send_points(3)
            joined.wait_counted(other)
            assert other.stop(within_seconds=STOPS_SECONDS) == Exit.CLEAN
            server.pause()
            assert workers[frozen.prefix].stop(within_seconds=STOPS_SECONDS) in (Exit.CLEAN, Exit.SHUTDOWN_TOO_LONG)
            server.resume()
            server.kill()
            ended = workers[gone.prefix].stop(within_seconds=STOPS_SECONDS)
            assert ended in (Exit.CLEAN, Exit.SHUTDOWN_TOO_LONG, Exit.BROKER_LOST)
            server.start()


def test_a_worker_whose_own_disk_is_full_works_on(run: OneSignal) -> None:
    """No file of its own may take a byte, and what it says is kept by nobody."""
    code = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "full = os.open('/dev/full', os.O_WRONLY)\n"
        "os.dup2(full, 1), os.dup2(full, 2)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, str(Path(sys.executable).parent / "calmstream"), "worker"]
    with subprocess.Popen(
        command, env=run.environment() | {"CALMSTREAM_HTTP__PORT": str(free_port())}, cwd=run.directory
    ) as child:
        watcher = run.worker("--roles", "score")  # no other way to see that the points come through
        with killed_at_the_end(watcher):
            try:
                watcher.start()
                run.send_points(5)
                run.wait_counted(watcher)
                assert child.poll() is None
                child.send_signal(signal.SIGTERM)
                assert child.wait(STOPS_SECONDS) == Exit.CLEAN
            finally:
                child.kill()


def test_a_broker_without_space_ends_the_worker_and_nothing_is_lost_when_there_is_some(
    run: OneSignal, server: KafkaServer
) -> None:
    """Its files may not grow: what Kafka's log meets is an error of the disk, as when that is full."""
    run.changes["BROKER__SESSION_TIMEOUT_SECONDS"] = "30"
    worker = run.worker()
    with killed_at_the_end(worker):
        worker.start().wait_ready()
        run.send_points(5)
        run.wait_counted(worker)
        worker.pause()
        run.send_points(5)
        assert server.pid is not None
        (log,) = server.directory.glob(f"data/{run.prefix}signals-0/*.log")
        limit = log.stat().st_size + 200
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        worker.resume()
        assert worker.wait_end(within_seconds=ENDS_SECONDS) == Exit.BROKER_LOST
        server.restart()
        worker.start()
        run.send_points(5)
        run.wait_counted(worker)
        assert worker.stop() == 0
