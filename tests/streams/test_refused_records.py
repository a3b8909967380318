"""Records that no worker can take apart or write down whole: it goes on, and nothing else is lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from pipeline.streams import clients
from tests.kafka.server import KafkaServer
from tests.streams.made_batches import CODECS, Raw, batch_of, send_batch
from tests.streams.one_signal import OneSignal
from tests.worker_process import WorkerProcess

DROPS = 'calmstream_drops_total{{reason="{}",role="{}"}}'
BAD = ((b"trace", b"1"), (b"caf\xe9", b"2"))


@pytest.fixture
def run(kafka: KafkaServer, topic_prefix: str, tmp_path: Path) -> OneSignal:
    return OneSignal(kafka, topic_prefix, tmp_path).create()


def wait_dropped(worker: WorkerProcess, reason: str, count: int = 1, role: str = "ingest") -> None:
    name = DROPS.format(reason, role)
    worker.wait_until(lambda: worker.metrics().get(name) == count, f"done with {count} {reason} in {role}")


def send_with_bad_header(run: OneSignal, compression: str) -> None:
    """A point, a record with a bad header, another point, in one batch."""
    points = [run._point(run.sent + number) for number in range(2)]
    records = [Raw(points[0]), Raw(b"poison", b"key", BAD), Raw(points[1], None, ((b"fine", b""),))]
    batch = batch_of(records, CODECS[compression], start_ms=int(run.start * 1000))
    asyncio.run(send_batch(run.broker.bootstrap, f"{run.prefix}points", batch))
    run.sent += 2


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_record_with_a_header_that_is_no_utf_8_is_refused_and_the_worker_goes_on(
    run: OneSignal, compression: str
) -> None:
    run.send_points(2)
    with run.worker() as worker:
        send_with_bad_header(run, compression)
        run.send_points(2)
        run.wait_counted(worker)
        wait_dropped(worker, "bad_header")
        assert worker.stop() == 0
    (letter,) = run.read("dead-letter")
    assert (letter.key, letter.value) == (b"key", b"poison")
    headers = dict(letter.headers)
    assert (
        headers.items() >= {"trace": b"1", r"caf\xe9": b"2", "calm_offset": b"3", "calm_reason": b"bad_header"}.items()
    )


def test_such_a_record_at_the_end_of_a_topic_holds_no_worker_up(run: OneSignal) -> None:
    asyncio.run(send_batch(run.broker.bootstrap, f"{run.prefix}points", batch_of([Raw(b"poison", None, BAD)])))
    with run.worker() as worker:
        wait_dropped(worker, "bad_header")
        assert worker.stop() == 0
        worker.start().wait_ready()
        run.send_points(3)
        run.wait_counted(worker)
        assert worker.stop() == 0


def test_such_a_record_on_a_topic_of_ours_is_refused_by_who_reads_it(run: OneSignal) -> None:
    run.send_points(2)
    with run.worker() as worker:
        batch = batch_of([Raw(b"poison", None, BAD)])
        for topic in ("signals", "anomalies"):
            asyncio.run(send_batch(run.broker.bootstrap, f"{run.prefix}{topic}", batch))
        run.send_points(2)
        run.wait_counted(worker)
        for role in ("score", "correlate"):
            wait_dropped(worker, "bad_header", role=role)


def test_people_see_such_a_record_as_what_it_is(run: OneSignal) -> None:
    send_with_bad_header(run, "none")
    found = run.read("points")
    assert [record.offset for record in found] == [0, 1, 2]
    assert [name for name, _ in found[1].headers] == ["trace", r"caf\xe9"]


def test_a_refused_message_larger_than_a_dead_letter_is_cut_and_the_worker_goes_on(run: OneSignal) -> None:
    """Compressed it is small enough for any topic."""
    large = b"no JSON " * (5 * 2**19)
    many = tuple((f"h{number}", b"x" * 10_000) for number in range(1700))
    run.send_points(2)
    with run.worker() as worker:
        asyncio.run(_send_compressed(run, [(large, []), (b"no JSON", list(many))]))
        wait_dropped(worker, "undecodable", 2)
        run.send_points(2)
        run.wait_counted(worker)
        assert worker.stop() == 0
    of_value, of_headers = run.read("dead-letter")
    assert large.startswith(of_value.value)
    assert len(of_value.value) > clients.MAX_RECORD_BYTES - 2**17
    assert of_value.headers[-1] == ("calm_cut", b"value of 20971520 bytes")
    assert of_headers.value == b"no JSON"
    assert of_headers.headers[0] == many[0]
    assert of_headers.headers[-1][0] == "calm_cut"


async def _send_compressed(run: OneSignal, messages: list[tuple[bytes, list[tuple[str, bytes]]]]) -> None:
    options: dict[str, Any] = {"compression_type": "gzip", "max_request_size": 2**26}
    async with AIOKafkaProducer(bootstrap_servers=run.broker.bootstrap, **options) as producer:
        for value, headers in messages:
            await producer.send_and_wait(f"{run.prefix}points", value, partition=0, headers=headers)
