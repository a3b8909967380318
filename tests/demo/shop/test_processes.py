"""The shop as processes, on the embedded broker: one service is replaced while shoppers come in."""

import asyncio
from contextlib import suppress
from pathlib import Path

import psutil

from pipeline.demo.shop.processes import Shop
from pipeline.demo.shop.shoppers import Shoppers
from pipeline.demo.shop.story import CONFIG
from pipeline.demo.shop.town import FRONTEND, VERSIONS, Deployment
from pipeline.demo.stack import Stack, forget_environment
from pipeline.streams import clients
from tests.codecs.otlp_sent import decode

HARMLESS = Deployment("payment", "1.4.3", VERSIONS["payment"])


async def test_a_service_is_replaced_without_a_request_refused_and_both_versions_are_in_kafka(tmp_path: Path) -> None:
    forget_environment()
    stack = Stack(tmp_path, CONFIG)
    await stack.start_broker()
    shop = Shop(tmp_path, stack.broker.bootstrap)
    try:
        await shop.start()
        before = shop.pids
        shoppers = Shoppers(shop.ports[FRONTEND], per_second=20)
        task = asyncio.create_task(shoppers.run())
        await answered(shoppers, 50, task)
        await shop.deploy(HARMLESS)
        await answered(shoppers, len(shoppers.seen.seconds) + 50, task)
        shop.check()
        after = shop.pids
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        processes = [psutil.Process(pid) for pid in after.values()]
        await shop.stop()
        assert shoppers.seen.failed == 0
        assert {name for name in VERSIONS if before[name] != after[name]} == {"payment"}
        assert not any(process.is_running() for process in processes)
        assert await versions(stack, {"1.4.2", "1.4.3"}) == {"1.4.2", "1.4.3"}
    finally:
        await shop.stop()
        await stack.stop()


async def answered(shoppers: Shoppers, number: int, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(60):
        while len(shoppers.seen.seconds) < number:
            await asyncio.wait([task], timeout=0.05)


async def versions(stack: Stack, wanted: set[str]) -> set[str]:
    """Versions of payment in the metrics, until those wanted are among them."""
    found: set[str] = set()
    consumer = clients.reader(stack.settings, "otlp_metrics")
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            while not wanted <= found:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    _, series = decode(*(record.value for record in records))
                    sent = [dict(each.attributes) for each in series]
                    found |= {each["service.version"] for each in sent if each["service.name"] == "payment"}
    finally:
        await clients.stop_reader(consumer)
    return found
