"""Several workers on one set of topics: who shows what, who is ready when, and roles apart."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaProducer

from pipeline.settings import Settings, load
from pipeline.streams import topics
from tests.kafka.server import KafkaServer
from tests.streams.fault_run import END, PARTITIONS, START, FaultRun, Result, points, read_back
from tests.worker_process import WorkerProcess


def test_a_worker_is_ready_when_it_has_restored_and_shows_only_the_partitions_that_it_has(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    """While the first worker is paused the group waits for it, and so the second one cannot be ready."""
    run = FaultRun(kafka.bootstrap, topic_prefix, tmp_path)
    asyncio.run(topics.create(settings_of(run)))
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
            asyncio.run(topics.create(settings_of(run)))
            asyncio.run(send_points(settings_of(run)))
        for each in workers:
            each.start()
            stack.enter_context(running(each))
        for run, last in ((together, workers[0]), (apart, workers[-1])):
            last.wait_until(lambda run=run, last=last: is_through(run, last), "done with all points")
            results.append(asyncio.run(read_back(settings_of(run))))
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


def settings_of(run: FaultRun) -> Settings:
    return load(
        overrides={
            "broker": {"bootstrap": run.bootstrap},
            "topic_prefix": run.prefix,
            "topics": {"partitions": PARTITIONS},
            "inputs": [{"topic": f"{run.prefix}points", "format": "json_points"}],
        }
    )


async def send_points(settings: Settings) -> None:
    """All points at once."""
    async with AIOKafkaProducer(bootstrap_servers=settings.broker.bootstrap, linger_ms=5) as producer:
        for second, partition, message in points():
            at_ms = (START + second) * 1000
            await producer.send(settings.inputs[0].topic, message, partition=partition, timestamp_ms=at_ms)


def is_through(run: FaultRun, worker: WorkerProcess) -> bool:
    """Has its correlate role seen the end of all points?"""
    if worker.status("/ready") != 200:
        return False
    metrics = worker.metrics()
    name = 'calmstream_watermark_timestamp_seconds{{partition="{}anomalies/{}",role="correlate"}}'
    return all(metrics.get(name.format(run.prefix, number), 0.0) >= END - 10 for number in range(PARTITIONS))


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
