"""Work that does not end is given up, work that takes long is not; and what counts as silence of a partition."""

import asyncio
import threading
import time

import pytest

from pipeline.streams import chain_thread
from pipeline.streams.chain_thread import ChainThread, limit_seconds
from pipeline.streams.clients import MAX_POLL_SECONDS
from pipeline.streams.exits import Exit, WorkerExit
from pipeline.streams.quiet import Quiet


def test_the_limit_grows_with_the_signals_and_ends_before_kafka_takes_us_to_have_gone() -> None:
    assert limit_seconds(0) == 40
    assert limit_seconds(25_000) == 50, "an ordinary shard: with the shutdown it ends within a minute"
    assert limit_seconds(250_000) == 140, "seven times what the first sight of so many takes"
    assert limit_seconds(10**9) == MAX_POLL_SECONDS


def test_work_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_thread, "STILL_SECONDS", 1.0)
    with pytest.raises(WorkerExit, match="has stood still for 1 s") as ended:
        run_until(threading.Event())
    assert ended.value.code == Exit.LOOP_BLOCKED


def test_work_that_goes_on_for_ever_is_given_up_by_its_own_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_thread, "_LEAST_SECONDS", 1.0)
    with pytest.raises(WorkerExit, match="the limit is 1 s"):
        run_until(threading.Event(), busy=True)


def run_until(go_on: threading.Event, *, busy: bool = False) -> None:
    def work() -> None:
        while busy and not go_on.is_set():
            pass
        go_on.wait()

    async def run() -> None:
        thread = ChainThread("a role")
        try:
            await thread.run(work)
        finally:
            go_on.set()
            thread.stop()

    asyncio.run(run())


def now_ms() -> int:
    return int(time.time() * 1000)


def lasts_at_last(quiet: Quiet, seconds: float) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if quiet.lasts(seconds, unread=False, told_ms=now_ms()):
            return True
    return False


def test_a_partition_that_the_broker_says_is_read_to_its_end_is_silent_in_the_end() -> None:
    assert lasts_at_last(Quiet(), 0.2)


@pytest.mark.parametrize("unread", [True, False])
def test_what_waits_to_be_read_and_a_broker_that_says_nothing_are_no_silence(*, unread: bool) -> None:
    quiet = Quiet()
    assert lasts_at_last(quiet, 0.2)
    assert not quiet.lasts(0.2, unread=unread, told_ms=now_ms() if unread else now_ms() - 1000)
    assert not quiet.lasts(0.2, unread=False, told_ms=now_ms()), "it begins anew"
    assert not quiet.lasts(0.2, unread=False, told_ms=None)
