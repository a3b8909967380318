"""A worker with something learnt, to which something happens, which is mended: what it ended with, and what it counted.

The workers of several runs go through it together: start, harm, end, mend, go on.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from pipeline.streams import topics
from tests.streams.one_signal import OneSignal
from tests.worker_process import WorkerProcess

#: Bound on what a worker may take to end, whatever happens to it (docs/operations.md); here with haste.
ENDS_SECONDS = 60.0
HASTE = {"BROKER__REQUEST_TIMEOUT_SECONDS": "10", "BROKER__LOST_AFTER_SECONDS": "12"}

Deed = Callable[[OneSignal], None]


@contextmanager
def killed_at_the_end(*workers: WorkerProcess) -> Iterator[None]:
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()


@dataclass
class Story:
    """``harm`` happens to a worker; ``mend`` is what its words ask for, None where that is told elsewhere."""

    harm: Deed
    mend: Deed | None = None
    code: int | None = None
    words: str = ""
    went_on: bool = field(default=False)


def tell(stories: Sequence[tuple[OneSignal, Story]]) -> None:
    """Let all of them happen."""
    workers = [run.worker() for run, _ in stories]
    told = list(zip(stories, workers, strict=True))
    with killed_at_the_end(*workers):
        for (run, _), worker in told:
            run.send_points(5)
            worker.start()
        for (run, _), worker in told:
            run.wait_counted(worker)
        for (run, story), _ in told:
            story.harm(run)
        for (_, story), worker in told:
            before = len(worker.log()) if worker.log_path.exists() else 0
            story.code = worker.wait_end(within_seconds=ENDS_SECONDS)
            story.words = worker.log()[max(before - 20_000, 0) :]
        mended = [(run, story, worker) for (run, story), worker in told if story.mend is not None]
        for run, story, worker in mended:
            assert story.mend is not None
            story.mend(run)
            worker = run.worker(name="after")
            run.send_points(5)
            with killed_at_the_end(worker):
                worker.start()
                run.wait_counted(worker)
                story.went_on = True
                worker.stop()


# -- what happens to topics -----------------------------------------------------------------------------------------


def configured(topic: str, **options: str) -> Deed:
    """Somebody sets options of a topic of ours, ``_`` for a dot."""
    configs = {name.replace("_", "."): value for name, value in options.items()}
    return lambda run: asyncio.run(_configure(run, topic, configs))


async def _configure(run: OneSignal, topic: str, configs: dict[str, str]) -> None:
    async with admin(run) as client:
        wanted = ConfigResource(ConfigResourceType.TOPIC, run.prefix + topic, configs)
        for code, message, *_ in (await client.alter_configs([wanted]))[0].resources:
            assert code == 0, for_code(code)(message)


def deleted(topic: str) -> Deed:
    """Somebody deletes a topic of ours."""

    async def delete(run: OneSignal) -> None:
        async with admin(run) as client:
            await client.delete_topics([run.prefix + topic])

    return lambda run: asyncio.run(delete(run))


def grown(topic: str, partitions: int) -> Deed:
    """Somebody gives a topic of ours more partitions."""

    async def grow(run: OneSignal) -> None:
        async with admin(run) as client:
            await client.create_partitions({run.prefix + topic: NewPartitions(partitions)})

    return lambda run: asyncio.run(grow(run))


def created(run: OneSignal) -> None:
    """calmstream topics create."""
    asyncio.run(topics.create(run.settings()))


def then(*deeds: Deed) -> Deed:
    def do(run: OneSignal) -> None:
        for deed in deeds:
            deed(run)

    return do


def sending(count: int) -> Deed:
    return lambda run: run.send_points(count)


@asynccontextmanager
async def admin(run: OneSignal) -> Any:
    client = AIOKafkaAdminClient(bootstrap_servers=run.broker.bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()
