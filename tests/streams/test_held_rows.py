"""What waits for an input that is far behind is bounded: what could not be held is read again, and nothing is lost."""

import asyncio
import json
from pathlib import Path

from aiokafka import AIOKafkaProducer

from tests.kafka.server import KafkaServer
from tests.streams.one_signal import OneSignal

CHANGES = {"TOPICS__PARTITIONS": "2", "TIME__IDLE_EMPTY_SECONDS": "900", "LIMITS__MAX_HELD_POINTS": "1000"}
POINTS = 3000


def test_more_points_than_may_be_held_wait_for_an_input_and_all_are_counted(
    kafka: KafkaServer, topic_prefix: str, tmp_path: Path
) -> None:
    run = OneSignal(kafka, topic_prefix, tmp_path, CHANGES).create()
    with run.worker() as worker:
        run.send_points(POINTS)
        worker.wait_until(lambda: worker.metrics()["calmstream_points_total"] == POINTS, "done with the first input")
        assert run.counted() == 0
        asyncio.run(send_from_the_other_input(run))
        run.wait_counted(worker)
        metrics = worker.metrics()
        assert metrics['calmstream_notices_total{reason="read_again",role="score"}'] >= POINTS // 1000 - 1
        assert "an input is far behind the others; reads" in worker.log()


async def send_from_the_other_input(run: OneSignal) -> None:
    point = {"ts": run.start + 5 * POINTS, "name": "other", "value": 1, "attributes": {"service.name": "other"}}
    async with AIOKafkaProducer(bootstrap_servers=run.broker.bootstrap) as producer:
        await producer.send_and_wait(f"{run.prefix}points", json.dumps(point).encode(), partition=1)
