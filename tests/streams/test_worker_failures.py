"""How workers end, with which code and which words, and what they survive; each as docs/operations.md has it."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from pipeline.streams.broker_process import LOOPBACK, answers, free_port
from pipeline.streams.embedded import EmbeddedBroker
from pipeline.streams.exits import Exit
from tests.kafka.server import KafkaServer
from tests.streams.one_signal import OneSignal
from tests.worker_process import WorkerProcess

#: A worker that gives its broker up soon.
HASTY = {
    "BROKER__LOST_AFTER_SECONDS": "5",
    "BROKER__REQUEST_TIMEOUT_SECONDS": "5",
    "WORKER__SHUTDOWN_SECONDS": "2",
}
LOST_SECONDS = 60.0


# -- ends at once: these are started together -----------------------------------------------------------------------


class NotABroker:
    """Where a worker is told to look for one."""

    def __init__(self, port: int) -> None:
        self.bootstrap = f"{LOOPBACK}:{port}"


@pytest.fixture(scope="module")
def refused(
    embedded_broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, WorkerProcess]]:
    """Workers that cannot start, by what is wrong."""
    directory = tmp_path_factory.mktemp("refused")
    unknown = directory / "unknown.yaml"
    unknown.write_text("broker:\n  bootstrapp: localhost:9092\n")
    with socket.create_server((LOOPBACK, free_port())) as silent:
        places = {
            "nothing there": NotABroker(free_port()),
            "silent": NotABroker(silent.getsockname()[1]),
        }
        runs = {
            what: OneSignal(places.get(what, embedded_broker), f"{what.replace(' ', '-')}.", directory, dict(HASTY))  # type: ignore[arg-type]
            for what in ("topics missing", "partitions", "setting", "file", "idempotence", *places)
        }
        runs["partitions"].create()
        runs["partitions"].changes["TOPICS__PARTITIONS"] = "3"
        runs["idempotence"].create()
        runs["setting"].changes["BROKERS"] = "localhost:9092"
        workers = {
            what: run.worker(*(["--config", str(unknown)] if what == "file" else [])) for what, run in runs.items()
        }
        for worker in workers.values():
            worker.start()
        yield workers
        for worker in workers.values():
            worker.kill()


def test_missing_topics_are_named_with_the_command_that_makes_them(refused: dict[str, WorkerProcess]) -> None:
    worker = refused["topics missing"]
    assert worker.wait_end() == Exit.TOPICS
    for name in ("points", "signals", "score.state"):
        assert f"topics-missing.{name}: the topic is missing; run: calmstream topics create" in worker.log()


def test_a_wrong_number_of_partitions_is_refused_with_both_numbers(refused: dict[str, WorkerProcess]) -> None:
    worker = refused["partitions"]
    assert worker.wait_end() == Exit.TOPICS
    assert "partitions.signals: it has 1 partitions and 3 are expected" in worker.log()


def test_a_setting_that_is_none_is_refused_by_name(refused: dict[str, WorkerProcess]) -> None:
    worker = refused["setting"]
    assert worker.wait_end() == Exit.CONFIGURATION
    assert "CALMSTREAM_BROKERS is not a setting" in worker.log()


def test_a_wrong_key_in_the_file_is_refused_by_name(refused: dict[str, WorkerProcess]) -> None:
    worker = refused["file"]
    assert worker.wait_end() == Exit.CONFIGURATION
    assert "broker.bootstrapp: is not a setting" in worker.log()


def test_a_broker_without_idempotence_is_refused_with_the_setting_that_would_take_it(
    refused: dict[str, WorkerProcess],
) -> None:
    worker = refused["idempotence"]
    assert worker.wait_end() == Exit.CONFIGURATION
    assert "refuses idempotent producing" in worker.log()
    assert "broker.idempotence to if-available" in worker.log()


@pytest.mark.parametrize("what", ["nothing there", "silent"])
def test_a_broker_that_never_was_there_is_lost(refused: dict[str, WorkerProcess], what: str) -> None:
    worker = refused[what]
    assert worker.wait_end(within_seconds=LOST_SECONDS) == Exit.BROKER_LOST
    assert "cannot be reached" in worker.log()
    assert "Traceback" not in worker.log()


# -- the broker goes while the worker runs --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_kafka(kafka_home: Path) -> Iterator[KafkaServer]:
    """One that tests stop and pause."""
    with KafkaServer(kafka_home) as server:
        yield server


def test_a_broker_that_comes_back_is_waited_for_and_one_that_does_not_is_lost(
    own_kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    """A patient and a hasty worker on one broker, which freezes, restarts, and is stopped for good."""
    patient = OneSignal(own_kafka, f"{topic_prefix}patient.", tmp_path).create()
    hasty = OneSignal(own_kafka, f"{topic_prefix}hasty.", tmp_path, HASTY).create()
    worker, hasty_worker = patient.worker(), hasty.worker()
    with stopped_at_the_end(worker, hasty_worker):
        for each in (worker, hasty_worker):
            each.start()
        for each in (worker, hasty_worker):
            each.wait_ready()
        patient.send_points(5)
        patient.wait_counted(worker)

        own_kafka.pause()
        assert hasty_worker.wait_end(within_seconds=LOST_SECONDS) == Exit.BROKER_LOST
        own_kafka.resume()
        worker.wait_until(lambda: answers(own_kafka.bootstrap, within_seconds=5), "in reach of its broker")
        patient.send_points(5)
        patient.wait_counted(worker)

        own_kafka.restart()
        hasty_worker.start()
        patient.send_points(5)
        patient.wait_counted(worker)
        hasty_worker.wait_ready()

        own_kafka.kill()
        assert hasty_worker.wait_end(within_seconds=LOST_SECONDS) == Exit.BROKER_LOST
        assert "has not answered for 5 s" in hasty_worker.log()
        assert worker.pid is not None


# -- stop, and go on from what was saved ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved_runs(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> list[OneSignal]:
    """One for each test below: its worker has counted nine of ten points and was stopped in order."""
    directory = tmp_path_factory.mktemp("saved")
    runs = [OneSignal(kafka, f"saved{number}.", directory).create() for number in range(4)]
    workers = [run.worker() for run in runs]
    with stopped_at_the_end(*workers):
        for run, worker in zip(runs, workers, strict=True):
            run.send_points(10)
            worker.start()
        for run, worker in zip(runs, workers, strict=True):
            run.wait_counted(worker)
            assert worker.stop(within_seconds=8) == Exit.CLEAN
            assert "Traceback" not in worker.log()
    return runs


@pytest.fixture
def saved(saved_runs: list[OneSignal]) -> OneSignal:
    return saved_runs.pop()


def test_a_stopped_worker_goes_on_where_it_was(saved: OneSignal) -> None:
    saved.send_points(10)
    with saved.worker() as worker:
        saved.wait_counted(worker)
        assert worker.metrics()["calmstream_points_total"] == 10, "what was saved is not read again"


def test_messages_deleted_unread_are_counted_and_said_and_the_worker_goes_on(saved: OneSignal) -> None:
    saved.send_points(10)
    asyncio.run(delete_records(saved, "points", before=14))
    with saved.worker() as worker:
        saved.wait_counted(worker, saved.sent - 1 - 4)
        assert worker.metrics()['calmstream_drops_total{reason="log_truncated",role="ingest"}'] == 4
        assert "4 messages of" in worker.log()
        assert "from offset 10 on were deleted unread; give the topic a longer retention" in worker.log()


def test_an_input_topic_that_was_created_anew_is_refused(saved: OneSignal) -> None:
    asyncio.run(create_anew(saved, "points"))
    saved.send_points(3)
    worker = saved.worker().start()
    with stopped_at_the_end(worker):
        assert worker.wait_end() == Exit.STATE_UNREADABLE
        assert f"{saved.prefix}points/0 follows from offset 10, but the topic ends at" in worker.log()
        assert "created anew" in worker.log()


def test_a_damaged_checkpoint_is_refused_with_the_name_of_its_shard(saved: OneSignal) -> None:
    live = {record.key: record.value for record in saved.read("score.state")}
    keys = [key for key, value in live.items() if value is not None and not key.endswith(b"|manifest")]
    assert keys
    saved.send("score.state", *((key, b"damaged") for key in keys))
    worker = saved.worker("--roles", "score").start()
    with stopped_at_the_end(worker):
        assert worker.wait_end() == Exit.STATE_UNREADABLE
        assert f"no checkpoint of {saved.prefix}signals/0 is complete" in worker.log()


# -- what does not belong there does not stop a worker --------------------------------------------------------------

JUNK = (
    b"",
    b"{",
    b"\xff\x00\x01",
    b"[1e999]",
    b"null",
    b"SB\x01junk",
    b'{"id": 1, "revision": 1e999}',
    b"[" * 5000,
    None,
)


@pytest.fixture(scope="module")
def going(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OneSignal, WorkerProcess]]:
    """A run with a worker that is ready, and is still at the end."""
    run = OneSignal(kafka, "going.", tmp_path_factory.mktemp("going")).create()
    with run.worker() as worker:
        yield run, worker
        assert worker.status("/ready") == 200


def test_junk_on_our_own_topics_is_kept_apart_and_the_worker_goes_on(going: tuple[OneSignal, WorkerProcess]) -> None:
    run, worker = going
    for topic in ("signals", "anomalies", "incidents"):
        run.send(topic, *((b"key", value) for value in JUNK))
    run.send_points(5)
    run.wait_counted(worker)
    drops = [
        'calmstream_drops_total{reason="undecodable",role="score"}',
        'calmstream_drops_total{reason="undecodable",role="correlate"}',
        'calmstream_drops_total{reason="foreign_incident",role="correlate"}',
    ]

    def kept_apart() -> bool:
        metrics = worker.metrics()
        return all(metrics.get(name) == len(JUNK) for name in drops)

    worker.wait_until(kept_apart, "done with the junk")
    letters = [(dict(letter.headers)["calm_topic"].decode(), letter.value) for letter in run.read("dead-letter")]
    for topic in ("signals", "anomalies"):
        assert [value for source, value in letters if source == topic] == list(JUNK)


def test_marks_of_transactions_are_not_taken_for_messages_that_wait(going: tuple[OneSignal, WorkerProcess]) -> None:
    run, worker = going
    run.send_points(5, transactions=True)
    run.wait_counted(worker)
    lag = f'calmstream_lag_messages{{partition="0",role="ingest",topic="{run.prefix}points"}}'
    worker.wait_until(lambda: worker.metrics()[lag] == 0, "at the end of its input")
    assert worker.metrics()['calmstream_drops_total{reason="log_truncated",role="ingest"}'] == 0


# -- the event loop -------------------------------------------------------------------------------------------------

_WATCHED = """
import asyncio, contextlib, sys, threading
from pipeline.streams.watchdog import LoopWatch

