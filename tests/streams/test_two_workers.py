"""Several workers on one set of topics: who shows what, who is ready when, and roles apart."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.fault_run import FaultRun, Result
from tests.chaos.stories import PARTITIONS
from tests.kafka.server import KafkaServer
from tests.worker_process import WorkerProcess


def test_a_worker_is_ready_when_it_has_restored_and_shows_only_the_partitions_that_it_has(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    """While the first worker is paused the group waits for it, and so the second one cannot be ready."""
    run = FaultRun(kafka.bootstrap, topic_prefix, tmp_path)
    run.create()
    environment = run.settings() | {"CALMSTREAM_BROKER__SESSION_TIMEOUT_SECONDS": "6"}
    first, second = (WorkerProcess(environment, directory=tmp_path, name=name) for name in ("first", "second"))
    every = {f"{topic_prefix}{topic}/{p}" for topic in ("points", "signals", "anomalies") for p in range(PARTITIONS)}
    with first:
        first.wait_until(lambda: shown(first) == every, "showing every partition")
        first.pause()
        try:
            second.start()
            second.wait_until(lambda: second.status("/live") == 200, "alive")
            second.wait_until(lambda: second.status("/ready") == 503, "waiting for the first")
            roles = {role: second.metrics().get(f'calmstream_ready{{role="{role}"}}') for role in ROLES}
            assert roles == dict.fromkeys(ROLES, 0.0)
            assert shown(second) == set()
        finally:
            first.resume()
        with running(second):
            second.wait_ready()
            first.wait_until(
                lambda: shown(first) | shown(second) == every and not shown(first) & shown(second),
                "sharing the partitions",
            )
            assert shown(first)
            assert shown(second)
            assert gauges(first) == shown(first)
            assert gauges(second) == shown(second)
            first.wait_ready()
            assert second.stop() == 0
            first.wait_until(lambda: shown(first) == every, "showing every partition again")
            first.wait_ready()


def test_roles_apart_give_what_one_worker_gives(kafka: KafkaServer, topic_prefix: str, tmp_path: Path) -> None:
    together = FaultRun(kafka.bootstrap, f"{topic_prefix}together.", tmp_path)
    apart = FaultRun(kafka.bootstrap, f"{topic_prefix}apart.", tmp_path)
    workers = [worker(together, ",".join(ROLES)), *(worker(apart, role) for role in ROLES)]
    results: list[Result] = []
    with contextlib.ExitStack() as stack:
        for run in (together, apart):
            run.create()
            run.feed(0.0)
        for each in workers:
            each.start()
            stack.enter_context(running(each))
        for run, last in ((together, workers[0]), (apart, workers[-1])):
            run.wait_until_through(last)
            results.append(run.result())
        for each in workers:
            assert each.stop() == 0
    one, several = results
    assert len(one.incidents) >= 4
    assert several.windows == one.windows
    assert several.incidents == one.incidents


ROLES = ("ingest", "score", "correlate")


@contextlib.contextmanager
def running(worker: WorkerProcess) -> Iterator[None]:
    """A worker that was started; killed if it still runs at the end."""
    try:
        yield
    finally:
        worker.kill()


def worker(run: FaultRun, roles: str) -> WorkerProcess:
    arguments = ("worker", "--roles", roles)
    return WorkerProcess(run.settings(), directory=run.directory, arguments=arguments, name=f"{run.prefix}{roles}")


def shown(worker: WorkerProcess) -> set[str]:
    """The partitions whose lag the worker shows."""
    labels = re.findall(r"calmstream_lag_messages\{(.*)\}", worker.exposition())
    found = [dict(re.findall(r'(\w+)="([^"]*)"', text)) for text in labels]
    return {f"{label['topic']}/{label['partition']}" for label in found}


def gauges(worker: WorkerProcess) -> set[str]:
    """The partitions that any gauge of shards names."""
    names = "signals|open_incidents|watermark_timestamp_seconds"
    labels = re.findall(rf"calmstream_(?:{names})\{{(.*)\}}", worker.exposition())
    return shown(worker) | {dict(re.findall(r'(\w+)="([^"]*)"', text))["partition"] for text in labels}