async def main():
    loop = asyncio.get_running_loop()
    watch = LoopWatch(loop, 1.0)
    watch.start()
    print("watched", flush=True)
    if sys.argv[1] == "block":
        threading.Event().wait()
    await loop.run_in_executor(None, sys.stdin.readline)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(loop.create_future(), 1.2)
    watch.stop()

asyncio.run(main())
"""


@contextlib.contextmanager
def watched(what: str) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _WATCHED, what], text=True, **pipes) as child:  # type: ignore[call-overload]
        try:
            assert child.stdout.readline() == "watched\n"
            yield child
        finally:
            child.kill()


def test_a_blocked_event_loop_ends_the_process_and_shows_where() -> None:
    with watched("block") as child:
        assert child.wait(20) == Exit.LOOP_BLOCKED
        said = child.stderr.read()
    assert "the event loop was blocked" in said
    assert "in main" in said


def test_a_paused_process_is_not_taken_for_a_blocked_one() -> None:
    with watched("turn") as child:
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(3)
        child.send_signal(signal.SIGCONT)
        child.stdin.write("go on\n")
        child.stdin.flush()
        assert child.wait(20) == 0


# ------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stopped_at_the_end(*workers: WorkerProcess) -> Iterator[None]:
    """Kill what still runs, whatever happens."""
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()


async def delete_records(run: OneSignal, topic: str, *, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=run.broker.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(run.prefix + topic, 0): RecordsToDelete(before)})
    finally:
        await admin.close()


async def create_anew(run: OneSignal, topic: str) -> None:
    """Delete a topic and create it, which Kafka refuses for as long as it is at the first."""
    admin = AIOKafkaAdminClient(bootstrap_servers=run.broker.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([run.prefix + topic])
        async with asyncio.timeout(30):
            while True:
                answer = await admin.create_topics([NewTopic(run.prefix + topic, 1, 1)])
                if answer.topic_errors[0][1] == 0:
                    return
    finally:
        await admin.close()
